"""An HTTP request and its response, whatever server or framework carries them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import attrs

__all__ = ["IncomingRequest", "Refused", "Respond", "Response"]


@attrs.frozen
class IncomingRequest:
    """A request whose body is not read yet."""

    method: str
    path: str
    """The path below the place where the router is mounted; the whole one when a framework's route leads to it."""
    query: str
    headers: Sequence[tuple[str, str]] = attrs.field(repr=False)
    peer: str | None
    """The address of the other end of the connection, if it has one."""
    read: Callable[[], Awaitable[bytes]] = attrs.field(repr=False)
    """Gives the next part of the body; an empty one is the end."""
    routed: bool = False
    """Whether a framework's route leads here. Then only the end of the path can name a function, and may look like one by chance."""


@attrs.frozen
class Response:
    """The response to a request."""

    status: HTTPStatus
    content: bytes = b""
    content_type: str | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers. A response of status 204 has no body, and so no length."""
        kind = [("content-type", self.content_type)] if self.content_type else []
        length = [("content-length", str(len(self.content)))] if self.status != HTTPStatus.NO_CONTENT else []
        return kind + length


Respond = Callable[[Response], Awaitable[None]]
"""Sends the response. It also returns when the sender of the request is gone."""


class Refused(Exception):
    """A request is not let in, and answered with this status."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
