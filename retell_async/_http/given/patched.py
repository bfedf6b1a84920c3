"""What a program puts in the place of methods of httpx's clients that do not await: a guard of its tests, or an answer of theirs.

A `Retell` sends by those that await. While one of the others is replaced and its twin is not, or by other tools, it sends by the others, so
that whoever replaced it is asked.
"""

from __future__ import annotations

from operator import is_
from typing import Any

import httpcore
import httpx

from ..exchange import OF_CLIENTS, Http, no_cookies
from ..instrumented import Methods
from ..loops import this_process
from .threads import ThreadedClient

__all__ = ["Patched"]

_BELOW = (
    (httpx.HTTPTransport, httpx.AsyncHTTPTransport),
    (httpcore.ConnectionPool, httpcore.AsyncConnectionPool),
    (httpcore.HTTPConnection, httpcore.AsyncHTTPConnection),
    (httpcore.HTTP11Connection, httpcore.AsyncHTTP11Connection),
)
_TWINS = [
    *((Methods({httpx.Client: (name,)}), Methods({httpx.AsyncClient: (name,)})) for name in OF_CLIENTS),
    *((Methods({one: ("handle_request",)}), Methods({other: ("handle_async_request",)})) for one, other in _BELOW),
]
_SYNC = Methods({httpx.Client: OF_CLIENTS, **{one: ("handle_request",) for one, _ in _BELOW}})
_ASYNC = Methods({httpx.AsyncClient: OF_CLIENTS, **{other: ("handle_async_request",) for _, other in _BELOW}})


class Patched:
    """The same as `Http` over an `httpx.Client`, while methods of that are replaced: made when it is needed first."""

    def __init__(self, max_connections: int) -> None:
        self._most = max_connections
        self._made: Http | None = None
        self._seen: tuple[Any, ...] = ()
        self._is_asked = False
        self._process: object = None

    def http(self) -> Http | None:
        """What to send with, if a method of `httpx.Client` or below it is replaced and not, as tools do, its twin in the same way."""
        if not _SYNC.are_replaced():
            return None
        found = (*_SYNC.found, *_ASYNC.found)
        seen = (*found, *(getattr(one, "__code__", None) for one in found))
        if len(seen) != len(self._seen) or not all(map(is_, seen, self._seen)):  # to look at what is replaced takes milliseconds
            self._seen, self._is_asked = seen, any(_is_alone(*twins) for twins in _TWINS)
        if not self._is_asked:
            return None
        if self._made is None or self._process is not this_process():  # else its connections belong to the parent
            given = httpx.Client(limits=httpx.Limits(max_connections=self._most), cookies=no_cookies())
            self._made, self._process = Http(ThreadedClient(given), max_connections=self._most), this_process()
        return self._made

    async def aclose(self) -> None:
        if self._made is not None and self._process is this_process():
            await self._made.aclose()


def _is_alone(method: Methods, twin: Methods) -> bool:
    """Whether somebody has replaced a method and not its twin, or other tools have: one that ends there is for nobody else either."""
    if not method.are_replaced():
        return False
    if not twin.are_replaced():
        return True
    here, there = method.around(), twin.around()
    return there is not None and (here is None or not here <= there)
