# pyright: reportDeprecated=false
"""What a campaign would do: who is called when, who is not and why, until when, and for how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import attrs

from .._core.masking import mask
from .contact import Contact
from .contacts import Refused, Table, read_contacts
from .forecast import Planned, forecast
from .hours import day_in, zone
from .rules import Rules

if TYPE_CHECKING:
    from ..raw.api.call import list_calls

__all__ = ["Estimate", "Plan", "estimate", "local", "plan"]

_FEWEST = 5  # calls that tell something about the next ones
_DURATION = 120.0  # seconds that a call is taken to last where nothing is known


@attrs.frozen
class Estimate:
    """What calls cost and how long they take, by those that were: the middle one, and between what half of them lie."""

    calls: int
    """So many calls this is drawn from."""
    cents: float
    cents_low: float
    cents_high: float
    seconds: float


def estimate(calls: Iterable[list_calls.Item]) -> Estimate | None:
    """What the last calls of an agent say of the next ones; ``None`` if those of them that connected are too few."""
    costs: list[float] = []
    lengths: list[float] = []
    for call in calls:
        if call.call_cost is not None and call.duration_ms:
            costs.append(call.call_cost.combined_cost)
            lengths.append(call.duration_ms / 1000)
    if len(costs) < _FEWEST:
        return None
    low, _, high = quantiles(costs, n=4)
    return Estimate(len(costs), median(costs), max(low, 0.0), high, median(lengths))


@attrs.frozen
class Plan:
    """What a campaign would do, if each contact were called once."""

    calls: list[Planned]
    """In order of time."""
    refused: list[Refused]
    late: list[Contact]
    """Contacts whose turn does not come before the campaign ends."""
    estimate: Estimate | None
    duration: float
    """Seconds that a call is taken to last."""

    @property
    def ends_at(self) -> float | None:
        """When the last of these calls would be over, as Unix time in seconds."""
        return self.calls[-1].at + self.duration if self.calls else None

    @property
    def cents(self) -> tuple[float, float, float] | None:
        """What these calls would cost: half of the agent's calls say between the first and the last; ``None`` if that is not known."""
        one = self.estimate
        return None if one is None else tuple(len(self.calls) * cents for cents in (one.cents_low, one.cents, one.cents_high))  # type: ignore[return-value]

    def caps(self, rules: Rules) -> list[str]:
        """The caps of a day that make calls wait for another one, in words.

        :param rules: by which it was made.
        """
        days = Counter(day_in(rules.zone, call.at) for call in self.calls)
        by_number = Counter((call.from_number, day_in(rules.zone, call.at)) for call in self.calls)
        told: list[str] = []
        if rules.calls_per_day is not None and (full := sum(count >= rules.calls_per_day for count in days.values())):
            told.append(f"calls_per_day: {rules.calls_per_day:,} calls, which {_days(full)}")
        for number in rules.numbers:
            if number.per_day is not None:
                full = sum(by_number[number.number, day] >= number.per_day for day in days)
                if full:
                    told.append(f"per_day of {mask(number.number)}: {number.per_day:,} calls, which {_days(full)}")
        return told

    @property
    def reasons(self) -> Counter[str]:
        """How many lines were refused, by reason."""
        return Counter(refused.reason for refused in self.refused)


def plan(
    path: Path,
    rules: Rules,
    now: float,
    *,
    live: int,
    region: str | None = None,
    required: Sequence[str] = (),
    do_not_call: Collection[str] = (),
    estimate: Estimate | None = None,
) -> Plan:
    """What a campaign with these contacts would do from a moment on.

    :param path: the table of contacts.
    :param live: so many calls go on at once at most.
    :param region: whose numbers have no country code, as ``US``.
    :param required: variables that must not be empty.
    :param do_not_call: numbers in E.164 form that are not called.
    :param estimate: what the agent's calls cost and how long they take.
    :raises ConfigurationError: the table cannot be read.
    """
    refused: list[Refused] = []
    contacts: list[Contact] = []
    for read in read_contacts(Table(path), rules, now, region=region, required=required, do_not_call=do_not_call):
        if isinstance(read, Refused):
            refused.append(read)
        else:
            contacts.append(read)
    duration = _DURATION if estimate is None else estimate.seconds
    calls: list[Planned] = []
    late: list[Contact] = []
    for found in forecast(contacts, rules, now, live=live, duration=duration):
        if isinstance(found, Planned):
            calls.append(found)
        else:
            late.append(found)
    return Plan(calls, refused, late, estimate, duration)


def _days(count: int) -> str:
    return "is reached on 1 day" if count == 1 else f"are reached on {count:,} days"


def local(moment: float, zones: Sequence[str]) -> str:
    """A moment by the clock of whoever is called; by the first of several that they may have."""
    shown = datetime.fromtimestamp(moment, zone(zones[0])).strftime("%Y-%m-%d %H:%M %Z")
    return shown if len(zones) == 1 else f"{shown} (1 of {len(zones)} zones)"
