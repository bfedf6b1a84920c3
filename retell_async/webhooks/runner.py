"""Running handlers: what they raise is logged and counted, and nothing else comes of it."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

import attrs

from retell_async._masking import mask_text

__all__ = ["Done", "Runner", "Stats", "checked", "log"]

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
    """Deliveries that had come before."""
    late: int = 0
    """Deliveries sent back because there was no time left for them; Retell sends them again."""
    handled: int = 0
    """Handlers that ended well."""
    failed: int = 0
    """Handlers that raised."""
    in_flight: int = 0
    """Handlers that run now."""


@attrs.frozen
class Done(Generic[ResultT]):
    """A handler ended well."""

    value: ResultT


@attrs.frozen
class Runner:
    """Runs handlers and counts them."""

    stats: Stats = attrs.field(factory=Stats)

    async def run(self, handler: Callable[[ArgumentT], Awaitable[ResultT]], argument: ArgumentT, what: str) -> Done[ResultT] | None:
        """What the handler gives back, or ``None`` when it raised.

        :param what: what it handles, for the log.
        """
        self.stats.in_flight += 1
        try:
            result = await handler(argument)
        except Exception as error:  # noqa: BLE001  # whatever a handler raises is its own, and must not stop the others
            self.stats.failed += 1
            failure = "".join(traceback.format_exception(error))
        else:
            self.stats.handled += 1
            return Done(result)
        finally:
            self.stats.in_flight -= 1
        log.error("the handler of %s failed\n%s", what, mask_text(failure))  # as text: a traceback may quote phone numbers
        return None


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
