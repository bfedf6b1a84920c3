"""What happens next to a contact: rules on values, and campaigns over virtual weeks."""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from retell_async import ConfigurationError
from retell_async.campaigns.case import Case, Result, begin, dialled, due, objection, settled
from retell_async.campaigns.contact import Contact
from retell_async.campaigns.hours import Hours
from retell_async.campaigns.legal import PRESETS
from retell_async.campaigns.numbers import Number, Usage, choose, used
from retell_async.campaigns.rules import REASONS, Retry, Rules

from .test_hours import ZONES, open_by_the_clock_on_the_wall, wall

FROM = Number("+14155550100")
NEW_YORK = Contact(id="1", number="+12125550100", zones=("America/New_York",))
MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC).timestamp()  # 10 o'clock in New York


def rules(**settings: Any) -> Rules:
    return Rules(**{"numbers": [FROM], "hours": Hours.parse("mon-fri 9-17"), **settings})


def after(reason: str, own: Rules, contact: Contact = NEW_YORK, now: float = MONDAY, **result: Any) -> Case:
    case = dialled(begin(contact, own, now), now, FROM.number)
    return settled(case, own, Result(reason, **result), now + 60)


def clock(moment: float, name: str = "America/New_York") -> str:
    return datetime.fromtimestamp(moment, ZoneInfo(name)).strftime("%a %H:%M")


@pytest.mark.parametrize(
    ("reason", "result", "end", "then"),
    [
        ("user_hangup", {"connected": True}, "reached", ""),
        ("dial_busy", {}, None, "Mon 10:11"),
        ("dial_no_answer", {}, None, "Mon 12:01"),
        ("voicemail_reached", {"connected": True}, None, "Mon 14:01"),
        ("invalid_destination", {}, "dead", ""),
        ("user_requested_dnc", {"connected": True}, "do_not_call", ""),
        ("user_hangup", {"connected": True, "opted_out": True}, "do_not_call", ""),
        ("a_new_reason", {"connected": True}, "reached", ""),
        ("a_new_reason", {"connected": False}, None, "Mon 12:01"),
        ("error_retell", {}, None, "Mon 10:31"),
        ("no_valid_payment", {}, None, "Mon 10:01"),
        ("unknown", {}, "unknown", ""),
        ("not_placed", {}, None, "Mon 10:06"),
        ("not_placed", {"for_good": True}, "refused", ""),
        ("unavailable", {}, None, "Mon 10:06"),
        ("user_hangup", {"connected": True, "callback": MONDAY - 3600}, "reached", ""),
        ("user_hangup", {"connected": True, "callback": MONDAY + 400 * 86400}, "reached", ""),
        ("user_hangup", {"connected": True, "callback": 1e300}, "reached", ""),
        ("user_hangup", {"connected": True, "callback": MONDAY + 29 * 3600}, None, "Tue 15:00"),
        ("user_hangup", {"connected": True, "callback": MONDAY + 10 * 3600}, None, "Tue 09:00"),
    ],
)
def test_the_end_of_a_call_says_what_is_next(reason: str, result: dict[str, Any], end: str | None, then: str) -> None:
    case = after(reason, rules(), **result)
    assert case.end == end
    assert then == ("" if case.end else clock(case.not_before))
    assert due(case, rules(), MONDAY + 60) == (None if case.end else case.not_before)


def test_what_rules_say_of_a_reason_goes_before_what_it_means() -> None:
    own = rules(
        retries={"missed": None, "dial_no_answer": Retry(60.0), "voicemail": None, "unknown": Retry(60.0), "reached": Retry(3600.0)}
    )
    assert after("user_declined", own).end == "exhausted"
    assert clock(after("dial_no_answer", own).not_before) == "Mon 10:02"
    assert after("voicemail_reached", own, connected=True).end == "voicemail"
    assert clock(after("unknown", own).not_before) == "Mon 10:02"
    assert clock(after("user_hangup", own, connected=True).not_before) == "Mon 11:01"


def test_another_hour_is_one_at_which_nobody_called() -> None:
    own = rules(attempts=9, per_day=9, hours=Hours.parse("9-11"), retries={"missed": Retry(0.0, other_hour=True)})
    case = after("dial_no_answer", own)
    assert clock(case.not_before) == "Tue 09:00"
    case = settled(dialled(case, case.not_before, FROM.number), own, Result("dial_no_answer"), case.not_before + 60)
    assert clock(case.not_before) == "Tue 09:01"  # both were tried


def test_one_budget_is_for_all_reasons() -> None:
    own = rules(attempts=3, per_day=9)
    case, now = begin(NEW_YORK, own, MONDAY), MONDAY
    for reason in ("dial_busy", "error_retell", "dial_no_answer"):
        assert case.end is None
        now = case.not_before
        case = settled(dialled(case, now, FROM.number), own, Result(reason), now + 30)
    assert case.end == "exhausted"


@pytest.mark.parametrize("reason", ["not_placed", "no_valid_payment"])
def test_what_called_nobody_is_no_attempt_and_does_not_go_on_for_ever(reason: str) -> None:
    own = rules(attempts=1)
    case, now, requests = begin(NEW_YORK, own, MONDAY), MONDAY, 0
    while case.end is None:
        now = case.not_before
        case = settled(dialled(case, now, FROM.number), own, Result(reason), now + 30)
        requests += 1
    assert (case.end, requests, case.calls) == ("refused", 10, [])


def test_a_campaign_that_ends_ends_its_contacts() -> None:
    assert begin(NEW_YORK, rules(until=MONDAY - 1), MONDAY).end == "expired"
    assert begin(NEW_YORK, rules(until=MONDAY + 1), MONDAY).end is None
    assert after("dial_no_answer", rules(until=MONDAY + 600)).end == "expired"
    assert begin(attrs.evolve(NEW_YORK, zones=("Asia/Tokyo", "America/New_York")), rules(), MONDAY).end == "expired"


@pytest.mark.parametrize(
    ("case", "own", "now", "why"),
    [
        (Case(NEW_YORK), rules(), MONDAY, None),
        (Case(NEW_YORK), rules(), MONDAY - 3 * 3600, "it is outside the hours"),
        (Case(NEW_YORK, not_before=MONDAY + 1), rules(), MONDAY, "it is too early"),
        (Case(NEW_YORK, end="reached"), rules(), MONDAY, "it has ended: reached"),
        (dialled(Case(NEW_YORK), MONDAY, FROM.number), rules(), MONDAY, "a call goes on"),
        (Case(NEW_YORK), rules(until=MONDAY - 1), MONDAY, "the campaign is over"),
        (after("dial_busy", rules(per_day=1)), rules(per_day=1), MONDAY + 3600, "it is too early"),
        (
            attrs.evolve(after("dial_busy", rules(per_day=1)), not_before=0.0),
            rules(per_day=1),
            MONDAY + 3600,
            "all attempts of the day are used",
        ),
        (attrs.evolve(after("dial_busy", rules()), not_before=0.0), rules(attempts=1), MONDAY + 3600, "all attempts are used"),
    ],
)
def test_whether_somebody_may_be_called_is_asked_at_the_dial(case: Case, own: Rules, now: float, why: str | None) -> None:
    assert objection(case, own, now) == why
    assert objection(attrs.evolve(case, end=None), own, now, {NEW_YORK.number}) == "do_not_call"


def test_legal_hours_hold_beside_those_of_the_campaign() -> None:
    own = rules(hours=Hours.parse("6-22"), legal="us")
    miami = Contact(id="2", number="+13055550100", zones=("America/New_York",))
    evening = datetime(2026, 11, 24, 1, 30, tzinfo=UTC).timestamp()  # half past eight there
    assert objection(Case(NEW_YORK), own, evening) is None
    assert objection(Case(miami), own, evening) == "it is outside the hours"
    assert objection(Case(attrs.evolve(miami, place="US-GA")), own, evening) is None
    assert objection(Case(attrs.evolve(NEW_YORK, place="US-FL")), own, evening) == "it is outside the hours"
    assert clock(begin(miami, own, evening).not_before) == "Tue 08:00"
    for preset in PRESETS.values():
        assert preset.as_of
        assert preset.source


def test_numbers_take_turns() -> None:
    numbers = [Number("+1", per_second=2.0, per_day=2), Number("+2"), Number("+3")]
    usage: dict[str, Usage] = {}
    chosen: list[tuple[str, float]] = []
    for _ in range(5):
        choice = choose(numbers, usage, "UTC", MONDAY)
        usage[choice.number.number] = used(choice.number, usage.get(choice.number.number, Usage()), "UTC", choice.at)
        chosen.append((choice.number.number, choice.at - MONDAY))
    assert chosen == [("+1", 0.0), ("+2", 0.0), ("+3", 0.0), ("+1", 0.5), ("+2", 1.0)]
    assert choose(numbers, usage, "UTC", MONDAY + 100, called=["+2"]).number.number == "+3"
    assert choose(numbers, usage, "UTC", MONDAY + 86400, called=["+2", "+3"]).number.number == "+1"
    assert choose(numbers[:1], usage, "UTC", MONDAY).at == datetime(2026, 11, 24, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"numbers": []}, "number"),
        ({"numbers": [FROM, FROM]}, "twice"),
        ({"hours": Hours(())}, "hours"),
        ({"legal": "atlantis"}, "legal"),
        (
            {"legal": "us", "hours": Hours.parse("mon-fri 5-7")},
            "nothing in common with the legal hours 'us' .8:00-21:00.: nobody",
        ),
        ({"attempts": 0}, "attempts"),
        ({"per_day": True}, "per_day"),
        ({"calls_per_day": 0}, "calls_per_day"),
        ({"retries": {"dial_bussy": None}}, "'dial_bussy' is no end of a call: did you mean dial_busy.$"),
        ({"retries": {"x": None}}, "'x' is no end of a call: .*dial_busy, "),
        ({"zone": "Mars"}, "zone"),
    ],
)
def test_rules_that_cannot_work_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        rules(**settings)
    for wrong in (lambda: Number("+1", per_second=0), lambda: Number("+1", per_day=0), lambda: Retry(-1)):
        with pytest.raises(ConfigurationError):
            wrong()


def test_no_number_is_shown() -> None:
    case = dialled(Case(NEW_YORK), MONDAY, FROM.number)
    assert NEW_YORK.number not in repr(case)
    assert FROM.number not in repr(case.attempts)


WINDOWS = ["9-17", "mon-fri 8-12", "sat,sun 10-20", "0-24", "tue 2:30-3:15", "17:45-24", "8-21"]
ENDS = st.sampled_from([*REASONS, "unknown", "not_placed", "a_new_reason"])


@st.composite
def campaigns(draw: st.DrawFn) -> tuple[Rules, list[Contact], int]:
    """Rules and contacts of any kind, and a seed of what becomes of their calls."""
    retry = st.builds(Retry, st.sampled_from([0.0, 60.0, 7200.0, 90000.0]), st.booleans())
    hours = Hours.parse(*draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2)))
    presets = [None, *(name for name, preset in PRESETS.items() if hours.within(preset.hours).windows)]
    own = Rules(
        numbers=[
            Number(f"+1415555000{number}", per_second=draw(st.sampled_from([0.01, 0.5, 10.0]))) for number in range(draw(st.integers(1, 3)))
        ],
        hours=hours,
        legal=draw(st.sampled_from(presets)),
        attempts=draw(st.integers(1, 5)),
        per_day=draw(st.integers(1, 3)),
        retries=draw(st.dictionaries(st.sampled_from([*REASONS, *set(REASONS.values()), "unknown", "not_placed"]), st.none() | retry)),
    )
    zones = st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True).map(tuple)
    contacts = [
        Contact(id=str(number), number=f"+1305555{number:04}", zones=draw(zones), place=draw(st.sampled_from([None, "US-FL", "US-GA"])))
        for number in range(draw(st.integers(1, 6)))
    ]
    return own, contacts, draw(st.integers(0, 2**32))


@given(
    campaigns(), st.sampled_from([MONDAY, datetime(2026, 3, 7, tzinfo=UTC).timestamp(), datetime(2026, 10, 24, 5, tzinfo=UTC).timestamp()])
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_over_virtual_weeks_the_rules_are_kept_and_every_contact_ends(campaign: tuple[Rules, list[Contact], int], start: float) -> None:
    own, contacts, seed = campaign
    random = Random(seed)
    reasons = [*REASONS, "unknown", "not_placed", "a_new_reason"]
    usage: dict[str, Usage] = {}
    dials: list[tuple[float, Contact, str]] = []
    cases = {contact.id: begin(contact, own, start) for contact in contacts}
    waiting = [(case.not_before, contact) for contact, case in cases.items() if case.end is None]
    heapq.heapify(waiting)
    steps = 0
    while waiting:
        steps += 1
        assert steps < 2000
        now, name = heapq.heappop(waiting)
        case = cases[name]
        now = max(now, case.not_before) + random.choice([0.0, 0.0, 5.0, 5000.0])  # whoever dials may be late
        choice = choose(own.numbers, usage, own.zone, now, [attempt.from_number for attempt in case.attempts])
        now = choice.at
        if objection(case, own, now) is not None:
            again = due(case, own, now)
            if again is None:
                cases[name] = attrs.evolve(case, end="expired")
            else:
                heapq.heappush(waiting, (max(again, now), name))
            continue
        usage[choice.number.number] = used(choice.number, usage.get(choice.number.number, Usage()), own.zone, now)
        dials.append((now, case.contact, choice.number.number))
        case = dialled(case, now, choice.number.number)
        over = now + random.uniform(0, 600)
        reason = random.choice(reasons)
        callback = over + random.uniform(-3600, 5 * 86400) if random.random() < 0.2 and reason == "user_hangup" else None
        cases[name] = case = settled(case, own, Result(reason, connected=random.random() < 0.5, callback=callback), over)
        if case.end is None:
            assert case.not_before >= over
            heapq.heappush(waiting, (case.not_before, name))
    assert all(case.end is not None for case in cases.values())
    for moment, contact, _ in dials:
        for name in contact.zones:
            assert open_by_the_clock_on_the_wall(own.hours, name, moment)
            if own.legal:
                florida = contact.place != "US-GA"
                assert 8 <= wall(moment, name).hour < (20 if florida else 21)
    for case in cases.values():
        assert len(case.calls) <= own.attempts
        for name in case.contact.zones:
            days = Counter(wall(attempt.at, name).date() for attempt in case.calls)
            assert max(days.values(), default=0) <= own.per_day
    for number in own.numbers:
        moments = sorted(moment for moment, _, from_number in dials if from_number == number.number)
        assert all(later - sooner >= 1 / number.per_second - 1e-6 for sooner, later in pairwise(moments))


def test_who_was_reached_is_reached_though_no_attempt_is_left_for_the_callback() -> None:
    assert after("user_hangup", rules(attempts=1), connected=True, callback=MONDAY + 86400).end == "reached"
    assert after("user_hangup", rules(until=MONDAY + 3600), connected=True, callback=MONDAY + 86400).end == "reached"
    assert after("dial_busy", rules(attempts=1)).end == "exhausted"


def test_what_says_nothing_of_the_contact_is_never_too_much() -> None:
    own, case, now = rules(), begin(NEW_YORK, rules(), MONDAY), MONDAY
    for _ in range(50):
        case = settled(dialled(case, now, FROM.number), own, Result("unavailable"), now)
        now = case.not_before
    assert case.end is None


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e-9, 0])
def test_a_pace_that_stalls_is_refused(value: float) -> None:
    with pytest.raises(ConfigurationError, match="per_second"):
        Number("+14155550100", per_second=value)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 1e9])
def test_a_retry_that_never_comes_is_refused(value: float) -> None:
    with pytest.raises(ConfigurationError, match="after"):
        Retry(value)
