"""What a program puts in the place of methods of httpx's clients that do not await: a guard of its tests, or an answer of theirs.

A `Retell` sends by those that await. While only the others are replaced, it sends by these, so that whoever replaced them is asked.
"""

from __future__ import annotations

import httpcore
import httpx

from ..instrumented import Methods
from .threads import ThreadedClient

__all__ = ["Patched"]

_SYNC = Methods({httpx.Client: ("request", "send"), httpx.HTTPTransport: ("handle_request",), httpcore.ConnectionPool: ("handle_request",)})
_ASYNC = Methods(
    {
        httpx.AsyncClient: ("request", "send"),
        httpx.AsyncHTTPTransport: ("handle_async_request",),
        httpcore.AsyncConnectionPool: ("handle_async_request",),
    }
)


class Patched:
    """An `httpx.Client` to send with while its methods are replaced, made when it is needed first."""

    def __init__(self) -> None:
        self._made: ThreadedClient | None = None

    def client(self) -> ThreadedClient | None:
        """The client, if methods of `httpx.Client` or below it are replaced, and none of those of `httpx.AsyncClient`."""
        if not _SYNC.are_replaced() or _ASYNC.are_replaced():
            return None
        if self._made is None:
            self._made = ThreadedClient(httpx.Client())
        return self._made

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()
