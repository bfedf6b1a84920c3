"""Bytes over TCP and TLS: without layers between on asyncio, where they cost more than the work itself, and by anyio elsewhere."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from itertools import zip_longest
from typing import Protocol, cast

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from ..loops import on_asyncio, this_process

__all__ = ["KEEP_ALIVE", "NetworkStream", "is_readable", "keep_alive", "open_stream"]

# A request may wait for its answer for minutes without a byte on the way, which routers take for the end of the connection. So the other
# side is asked after so many seconds of silence, again after so many, and so often until it counts as gone.
_SILENCE, _AGAIN, _TIMES = 30, 15, 8

KEEP_ALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", _SILENCE), ("TCP_KEEPALIVE", _SILENCE), ("TCP_KEEPINTVL", _AGAIN), ("TCP_KEEPCNT", _TIMES))
    if hasattr(socket, name)
]
"""The options of a socket that keep a silent connection alive, as far as the system has them."""

_SLOW = 0.25  # seconds until another address of a server is tried too
_CHUNK = 65536
_ENOUGH = 4 * _CHUNK  # so much may be received and not read yet, before the other side has to wait


class NetworkStream(Protocol):
    """One connection. Whoever gets an error from it, or is cancelled while using it, closes it."""

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of this.

        :raises OSError: the connection broke; a `TimeoutError` if the other side did not take it in time.
        """
        ...

    async def receive(self, timeout: float | None) -> bytes:
        """Wait for what comes next; nothing, once the other side has closed.

        :raises OSError: the connection broke; a `TimeoutError` if nothing came in time.
        """
        ...

    def is_quiet(self) -> bool:
        """Whether the connection is open, with nothing received that was not read. A part of a record of TLS cannot be seen."""
        ...

    async def aclose(self) -> None: ...

    def drop(self) -> None:
        """Close the connection from outside of its event loop, while nobody uses it."""
        ...


async def open_stream(host: str, port: int, context: ssl.SSLContext | None, timeout: float | None) -> NetworkStream:
    """Connect, by whichever address of the host answers first.

    :param context: for TLS.
    :raises OSError: there is no connection: a `TimeoutError` if there was none in time.
    """
    with anyio.fail_after(timeout), _as_os_error():
        if on_asyncio():
            return await _open_asyncio(host, port, context)
        if context is None:
            return _AnyioStream(await anyio.connect_tcp(host, port))
        return _AnyioStream(await anyio.connect_tcp(host, port, ssl_context=context, tls_standard_compatible=False))


def keep_alive(connection: socket.socket) -> None:
    """Set `KEEP_ALIVE`, as far as this socket takes it."""
    for option in KEEP_ALIVE:
        with suppress(OSError):
            connection.setsockopt(*option)


async def _open_asyncio(host: str, port: int, context: ssl.SSLContext | None) -> _AsyncioStream:
    loop = asyncio.get_running_loop()

    async def connect(address: str) -> _AsyncioStream:
        name = None if context is None else host
        return (await loop.create_connection(lambda: _AsyncioStream(loop), address, port, ssl=context, server_hostname=name))[1]

    try:
        ip_address(host)
    except ValueError:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return await first([partial(connect, address) for address in in_turn((info[0], str(info[4][0])) for info in found)])
    return await connect(host)


def in_turn(addresses: Iterable[tuple[int, str]]) -> list[str]:
    """Addresses of each family in turn, beginning with the family of the first, as RFC 8305 has it."""
    families: dict[int, dict[str, None]] = {}
    for family, address in addresses:
        families.setdefault(family, {})[address] = None
    return [address for row in zip_longest(*families.values()) for address in row if address is not None]


async def first(attempts: Sequence[Callable[[], Awaitable[_AsyncioStream]]]) -> _AsyncioStream:
    """The first connection of several attempts that begin one after the other, each once the one before has failed or is slow.

    asyncio has the same in `create_connection`, which loses an open socket when it is cancelled at the wrong moment.
    """
    won: list[_AsyncioStream] = []
    errors: list[OSError] = []
    try:
        async with anyio.create_task_group() as tasks:

            async def attempt(connect: Callable[[], Awaitable[_AsyncioStream]], failed: anyio.Event) -> None:
                try:
                    won.append(await connect())
                except OSError as error:
                    errors.append(error)
                    failed.set()
                else:
                    tasks.cancel_scope.cancel()

            for connect in attempts:
                failed = anyio.Event()
                tasks.start_soon(attempt, connect, failed)
                with anyio.move_on_after(_SLOW):
                    await failed.wait()
        if not won:
            raise errors[-1]
        return won.pop(0)
    finally:
        for stream in won:
            await stream.aclose()


def is_readable(fileno: int) -> bool:
    """Whether something has come over a socket that nobody has read, its end included."""
    return bool(_readable(fileno)())


def _readable(fileno: int) -> Callable[[], Sequence[object]]:
    """What gives something as soon as something has come."""
    if not hasattr(select, "poll"):
        return lambda: select.select([fileno], [], [], 0)[0]
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return partial(poll.poll, 0)


class _AsyncioStream(asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._process = this_process()
        self._transport: asyncio.Transport
        self._readable: Callable[[], Sequence[object]]
        self._received: list[bytes] = []
        self._size = 0
        self._paused = False
        self._held_back = False
        self._ended = False
        self._lost = False
        self._error: OSError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        self._readable = _readable(connection.fileno())
        keep_alive(connection)

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size > _ENOUGH and not self._paused:
            self._paused = True
            # What comes meanwhile lies in the layer of TLS, where nobody sees it.
            self._held_back = self._transport.get_extra_info("ssl_object") is not None
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        self._ended = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        if exc is not None:
            self._error = exc if isinstance(exc, OSError) else ConnectionResetError(f"the connection broke: {exc}")
        _wake(self._reader)
        _wake(self._writer)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    # What the one who uses the connection calls.

    async def send(self, data: bytes, timeout: float | None) -> None:
        if self._ended:
            raise self._error or ConnectionResetError("the server has closed the connection")
        self._transport.write(data)
        if self._full:
            self._writer = self._loop.create_future()
            self._bound(timeout)
            try:
                await self._writer
            finally:
                self._writer = self._deadline = None
            if self._full:
                raise self._error or ConnectionResetError("the server has closed the connection")

    async def receive(self, timeout: float | None) -> bytes:
        if not self._received and not self._ended:
            self._reader = self._loop.create_future()
            self._bound(timeout)
            try:
                await self._reader
            finally:
                self._reader = self._deadline = None
        if not self._received:
            if self._error is not None:
                raise self._error
            return b""
        data = self._received[0] if len(self._received) == 1 else b"".join(self._received)
        self._received = []
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def _bound(self, timeout: float | None) -> None:
        """Let what is waited for now fail once the time is over.

        A timer stays for the waits that follow, most of which end long before it: to set one each time costs more than to look at a clock.
        """
        if timeout is not None:
            self._deadline = self._loop.time() + timeout
            if self._timer is None or self._timer.when() > self._deadline:
                self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self._deadline is None else self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        waiting = self._reader or self._writer
        if self._deadline is None or waiting is None or waiting.done():
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            waiting.set_exception(TimeoutError())

    def is_quiet(self) -> bool:
        return not (self._received or self._held_back or self._ended or self._transport.is_closing() or self._readable())

    async def aclose(self) -> None:
        # Nothing is left to be sent, and to wait for a farewell under TLS would be of no use. A forked process shares with its parent what
        # the loop watches sockets with: to close one would make the parent blind to it.
        if not (self._lost or self._loop.is_closed()) and self._process is this_process():
            self._transport.abort()

    def drop(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and has nothing any more that could close the connection
            self._loop.call_soon_threadsafe(self._transport.abort)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class _AnyioStream:
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._process = this_process()
        self._socket: socket.socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - no database
        self._tls: ssl.SSLObject | None = stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610
        keep_alive(self._socket)

    async def send(self, data: bytes, timeout: float | None) -> None:
        with anyio.fail_after(timeout), _as_os_error():
            await self._stream.send(data)

    async def receive(self, timeout: float | None) -> bytes:
        with anyio.fail_after(timeout), _as_os_error():
            try:
                return await self._stream.receive(_CHUNK)
            except anyio.EndOfStream:
                return b""

    def is_quiet(self) -> bool:
        if self._tls is not None:
            try:
                self._tls.read(1)  # what came off the socket with something else: an answer too many, or the end
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
            else:
                return False
        return not is_readable(self._socket.fileno())

    async def aclose(self) -> None:
        if self._process is this_process():
            await anyio.aclose_forcefully(self._stream)

    def drop(self) -> None:
        self._socket.close()


@contextmanager
def _as_os_error() -> Generator[None]:
    try:
        yield
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream) as error:
        raise ConnectionResetError(str(error) or "the connection broke") from error
    except UnicodeError as error:
        raise OSError(f"there can be no such host: {error}") from error
