"""When a batch may call: windows of local time, on some days of the week. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ...common.messages import Json, Refused

__all__ = ["check_time_zone", "next_open"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DEFAULT_ZONE = "America/Los_Angeles"


def check_time_zone(window: Json) -> None:
    """:raises Refused: the time zone is unknown, or a window is not within one day."""
    _zone(window)
    for span in window["windows"]:
        if not 0 <= span["start"] < span["end"] <= 1440:
            raise Refused(400, "call_time_window.windows: start must come before end, both within 0 and 1440 minutes")


def next_open(window: Json | None, at: int) -> int:
    """The first time from ``at`` on that lies in a window, in milliseconds since the epoch. Without a window it is ``at``."""
    if window is None:
        return at
    zone = _zone(window)
    begun = datetime.fromtimestamp(at / 1000, zone)
    days = set(window.get("day") or _DAYS)
    spans = sorted((span["start"], span["end"]) for span in window["windows"])
    for ahead in range(9):
        midnight = datetime(begun.year, begun.month, begun.day, tzinfo=zone) + timedelta(days=ahead)
        if _DAYS[midnight.weekday()] not in days:
            continue
        for start, end in spans:
            opens, closes = (_milliseconds(midnight + timedelta(minutes=minutes)) for minutes in (start, end))
            if at < closes:
                return max(at, opens)
    raise ValueError("a window opens at least once a week")


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _zone(window: Json) -> ZoneInfo:
    name = window.get("timezone") or _DEFAULT_ZONE
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # which of them is raised depends on what is wrong with the name
        raise Refused(400, "call_time_window.timezone is not known") from None
