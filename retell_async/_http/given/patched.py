"""What a program puts in the place of methods of httpx's clients that do not await: a guard of its tests, or an answer of theirs.

A `Retell` sends by those that await. While only the others are replaced, it sends by these, so that whoever replaced them is asked.
"""

from __future__ import annotations

import httpcore
import httpx

from ..exchange import Http
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
    """The same as `Http` over an `httpx.Client`, while methods of that are replaced: made when it is needed first."""

    def __init__(self, max_connections: int) -> None:
        self._most = max_connections
        self._made: Http | None = None

    def http(self) -> Http | None:
        """What to send with, if methods of `httpx.Client` or below it are replaced, and none of those of `httpx.AsyncClient`."""
        if not _SYNC.are_replaced() or _ASYNC.are_replaced():
            return None
        if self._made is None:
            given = httpx.Client(limits=httpx.Limits(max_connections=self._most))
            self._made = Http(ThreadedClient(given), max_connections=self._most)
        return self._made

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()
