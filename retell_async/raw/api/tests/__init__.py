"""Operations of `tests`."""
