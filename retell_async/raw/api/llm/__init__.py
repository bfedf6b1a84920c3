"""Operations of `llm`."""
