"""What a client tells about its waiting: one event for each retry, each limit that was hit and each wait; and of its circuit breaker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import attrs

from .._core.errors import APIError
from .circuit import CircuitState

_LONG = 5.0  # seconds of a wait that is logged as a warning
_SAID_AGAIN = 10.0  # seconds after which the same is a warning again
_said: dict[tuple[str, str], float] = {}

__all__ = ["CircuitEvent", "Event", "Hook", "LimitEvent", "RetryEvent", "WaitEvent", "log"]


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
    """The server answered 429: what is under the same limit is not sent for a while."""

    operation: str
    limit: str
    """What is held back: ``account`` for all requests, the name of a limit that operations share, or the id of one operation."""
    reason: str
    """What the server said, masked."""
    pause: float
    """Seconds from now until requests are sent again."""
    rate: float | None
    """Requests a second that are sent after it; ``None`` while that is not known."""


@attrs.frozen(kw_only=True)
class WaitEvent:
    """A request waited for its turn under a limit, or over 5 s for a free connection, and is sent now."""

    operation: str
    limit: str
    """What it waited for, named as in `LimitEvent`; ``max_connections`` for a connection."""
    seconds: float
    """How long it waited."""


@attrs.frozen(kw_only=True)
class CircuitEvent:
    """A circuit breaker opened, lets one request try the server, or closed: see `CircuitBreaker`. For `log` and hooks of the telemetry."""

    operation: str
    """The operation whose request or answer changed it."""
    state: CircuitState
    """What it is now."""
    failures: int
    """Answers of 5xx in a row."""
    circuit: int = 0
    """Which it is among all of the process: each API key and base URL has its own."""


Event = RetryEvent | LimitEvent | WaitEvent
Hook = Callable[[Event], None]
"""Called with each event, in the task of the request concerned. It must return at once; an error that it raises is logged."""


def log(event: Event | CircuitEvent) -> None:
    """The hook that a client has unless it is given others: writes events to the logger ``retell_async``.

    The fields of the event are in the record's ``retell`` attribute, for structured logs. A wait of over 5 s is a warning, and so is the
    next one of the same operation for the same limit after 10 s; those between are information, since a queue may be thousands long.
    """
    import logging

    from .._logs import Log

    logger = Log("retell_async")
    if isinstance(event, RetryEvent):
        level = logging.INFO
    elif isinstance(event, CircuitEvent):
        level = logging.WARNING if event.state == "open" else logging.INFO
    elif isinstance(event, WaitEvent):
        level = logging.DEBUG if event.seconds <= _LONG else logging.WARNING if _is_news(event) else logging.INFO
    else:
        level = logging.WARNING if event.pause > _LONG else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(level, "%s", _text(event), extra={"retell": event})


def _is_news(event: WaitEvent) -> bool:
    name, now = (event.operation, event.limit), time.monotonic()
    if now < _said.get(name, -math.inf) + _SAID_AGAIN:
        return False
    _said[name] = now
    return True


def _text(event: Event | CircuitEvent) -> str:
    if isinstance(event, RetryEvent):
        return f"{event.operation}: attempt {event.attempt} failed ({event.error}), next in {event.delay:.2f} s"
    if isinstance(event, WaitEvent):
        return f"{event.operation}: waited {event.seconds:.2f} s for {event.limit}"
    if isinstance(event, CircuitEvent):
        after = f" after {event.failures} answers of 5xx in a row" if event.state == "open" else ""
        return f"{event.operation}: the circuit breaker is {event.state.replace('_', ' ')}{after}"
    then = "" if event.rate is None else f", then {event.rate:.3g} requests/s"
    return f"{event.operation}: 429 ({event.reason}), {event.limit} waits for {event.pause:.2f} s{then}"
