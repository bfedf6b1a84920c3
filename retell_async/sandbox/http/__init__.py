"""The sandbox over HTTP: the API, its own interface beside it, and the page."""
