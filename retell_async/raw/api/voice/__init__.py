"""Operations of `voice`."""
