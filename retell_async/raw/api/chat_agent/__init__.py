"""Operations of `chat_agent`."""
