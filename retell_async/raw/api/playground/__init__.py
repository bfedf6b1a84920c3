"""Operations of `playground`."""
