"""What is known of a contact in a campaign, and what happens next. Functions over values: no clock, no socket, no chance."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Literal

import attrs

from .contact import Contact
from .hours import day_in, hour_in, is_open, next_day, next_open
from .rules import REASONS, Meaning, Retry, Rules

__all__ = ["NOBODY", "Attempt", "Case", "End", "Result", "begin", "dialled", "due", "is_given_up", "objection", "renewed", "settled"]

End = Literal[
    "reached",
    "voicemail",
    "exhausted",
    "do_not_call",
    "dead",
    "refused",
    "unknown",
    "expired",
]
"""How it ended with a contact: somebody was reached; a voicemail was, and the rules leave it at that; all attempts are used; the contact is
not to be called; the number is none; the API refused the request; nobody knows whether the last call was placed; or there was no time."""

NOBODY = {
    "not_placed",
    "unavailable",
    "concurrency_limit_reached",
    *(reason for reason, meaning in REASONS.items() if meaning == "account"),
}
_LEFT_AT: Mapping[str, End] = {"reached": "reached", "voicemail": "voicemail", "unknown": "unknown"}  # where no retry follows
_REFUSALS = 10  # attempts that called nobody, after which a contact is given up
_LATE = 600.0  # seconds by which a callback may be late: it may be known only some time after the call
_FAR = 366 * 86400.0  # seconds within which a callback means something
_STEP = 900.0  # seconds from one moment that is looked at to the next, when another hour is sought
_WEEK = 7 * 86400.0
_DAYS = 3 * 86400.0  # seconds within which a day ends that has begun, wherever


@attrs.frozen
class Attempt:
    """A call, or a request for one."""

    at: float
    """When it was sent, as Unix time in seconds; before that, when it is to be."""
    from_number: str = attrs.field(repr=False)
    result: str | None = None
    """The reason of its end, or as `Result.reason` has it; ``None`` as long as it goes on."""


@attrs.frozen
class Result:
    """How an attempt ended.

    :param reason: the call's `disconnection_reason`; ``unknown`` if it is not known whether it was placed, ``not_placed`` if the API
        refused it, and ``unavailable`` if it did not come to that: there was no connection, or no room. That counts nowhere.
    :param connected: whether somebody, or something, answered.
    :param callback: when the contact wants to be called, as Unix time in seconds.
    :param opted_out: whether the contact wants no more calls.
        One that is over already, or further away than a year, is none.
    :param for_good: of a request that was refused: it always will be.
    :param text: of such a request: what the API said.
    """

    reason: str
    connected: bool = False
    callback: float | None = None
    opted_out: bool = False
    for_good: bool = False
    text: str = ""

    @property
    def meaning(self) -> Meaning | Literal["unknown", "not_placed"]:
        """What the reason says, as `REASONS` has it."""
        if self.reason == "unknown":
            return "unknown"
        if self.reason in {"not_placed", "unavailable"}:
            return "not_placed"
        return REASONS.get(self.reason, "reached" if self.connected else "missed")


@attrs.frozen
class Case:
    """A contact, what was tried, and what is next."""

    contact: Contact
    attempts: tuple[Attempt, ...] = ()
    not_before: float = 0.0
    """The next attempt is not made before this, as Unix time in seconds."""
    end: End | None = None
    """How it ended; ``None`` as long as it goes on."""
    earlier: tuple[float, ...] = ()
    """When calls of a former budget were placed, which count for their day still."""
    promised: bool = False
    """Whether the next attempt is a callback: the contact asked for it."""

    @property
    def is_live(self) -> bool:
        """Whether a call goes on."""
        return bool(self.attempts) and self.attempts[-1].result is None

    @property
    def calls(self) -> list[Attempt]:
        """The attempts that count: those that called somebody, or may have."""
        return [attempt for attempt in self.attempts if attempt.result not in NOBODY]


def begin(contact: Contact, rules: Rules, now: float) -> Case:
    """A contact of whom nothing is known yet."""
    return _scheduled(Case(contact), rules, now)


def renewed(case: Case, rules: Rules, now: float) -> Case:
    """A contact with a new budget of attempts. What was called today was called today."""
    earlier = (*case.earlier, *(attempt.at for attempt in case.calls))
    return _scheduled(Case(case.contact, earlier=tuple(at for at in earlier if at > now - _DAYS)), rules, now)


def due(case: Case, rules: Rules, now: float) -> float | None:
    """The first moment from now on at which the next attempt may be made; ``None`` if there is none."""
    if case.end is not None or case.is_live or len(case.calls) >= rules.attempts:
        return None
    contact = case.contact
    hours = rules.hours_of(contact.number, contact.place)
    at = max(now, case.not_before)
    while rules.until is None or at <= rules.until:
        opens = next_open(hours, contact.zones, at)
        if opens is None or (rules.until is not None and opens > rules.until):
            return None
        full = [name for name in contact.zones if _on_day(case, name, opens) >= rules.per_day]
        if not full:
            return opens
        at = max(next_day(name, opens) for name in full)
    return None


def _on_day(case: Case, name: str, moment: float) -> int:
    """The calls of the day that it is in a zone."""
    today = day_in(name, moment)
    return sum(day_in(name, at) == today for at in (*case.earlier, *(attempt.at for attempt in case.calls)))


def objection(case: Case, rules: Rules, now: float, do_not_call: Collection[str] = ()) -> str | None:
    """Why the contact may not be called at this very moment; ``None`` if they may. To be asked when the call is about to be placed."""
    contact = case.contact
    if case.end is not None:
        return f"it has ended: {case.end}"
    if contact.number in do_not_call:
        return "do_not_call"
    if case.is_live:
        return "a call goes on"
    if now < case.not_before:
        return "it is too early"
    if len(case.calls) >= rules.attempts:
        return "all attempts are used"
    if rules.until is not None and now > rules.until:
        return "the campaign is over"
    if not is_open(rules.hours_of(contact.number, contact.place), contact.zones, now):
        return "it is outside the hours"
    if any(_on_day(case, name, now) >= rules.per_day for name in contact.zones):
        return "all attempts of the day are used"
    return None


def dialled(case: Case, now: float, from_number: str) -> Case:
    """The contact after a call was begun, against which there was no `objection`."""
    return attrs.evolve(case, attempts=(*case.attempts, Attempt(now, from_number)))


def settled(case: Case, rules: Rules, result: Result, now: float) -> Case:
    """The contact after the end of the call that went on: ended too, or with a moment for the next one."""
    last = attrs.evolve(case.attempts[-1], result=result.reason)
    is_kept = case.promised and result.reason in NOBODY  # nobody was called: it is still to come
    case = attrs.evolve(case, attempts=(*case.attempts[:-1], last), promised=is_kept)
    meaning = result.meaning
    if result.opted_out or meaning == "opted_out":
        return _ended(case, "do_not_call")
    if result.callback is not None and now - _LATE < result.callback < now + _FAR:
        return _scheduled(attrs.evolve(case, not_before=max(result.callback, now), promised=True), rules, now, meaning)
    if meaning == "dead":
        return _ended(case, "dead")
    if result.for_good or (result.reason in NOBODY and is_given_up(case)):
        return _ended(case, "refused")
    if meaning == "account":
        # Nobody was called for the account's sake, which somebody has to mend: the campaign pauses, and goes on with this one.
        return _scheduled(case, rules, now)
    retry = rules.retry_after(result.reason, meaning)
    if retry is None:
        return _ended(case, _LEFT_AT.get(meaning, "exhausted"))
    return _retried(case, rules, retry, now, meaning)


def is_given_up(case: Case) -> bool:
    """Whether so many requests for a contact called nobody that there are no more."""
    return sum(attempt.result in NOBODY and attempt.result != "unavailable" for attempt in case.attempts) >= _REFUSALS


def _retried(case: Case, rules: Rules, retry: Retry, now: float, meaning: str) -> Case:
    case = attrs.evolve(case, not_before=now + retry.after)
    if retry.other_hour and (other := _other_hour(case, rules, now)) is not None:
        case = attrs.evolve(case, not_before=other)
    return _scheduled(case, rules, now, meaning)


def _other_hour(case: Case, rules: Rules, now: float) -> float | None:
    """The next moment at an hour at which this person was not called yet, within a week."""
    name = case.contact.zones[0]  # whichever it is, an hour here is an hour there
    tried = {hour_in(name, attempt.at) for attempt in case.calls}
    at = due(case, rules, now)
    while at is not None and at <= now + _WEEK:
        if hour_in(name, at) not in tried:
            return at
        at = due(case, rules, (at // _STEP + 1) * _STEP)
    return None


def _scheduled(case: Case, rules: Rules, now: float, meaning: str = "") -> Case:
    """With the moment of the next attempt, or ended if there is none.

    :param meaning: of the last attempt: who was reached was reached, though another call was to follow.
    """
    if len(case.calls) >= rules.attempts:
        return _ended(case, "reached" if meaning == "reached" else "exhausted")
    at = due(case, rules, now)
    if at is None:
        return _ended(case, "reached" if meaning == "reached" else "expired")
    return attrs.evolve(case, not_before=at)


def _ended(case: Case, end: End) -> Case:
    return attrs.evolve(case, end=end, not_before=math.inf, promised=False)
