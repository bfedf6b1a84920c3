"""What a campaign and its numbers have done on one of its days, which their caps are about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from ..hours import day_in, next_day
from ..numbers import Number
from ..rules import Rules

__all__ = ["Day"]


@attrs.define
class Day:
    """Calls that were sent on a day, as the row of the campaign has them. One that was refused is none."""

    rules: Rules
    moment: float
    calls: int
    by_number: dict[str, int]
    aside: dict[str, str]
    """Numbers that call nobody for now, and why: the API refuses all that they ask for."""

    @classmethod
    def at(cls, moment: float, row: Any, rules: Rules) -> Day:
        """The day that it is.

        :param row: has ``day``, ``calls`` and ``usage``.
        """
        day = day_in(rules.zone, moment)
        said: dict[str, list[Any]] = json.loads(row.usage)
        by_number = {number: had[1] for number, had in said.items() if had[0] == day}
        aside = {number: had[2] for number, had in said.items() if len(had) > 2}
        return cls(rules, moment, row.calls if row.day == day else 0, by_number, aside)

    @property
    def numbers(self) -> Sequence[Number]:
        """Those that call."""
        return [number for number in self.rules.numbers if number.number not in self.aside]

    @property
    def left(self) -> float:
        """Seconds until the next one."""
        return next_day(self.rules.zone, self.moment) - self.moment

    def is_full(self, more: int = 0) -> bool:
        """Whether the campaign may place no further call on it.

        :param more: calls that are to be placed before.
        """
        return self.rules.calls_per_day is not None and self.calls + more >= self.rules.calls_per_day

    def is_full_for(self, number: Number) -> bool:
        """Whether the campaign, or this number, may place no further call on it."""
        return self.is_full() or (number.per_day is not None and self.by_number.get(number.number, 0) >= number.per_day)

    def count(self, number: str, sent_at: float, change: int) -> None:
        """Count a call that is sent, or one that was sent and refused."""
        day = day_in(self.rules.zone, self.moment)
        if day_in(self.rules.zone, sent_at) == day:
            self.calls = max(self.calls + change, 0)
            self.by_number[number] = max(self.by_number.get(number, 0) + change, 0)

    def columns(self) -> dict[str, Any]:
        """What the row of the campaign has."""
        day = day_in(self.rules.zone, self.moment)
        names = {*self.by_number, *self.aside}
        usage = {name: [day, self.by_number.get(name, 0), *([self.aside[name]] if name in self.aside else [])] for name in names}
        return {"day": day, "calls": self.calls, "usage": json.dumps(usage)}
