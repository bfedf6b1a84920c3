"""The log, and how an error of the application is told from the end of the task that it runs in."""

from __future__ import annotations

import asyncio
import logging
import math

import anyio

__all__ = ["absorb", "is_stray", "log"]

log = logging.getLogger("retell_async.llm")


def is_stray(error: BaseException) -> bool:
    """Whether an error that just came out of the application's code is its own, a cancellation of something that it waits for included."""
    if isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return False
    return isinstance(error, Exception) or anyio.current_effective_deadline() != -math.inf


def absorb(error: BaseException) -> None:
    """Take note that a stray error goes no further: asyncio remembers of a task that it was cancelled, by itself too."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
