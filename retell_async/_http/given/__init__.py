"""Clients of others that are given to send with, as clients of httpx."""
