"""Operations of `conversation_flow_component`."""
