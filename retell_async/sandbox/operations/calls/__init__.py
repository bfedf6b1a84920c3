"""Operations on calls and chats."""
