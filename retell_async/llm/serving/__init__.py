"""How calls come in: by ASGI, by the `websockets` library, by a server of its own."""
