"""Clients of other kinds, given by users, as clients of httpx."""
