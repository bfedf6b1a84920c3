"""The event loops that a client is used in, one after the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["Loop", "clock_of", "is_running", "running_loop"]

Loop = Any
"""An `asyncio.AbstractEventLoop`, or the `trio.lowlevel.TrioToken` that stands for a run of trio."""


def running_loop() -> Loop:
    """The one that the caller is in."""
    # A trio that runs as a guest of asyncio has a running asyncio loop too, so trio is asked first.
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_trio_token()
    return asyncio.get_running_loop()


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
    """Whether it goes on, in this thread or another one."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.is_running()
    try:
        loop.run_sync_soon(int)
    except sys.modules["trio"].RunFinishedError:
        return False
    return True
