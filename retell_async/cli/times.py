"""Times as people write them, and texts as a terminal may have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import click

__all__ = ["Seconds", "counted", "moment", "plain"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": 0, "yesterday": 1}


class Seconds(click.FloatRange):
    """A range of seconds. It holds no ``nan``, which click takes to be in any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return found


def moment(text: str, now: datetime | None = None) -> datetime:
    """A time: a date or a time by the clock of this machine, ``today``, ``yesterday``, or how long ago.

    :raises click.UsageError: it is none.
    """
    now = now or datetime.now(UTC)
    try:
        if text in _DAYS:
            day = now.astimezone().date() - timedelta(days=_DAYS[text])
            return datetime(day.year, day.month, day.day).astimezone()  # by the clock of this machine
        if text == "now":
            return now
        if text[-1:] in _UNITS and text[:-1].isdecimal():
            return now - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.UsageError(f"{text!r} is no time: 2026-11-26, 2026-11-26T09:00, yesterday and 7d are some") from None


def plain(text: str) -> str:
    """A text without what would command the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def counted(count: int, one: str, many: str) -> str:
    """A number with what there is of it, as a sentence has it."""
    return f"{count:,} {one if count == 1 else many}"
