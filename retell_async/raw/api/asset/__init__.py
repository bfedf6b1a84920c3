"""Operations of `asset`."""
