"""The older place of `retell_async.sandbox.state.request_log`, and older names for what is there, for one release."""

from .state.request_log import LoggedRequest as Received, RequestLog as Log

__all__ = ["Log", "Received"]
