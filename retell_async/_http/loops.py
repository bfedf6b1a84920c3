"""Event loops, of asyncio or of trio, threads and processes: in which one a client is used, and what may be done from outside.

A process that was forked off leaves alone what its parent has open.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from anyio import CapacityLimiter

__all__ = [
    "Loop",
    "clock_of",
    "close_soon",
    "in_thread",
    "is_asyncio",
    "is_in_loop",
    "is_over",
    "is_running",
    "no_thread_begins",
    "on_asyncio",
    "running_loop",
    "this_process",
]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Loop = Any
"""An `asyncio.AbstractEventLoop`, or the `trio.lowlevel.TrioToken` that stands for a run of trio."""

_closing: set[asyncio.Task[None]] = set()


def on_asyncio() -> bool:
    """Whether the caller runs under asyncio, and not under trio."""
    # A trio that runs as a guest of asyncio has a running asyncio loop too, so trio is asked first.
    trio: Any = sys.modules.get("trio")
    return trio is None or not trio.lowlevel.in_trio_task()


def running_loop() -> Loop:
    """The one that the caller is in."""
    return asyncio.get_running_loop() if on_asyncio() else sys.modules["trio"].lowlevel.current_trio_token()


def is_in_loop() -> bool:
    """Whether the caller is in one: what is collected when all are over is not."""
    try:
        running_loop()
    except RuntimeError:
        return False
    return True


def is_asyncio(loop: Loop) -> bool:
    """Whether it is one of asyncio."""
    return isinstance(loop, asyncio.AbstractEventLoop)


def clock_of(loop: Loop) -> Callable[[], float]:
    """Its clock, in seconds from a moment of its own."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.time
    clock: Callable[[], float] = sys.modules["trio"].current_time
    return clock


def is_running(loop: Loop) -> bool:
    """Whether it goes on at the moment, in this thread or another one."""
    return loop.is_running() if isinstance(loop, asyncio.AbstractEventLoop) else not is_over(loop)


def is_over(loop: Loop) -> bool:
    """Whether nothing will run in it any more."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.is_closed()
    try:
        loop.run_sync_soon(int)
    except sys.modules["trio"].RunFinishedError:
        return True
    return False


def close_soon(loop: Loop, close: Callable[[], Awaitable[None]]) -> None:
    """Call this in its event loop, from any thread. If that loop is over, nothing is left to close."""

    async def closing() -> None:
        with suppress(Exception):
            await close()

    def begin() -> None:
        task = asyncio.get_running_loop().create_task(closing())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    if isinstance(loop, asyncio.AbstractEventLoop):
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(begin)
    else:
        trio = sys.modules["trio"]
        with suppress(trio.RunFinishedError):
            loop.run_sync_soon(trio.lowlevel.spawn_system_task, closing)


def no_thread_begins(error: RuntimeError) -> bool:
    """Whether it says that no thread can begin any more: the interpreter ends, or, with Python 3.12, the main thread is over."""
    return "interpreter shutdown" in str(error)


async def in_thread(
    function: Callable[[*Ts], T], *arguments: *Ts, abandon_on_cancel: bool = False, limiter: CapacityLimiter | None = None
) -> T:
    """Call this in a thread, as `anyio.to_thread.run_sync` does; in this one where no other can begin any more."""
    from anyio import to_thread  # not by whoever needs to know of loops alone: it takes its time

    begun: list[bool] = []

    def call() -> T:
        begun.append(True)
        return function(*arguments)

    try:
        return await to_thread.run_sync(call, abandon_on_cancel=abandon_on_cancel, limiter=limiter)
    except RuntimeError as error:
        if begun or not no_thread_begins(error):
            raise
    return function(*arguments)


_process = object()


def this_process() -> object:
    """The same object as long as it is the same process."""
    return _process


def _forked() -> None:
    global _process  # noqa: PLW0603 - there is one process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
