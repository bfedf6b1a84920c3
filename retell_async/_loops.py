"""Which event loop this is, of asyncio or of trio, and what may be done from outside of one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ._errors import ConfigurationError
from ._process import this_process

__all__ = ["OneLoop", "close_soon", "current_loop", "is_asyncio", "is_over"]

_closing: set[asyncio.Task[None]] = set()


def is_asyncio() -> bool:
    """Whether the caller runs under asyncio, and not under trio."""
    # A trio that runs as a guest of asyncio has a running asyncio loop too, so trio is asked first.
    trio = sys.modules.get("trio")
    return trio is None or not trio.lowlevel.in_trio_task()


def current_loop() -> Any:
    """The event loop of asyncio, or what stands for a run of trio."""
    return asyncio.get_running_loop() if is_asyncio() else sys.modules["trio"].lowlevel.current_trio_token()


def is_over(loop: Any) -> bool:
    """Whether nothing will run in it any more."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.is_closed()
    try:
        loop.run_sync_soon(_nothing)
    except sys.modules["trio"].RunFinishedError:
        return True
    return False


def _nothing() -> None:
    pass


def close_soon(loop: Any, close: Callable[[], Awaitable[None]]) -> None:
    """Call this in its event loop, from wherever that is asked for; in one that is over there is nothing left to close."""

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


class OneLoop:
    """A client in use: by one event loop after the other, and not by two at once.

    What a task waits for, such as a free connection, cannot be given to it from the thread of another loop: it would never notice.
    """

    def __init__(self) -> None:
        self._process = this_process()
        self._users: dict[Any, int] = {}  # each loop counts its own, so that no lock is needed

    def __enter__(self) -> None:
        if self._process is not this_process():
            self._process = this_process()
            self._users = {}
        users = self._users
        loop = current_loop()
        users[loop] = users.get(loop, 0) + 1
        if len(users) > 1:
            self._refuse_two(loop)

    def __exit__(self, *_: object) -> None:
        self._leave(current_loop())

    def _leave(self, loop: Any) -> None:
        left = self._users.get(loop, 1) - 1
        if left:
            self._users[loop] = left
        else:
            self._users.pop(loop, None)

    def _refuse_two(self, loop: Any) -> None:
        for other in list(self._users):
            if other is loop:
                continue
            running = other.is_running() if isinstance(other, asyncio.AbstractEventLoop) else not is_over(other)
            if running:
                self._leave(loop)
                raise ConfigurationError(
                    "this client is in use in another event loop at the same time: make a client for each thread, "
                    "or send everything from one event loop"
                )
            self._users.pop(other, None)
