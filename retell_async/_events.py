"""What a client tells about its waiting: one event for each retry, each limit that was hit and each wait."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ._errors import APIError

__all__ = ["Event", "Hook", "LimitEvent", "RetryEvent", "WaitEvent", "log"]


@attrs.frozen(kw_only=True)
class RetryEvent:
    """A request failed and will be sent again."""

    operation: str
    """The operation's id in the API's document."""
    attempt: int
    """The number of the attempt that failed, from 1."""
    delay: float
    """Seconds until the next one."""
    error: APIError


@attrs.frozen(kw_only=True)
class LimitEvent:
    """The server answered 429: no request of the client is sent for a while."""

    operation: str
    pause: float
    """Seconds from now until requests are sent again."""
    rate: float | None
    """Requests a second that are sent after it; ``None`` while that is not known."""


@attrs.frozen(kw_only=True)
class WaitEvent:
    """A request waited for its turn under a rate limit and is sent now."""

    operation: str
    seconds: float
    """How long it waited."""


Event = RetryEvent | LimitEvent | WaitEvent
Hook = Callable[[Event], None]
"""Called with each event, in the task of the request concerned. It must return at once; an error that it raises is logged."""


def log(event: Event) -> None:
    """The hook that a client has unless it is given others: writes events to the logger ``retell_async``.

    The fields of the event are in the record's ``retell`` attribute, for structured logs.
    """
    import logging

    logger = logging.getLogger("retell_async")
    level = logging.DEBUG if isinstance(event, WaitEvent) else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(level, "%s", _text(event), extra={"retell": event})


def _text(event: Event) -> str:
    if isinstance(event, RetryEvent):
        return f"{event.operation}: attempt {event.attempt} failed ({event.error}), next in {event.delay:.2f} s"
    if isinstance(event, WaitEvent):
        return f"{event.operation}: waited {event.seconds:.2f} s for its turn"
    then = "" if event.rate is None else f", then {event.rate:.3g} requests/s"
    return f"{event.operation}: rate limited, nothing is sent for {event.pause:.2f} s{then}"
