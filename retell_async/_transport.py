"""Connections over httpx, at a cost for each request that does not grow with their number."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import anyio
import attrs
import httpx

from ._proxies import Proxies

__all__ = ["Transport"]

_Origin = tuple[str, str, int | None]


@attrs.define(eq=False)
class _Line:
    """One connection at most: a whole httpx transport, whose pool has a single place."""

    origin: _Origin
    transport: httpx.AsyncHTTPTransport
    idle_since: float = 0.0


class Transport(httpx.AsyncBaseTransport):
    """An httpx transport that stays as fast with a thousand requests at once as with one.

    httpx looks at every connection and every waiting request of its pool each time that one of them changes. Here every connection has
    such a pool to itself, and is taken from a stack and put back.

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
        proxy: httpx.Proxy | httpx.URL | str | None = None,
    ) -> None:
        limits = limits or httpx.Limits(max_connections=100)
        self._verify = verify
        self._cert = cert
        self._http2 = http2
        self._limits = limits
        self._trust_env = trust_env
        self._proxy = proxy
        self._proxies = Proxies() if trust_env and proxy is None else None
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._shared: dict[_Origin, httpx.AsyncHTTPTransport] = {}
        self._idle: dict[_Origin, deque[_Line]] = {}  # of each, those that were used last are at the right
        self._idle_number = 0
        self._most_idle = limits.max_keepalive_connections
        self._expiry = limits.keepalive_expiry
        self._places = None if limits.max_connections is None else anyio.Semaphore(limits.max_connections, fast_acquire=True)
        self._most = limits.max_connections
        self._busy = 0
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        origin = (url.scheme, url.host, url.port)
        if self._http2:
            shared = self._shared.get(origin)
            if shared is None:
                shared = self._shared[origin] = self._open(origin, self._limits)
            return await shared.handle_async_request(request)
        await self._enter(request)
        try:
            line = await self._take(origin)
            try:
                response = await line.transport.handle_async_request(request)
            except BaseException:
                # Its connection is gone, but the next one can be opened in its place.
                self._put_back(line)
                raise
        except BaseException:
            self._leave()
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError(f"a {type(response.stream).__name__} cannot be read asynchronously")
        response.stream = _Stream(response.stream, self, line)
        return response

    async def _enter(self, request: httpx.Request) -> None:
        """Wait for a place among the connections that may be open at once."""
        if self._places is not None:
            with anyio.move_on_after(request.extensions.get("timeout", {}).get("pool")) as scope:
                await self._places.acquire()
            if scope.cancelled_caught:
                raise httpx.PoolTimeout("no free connection in time", request=request)
        self._busy += 1

    def _leave(self) -> None:
        self._busy -= 1
        if self._places is not None:
            self._places.release()

    async def _take(self, origin: _Origin) -> _Line:
        """A line to there, whose connection is open if there was one."""
        if self._closed:
            raise RuntimeError("the transport is closed")
        await self._close_expired()
        idle = self._idle.get(origin)
        if idle:
            self._idle_number -= 1
            return idle.pop()
        if self._most is not None and self._busy + self._idle_number > self._most:
            await self._close(min((lines for lines in self._idle.values() if lines), key=lambda lines: lines[0].idle_since))
        return _Line(origin, self._open(origin, httpx.Limits(max_connections=1, keepalive_expiry=self._expiry)))

    def _put_back(self, line: _Line) -> None:
        line.idle_since = monotonic()
        self._idle.setdefault(line.origin, deque()).append(line)
        self._idle_number += 1

    async def release(self, line: _Line) -> None:
        """Take back a line whose answer was read, or will not be."""
        self._put_back(line)
        self._leave()
        if self._closed or (self._most_idle is not None and self._idle_number > self._most_idle):
            await self._close(self._idle[line.origin])

    async def _close_expired(self) -> None:
        if self._expiry is None:
            return
        oldest = monotonic() - self._expiry
        for lines in self._idle.values():
            while lines and lines[0].idle_since < oldest:
                await self._close(lines)

    async def _close(self, lines: deque[_Line]) -> None:
        """Close the one of these that was idle longest."""
        self._idle_number -= 1
        line = lines.popleft()
        with anyio.CancelScope(shield=True):
            await line.transport.aclose()

    def _open(self, origin: _Origin, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
        scheme, host, _ = origin
        proxy = self._proxy
        if self._proxies is not None:
            proxy = self._proxies.of(scheme, host)
        return httpx.AsyncHTTPTransport(verify=self._context(scheme), http2=self._http2, limits=limits, proxy=proxy)

    def _context(self, scheme: str) -> ssl.SSLContext:
        """One for all connections, since loading the certificates takes long; without them where there is no TLS."""
        context = self._contexts.get(scheme)
        if context is None:
            if scheme == "https":
                context = httpx.create_ssl_context(verify=self._verify, cert=self._cert, trust_env=self._trust_env)
            else:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._contexts[scheme] = context
        return context

    async def aclose(self) -> None:
        """Close the idle connections; the others close when their answers are read."""
        self._closed = True
        for lines in self._idle.values():
            while lines:
                await self._close(lines)
        for transport in self._shared.values():
            await transport.aclose()


class _Stream(httpx.AsyncByteStream):
    """The body of an answer, which gives its line back when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, owner: Transport, line: _Line) -> None:
        self._inner = inner
        self._owner = owner
        self._line: _Line | None = line

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk

    async def aclose(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        try:
            await self._inner.aclose()
        finally:
            await self._owner.release(line)
