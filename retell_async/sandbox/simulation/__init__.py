"""How calls and chats go. Pure: what happens follows from a seed."""
