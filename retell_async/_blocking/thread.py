"""A thread with an event loop in it that goes on whatever a program does to threads and clocks.

Threads may be greenlets (gevent), the clock may stand still (freezegun), and the interpreter may be about to end.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import anyio
from anyio import to_thread

from .._core.errors import RetellError
from .._http.loops import close_soon, this_process

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["LoopThread", "awake"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Who replaces a program's clocks looks for `time.monotonic` itself, in all modules.
_monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC) if hasattr(time, "clock_gettime") else partial(time.monotonic)
)

if sys.platform == "win32":
    _EventLoop = asyncio.ProactorEventLoop
else:
    _EventLoop = asyncio.SelectorEventLoop


class _OwnLoop(_EventLoop):
    def time(self) -> float:
        return _monotonic()

    # asyncio has names looked up by an executor, which takes nothing any more once the main thread is over.

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
        return await _in_thread(socket.getaddrinfo, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return await _in_thread(socket.getnameinfo, sockaddr, flags)


async def _in_thread(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    try:
        return await to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
    except RuntimeError:  # no thread can begin any more, since the interpreter ends
        return function(*arguments)


class LoopThread:
    """One event loop and the portal to it, once it is `ready`."""

    loop: asyncio.AbstractEventLoop
    portal: BlockingPortal

    def __init__(self) -> None:
        self.process = this_process()
        self.ready: Future[None] = Future()
        self.join: Callable[[float], object] = int
        """Wait for its end, for so many seconds; not at all where its beginning was interrupted."""
        self._is_alive = False
        self._id: int | None = None

    def start(self) -> None:
        """Begin, and wait until it is ready. Who is interrupted meanwhile has it end at once, or run on if it is under way."""
        try:
            with awake():
                self.join = _start(self._run)
                self.ready.result()
        except BaseException:
            self.ready.cancel()
            raise

    @property
    def has_ended(self) -> bool:
        """Whether it is over, or could not begin."""
        return self.ready.cancelled() or not self._is_alive

    @property
    def is_here(self) -> bool:
        """Whether the caller is in it."""
        return self._id == threading.get_ident()

    def soon(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call this in the loop, without waiting for it; not at all in one that is over."""
        self.ready.add_done_callback(lambda ready: None if ready.cancelled() or ready.exception() else close_soon(self.loop, function))

    def _run(self) -> None:
        self._is_alive = True
        self._id = threading.get_ident()
        try:
            if self.ready.set_running_or_notify_cancel():
                _refuse_second()
                anyio.run(self._main, backend_options={"loop_factory": _OwnLoop})
        except BaseException as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)
        finally:
            self._is_alive, self._id = False, None

    async def _main(self) -> None:
        from anyio.from_thread import BlockingPortal

        async with BlockingPortal() as self.portal:
            self.loop = asyncio.get_running_loop()
            self.ready.set_result(None)
            await self.portal.sleep_until_stopped()


def _refuse_second() -> None:
    """Refuse a second event loop in one thread of the system, as threads are that eventlet has made greenlets."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RetellError("threads are greenlets here, and another one runs an event loop: make one Retell for all, and views of it")


def awake() -> AbstractContextManager[object]:
    """Within this block the thread may wait for another one. A hub of gevent that has nothing else to do would take that for the end."""
    gevent = _gevent()
    return nullcontext() if gevent is None else _awake(gevent)


@contextmanager
def _awake(gevent: Any) -> Generator[None]:
    watcher = gevent.get_hub().loop.async_()
    watcher.start(int)
    try:
        yield
    finally:
        watcher.stop()
        watcher.close()


def _start(run: Callable[[], None]) -> Callable[[float], object]:
    """Run this in a thread of the system, also where threads are greenlets; give what waits for its end, for so many seconds."""
    gevent = _gevent()
    if gevent is None:
        thread = threading.Thread(target=run, name="retell-async", daemon=True)
        thread.start()
        return thread.join
    running = [True]

    def whole() -> None:
        try:
            with _awake(gevent):
                run()
        finally:
            gevent.sleep(0)  # what sockets of the loop have left to be closed is closed, before the hub is gone
            gevent.get_hub().destroy(destroy_loop=True)
            running.clear()

    def join(seconds: float) -> None:
        until = _monotonic() + seconds
        while running and _monotonic() < until:
            gevent.sleep(0.001)

    gevent.monkey.get_original("_thread", "start_new_thread")(whole, ())
    return join


def _gevent() -> Any:
    """The module, where it has made threads greenlets."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return sys.modules["gevent"] if monkey is not None and monkey.is_module_patched("threading") else None
