"""Running handlers: how one ends is logged and counted, and nothing else comes of it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

import anyio
import attrs

from retell_async._core.masking import mask_text

__all__ = ["Done", "Failed", "Runner", "Stats", "checked", "log"]

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")

log = logging.getLogger("retell_async.webhooks")


@attrs.define
class Stats:
    """What a router has done since it was made."""

    received: int = 0
    """Requests of all kinds."""
    refused: int = 0
    """Requests not let in: unsigned, too long, to a path or function that is not there."""
    unhandled: int = 0
    """Events and inbound requests for which no handler is registered."""
    duplicates: int = 0
    """Deliveries that had come before, and were done or still being handled."""
    late: int = 0
    """Deliveries sent back because there was no room or no time left for them; Retell sends them again."""
    handled: int = 0
    """Handlers that ended well."""
    failed: int = 0
    """Handlers that raised or were cancelled, and what Retell signed but no handler got, because it cannot be read."""
    in_flight: int = 0
    """Handlers that run now."""
    waiting: int = 0
    """Events that wait now for their handlers' turn."""


@attrs.frozen
class Done(Generic[ResultT]):
    """A handler ended well."""

    value: ResultT


@attrs.frozen
class Failed:
    """A handler raised, or was cancelled while its request was not."""

    error: BaseException = attrs.field(repr=False)

    def leave(self) -> None:
        """Raise it again if it is meant to end the program, as `SystemExit` is: to be called when what must be done first is done."""
        kinds = (SystemExit, KeyboardInterrupt)
        error = self.error
        if isinstance(error, BaseExceptionGroup):
            leaving = cast("BaseExceptionGroup[BaseException]", error).subgroup(kinds) is not None
        else:
            leaving = isinstance(error, kinds)
        if leaving:
            raise self.error


@attrs.frozen
class Runner:
    """Runs handlers and counts them."""

    stats: Stats = attrs.field(factory=Stats)

    async def run(
        self, handler: Callable[[ArgumentT], Awaitable[ResultT]], argument: ArgumentT, what: str, *, own_task: bool = False
    ) -> Done[ResultT] | Failed:
        """What comes of a handler. It raises nothing but the cancellation of its caller.

        :param what: what it handles, for the log.
        :param own_task: whether the task that this runs in is one which only the handler itself can cancel.
        """
        self.stats.in_flight += 1
        before = _cancellations()
        try:
            done = Done(await handler(argument))
        except BaseException as error:  # whatever a handler raises is its own, and must not stop the others
            self.stats.failed += 1
            if isinstance(error, GeneratorExit) or (not isinstance(error, Exception) and _caller_cancelled(before, own_task)):
                log.warning("the handler of %s was cancelled", what)
                raise
            failed = Failed(error)
        else:
            self.stats.handled += 1
            return done
        finally:
            self.stats.in_flight -= 1
        failure = "".join(traceback.format_exception(failed.error))
        log.error("the handler of %s failed\n%s", what, mask_text(failure))  # as text: a traceback may quote phone numbers
        return failed


def _cancellations() -> int:
    """How often this task was cancelled by asyncio's own means, and that was not taken back."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # under trio
        return 0
    return task.cancelling() if task is not None else 0


def _caller_cancelled(before: int, own_task: bool) -> bool:
    """Whether a cancellation came to the task from outside, and not out of what it awaits."""
    if anyio.current_effective_deadline() == -math.inf:
        return True
    times = _cancellations() - before
    task = asyncio.current_task() if times and own_task else None
    if task is not None:
        for _ in range(times):
            task.uncancel()
        return False
    return times > 0


def checked(handler: HandlerT) -> HandlerT:
    """A handler that can be awaited.

    :raises TypeError: it is not an async function, nor an object that is called like one.
    """
    function: object = handler
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)):
        raise TypeError(f"a handler must be an async function, and {handler!r} is not")
    return handler
