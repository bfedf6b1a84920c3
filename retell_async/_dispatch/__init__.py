"""Placing many calls, each once, and following them to their ends: what `client.dispatch` does."""
