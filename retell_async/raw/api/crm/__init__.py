"""Operations of `crm`."""
