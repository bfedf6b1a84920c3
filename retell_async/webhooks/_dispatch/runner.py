"""Running handlers: how each ends is logged and counted."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

import attrs

from retell_async._core.attempt import Done, Failed, attempt
from retell_async._core.masking import masked_traceback
from retell_async._logs import Log

__all__ = ["Runner", "Stats", "require_async"]

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")

_logger = Log("retell_async.webhooks")


@attrs.define
class Stats:
    """What a router has done since it was made."""

    received: int = 0
    """Requests of all kinds."""
    refused: int = 0
    """Requests not let in: unsigned, too long, to a path or function that does not exist."""
    unhandled: int = 0
    """Events and inbound requests for which no handler is registered."""
    duplicates: int = 0
    """Deliveries that had arrived before, whether they were handled already or still being handled."""
    late: int = 0
    """Deliveries sent back because there was no room or no time left for them; Retell sends them again."""
    handled: int = 0
    """Handlers that succeeded."""
    failed: int = 0
    """Handlers that raised or were cancelled, and requests that Retell signed but that cannot be read."""
    in_flight: int = 0
    """Handlers that run now."""
    waiting: int = 0
    """Events that now wait until a handler may run."""


@attrs.frozen
class Runner:
    """Runs handlers and counts them."""

    stats: Stats = attrs.field(factory=Stats)

    async def run(self, handler: Callable[[ArgumentT], Awaitable[ResultT]], argument: ArgumentT, what: str) -> Done[ResultT] | Failed:
        """Run a handler. Nothing is raised except the cancellation of the caller.

        :param what: what is handled, for the log.
        """
        self.stats.in_flight += 1
        try:
            outcome = await attempt(lambda: handler(argument))
        except BaseException:
            self.stats.failed += 1
            _logger.warning("the handler of %s was cancelled", what)
            raise
        finally:
            self.stats.in_flight -= 1
        if isinstance(outcome, Done):
            self.stats.handled += 1
            return outcome
        self.stats.failed += 1
        _logger.error("the handler of %s failed\n%s", what, masked_traceback(outcome.error))
        return outcome


def require_async(handler: HandlerT) -> HandlerT:
    """The handler, if it can be awaited.

    :raises TypeError: it is neither an async function nor an object that is called like one.
    """
    function: object = handler
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)):
        raise TypeError(f"a handler must be an async function, and {handler!r} is not")
    return handler
