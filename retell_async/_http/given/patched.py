"""What a program puts in the place of methods of httpx's clients that do not await: a guard of its tests, or an answer of theirs.

A `Retell` sends by those that await. While one of the others is replaced and its twin is not, or by other tools, it sends by the others, so
that whoever replaced it is asked.
"""

from __future__ import annotations

import httpcore
import httpx

from ..exchange import Http
from ..instrumented import Methods
from .threads import ThreadedClient

__all__ = ["Patched"]

_OF_CLIENTS = (
    *("request", "build_request", "send", "_send_handling_auth", "_send_handling_redirects", "_send_single_request"),
    "_transport_for_url",
)
_BELOW = (
    (httpx.HTTPTransport, httpx.AsyncHTTPTransport),
    (httpcore.ConnectionPool, httpcore.AsyncConnectionPool),
    (httpcore.HTTPConnection, httpcore.AsyncHTTPConnection),
    (httpcore.HTTP11Connection, httpcore.AsyncHTTP11Connection),
)
_TWINS = [
    *((Methods({httpx.Client: (name,)}), Methods({httpx.AsyncClient: (name,)})) for name in _OF_CLIENTS),
    *((Methods({one: ("handle_request",)}), Methods({other: ("handle_async_request",)})) for one, other in _BELOW),
]
_ALL = Methods({httpx.Client: _OF_CLIENTS, **{one: ("handle_request",) for one, _ in _BELOW}})


class Patched:
    """The same as `Http` over an `httpx.Client`, while methods of that are replaced: made when it is needed first."""

    def __init__(self, max_connections: int) -> None:
        self._most = max_connections
        self._made: Http | None = None

    def http(self) -> Http | None:
        """What to send with, if a method of `httpx.Client` or below it is replaced and not, as tools do, its twin in the same way."""
        if not _ALL.are_replaced() or not any(_is_alone(*twins) for twins in _TWINS):
            return None
        if self._made is None:
            given = httpx.Client(limits=httpx.Limits(max_connections=self._most))
            self._made = Http(ThreadedClient(given), max_connections=self._most)
        return self._made

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()


def _is_alone(method: Methods, twin: Methods) -> bool:
    return method.are_replaced() and (not twin.are_replaced() or method.tools() != twin.tools() != set())
