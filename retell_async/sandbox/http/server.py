"""The server: the sandbox on a port of this machine."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

import anyio
import anyio.to_thread
import attrs
import uvicorn

from ..outgoing.sender import Sender
from ..service import Sandbox
from .app import create_app
from .connections import Protocol

__all__ = ["Served", "in_thread", "listen", "run", "serve"]

_BACKLOG = 4096


@attrs.frozen
class Served:
    """A sandbox that is listening."""

    sandbox: Sandbox
    url: str
    """The base URL for clients."""
    sender: Sender = attrs.field(repr=False)
    """Sends webhooks and the like while the sandbox listens."""

    @property
    def outgoing(self) -> Sender:
        """The older name of `sender`, for one release."""
        return self.sender

    async def advance(self, seconds: float) -> None:
        """Move a stepped clock forward, from one action that is due to the next. Each is done before the clock moves on.

        :raises TypeError: the clock runs by itself.
        """
        await self.sender.advance(seconds)


@asynccontextmanager
async def serve(sandbox: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[Served, None]:
    """Listen while the context lasts, on a free port unless one is given.

    Under asyncio the server shares the event loop of its caller; under trio, on which uvicorn does not run, it has a thread of its own.

    :raises OSError: the port is taken, or the host is not an address of this machine.
    """
    sandbox = sandbox or Sandbox()
    listener, url = listen(host, port)
    sandbox.store.origin.url = url
    server = _Guest(sandbox, [host])
    ended = _start(server, listener)
    try:
        yield Served(sandbox, url, server.sender)
    finally:
        server.should_exit = True
        with anyio.CancelScope(shield=True):
            await ended()


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A listening socket, and its URL.

    :raises OSError: the port is taken, or the host is not an address of this machine.
    :raises OverflowError: no port has that number.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)[0]
    # Made with a protocol, which `socket.create_server` leaves out: only on such sockets does asyncio turn off Nagle's algorithm, which
    # delays each answer by 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let a port be taken twice
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address[0], port, *address[2:]))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError):
        listener.close()
        raise
    shown = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


@contextmanager
def in_thread(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Generator[Served]:
    """Listen while the context lasts, in a thread with an event loop of its own.

    :raises OSError: the port is taken, or the host is not an address of this machine.
    """
    listener, url = listen(host, port)
    sandbox.store.origin.url = url
    server = _Guest(sandbox, [host])
    thread = _thread(server, listener)
    try:
        yield Served(sandbox, url, server.sender)
    finally:
        server.should_exit = True
        thread.join()


def run(sandbox: Sandbox, listener: socket.socket, hosts: Collection[str] = ()) -> None:
    """Serve until a signal ends it.

    :param hosts: names by which browsers may reach it, beside those of this machine.
    """
    _Server(sandbox, hosts).run([listener])


class _Server(uvicorn.Server):
    """A server that also runs the sender of its sandbox."""

    def __init__(self, sandbox: Sandbox, hosts: Collection[str]) -> None:
        super().__init__(_configuration(sandbox, hosts))
        self.sender = Sender(sandbox, attended=True)

    async def main_loop(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sender.run)
            await super().main_loop()
            tasks.cancel_scope.cancel()


class _Guest(_Server):
    """A server within another program: it leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _configuration(sandbox: Sandbox, hosts: Collection[str]) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(sandbox, hosts),
        http=Protocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="wsproto",
        ws_per_message_deflate=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )


def _start(server: uvicorn.Server, listener: socket.socket) -> Callable[[], Awaitable[None]]:
    """Start a server, and give a function that waits for its end."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        thread = _thread(server, listener)
        return lambda: anyio.to_thread.run_sync(thread.join)
    task = loop.create_task(server.serve([listener]), name="retell-sandbox")

    async def ended() -> None:
        await task

    return ended


def _thread(server: uvicorn.Server, listener: socket.socket) -> Thread:
    thread = Thread(target=lambda: asyncio.run(server.serve([listener])), name="retell-sandbox")
    thread.start()
    return thread
