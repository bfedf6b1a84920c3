"""Which of several numbers calls next: rotation, calls a second, calls a day. Functions over values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import attrs

from .._core.errors import ConfigurationError
from .hours import day_in, next_day

__all__ = ["Choice", "Number", "Usage", "choose", "used"]

_SLOWEST = 1 / 86400


@attrs.frozen
class Number:
    """A number that calls.

    :param number: in E.164 form.
    :param per_second: so many calls it places in any second at most; below 1, one in so many seconds.
    :param per_day: so many calls a day it places at most, by the campaign's own clock; ``None`` for no limit.
    :raises ConfigurationError: a value cannot work.
    """

    number: str
    per_second: float = attrs.field(default=1.0, kw_only=True)
    per_day: int | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not _SLOWEST <= self.per_second < math.inf:
            raise ConfigurationError(f"per_second of a number must be a number, and one call a day at least, not {self.per_second!r}")
        if self.per_day is not None and self.per_day < 1:
            raise ConfigurationError(f"per_day of a number must be 1 or more, or None, not {self.per_day!r}")


@attrs.frozen
class Usage:
    """What a number has done."""

    free_at: float = 0.0
    """When it may place the next call, as Unix time in seconds."""
    day: str = ""
    calls: int = 0
    """Calls on that day."""


@attrs.frozen
class Choice:
    """A number, and when it may place the call."""

    number: Number
    at: float


def choose(numbers: Sequence[Number], usage: Mapping[str, Usage], zone: str, now: float, called: Collection[str] = ()) -> Choice:
    """The number that may call first. Of those that may call at once it is the one that has called this person least, and then today.

    :param zone: by whose days calls are counted.
    :param called: the numbers from which this person was called, one for each time.
    """
    today = day_in(zone, now)
    tomorrow = next_day(zone, now)

    def rank(number: Number) -> tuple[float, int, int, float]:
        had = usage.get(number.number, Usage())
        calls = had.calls if had.day == today else 0
        at = max(had.free_at, now)
        if number.per_day is not None and calls >= number.per_day:
            at = max(at, tomorrow)
        return at, list(called).count(number.number), calls, had.free_at

    best = min(numbers, key=rank)
    return Choice(best, rank(best)[0])


def used(number: Number, had: Usage, zone: str, at: float) -> Usage:
    """What a number has done after it has placed a call."""
    today = day_in(zone, at)
    return Usage(max(at, had.free_at) + 1 / number.per_second, today, (had.calls if had.day == today else 0) + 1)
