"""The older place of `retell_async.sandbox.state.journal`, for one release."""

from .state.journal import Entry, Journal

__all__ = ["Entry", "Journal"]
