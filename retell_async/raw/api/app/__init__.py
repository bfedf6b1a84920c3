"""Operations of `app`."""
