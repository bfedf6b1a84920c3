"""When people may be called: hours of their own days, where it may not be known in which zone they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from .._core.errors import ConfigurationError

__all__ = ["ALWAYS", "DAYS", "Hours", "Window", "day_in", "hour_in", "is_open", "next_day", "next_open", "open_until", "zone"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY = 24 * 60
_HORIZON = 15 * 86400.0  # seconds within which hours that are ever open in several zones are open in all of them
_CHANGE = 2 * 3600  # seconds by which clocks are changed at most
_AROUND = 15 * 3600.0  # seconds from noon beyond each end of a day
_NO_PLACES = {"EST", "MST", "HST", "Factory", "localtime", "posixrules"}
_FORM = re.compile(r"(?:(?P<days>[a-z,\- ]*[a-z])\s+)?(?P<from>\d{1,2}(?::\d\d)?)\s*-\s*(?P<to>\d{1,2}(?::\d\d)?)", re.IGNORECASE)


@attrs.frozen
class Window:
    """A part of some days of the week, by the clock of whoever is called.

    :param days: numbers of days, 0 for Monday.
    :param start: minutes since midnight.
    :param end: minutes since midnight, up to 1440; the window ends before it.
    """

    days: frozenset[int]
    start: int
    end: int

    def __str__(self) -> str:
        days = "" if len(self.days) == len(DAYS) else ",".join(DAYS[day] for day in sorted(self.days)) + " "
        return f"{days}{_clock(self.start)}-{_clock(self.end)}"


@attrs.frozen
class Hours:
    """Windows, of which any will do.

    ``Hours.parse("mon-fri 9:00-17:30", "sat 10-14")`` reads them as people write them.
    """

    windows: tuple[Window, ...]

    @classmethod
    def parse(cls, *texts: str) -> Hours:
        """Read windows such as ``mon-fri 9:00-17:30``, ``sat,sun 10-14`` and ``8-21``, which is every day.

        :raises ConfigurationError: a text is none.
        """
        return cls(tuple(_window(text) for text in texts))

    def within(self, other: Hours) -> Hours:
        """What both have."""
        both = [
            Window(one.days & two.days, max(one.start, two.start), min(one.end, two.end)) for one in self.windows for two in other.windows
        ]
        return Hours(tuple(window for window in both if window.days and window.start < window.end))

    def __str__(self) -> str:
        return "; ".join(map(str, self.windows)) or "never"


ALWAYS = Hours((Window(frozenset(range(len(DAYS))), 0, _DAY),))


def _window(text: str) -> Window:
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{text!r} is no window: mon-fri 9:00-17:30 is one")
    start, end = _minutes(found["from"], text), _minutes(found["to"], text)
    if start >= end:
        raise ConfigurationError(f"the window {text!r} ends before it begins: give one up to 24:00, and another from 0:00 on the next day")
    return Window(_days(found["days"], text), start, end)


def _minutes(clock: str, text: str) -> int:
    hours, _, minutes = clock.partition(":")
    total = int(hours) * 60 + int(minutes or 0)
    if total > _DAY or int(minutes or 0) > 59:
        raise ConfigurationError(f"{clock} in the window {text!r} is no time of a day")
    return total


def _days(named: str | None, text: str) -> frozenset[int]:
    if named is None:
        return frozenset(range(len(DAYS)))
    found: set[int] = set()
    for part in named.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        try:
            begin, end = _day(first), _day(last if dash else first)
        except ValueError:
            raise ConfigurationError(f"{part!r} in the window {text!r} is no day: {', '.join(DAYS)} are") from None
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _day(name: str) -> int:
    if len(name) < 3:
        raise ValueError(name)
    return DAYS.index(name[:3])


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02}"


@cache
def zone(name: str) -> ZoneInfo:
    """A zone by its name, such as ``America/New_York``.

    :raises ConfigurationError: there is none of that name, or it names no place: ``EST`` is an offset that knows no summer time.
    """
    if name in _NO_PLACES or name.startswith(("posix/", "right/")):
        raise ConfigurationError(f"{name!r} is no time zone of a place: America/New_York is one")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"{name!r} is no time zone: America/New_York is one") from None


def day_in(name: str, moment: float) -> str:
    """The day that it is in a zone, as ``2026-11-26``."""
    return datetime.fromtimestamp(moment, zone(name)).date().isoformat()


def hour_in(name: str, moment: float) -> int:
    """The hour of the day that it is in a zone."""
    return datetime.fromtimestamp(moment, zone(name)).hour


def next_day(name: str, moment: float) -> float:
    """When the next day begins in a zone: the first moment whose date is another."""
    local = datetime.fromtimestamp(moment, zone(name))
    midnight = datetime.combine(local.date() + timedelta(days=1), time(), zone(name)).timestamp()
    # Where clocks go forward at midnight, there is none: the day begins with what is there instead.
    return midnight if day_in(name, midnight) != local.date().isoformat() else midnight + 3600.0


def is_open(hours: Hours, zones: Iterable[str], moment: float) -> bool:
    """Whether somebody may be called, in whichever of the zones they are."""
    return all(_is_open(hours, name, moment) for name in zones)


def _is_open(hours: Hours, name: str, moment: float) -> bool:
    local = datetime.fromtimestamp(moment, zone(name))
    minute = local.hour * 60 + local.minute
    return any(local.weekday() in window.days and window.start <= minute < window.end for window in hours.windows)


def open_until(hours: Hours, zones: Iterable[str], moment: float) -> float:
    """A moment before which nothing closes that is open now, as far as is known without looking at changes of clocks."""
    until = math.inf
    for name in zones:
        local = datetime.fromtimestamp(moment, zone(name))
        minute = local.hour * 60 + local.minute
        left = max(
            window.end - minute for window in hours.windows if local.weekday() in window.days and window.start <= minute < window.end
        )
        until = min(until, moment - local.second + max(left * 60 - _CHANGE, 60))
    return until


def next_open(hours: Hours, zones: Sequence[str], moment: float) -> float | None:
    """The first moment from this one on at which somebody may be called in whichever of the zones they are; ``None`` if there is none."""
    start = moment
    while moment <= start + _HORIZON:
        later = moment
        for name in zones:
            opens = _next_open(hours, name, moment)
            if opens is None:
                return None
            later = max(later, opens)
        if later == moment:
            return moment
        moment = later
    return None


def _next_open(hours: Hours, name: str, moment: float) -> float | None:
    if _is_open(hours, name, moment):
        return moment
    local = datetime.fromtimestamp(moment, zone(name))
    for days in range(9):
        day = local.date() + timedelta(days=days)
        found = [opens for opens in (*_starts(hours, name, day), *_changes(name, day)) if opens > moment and _is_open(hours, name, opens)]
        if found:
            return min(found)
    return None


def _starts(hours: Hours, name: str, day: date) -> list[float]:
    """When windows of a day begin: twice on the day on which clocks go back."""
    walls = [datetime.combine(day, time(*divmod(window.start, 60))) for window in hours.windows if day.weekday() in window.days]
    return [wall.replace(tzinfo=zone(name), fold=fold).timestamp() for wall in walls for fold in (0, 1)]


@lru_cache(maxsize=4096)
def _changes(name: str, day: date) -> tuple[float, ...]:
    """When clocks are changed on a day, by which a window may begin whose beginning they skip, or one that is over come again."""
    noon = datetime.combine(day, time(12), zone(name)).timestamp()
    before, after = noon - _AROUND, noon + _AROUND
    if _offset(name, before) == _offset(name, after):
        return ()
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(name, middle) == _offset(name, before):
            before = middle
        else:
            after = middle
    return (after,) if datetime.fromtimestamp(after, zone(name)).date() == day else ()


def _offset(name: str, moment: float) -> timedelta | None:
    return datetime.fromtimestamp(moment, zone(name)).utcoffset()
