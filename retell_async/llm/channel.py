"""A WebSocket as the session sees it, and the request that opens one: what every door has to give."""

from __future__ import annotations

from typing import Protocol

import attrs

__all__ = ["Channel", "Disconnected", "Opening", "Refused"]


class Disconnected(Exception):
    """The connection is gone. `code` is the close code that came, 1005 or 1006 if none did."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code

    def __reduce__(self) -> tuple[type[Disconnected], tuple[int]]:
        return type(self), (self.code,)


class Channel(Protocol):
    """One open WebSocket."""

    async def receive(self) -> str | bytes:
        """The next message.

        :raises Disconnected: there will be none.
        """
        ...

    async def send(self, text: str) -> None:
        """Send a message of text.

        :raises Disconnected: it cannot be sent.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, if it is still there."""
        ...


@attrs.frozen
class Opening:
    """A request that wants to open a WebSocket."""

    path: str
    """Without the query, percent signs resolved."""
    query: str
    peer: str | None
    """The address of the other end of the connection."""
    forwarded_for: str | None
    """The value of ``X-Forwarded-For``, several joined with commas."""


@attrs.frozen
class Refused:
    """Why a request may not open a WebSocket: an HTTP status and a sentence with no secret in it."""

    status: int
    reason: str
