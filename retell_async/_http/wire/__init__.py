"""HTTP/1.1 over one connection: bytes, requests and answers."""
