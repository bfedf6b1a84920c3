"""What the official SDK has under this name."""

from .webhook_auth import verify

__all__ = ["verify"]
