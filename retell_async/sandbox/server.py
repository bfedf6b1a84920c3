"""The older place of `retell_async.sandbox.http.server`, for one release."""

from .http.server import Served, in_thread, listen, run, serve

__all__ = ["Served", "in_thread", "listen", "run", "serve"]
