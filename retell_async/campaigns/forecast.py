"""When contacts would be called, if each were called once: what a plan shows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from .contact import Contact
from .hours import Hours, day_in, next_day, next_open, open_until
from .numbers import Usage, choose, used
from .rules import Rules

__all__ = ["Planned", "forecast"]


@attrs.frozen
class Planned:
    """A call that would be placed."""

    contact: Contact
    at: float
    """Unix time in seconds."""
    from_number: str = attrs.field(repr=False)


@attrs.define(eq=False)
class _Group:
    """Contacts whose hours are the same, those that go first on top."""

    hours: Hours
    zones: tuple[str, ...]
    waiting: list[tuple[int, int, Contact]] = attrs.field(factory=list[tuple[int, int, Contact]])
    opens: float | None = 0.0
    """When they may be called next, as far as it was looked up; ``None`` for never."""

    until: float = 0.0
    """Nothing closes before this."""

    def look(self, now: float) -> None:
        if self.opens is not None and now >= self.until:
            self.opens = next_open(self.hours, self.zones, now)
            if self.opens is not None:
                self.until = open_until(self.hours, self.zones, self.opens)


def forecast(contacts: Iterable[Contact], rules: Rules, now: float, *, live: int, duration: float) -> Iterator[Planned | Contact]:
    """The first call to each contact, in order of time; and then those who would not be called before the campaign ends.

    :param live: so many calls go on at once at most.
    :param duration: seconds that a call takes.
    """
    groups = _grouped(contacts, rules)
    usage: dict[str, Usage] = {}
    ends: list[float] = []  # of the calls that go on
    day, calls = "", 0
    while groups:
        for group in groups:
            group.look(now)
        groups = [group for group in groups if group.waiting]
        moments = [group.opens for group in groups if group.opens is not None]
        if not moments:
            break
        if (soonest := min(moments)) > now:  # all are closed
            now = soonest
            continue
        if rules.calls_per_day is not None and day_in(rules.zone, now) == day and calls >= rules.calls_per_day:
            now = next_day(rules.zone, now)
            continue
        while ends and ends[0] <= now:
            heapq.heappop(ends)
        if len(ends) >= live:
            now = ends[0]
            continue
        choice = choose(rules.numbers, usage, rules.zone, now)
        if choice.at > now:
            now = choice.at
            continue
        if rules.until is not None and now > rules.until:
            break
        group = min((group for group in groups if group.opens is not None and group.opens <= now), key=lambda group: group.waiting[0][:2])
        *_, contact = heapq.heappop(group.waiting)
        number = choice.number.number
        usage[number] = used(choice.number, usage.get(number, Usage()), rules.zone, now)
        heapq.heappush(ends, now + duration)
        today = day_in(rules.zone, now)
        day, calls = today, (calls if today == day else 0) + 1
        yield Planned(contact, now, number)
    for group in groups:
        yield from (contact for *_, contact in group.waiting)


def _grouped(contacts: Iterable[Contact], rules: Rules) -> list[_Group]:
    groups: dict[tuple[Any, ...], _Group] = {}
    for index, contact in enumerate(contacts):
        hours = rules.hours_of(contact.number, contact.place)
        key = (hours, contact.zones)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(hours, contact.zones)
        heapq.heappush(group.waiting, (-contact.priority, index, contact))
    return list(groups.values())
