"""An `httpx.AsyncClient` over aiohttp, for asyncio only. Needs the extra ``[aiohttp]``.

The connections are those of httpx-aiohttp. Added here is what keeps a request from being sent twice.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakSet

import aiohttp
import anyio
import attrs
import httpx
import httpx_aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from .._core.errors import ConfigurationError, RetellError
from .._core.masking import mask_text
from .exchange import no_cookies
from .instrumented import Methods
from .loops import close_soon, is_over, on_asyncio, running_loop
from .transport import HTTPCORE, Transport
from .way import LEAVES, Departure, OwnTransport, not_sent
from .wire.streams import is_readable, keep_alive

__all__ = ["AiohttpClient"]

_PIECE = 2**16

_ERRORS = (httpx.TransportError, aiohttp.ClientError, OSError)

_BELOW = Methods({httpx.AsyncHTTPTransport: ("handle_async_request",)})
_SEND = Methods({httpx.AsyncClient: ("send", "_send_single_request")})
_SESSION = Methods({aiohttp.ClientSession: ("_request",)})

_trip: ContextVar[_Trip] = ContextVar("retell_async_trip")
"""What `_Request.send`, which aiohttp calls, needs to know of the request, and what it finds out."""

_Sessions = dict[asyncio.AbstractEventLoop, aiohttp.ClientSession]


class AiohttpClient(httpx_aiohttp.HttpxAiohttpClient):
    """An `httpx.AsyncClient` that takes every setting of one, proxies of the environment included."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("cookies", no_cookies())
        super().__init__(**settings)

    def _init_transport(self, *args: Any, transport: httpx.AsyncBaseTransport | None = None, **settings: Any) -> httpx.AsyncBaseTransport:
        return _Transport(*args, **settings) if transport is None else transport

    def _init_proxy_transport(self, proxy: httpx.Proxy, *args: Any, **settings: Any) -> httpx.AsyncBaseTransport:
        if proxy.url.scheme not in {"http", "https"}:
            raise ConfigurationError(f"aiohttp goes through proxies of http and https, not {proxy.url.scheme}: use DefaultAsyncHttpxClient")
        return _Transport(*args, proxy=_with_credentials_in_headers(proxy), **settings)


class _Transport(httpx_aiohttp.AiohttpTransport, OwnTransport):
    """Sends a request once or says that it was not sent, and raises nothing but the errors of httpx."""

    bounds_waits = True

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.sessions: _Sessions = {}
        self._httpcore = Transport(verify=self.ssl_context, limits=self.limits, proxy=self.proxy, trust_env=False)
        self._closed = False
        _transports.add(self)

    @property
    def tells(self) -> bool:
        return not (HTTPCORE.are_replaced() or _BELOW.are_replaced() or _SESSION.are_replaced())

    def proxy_to(self, url: httpx.URL) -> httpx.URL | None:  # noqa: ARG002 - it is the same to wherever
        return None if self.proxy is None else self.proxy.url

    def get_client(self) -> aiohttp.ClientSession:
        """The session as it is wanted for one request; one cannot be used in another event loop, or after a fork."""
        return cast("aiohttp.ClientSession", _Sender(self._session(), self.proxy))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if HTTPCORE.are_replaced() or _is_seen_twice():
            # A tool fakes requests, or records them, as httpcore has them, or as both httpx and aiohttp have them, and would count each
            # twice: they go past aiohttp, for as long as it is about.
            return await self._httpcore.handle_async_request(request)
        if _BELOW.are_replaced():
            # A tool that stands in front of httpx's own transport looks at every request that passes there.
            return await httpx.AsyncHTTPTransport.handle_async_request(_Watched(self, request), request)
        return await self.handle(request)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """The same, with nothing in front of it."""
        if not on_asyncio():
            raise ConfigurationError("aiohttp runs under asyncio alone: use DefaultAsyncHttpxClient under trio")
        if self._closed:
            raise RetellError("the client is closed")
        self._leave_ended_loops()
        upload = _upload_of(request)
        trip = _Trip(request.extensions.get(LEAVES))
        token = _trip.set(trip)
        response: httpx.Response | None = None
        failure: BaseException | None = None
        try:
            with nullcontext() if upload is None else upload.scope:
                response = await self._send(request if upload is None else _with(request, upload))
        except _ERRORS as error:
            failure = _translated(error)
            if trip.began and not trip.left:
                failure = not_sent(failure)
        finally:
            _trip.reset(token)
        if upload is not None:
            if response is not None and response.is_success and not upload.is_whole:
                await response.aclose()
                failure = httpx.WriteError("the server answered before it had the whole request")
            elif upload.error is not None:
                failure = upload.error
        if failure is not None:
            raise failure  # here, and not above: the errors of aiohttp, whose texts quote URLs and whose reprs show headers, stay behind
        if response is None:
            raise httpx.WriteTimeout("the request could not be sent in time")
        response.stream = _Stream(cast("httpx.AsyncByteStream", response.stream))
        return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        while True:
            try:
                return await super().handle_async_request(request)
            except _StaleError:
                continue  # nothing was sent, and the connection is gone
            except asyncio.CancelledError:
                if not self._closed or _is_cancelled():
                    raise
            raise httpx.ConnectError("the client was closed before there was a connection")

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self.sessions.get(loop)
        if session is None:
            session = self.sessions[loop] = self._open()
        return session

    def _leave_ended_loops(self) -> None:
        for loop in list(self.sessions):  # those of other threads come and go meanwhile
            if is_over(loop) and (session := self.sessions.pop(loop, None)) is not None:
                _close(session)

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self.ssl_context, limit=self.limits.max_connections or 0, keepalive_timeout=self.limits.keepalive_expiry
        )
        cast("Any", connector)._factory = partial(_Connection, loop=asyncio.get_running_loop())
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        # When a connection breaks, aiohttp sends what it takes for idempotent once more by itself, PUT among it. Here it is known which
        # operations may be repeated; there is no public way to say so.
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        if _SEND.are_replaced() or _BELOW.are_replaced():
            session.trace_configs.clear()  # a tool that looks at httpx and at aiohttp sees each request once, as that of httpx
        return session

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        await self._httpcore.aclose()
        here = running_loop()
        sessions = dict(self.sessions)
        self.sessions.clear()
        for loop, session in sessions.items():
            if loop is here:
                await session.close()
            elif not is_over(loop):
                close_soon(loop, session.close)
            else:
                _close(session)


def _is_seen_twice() -> bool:
    """Whether one and the same tool stands around a method of httpx and around that of a session.

    If they are of two tools, each sees what it wants to see. The one of a session may then be there to keep requests from going out.
    """
    if not _SESSION.are_replaced():
        return False
    return not _SESSION.tools().isdisjoint(_SEND.tools() | _BELOW.tools())


def _close(session: aiohttp.ClientSession) -> None:
    """Close a session whose event loop is over. Nothing is waited for, so any loop will do, one of trio too."""
    for _ in session.close().__await__():
        pass


_transports: WeakSet[_Transport] = WeakSet()

_of_parents: list[_Sessions] = []
"""To close or to collect a session of another process would close that one's connections."""


def _leave_parent() -> None:
    for transport in _transports:
        _of_parents.append(transport.sessions)
        transport.sessions = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)


def _with_credentials_in_headers(proxy: httpx.Proxy) -> httpx.Proxy:
    """A proxy with its user name and password in headers: aiohttp's own object for them is deprecated, and its repr shows them."""
    headers = proxy.headers.copy()
    if proxy.raw_auth is not None:
        headers["Proxy-Authorization"] = f"Basic {b64encode(b':'.join(proxy.raw_auth)).decode()}"
    return httpx.Proxy(proxy.url, ssl_context=proxy.ssl_context, headers=headers)


class _Sender:
    """A session whose requests go out as they are."""

    def __init__(self, session: aiohttp.ClientSession, proxy: httpx.Proxy | None) -> None:
        self._session = session
        self._proxy = proxy

    def request(self, *, url: str, headers: httpx.Headers, **settings: Any) -> Any:
        pairs = [(name, value) for name, value in headers.multi_items() if name != "transfer-encoding"]
        times: aiohttp.ClientTimeout = settings["timeout"]
        if times.sock_connect is not None:
            # It knows no end of the wait for a proxy's way but that of the wait for a connection, which is waited for above it.
            settings["timeout"] = attrs.evolve(times, connect=times.sock_connect + (times.connect or 0.0))
        if self._proxy is not None and url.startswith("http:"):
            pairs += self._proxy.headers.multi_items()  # aiohttp gives a proxy its headers only where it asks for a tunnel
        return self._session.request(url=URL(url, encoded=True), headers=pairs, **settings)


class _Trip:
    """A request on its way.

    :param leaves: called before its first byte. It may raise: then nothing is sent.
    """

    def __init__(self, leaves: Callable[[], None] | None) -> None:
        self._leaves = leaves
        self.began = False
        """Whether aiohttp sends it. A tool that fakes or records requests may send it instead, and does not say when it leaves."""
        self.left = False

    def begin(self) -> None:
        self.began = True
        if isinstance(self._leaves, Departure):
            self._leaves.is_traced = True

    def leave(self) -> None:
        if self._leaves is not None:
            self._leaves()
        self.left = True


class _StaleError(aiohttp.ClientError):
    """A connection that was used before cannot be used again. Nothing was sent over it."""


class _Connection(ResponseHandler):
    async def read(self) -> Any:
        message = await super().read()
        if 100 <= message[0].code < 200:
            self.start_timeout()  # which an interim answer ends in aiohttp, though what is waited for has not come
        return message


class _Request(aiohttp.ClientRequest):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        _trip.get().begin()
        super().__init__(*arguments, **settings)

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if conn.protocol in _used:
            # aiohttp looks whether it knows that the server has closed, not whether it has, nor whether something came unasked.
            if conn.protocol.should_close or is_readable(conn.transport.get_extra_info("socket").fileno()):
                raise _StaleError
        else:
            _used.add(conn.protocol)
            keep_alive(conn.transport.get_extra_info("socket"))
        _trip.get().leave()
        return await super().send(conn)


_used: WeakSet[asyncio.BaseProtocol] = WeakSet()


class _Upload(httpx.AsyncByteStream):
    """A body that is sent piece by piece, and knows how much of it was.

    :param length: how many bytes were announced, if they were.
    :param timeout: seconds that one piece may take.
    """

    def __init__(self, stream: httpx.AsyncByteStream, length: int | None, timeout: float | None) -> None:
        self._stream = stream
        self._left = length
        self._timeout = timeout
        self._ended = False
        self.error: BaseException | None = None
        self.scope = anyio.CancelScope()

    @property
    def is_whole(self) -> bool:
        """Whether all of it was handed over."""
        return self.error is None and (self._ended or self._left == 0)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            async for piece in self._stream:
                if self._left is not None:
                    self._left -= len(piece)
                    if self._left < 0:
                        raise httpx.LocalProtocolError("the body is longer than its Content-Length")
                timer = None if self._timeout is None else loop.call_later(self._timeout, self.scope.cancel)
                try:
                    yield piece
                finally:
                    if timer is not None:
                        timer.cancel()
            if self._left:
                raise httpx.LocalProtocolError("the body is shorter than its Content-Length")
        except Exception as error:
            self.error = error
            raise
        self._ended = True


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), _PIECE):
            yield self._content[start : start + _PIECE]


def _upload_of(request: httpx.Request) -> _Upload | None:
    """The body of a request, unless it is so small that it goes out with the headers."""
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        content = request.content
        if len(content) <= _PIECE:
            return None
        stream = _Pieces(content)
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError(f"a {type(stream).__name__} cannot be sent asynchronously")
    length = request.headers.get("content-length")
    times: Mapping[str, float | None] = request.extensions.get("timeout", {})
    return _Upload(stream, None if length is None else int(length), times.get("write"))


def _with(request: httpx.Request, upload: _Upload) -> httpx.Request:
    return httpx.Request(request.method, request.url, headers=request.headers, stream=upload, extensions=request.extensions)


class _Watched(httpx.AsyncHTTPTransport):
    """Stands in for the pool of httpx's own transport, and sends over aiohttp what that transport hands to it."""

    def __init__(self, transport: _Transport, request: httpx.Request) -> None:
        self._pool: Any = self
        self._transport = transport
        self._request = request

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ARG002 - it is the same, as httpcore has it
        """What httpx asks of its pool."""
        response = await self._transport.handle(self._request)
        return SimpleNamespace(
            status=response.status_code, headers=response.headers.raw, stream=response.stream, extensions=response.extensions
        )


class _Stream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        failure: Exception | None = None
        try:
            async for part in self._stream:
                yield part
        except _ERRORS as error:
            failure = _translated(error)
        if failure is not None:
            raise failure

    async def aclose(self) -> None:
        await self._stream.aclose()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _translated(error: httpx.TransportError | aiohttp.ClientError | OSError) -> httpx.TransportError:
    """The error of httpx for one of aiohttp. Nothing was sent only if there was no connection."""
    # httpx-aiohttp takes what it does not know for a connection that could not be opened.
    cause = error.__cause__ if isinstance(error, httpx.TransportError) else error
    if isinstance(error, httpx.TransportError) and not isinstance(cause, (aiohttp.ClientError, OSError)):
        return error
    return _kind(cause)(mask_text(_said(cause)))


def _said(cause: BaseException | None) -> str:
    """What an error of aiohttp says, without what it quotes of the answer: servers repeat what they were sent."""
    if isinstance(cause, aiohttp.ClientResponseError) and not isinstance(cause, aiohttp.ClientHttpProxyError):
        begins = " " + _TLS_ALERT if _TLS_ALERT in cause.message else ""
        return f"the answer is no HTTP: {cause.message.partition(':')[0]}{begins}"  # the status is one that aiohttp has made up
    return str(cause).partition(":")[0] if isinstance(cause, aiohttp.ClientPayloadError) else str(cause)


def _kind(cause: BaseException | None) -> Callable[[str], httpx.TransportError]:
    for kinds, kind in _KINDS:
        if isinstance(cause, kinds):
            return kind
    return httpx.ReadError


_TLS_ALERT = r"\x15\x03"
"""How an answer begins that is TLS, as aiohttp quotes it."""

_KINDS: list[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[str], httpx.TransportError]]] = [
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), httpx.UnsupportedProtocol),
    (TimeoutError, httpx.ReadTimeout),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError), httpx.RemoteProtocolError),
]
