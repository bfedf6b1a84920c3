"""Running handlers: how one ends is logged and counted, and nothing else comes of it."""

from __future__ import annotations

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

__all__ = ["Done", "Failed", "Runner", "Stats", "attempt", "caught", "checked", "log"]

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
    """It ended well."""

    value: ResultT


@attrs.frozen
class Failed:
    """It raised, or was cancelled while its caller was not."""

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


async def caught(call: Callable[[], Awaitable[ResultT]]) -> Done[ResultT] | Failed:
    """What comes of code that is not ours: of a handler, or of a store. It raises nothing but the cancellation of its caller.

    A cancellation that comes from no scope around it is its own doing, or comes out of what it awaits: a failure like others. It may also
    hit what is awaited next in this task, so nothing should be: `attempt` has no such bound.
    """
    try:
        return Done(await call())
    except BaseException as error:  # whatever it raises is its own, and must not stop others
        if isinstance(error, GeneratorExit) or (not isinstance(error, Exception) and _cancelled()):
            raise
        return Failed(error)


async def attempt(call: Callable[[], Awaitable[ResultT]]) -> Done[ResultT] | Failed:
    """The same as `caught`, in a task of its own."""
    ended: list[Done[ResultT] | Failed] = []

    async def run() -> None:
        ended.append(await caught(call))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
    except BaseException:
        if not (ended and _cancelled()):  # it came to its end all the same, and the caller's cancellation comes again at the next await
            raise
    while not ended:
        await anyio.lowlevel.checkpoint()  # raises, since only a cancelled caller gets here
    return ended[0]


@attrs.frozen
class Runner:
    """Runs handlers and counts them."""

    stats: Stats = attrs.field(factory=Stats)

    async def run(self, handler: Callable[[ArgumentT], Awaitable[ResultT]], argument: ArgumentT, what: str) -> Done[ResultT] | Failed:
        """What comes of a handler. It raises nothing but the cancellation of its caller.

        :param what: what it handles, for the log.
        """
        self.stats.in_flight += 1
        try:
            ended = await attempt(lambda: handler(argument))
        except BaseException:
            self.stats.failed += 1
            log.warning("the handler of %s was cancelled", what)
            raise
        finally:
            self.stats.in_flight -= 1
        if isinstance(ended, Done):
            self.stats.handled += 1
            return ended
        self.stats.failed += 1
        failure = "".join(traceback.format_exception(ended.error))
        log.error("the handler of %s failed\n%s", what, mask_text(failure))  # as text: a traceback may quote phone numbers
        return ended


def _cancelled() -> bool:
    """Whether a scope around this is cancelled."""
    return anyio.current_effective_deadline() == -math.inf


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
