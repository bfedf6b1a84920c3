"""The connections of a client. What a request costs does not grow with their number."""

from __future__ import annotations

import os
import ssl
import sys
import warnings
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache, partial
from math import inf
from threading import Lock
from time import monotonic
from typing import Any, cast

import anyio
import attrs
import httpcore
import httpx

from .._core.errors import ConfigurationError, RetellError, reason
from .instrumented import Methods
from .loops import close_soon, is_over, running_loop, this_process
from .proxies import Proxies
from .slots import Slots
from .way import NOT_SENT, OwnTransport, Returned, drop_abandoned, goes_out, not_sent
from .wire.http1 import BufferedRequest, BufferedResponse, Http1Connection, Origin, Times, origin_of
from .wire.streams import keep_alive

__all__ = ["HTTPCORE", "Transport"]

_PORTS = {"http": 80, "https": 443}
_MOST_ORIGINS = 64  # of which it is kept by which proxy they are reached

_OF_HTTPCORE = (httpcore.AsyncConnectionPool, httpcore.AsyncHTTPConnection, httpcore.AsyncHTTP11Connection)

HTTPCORE = Methods(dict.fromkeys(_OF_HTTPCORE, ("handle_async_request",)))
_BELOW = Methods(dict.fromkeys((httpx.AsyncHTTPTransport, *_OF_HTTPCORE), ("handle_async_request",)))


@attrs.define(eq=False)
class _Place:
    """One connection at most."""

    origin: Origin
    connection: Http1Connection | httpx.AsyncHTTPTransport
    """Through a proxy, a whole httpx transport, whose pool has a single place."""
    idle_since: float = 0.0

    async def close(self) -> None:
        """Close its connection, whether or not whoever asks for it is cancelled."""
        with anyio.CancelScope(shield=True):
            await self.connection.aclose()


class _Idle:
    """The places that nobody uses. What a step costs does not grow with their number, nor with that of the origins.

    Any thread may take places out: that in which a client is closed may be another one than that of their event loop.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[_Place, None] = OrderedDict()  # as the values of the next: those that were used last are at the end
        self._of: dict[Origin, OrderedDict[_Place, None]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._all)

    def put(self, place: _Place) -> None:
        with self._lock:
            place.idle_since = monotonic()
            self._all[place] = None
            places = self._of.get(place.origin)
            if places is None:
                places = self._of[place.origin] = OrderedDict()
            places[place] = None

    def take(self, origin: Origin) -> _Place | None:
        """Of those to this origin the one that was used last, if there is any."""
        with self._lock:
            places = self._of.get(origin)
            return None if places is None else self._taken(next(reversed(places)))

    def take_oldest(self, before: float = inf) -> _Place | None:
        """The one that was used before all others, if that was before this moment."""
        with self._lock:
            place = next(iter(self._all), None)
            return None if place is None or place.idle_since >= before else self._taken(place)

    def _taken(self, place: _Place) -> _Place:
        del self._all[place]
        places = self._of[place.origin]
        del places[place]
        if not places:
            del self._of[place.origin]
        return place


_of_parents: list[_Pool] = []
"""To collect the connections of another process would close them."""


class _Pool:
    """The connections of one event loop, as those of one cannot be used, or even closed, in another."""

    def __init__(self, loop: Any, limits: httpx.Limits) -> None:
        self.shared: dict[tuple[str, bool], httpx.AsyncHTTPTransport] = {}
        """By scheme and by whether there is a proxy on the way."""
        self.process = this_process()
        self.loop = loop
        self._idle = _Idle()
        self._most_idle = limits.max_keepalive_connections
        self._expiry = limits.keepalive_expiry
        self._slots = None if limits.max_connections is None else Slots(limits.max_connections)
        self._most = limits.max_connections
        self._busy = 0
        self._closed = False

    @property
    def idle(self) -> int:
        """How many connections are open that nobody uses."""
        return len(self._idle)

    async def take(self, origin: Origin, timeout: float | None, open_: Callable[[Origin], _Place]) -> _Place:
        """Wait until one of the connections that may be open at once can be used: one to this origin, or room for a new one.

        :param open_: makes a new place.
        """
        slots = self._slots
        if not (slots is None or slots.take_free() or await slots.take(within=inf if timeout is None else timeout)):
            raise httpx.PoolTimeout("no free connection in time")
        self._busy += 1
        try:
            if self._closed:
                raise RetellError("the client is closed")
            before = 0.0 if self._expiry is None else monotonic() - self._expiry
            while (stale := self._idle.take_oldest(before)) is not None:
                await stale.close()
            place = self._idle.take(origin)
            if place is None and self._most is not None and self._busy + len(self._idle) > self._most:
                await self._close_oldest()
            return open_(origin) if place is None else place
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        """Let another one use a connection."""
        self._busy -= 1
        if self._slots is not None:
            self._slots.give()

    async def close(self, place: _Place) -> None:
        """Close the connection of a place that is in use, and let another one use a place."""
        try:
            await place.close()
        finally:
            self._leave()

    async def release(self, place: _Place) -> None:
        """Take back a place whose answer was read, or will not be."""
        self._idle.put(place)
        self._leave()
        if self._closed or (self._most_idle is not None and len(self._idle) > self._most_idle):
            await self._close_oldest()

    async def _close_oldest(self) -> None:
        """Close the connection that is idle longest, if there is one."""
        if (place := self._idle.take_oldest()) is not None:
            await place.close()

    async def aclose(self) -> None:
        """Close the idle connections; the others close when their answers are read, and who waits for one gets an error."""
        self._closed = True
        if self._slots is not None:
            self._slots.close()
        while (place := self._idle.take_oldest()) is not None:
            await place.close()
        for transport in list(self.shared.values()):
            await transport.aclose()

    def drop(self) -> None:
        """Close the idle connections from outside of their event loop."""
        self._closed = True
        while (place := self._idle.take_oldest()) is not None:
            if isinstance(place.connection, Http1Connection):
                place.connection.drop()
            else:
                close_soon(self.loop, place.connection.aclose)
        for transport in list(self.shared.values()):
            close_soon(self.loop, transport.aclose)


class Transport(OwnTransport):
    """An httpx transport that stays as fast with a thousand requests at once as with one.

    httpx looks at every connection and every waiting request of its pool each time that one of them changes. Here a connection is taken
    from a stack and put back, and what is sent over it goes straight from h11 to the event loop. Each event loop in which it is used has
    connections of its own, and so has each process.

    :param verify: as of `httpx.AsyncHTTPTransport`, as are `cert`, `http2` and `limits`. With `http2` one httpx pool is used after all,
        since a connection then carries many requests.
    :param trust_env: take certificates and proxies from the environment, as `httpx.AsyncClient` does by itself.
    :param proxy: one for all requests, in place of those of the environment.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        http2: bool = False,
        limits: httpx.Limits | None = None,
        trust_env: bool = True,
        proxy: httpx.Proxy | None = None,
    ) -> None:
        self._pools: dict[Any, _Pool] = {}
        self._verify = verify
        self._cert = cert
        self.http2 = http2
        self.limits = limits or httpx.Limits(max_connections=100)
        self._trust_env = trust_env
        self._proxy = proxy
        self._of_environment = lru_cache(_MOST_ORIGINS)(Proxies().of) if trust_env and proxy is None else None
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._closed = False

    def proxy_to(self, url: httpx.URL) -> httpx.URL | None:
        proxy = self._proxy_to(origin_of(url))
        return None if proxy is None else proxy.url

    @property
    def tells(self) -> bool:
        return not _BELOW.are_replaced()

    def is_straight(self, origin: Origin) -> bool:
        """Whether `exchange` can send there, with nothing of httpx on the way.

        :raises ConfigurationError: the environment names what cannot be a proxy.
        """
        return not self._is_shared() and self._proxy_to(origin) is None

    async def exchange(self, request: BufferedRequest, times: Times) -> BufferedResponse:
        """Send a request for whose origin `is_straight` holds, and read the answer to its end.

        :raises httpx.RequestError: no answer began to arrive.
        """
        pool = self._pool()
        place = await pool.take(request.origin, times.get("pool"), self._open)
        try:
            return await cast("Http1Connection", place.connection).exchange(request, times)
        finally:
            # If its connection is gone, the next one can be opened in its place.
            await pool.release(place)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = origin_of(request.url)
        pool = self._pool()
        if "upgrade" in request.headers:
            return await self._upgrade(origin, request)
        if self._is_shared():
            way = origin[0], self._proxy_to(origin) is not None
            shared = pool.shared.get(way)
            if shared is None:
                shared = pool.shared[way] = self._open_httpx(origin, self.limits)
            return await _by_httpx(shared, request)
        place = await pool.take(origin, request.extensions.get("timeout", {}).get("pool"), self._open)
        try:
            if isinstance(place.connection, Http1Connection):
                response = await place.connection.handle_async_request(request)
            else:
                response = await _by_httpx(place.connection, request)
        except BaseException:
            await pool.close(place)  # httpcore does not always close it
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError(f"a {type(response.stream).__name__} cannot be read asynchronously")
        response.stream = _Stream(response.stream, self, partial(pool.release, place))
        return response

    async def _upgrade(self, origin: Origin, request: httpx.Request) -> httpx.Response:
        """Ask for another protocol, such as that of WebSockets, over a connection that is used for nothing else."""
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=0)
        transport = httpx.AsyncHTTPTransport(verify=self._context(origin[0]), limits=limits, proxy=self._proxy_to(origin))
        try:
            response = await _by_httpx(transport, request)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await transport.aclose()
            raise
        response.stream = _Stream(cast("httpx.AsyncByteStream", response.stream), transport, transport.aclose)
        return response

    def _is_shared(self) -> bool:
        """Whether requests go through one pool of httpx: for HTTP/2, and where somebody wants to see them pass there."""
        return self.http2 or _BELOW.are_replaced()

    def _pool(self) -> _Pool:
        """The connections of the event loop that this is called in."""
        if self._closed:
            raise RetellError("the client is closed")
        loop = running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.process is not this_process():
            if pool is not None:
                _of_parents.append(pool)
            for other in list(self._pools):  # those of other threads come and go meanwhile
                if is_over(other) and (left := self._pools.pop(other, None)) is not None:
                    left.drop()
            pool = self._pools[loop] = _Pool(loop, self.limits)
        return pool

    def _open(self, origin: Origin) -> _Place:
        if self._proxy_to(origin) is not None:
            limits = httpx.Limits(max_connections=1, keepalive_expiry=self.limits.keepalive_expiry)
            return _Place(origin, self._open_httpx(origin, limits))
        scheme, host, port = origin
        if scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"the URL must start with http:// or https://, not {scheme}://")
        return _Place(origin, Http1Connection(host, port or _PORTS[scheme], self._context(scheme) if scheme == "https" else None))

    def _open_httpx(self, origin: Origin, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=self._context(origin[0]), http2=self.http2, limits=limits, proxy=self._proxy_to(origin))

    def _proxy_to(self, origin: Origin) -> httpx.Proxy | None:
        return self._proxy if self._of_environment is None else self._of_environment(*origin)

    def _context(self, scheme: str) -> ssl.SSLContext:
        """One for all connections, since loading the certificates takes long; without them where there is no TLS."""
        context = self._contexts.get(scheme)
        if context is None:
            if scheme == "https":
                context = self._trusting()
                context.set_alpn_protocols(["http/1.1"])  # where HTTP/2 is wanted, httpx says so itself
            else:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._contexts[scheme] = context
        return context

    def _trusting(self) -> ssl.SSLContext:
        """:raises ConfigurationError: what is given, or what the environment names, cannot be read, which no other attempt will change."""
        names = ("SSL_CERT_FILE", "SSL_CERT_DIR") if self._verify is True and self._trust_env else ()
        name = next(filter(os.environ.get, names), None)  # httpx reads that alone
        path = os.environ.get(name or "", "")
        try:
            if name == "SSL_CERT_DIR" and not any(map(os.path.isdir, path.split(os.pathsep))):
                raise NotADirectoryError("there is no such directory")  # OpenSSL would trust nobody and say nothing
            return httpx.create_ssl_context(verify=self._verify, cert=self._cert, trust_env=self._trust_env)
        except OSError as error:
            named = "that are given as verify or cert" if name is None or self._cert else f"of the environment ({name}={path})"
            raise ConfigurationError(f"the certificates {named} cannot be read: {reason(error)}") from error

    async def aclose(self) -> None:
        """Close the idle connections; the others close when their answers are read."""
        self._closed = True
        here = running_loop()
        for pool in self._take_pools():
            if pool.loop is here:
                await pool.aclose()
            else:
                pool.drop()

    def _take_pools(self) -> list[_Pool]:
        """The pools that are to be closed. Those of a process from which this one was forked are not."""
        pools, self._pools = self._pools, {}
        return [pool for pool in pools.values() if pool.process is this_process()]

    def __del__(self, *, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules lose their names before
        if is_finalizing():
            return
        open_ = [pool for pool in self._take_pools() if pool.idle or (self.http2 and pool.shared)]
        for pool in open_:
            pool.drop()
        if open_:
            warnings.warn(
                "an HTTP client was dropped while it had connections open: use `async with`, or `await client.aclose()`",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


class _Stream(httpx.AsyncByteStream):
    """The body of an answer, and what is to be done once it is closed.

    :param owner: which closes its connections when nobody has it any more.
    """

    def __init__(self, inner: httpx.AsyncByteStream, owner: httpx.AsyncBaseTransport, then: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._owner = owner
        self._then: Callable[[], Awaitable[None]] | None = then

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        then, self._then = self._then, None
        if then is None:
            return
        try:
            await self._inner.aclose()
        finally:
            await then()


async def _by_httpx(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    """Send by httpx, whose connections to proxies take no options of sockets."""
    trace = request.extensions.get("trace")
    began = left = False
    opened: Any = None
    scope = anyio.CancelScope()

    async def traced(event: str, details: dict[str, Any]) -> None:
        nonlocal began, left, opened
        began = True  # else somebody stands in the way, who may send it where nobody says when it leaves
        if event.endswith("connect_tcp.complete"):
            opened = details["return_value"]
            keep_alive(opened.get_extra_info("socket"))
        elif event.startswith(("http11.", "http2.")):
            opened = None  # it is ready, and may be that of others too
        elif "setup_socks5_connection" in event:  # which has no end in httpcore
            longest = request.extensions.get("timeout", {}).get("connect")
            scope.deadline = inf if longest is None or not event.endswith(".started") else anyio.current_time() + longest
        if trace is not None:
            await trace(event, details)  # which may keep it from being sent
        left = left or goes_out(event, details)

    request.extensions = {**request.extensions, "trace": traced}
    response: httpx.Response | None = None
    try:
        with scope:
            response = await transport.handle_async_request(request)
    except httpx.TransportError as error:
        if left or not began or isinstance(error, NOT_SENT):
            raise
        raise not_sent(error) from error
    except (UnicodeError, OverflowError) as error:  # of looking up the address of a host or a proxy
        raise httpx.ConnectError(f"there can be no such host: {error}") from error
    finally:
        if response is None:
            if opened is not None:  # httpcore leaves open what a proxy or TLS did not get ready
                with anyio.CancelScope(shield=True):
                    await opened.aclose()
            await drop_abandoned(transport, traced)
    if response is None:
        raise httpx.ConnectTimeout("the proxy gave no way to the server in time")
    response.stream = Returned(cast("httpx.AsyncByteStream", response.stream), transport, traced)
    return response
