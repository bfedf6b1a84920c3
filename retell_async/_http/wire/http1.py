"""HTTP/1.1 with one server over one connection at a time, with the errors of httpx: by h11, and what is usual by llhttp."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio.lowlevel
import attrs
import h11
import httpx

from ..way import REPEATABLE, leave
from . import usual
from .streams import NetworkStream, open_stream

__all__ = ["Http1Connection", "Origin", "BufferedRequest", "Times", "BufferedResponse", "origin_of"]

_MOST_INTERIM = 100  # answers of 1xx, all of which may come at once

Origin = tuple[str, str, int | None]
"""Scheme, host in ASCII and port; the port only if it is not the scheme's own."""

Times = Mapping[str, float | None]
"""Seconds for ``connect``, ``write``, ``read`` and ``pool``, as `httpx.Timeout.as_dict` gives them."""


@attrs.define
class BufferedRequest:
    """A request with its whole body, as it goes over the wire. It may hold secrets."""

    origin: Origin
    method: str
    root: str
    """The URL up to the path."""
    target: str = attrs.field(repr=False)
    """Path and query of the URL."""
    headers: list[tuple[str, str]] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)
    lines: bytes | None = attrs.field(default=None, repr=False)
    """The headers as they go out, without their length, where that is known."""
    leaves: Callable[[], None] | None = None
    """Called before its first byte. It may raise: then nothing is sent."""


@attrs.define
class BufferedResponse:
    """An answer with the whole of its body, or the part that came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    reason: bytes
    content: bytes = attrs.field(repr=False)
    broken: httpx.RequestError | None = None
    """Why the body is not whole, if it is not."""

    def response(self) -> httpx.Response:
        """The same as httpx has it, its body decoded; without a body if that is not whole.

        :raises httpx.DecodingError: the body is not encoded as the headers say.
        """
        content = self.content if self.broken is None else b""
        return httpx.Response(self.status, headers=self.headers, content=content, extensions=_extensions(self.reason))


class Http1Connection:
    """One connection at most, opened when there is none. It carries one request after the other.

    :param context: for TLS.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._stream: NetworkStream | None = None
        self._protocol: h11.Connection

    async def exchange(self, request: BufferedRequest, times: Times) -> BufferedResponse:
        """Send a request and read the answer to its end.

        :raises httpx.RequestError: no answer began to arrive.
        """
        read = times.get("read")
        try:
            stream = self._quiet() or await self._connect(times)
            short = usual.usual_request(request.method, request.target, request.headers, request.content, request.lines)
            data = short or self._written(request)  # before it leaves: it may not be possible
            if request.leaves is not None:
                request.leaves()
            complete = await self._send(stream, data, times.get("write"))
            if short and not complete:
                self._written(request)  # to h11, so that it knows what is answered
            elif short and (answer := await self._usual(stream, request, read)) is not None:
                return answer
            head = _of(complete, await self._head(stream, read))
        except BaseException:
            await self.aclose()
            raise
        parts: list[bytes] = []
        broken: httpx.RequestError | None = None
        try:
            while (part := await self.next_part(stream, read)) is not None:
                parts.append(part)
        except httpx.RequestError as error:
            broken = error
        finally:
            await self.finish()
        return BufferedResponse(head.status_code, head.headers.raw_items(), head.reason, b"".join(parts), broken)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose body may be a stream, and give the answer, whose body is one."""
        times: Times = request.extensions.get("timeout", {})
        kept = self._stream
        try:
            stream = self._quiet() or await self._connect(times)
            try:
                head = await self._ask(stream, request, times)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                came = self._protocol.their_state is not h11.SEND_RESPONSE or self._protocol.trailing_data[0]
                if came or stream is not kept or not request.extensions.get(REPEATABLE):
                    raise
                stream = await self._connect(times)
                head = await self._ask(stream, request, times)
        except BaseException:
            await self.aclose()
            raise
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=_Body(self, stream, times.get("read")),
            extensions=_extensions(head.reason),
        )

    async def _ask(self, stream: NetworkStream, request: httpx.Request, times: Times) -> h11.Response:
        """Send a request, and read the head of the answer."""
        complete = await self._send_stream(stream, request, times.get("write"))
        return _of(complete, await self._head(stream, times.get("read")))

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def drop(self) -> None:
        """Close the connection from outside of its event loop, while it carries nothing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.drop()

    def _quiet(self) -> NetworkStream | None:
        """The connection that there is, if it can be used."""
        return self._stream if self._stream is not None and self._stream.is_quiet() else None

    async def _connect(self, times: Times) -> NetworkStream:
        """Open a connection in place of the one that there is."""
        await self.aclose()
        try:
            self._stream = await open_stream(self._host, self._port, self._context, times.get("connect"))
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return self._stream

    def _written(self, request: BufferedRequest) -> bytes:
        """A request as h11 writes it, whose answer it then reads."""
        send = self._begin()
        try:
            data = send(h11.Request(method=request.method, target=request.target, headers=request.headers)) or b""
            if request.content:
                data += send(h11.Data(data=request.content)) or b""
            return data + (send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError as error:
            raise _refused(error) from error

    def _begin(self) -> Callable[[h11.Event], bytes | None]:
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=usual.LONGEST_HEAD)
        return self._protocol.send

    async def _usual(self, stream: NetworkStream, request: BufferedRequest, timeout: float | None) -> BufferedResponse | None:
        """Read an answer to its end. ``None`` if it is not a usual one: h11 then has what has come of it."""
        data = await self._receive(stream, timeout)
        received = [data]
        answer = usual.UsualAnswer()  # not before: what many requests have while they wait costs the garbage collector most
        while True:
            if data:
                answer.feed(data)
            if not (data and answer.is_usual):
                self._written(request)
                if came := b"".join(received):
                    self._protocol.receive_data(came)
                return None
            if answer.is_whole:
                return BufferedResponse(answer.status, answer.headers, answer.reason, b"".join(answer.content))
            try:
                data = await self._receive(stream, timeout)
            except httpx.RequestError as error:
                if not answer.has_head:
                    raise
                await self.aclose()
                return BufferedResponse(answer.status, answer.headers, answer.reason, b"".join(answer.content), error)
            received.append(data)

    async def _send(self, stream: NetworkStream, data: bytes, timeout: float | None) -> bool:
        """Send, and say whether the server took all. If not, it may have answered and closed: its answer says more than an error would."""
        try:
            await stream.send(data, timeout)
        except TimeoutError as error:
            raise httpx.WriteTimeout("the request could not be sent in time") from error
        except OSError:
            return False
        return True

    async def _send_stream(self, stream: NetworkStream, request: httpx.Request, timeout: float | None) -> bool:
        """Send, and say whether the server took all of it."""
        if not isinstance(request.stream, httpx.AsyncByteStream):
            raise TypeError(f"a {type(request.stream).__name__} cannot be sent asynchronously")
        send = self._begin()
        target = request.url.raw_path
        left = False
        try:
            data = send(h11.Request(method=request.method, target=target, headers=request.headers.raw)) or b""
            async with _closing(aiter(request.stream)) as parts:
                async for part in parts:
                    data += send(h11.Data(data=part)) or b""
                    if not left:
                        leave(request)  # and not before there is something to send
                        left = True
                    if not await self._send(stream, data, timeout):
                        return False
                    data = b""
                    await anyio.lowlevel.checkpoint()  # a server that takes all at once leaves others their turn
            data += send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise _refused(error) from error
        if not left:
            leave(request)
        return not data or await self._send(stream, data, timeout)

    async def _head(self, stream: NetworkStream, timeout: float | None) -> h11.Response:
        for _ in range(_MOST_INTERIM):
            event = await self._event(stream, timeout)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError("the server has closed the connection without an answer")
        raise httpx.RemoteProtocolError(f"the answer is broken: {_MOST_INTERIM} interim ones came, and none that ends it")

    async def next_part(self, stream: NetworkStream, timeout: float | None) -> bytes | None:
        """The next part of the body; ``None`` at its end."""
        event = await self._event(stream, timeout)
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _event(self, stream: NetworkStream, timeout: float | None) -> object:
        protocol = self._protocol
        try:
            while True:
                event = protocol.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._receive(stream, timeout)
                if not data and protocol.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("the server has closed the connection without an answer")
                protocol.receive_data(data)
        except h11.RemoteProtocolError as error:
            # What it quotes of the answer stays out: servers repeat what they were sent.
            what = str(error).partition(":")[0]
            kind = "no HTTP" if what == "illegal status line" else "broken"
            raise httpx.RemoteProtocolError(f"the answer is {kind}: {what}") from error

    @staticmethod
    async def _receive(stream: NetworkStream, timeout: float | None) -> bytes:
        try:
            return await stream.receive(timeout)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time") from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error

    async def finish(self) -> None:
        """Close the connection if it cannot carry another request."""
        protocol = self._protocol
        # What comes after an answer belongs to none, and must not be taken for the next one's.
        if not (protocol.our_state is h11.DONE and protocol.their_state is h11.DONE) or protocol.trailing_data[0]:
            await self.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, to be read once; closing it frees the connection."""

    def __init__(self, connection: Http1Connection, stream: NetworkStream, timeout: float | None) -> None:
        self._connection = connection
        self._stream = stream
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._connection.next_part(self._stream, self._timeout)) is not None:
            yield part

    async def aclose(self) -> None:
        await self._connection.finish()


@asynccontextmanager
async def _closing(parts: AsyncIterator[bytes]) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Close an iterator that can be closed, as generators can, when it is not read to its end."""
    try:
        yield parts
    finally:
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()


def origin_of(url: httpx.URL) -> Origin:
    """Where a URL leads."""
    return url.scheme, url.raw_host.decode("ascii"), url.port


def _refused(error: h11.LocalProtocolError) -> httpx.LocalProtocolError:
    """Why a request cannot be written, without what h11 quotes of it: the value of a header may be a key."""
    return httpx.LocalProtocolError(str(error).partition(" b'")[0].partition(' b"')[0])


def _of(complete: bool, head: h11.Response) -> h11.Response:
    """The head of an answer to a request, which means no success of one that did not leave whole."""
    if not complete and 200 <= head.status_code < 300:
        raise httpx.WriteError("the server answered before it had the whole request")
    return head


def _extensions(reason: bytes) -> dict[str, Any]:
    return {"http_version": b"HTTP/1.1", "reason_phrase": reason}
