"""How calls and chats look to who asks for them."""
