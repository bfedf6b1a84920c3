"""The way that a request takes: through which transports, by which proxy, and when it goes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, cast

import httpcore
import httpx

__all__ = ["LEAVES", "NOT_SENT", "Departure", "OwnTransport", "goes_out", "leave", "not_sent", "proxy_on", "sees_to_forks", "tells"]

LEAVES = "retell_async.leaves"
"""The extension of a request under which a function stands that is called before its first byte. It may raise: then nothing is sent."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""What happens before anything of a request has left. A proxy's refusal is among it: it comes before there is a way to the server."""

_POOLS = (httpcore.AsyncConnectionPool, httpcore.ConnectionPool)

Trace = Callable[[str, dict[str, Any]], Awaitable[None]]
"""The extension ``trace`` of a request, as httpcore has it."""


class OwnTransport(httpx.AsyncBaseTransport, ABC):
    """A transport of this package: it calls what stands under `LEAVES`, and leaves connections of a forked process's parent alone."""

    @abstractmethod
    def proxy_to(self, url: httpx.URL) -> httpx.URL | None:
        """The proxy on the way to there, without its password."""


class Departure:
    """The moment at which a request goes out, told by whoever sees it first; what others tell later is ignored.

    :param leaves: called once, if there is something. What it raises is kept, and raised again for whoever tries to send nevertheless.
    """

    def __init__(self, leaves: Callable[[], None] | None) -> None:
        self._leaves = leaves
        self.refusal: Exception | None = None
        self.is_traced = False
        """Whether httpcore has said anything of it."""
        self.was_seen = False
        """Whether httpcore has said that it goes out."""

    def __call__(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        leaves, self._leaves = self._leaves, None
        if leaves is None:
            return
        try:
            leaves()
        except Exception as error:
            self.refusal = error
            raise

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
    return any(isinstance(one, (OwnTransport, *_POOLS)) for one in _through(transport))


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
        if isinstance(one, (OwnTransport, *_POOLS)):
            yield one
        elif isinstance(one, (httpx.AsyncBaseTransport, httpx.BaseTransport)):
            for value in vars(one).values():
                if isinstance(value, dict):
                    left += cast("dict[object, object]", value).values()
                elif isinstance(value, (list, tuple)):
                    left += cast("list[object]", value)
                else:
                    left.append(value)
