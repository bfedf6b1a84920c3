"""Operations of `identity`."""
