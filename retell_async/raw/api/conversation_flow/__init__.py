"""Operations of `conversation_flow`."""
