"""What the sandbox sends to the user's own endpoints: webhooks, custom functions, inbound webhooks, custom LLMs."""

from __future__ import annotations

from .sender import Sender

__all__ = ["Outgoing", "Sender"]

Outgoing = Sender
"""The older name, for one release."""
