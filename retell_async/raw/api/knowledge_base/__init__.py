"""Operations of `knowledge_base`."""
