"""When contacts would be called: each once, as a plan shows it, and about when a campaign ends that goes on."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from .contact import Contact
from .hours import Hours, day_in, is_open, next_day, next_open, open_until
from .numbers import Usage, choose, used
from .rules import Rules

__all__ = ["Planned", "ends_about", "forecast"]

_STEP = 900.0  # seconds that are taken together where it is about about
_FURTHEST = 90 * 86400.0  # seconds beyond which nothing is said


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


def ends_about(waiting: Iterable[tuple[Contact, float]], rules: Rules, now: float, *, per_second: float, again: float) -> float | None:
    """About when the last call is placed, as Unix time in seconds, if all goes on as it went; ``None`` if nobody can say.

    :param waiting: contacts, each with the moment before which it is not called.
    :param per_second: so many calls are placed a second as long as there is somebody to call.
    :param again: the share of calls that another one follows.
    """
    if per_second <= 0:
        return None
    groups: dict[tuple[Hours, tuple[str, ...]], dict[int, float]] = {}  # calls by the step from which on they may be placed
    for contact, moment in waiting:
        calls = groups.setdefault((rules.hours_of(contact.number, contact.place), contact.zones), {})
        step = max(int((moment - now) // _STEP), 0)
        calls[step] = calls.get(step, 0.0) + 1.0
    later = max(round(_usual_wait(rules) / _STEP), 1)
    most = _most_a_day(rules)
    day, today, last = "", 0.0, now
    for step in range(int(_FURTHEST / _STEP)):
        if sum(sum(calls.values()) for calls in groups.values()) < 0.5:
            return last
        moment = now + step * _STEP
        if rules.until is not None and moment > rules.until:
            return rules.until
        if day_in(rules.zone, moment) != day:
            day, today = day_in(rules.zone, moment), 0.0
        room, used = min(per_second * _STEP, most - today), 0.0
        for (hours, zones), calls in groups.items():
            if used < room and any(due <= step for due in calls) and is_open(hours, zones, moment):
                placed = _placed(calls, step, room - used)
                calls[step + later] = calls.get(step + later, 0.0) + placed * again
                used += placed
        if used:
            today += used
            last = moment + used / per_second
    return None


def _placed(calls: dict[int, float], step: int, room: float) -> float:
    """Take those that are placed now from the calls; how many they are."""
    left = room
    for due in sorted(due for due in calls if due <= step):
        placed = min(calls[due], left)
        left -= placed
        calls[due] -= placed
        if not calls[due]:
            del calls[due]
    return room - left


def _usual_wait(rules: Rules) -> float:
    """Seconds after which a call to somebody who was not reached is followed by another."""
    waits = [retry.after for retry in map(rules.retries.get, ("missed", "voicemail")) if retry is not None]
    return sum(waits) / len(waits) if waits else 0.0


def _most_a_day(rules: Rules) -> float:
    """Calls that the campaign may place on one of its days."""
    own = math.inf if rules.calls_per_day is None else float(rules.calls_per_day)
    return min(own, sum(math.inf if number.per_day is None else number.per_day for number in rules.numbers))
