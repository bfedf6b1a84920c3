"""Operations of `call`."""
