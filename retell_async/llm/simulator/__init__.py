"""Retell's side of the custom-LLM WebSocket, against a server in any language."""
