"""Other people's types beside ours: what a request takes of them, and what programs know of pydantic's models."""
