"""Operations of `phone_number`."""
