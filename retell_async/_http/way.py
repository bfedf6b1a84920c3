"""The way that a request takes: through which transports, by which proxy, and when it goes out."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

import anyio
import httpcore
import httpx

from .instrumented import Methods

__all__ = [
    "LEAVES",
    "NOT_SENT",
    "REPEATABLE",
    "Departure",
    "OfOthersError",
    "OwnTransport",
    "Returned",
    "bounds_waits",
    "drop_abandoned",
    "drop_abandoned_blocking",
    "end_if_more_came",
    "goes_out",
    "is_plain",
    "leave",
    "not_sent",
    "proxy_on",
    "sees_to_forks",
    "tells",
]

LEAVES = "retell_async.leaves"
"""The extension of a request under which a function stands that is called before its first byte. It may raise: then nothing is sent."""

REPEATABLE = "retell_async.repeatable"
"""The extension of a request that may be sent twice: it is, over a new connection, where a kept one ends before a byte of the answer."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""What happens before anything of a request has left. A proxy's refusal is among it: it comes before there is a way to the server."""

_POOLS = (httpcore.AsyncConnectionPool, httpcore.ConnectionPool)

_CLIENT = ("request", "send", "_send_handling_auth", "_send_handling_redirects", "_send_single_request", "_transport_for_url")
_SENDING = Methods(
    {
        httpx.AsyncClient: _CLIENT,
        httpx.Client: _CLIENT,
        httpx.AsyncHTTPTransport: ("handle_async_request",),
        httpx.HTTPTransport: ("handle_request",),
        **dict.fromkeys((httpcore.AsyncConnectionPool, httpcore.AsyncHTTPConnection), ("handle_async_request",)),
        **dict.fromkeys((httpcore.ConnectionPool, httpcore.HTTPConnection), ("handle_request",)),
    }
)

_MOST = 100
"""How many of what a transport keeps are looked at: it may keep every request that it has seen, and this is asked at each one."""

Trace = Callable[[str, dict[str, Any]], Awaitable[None]]
"""The extension ``trace`` of a request, as httpcore has it."""


class OfOthersError(Exception):
    """An error that looks like the outcome of a request and is that of another one, which code of the user's has sent meanwhile."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class OwnTransport(httpx.AsyncBaseTransport, ABC):
    """A transport of this package: it calls what stands under `LEAVES`, and leaves connections of a forked process's parent alone."""

    bounds_waits = False
    """Whether it bounds the wait for a free connection of its own, together with that for one that is being made."""

    @property
    @abstractmethod
    def tells(self) -> bool:
        """Whether nobody stands behind it who may send a request without a word."""

    @abstractmethod
    def proxy_to(self, url: httpx.URL) -> httpx.URL | None:
        """The proxy on the way to there, without its password."""


class Departure:
    """The moment at which a request goes out, told by whoever sees it first; what others tell later is ignored.

    :param leaves: called once, if there is something. What it raises is kept, and raised again for whoever tries to send nevertheless.
    """

    refusal: Exception | None = None
    is_traced = False
    """Whether httpcore, or aiohttp, has said anything of it."""
    was_seen = False
    """Whether httpcore has said that it goes out."""
    is_handed_over = False
    """Whether anybody has it who may send it and not say so."""
    left = False
    """Whether anybody has said so, or it was handed over to somebody who does not say."""
    is_supposed = False
    """Whether it was only handed over."""

    def __init__(self, leaves: Callable[[], None] | None = None) -> None:
        self._leaves = leaves

    def suppose(self) -> None:
        """Take it for gone: nobody on its way will say when it goes out."""
        self()
        self.is_supposed = True

    def __call__(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        leaves, self._leaves = self._leaves, None
        try:
            if leaves is not None:
                leaves()
        except Exception as error:
            self.refusal = error
            raise
        self.left = True
        self.is_supposed = False

    def trace(self, other: Trace | None) -> Trace:
        """What httpcore is to tell of a request.

        :param other: what somebody else wants it to tell.
        """

        async def traced(event: str, details: dict[str, Any]) -> None:
            if other is not None:
                await other(event, details)
            self.told(event, details)

        return traced

    def told(self, event: str, details: Mapping[str, Any]) -> None:
        """Take note of something that httpcore has said."""
        self.is_traced = True
        if goes_out(event, details):
            self.was_seen = True
            self()


def goes_out(event: str, details: Mapping[str, Any]) -> bool:
    """Whether an event of httpcore is about the request itself, and not about one that asks a proxy for a tunnel."""
    return event.endswith("send_request_headers.started") and details["request"].method != b"CONNECT"


def leave(request: httpx.Request) -> None:
    """Say that the first byte of a request follows."""
    leaves: Callable[[], None] | None = request.extensions.get(LEAVES)
    if leaves is not None:
        leaves()


def not_sent(error: httpx.TransportError) -> httpx.TransportError:
    """The same error as one that says that nothing was sent: the proxy gave no way to the server."""
    if isinstance(error, NOT_SENT):
        return error
    kind = httpx.ConnectTimeout if isinstance(error, httpx.TimeoutException) else httpx.ConnectError
    return kind(str(error) or "the proxy gave no way to the server")


def tells(transport: object) -> bool:
    """Whether something on this way says when a request goes out."""
    return any(True for _ in _through(transport))


class Returned(httpx.AsyncByteStream):
    """The body of an answer that came by pools of httpcore, and what they miss when it is closed.

    What came behind an answer would be taken for the next one. And a cancellation by asyncio itself, from which the shields of httpcore do
    not keep it, may come while it closes: then the request stays in its pool for ever, with its connection.
    """

    def __init__(self, inner: httpx.AsyncByteStream, transport: object, mark: object) -> None:
        self._inner = inner
        self._transport = transport
        self._mark = mark
        self._failed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except BaseException:
            self._failed = True
            raise

    async def aclose(self) -> None:
        end_if_more_came(self._transport, self._mark)
        try:
            await self._inner.aclose()
        except BaseException:
            self._failed = True
            raise
        finally:
            if self._failed:
                await drop_abandoned(self._transport, self._mark)


def end_if_more_came(transport: object, mark: object) -> None:
    """Have the connection of a request, the answer to which was read, closed with it if more has come than that."""
    for request in (one for pool in _pools(transport) for one in pool._requests if _is_marked(one, mark)):
        connection = request.connection
        while connection is not None and not hasattr(connection, "_h11_state"):
            connection = getattr(connection, "_connection", None)
        if connection is not None and connection._h11_state.trailing_data[0]:
            connection._h11_state.send_failed()


def _is_marked(request: Any, mark: object) -> bool:
    return any(value is mark for value in request.request.extensions.values())


async def drop_abandoned(transport: object, mark: object) -> None:
    """Close the connections in pools of httpcore on this way that nobody uses and nobody can use: to be called when a request failed.

    Such a pool keeps a connection to a proxy for ever when TLS with the server behind it fails or is cancelled, and one that was assigned
    to a request which was cancelled at that moment. Once it is full of those, every request waits without end.

    :param mark: what stands among the extensions of that request alone.
    """
    for pool in _pools(transport):
        if hasattr(pool, "handle_async_request"):
            with anyio.CancelScope(shield=True):
                await pool._close_connections(_taken_out(pool, mark))


def drop_abandoned_blocking(transport: object, mark: object) -> None:
    """The same for pools that do not await, in the thread of the request."""
    for pool in _pools(transport):
        if hasattr(pool, "handle_request"):
            with pool._optional_thread_lock:
                closing = _taken_out(pool, mark)
            pool._close_connections(closing)


def _taken_out(pool: Any, mark: object) -> list[Any]:
    """Take what is abandoned out of a pool, give its place to requests that wait, and give what is to be closed."""
    pool._requests = [request for request in pool._requests if not _is_marked(request, mark)]
    used = {id(request.connection) for request in pool._requests}
    abandoned = [one for one in pool._connections if not (id(one) in used or one.is_idle() or one.is_available() or one.is_closed())]
    if not abandoned:
        return []
    pool._connections = [one for one in pool._connections if one not in abandoned]
    return [*abandoned, *pool._assign_requests_to_connections()]


def _pools(transport: object) -> list[Any]:
    return [one for one in _through(transport) if _is_pool(one)]


def _is_pool(one: object) -> bool:
    """Whether it is a pool of httpcore, or of the one below httpx2."""
    if isinstance(one, _POOLS):
        return True
    module = sys.modules.get("httpcore2")
    return module is not None and isinstance(one, (module.AsyncConnectionPool, module.ConnectionPool))


def is_plain(client: object, transport: object) -> bool:
    """Whether all that this client sends goes out by this transport, and not without a word: nobody has put anything in its place."""
    given = getattr(client, "_given", client)  # in threads
    base = httpx.Client if isinstance(given, httpx.Client) else httpx.AsyncClient
    if not isinstance(given, base) or (isinstance(transport, OwnTransport) and not transport.tells):
        return False
    seen = _SENDING.stand_in(given) or _SENDING.stand_in(transport) or _SENDING.are_overridden(type(given), base)
    return not (seen or _SENDING.are_replaced())


def bounds_waits(transport: object) -> bool:
    """Whether something on this way is not to be told how long to wait for a free connection."""
    return any(isinstance(one, OwnTransport) and one.bounds_waits for one in _through(transport))


def sees_to_forks(transport: object) -> bool:
    """Whether all connections on this way may be used in a forked process."""
    found = list(_through(transport))
    return bool(found) and all(isinstance(one, OwnTransport) for one in found)


def proxy_on(transport: object, url: httpx.URL) -> str | None:
    """The URL of the proxy on this way, without its password, if one can be seen."""
    for one in _through(transport):
        if isinstance(one, OwnTransport):
            proxy = one.proxy_to(url)
            return None if proxy is None else f"{proxy.scheme}://{proxy.netloc.decode('ascii')}"
        proxy_url: httpcore.URL | None = getattr(one, "_proxy_url", None)
        if isinstance(proxy_url, httpcore.URL):
            return str(httpx.URL(scheme=proxy_url.scheme.decode(), host=proxy_url.host.decode(), port=proxy_url.port))
    return None


def _through(transport: object) -> Iterator[object]:
    """A transport, those that it wraps, and pools of httpcore: what can be seen in their attributes."""
    left, seen = [transport], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OwnTransport) or _is_pool(one):
            yield one
        elif isinstance(one, (httpx.AsyncBaseTransport, httpx.BaseTransport)):
            for value in vars(one).values():
                if isinstance(value, dict):
                    left += islice(cast("dict[object, object]", value).values(), _MOST)
                elif isinstance(value, (list, tuple)):
                    left += islice(cast("list[object]", value), _MOST)
                else:
                    left.append(value)
