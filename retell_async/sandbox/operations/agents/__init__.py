"""Operations on agents, and on what they are made of."""
