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
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import anyio

from .._core.errors import RetellError
from .._http.loops import close_soon, in_thread, this_process

__all__ = ["LoopOfCallers", "LoopThread", "awake"]

_FAREWELL = 1.0  # seconds for which the end of a thread is waited for
_TURN = 0.01  # seconds after which a thread that waits for its turn looks whether another one has done its work meanwhile

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
        return await in_thread(socket.getaddrinfo, host, port, family, type, proto, flags, abandon_on_cancel=True)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return await in_thread(socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True)


class LoopThread:
    """One event loop and what is done in it, once it is `ready`.

    A portal of anyio's has every caller wait twice: until its task has begun, and until it is done.
    """

    loop: asyncio.AbstractEventLoop
    _tasks: asyncio.TaskGroup
    _end: asyncio.Event

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

    def begin(self, function: Callable[[], Awaitable[None]]) -> Future[None]:
        """Have this done in the loop, and give what is to be waited for."""
        done = Future[None]()
        self.loop.call_soon_threadsafe(self._begin, function, done)  # in the context of the caller
        return done

    def _begin(self, function: Callable[[], Awaitable[None]], done: Future[None]) -> None:
        async def run() -> None:
            try:
                await function()
            except BaseException:
                done.cancel()
                raise
            done.set_result(None)

        sniffio: Any = sys.modules.get("sniffio")
        if sniffio is not None:
            sniffio.current_async_library_cvar.set("asyncio")  # the caller may be in a task of trio's
        task = run()
        try:
            self._tasks.create_task(task)
        except RuntimeError as error:  # it ends
            task.close()
            done.set_exception(error)

    def wait(self, done: Future[None]) -> None:
        """Wait until what was begun is done."""
        with awake():
            done.result()

    def end(self) -> None:
        """End it, and wait for that for a while unless the caller is in it."""
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self._end.set)
        if not self.is_here:
            with awake():
                self.join(_FAREWELL)

    def end_soon(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call this in the loop and end it, without waiting for that."""

        async def end() -> None:
            try:
                await close()
            finally:
                self._end.set()

        self.soon(end)

    def soon(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call this in the loop, without waiting for it; not at all in one that is over."""
        self.ready.add_done_callback(lambda ready: None if ready.cancelled() or ready.exception() else close_soon(self.loop, function))

    def _run(self) -> None:
        self._is_alive = True
        self._id = threading.get_ident()
        try:
            if self.ready.set_running_or_notify_cancel():
                if _in_a_loop():  # as threads are that eventlet has made greenlets
                    raise RetellError(
                        "threads are greenlets here, and another one runs an event loop: make one Retell for all, and views of it"
                    )
                anyio.run(self._main, backend_options={"loop_factory": _OwnLoop})
        except BaseException as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)
        finally:
            self._is_alive, self._id = False, None

    async def _main(self) -> None:
        self.loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with asyncio.TaskGroup() as self._tasks:
            self.ready.set_result(None)
            await self._end.wait()


class LoopOfCallers(LoopThread):
    """The same where no thread can begin any more: whoever waits for something runs the loop until it is done, one thread at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=_OwnLoop)
        self.loop = self._runner.get_loop()
        self._turn = threading.Lock()
        self._is_alive = True
        self.ready.set_result(None)

    def begin(self, function: Callable[[], Awaitable[None]]) -> Future[None]:
        if _in_a_loop():
            raise RetellError(
                "an event loop runs in this thread, and no other can begin while the program ends: send this outside of that loop"
            )

        async def run() -> None:
            await function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop)

    def wait(self, done: Future[None]) -> None:
        while not done.done():
            if self._turn.acquire(timeout=_TURN):
                self._id = threading.get_ident()
                try:
                    self.loop.run_until_complete(asyncio.wrap_future(done, loop=self.loop))
                finally:
                    self._id = None
                    self._turn.release()

    def end(self) -> None:
        self._is_alive = False
        if not _in_a_loop():
            self._runner.close()

    def end_soon(self, close: Callable[[], Awaitable[None]]) -> None:
        """Nothing is done, as nobody waits for it: the system closes what is open, since the program ends."""


def _in_a_loop() -> bool:
    """Whether an event loop runs in this thread of the system."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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
