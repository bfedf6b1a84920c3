"""Operations of `agent`."""
