"""What the sandbox asks of the user's own endpoints: webhooks, custom functions, inbound requests, custom LLMs."""

from __future__ import annotations

from .sender import Sender

__all__ = ["Outgoing", "Sender"]

Outgoing = Sender
"""The older name, for one release."""
