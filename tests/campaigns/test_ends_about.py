"""About when a campaign ends that goes on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from retell_async.campaigns import Contact, Hours, Number, Planned, Retry, Rules
from retell_async.campaigns.forecast import ends_about, forecast

MONDAY = 1_795_996_800.0  # 2026-11-30 at 00:00 UTC
HOUR = 3600.0
STEP = 900.0


def rules(**more: Any) -> Rules:
    usual: dict[str, Any] = {"numbers": [Number("+14155550100", per_second=1000)], "hours": Hours.parse("9-17")}
    return Rules(**{**usual, **more})


def people(count: int, zone: str = "UTC", moment: float = 0.0) -> list[tuple[Contact, float]]:
    return [(Contact(id=f"{zone}{person}", number=f"+1212555{person:04}", zones=(zone,)), moment) for person in range(count)]


def about(waiting: list[tuple[Contact, float]], by: Rules | None = None, now: float = MONDAY + 9 * HOUR, **more: Any) -> float | None:
    return ends_about(waiting, by or rules(), now, **{"per_second": 1.0, "again": 0.0, **more})


def test_who_may_be_called_now_is_called_one_after_the_other() -> None:
    assert about(people(100)) == MONDAY + 9 * HOUR + 100
    assert about(people(5000), per_second=0.5) == pytest.approx(MONDAY + 9 * HOUR + 10_000)
    assert about([]) == MONDAY + 9 * HOUR


def test_what_does_not_fit_into_the_hours_goes_on_the_next_day() -> None:
    assert about(people(1000), per_second=1000 / (9 * HOUR)) == pytest.approx(MONDAY + 24 * HOUR + 10 * HOUR, abs=STEP)
    assert about(people(10), now=MONDAY + 18 * HOUR) == pytest.approx(MONDAY + 33 * HOUR, abs=STEP)


def test_each_is_called_in_hours_of_their_own_and_not_before_their_time() -> None:
    assert about(people(10) + people(10, "America/Los_Angeles")) == pytest.approx(MONDAY + 17 * HOUR, abs=STEP)
    assert about(people(10, moment=MONDAY + 12 * HOUR)) == pytest.approx(MONDAY + 12 * HOUR, abs=STEP)
    assert about(people(1, moment=MONDAY + 20 * HOUR)) == pytest.approx(MONDAY + 33 * HOUR, abs=STEP)


def test_calls_a_day_and_the_end_of_the_campaign_hold() -> None:
    assert about(people(250), rules(calls_per_day=100)) == pytest.approx(MONDAY + 2 * 24 * HOUR + 9 * HOUR, abs=STEP)
    capped = rules(numbers=[Number("+14155550100", per_day=50), Number("+14155550101", per_day=50)])
    assert about(people(250), capped) == pytest.approx(MONDAY + 2 * 24 * HOUR + 9 * HOUR, abs=STEP)
    assert about(people(250), rules(calls_per_day=1, until=MONDAY + 40 * HOUR)) == MONDAY + 40 * HOUR


def test_calls_that_others_follow_take_their_time() -> None:
    hourly = rules(retries={"missed": Retry(HOUR), "voicemail": None})
    assert about(people(15), hourly, again=0.5) == pytest.approx(MONDAY + (9 + 4) * HOUR, abs=2 * STEP)  # 15, 8, 4, 2 and 1
    assert about(people(15), rules(retries={"missed": None, "voicemail": None}), again=0.5) == pytest.approx(MONDAY + 10 * HOUR, abs=STEP)


def test_what_nobody_can_say_is_not_said() -> None:
    assert about(people(1), per_second=0.0) is None
    assert about(people(1000), rules(calls_per_day=1)) is None
    assert about(people(1, moment=MONDAY + 100 * 24 * HOUR)) is None


@given(
    counts=st.lists(st.integers(0, 300), min_size=1, max_size=3),
    start=st.integers(0, 47),
    pace=st.sampled_from([0.01, 0.05, 0.5]),
    hours=st.sampled_from(["9-17", "mon-fri 9-12", "0-24"]),
)
def test_it_is_about_what_a_plan_says(counts: list[int], start: int, pace: float, hours: str) -> None:
    zones = ("UTC", "America/New_York", "Asia/Kolkata")
    waiting = [one for zone, count in zip(zones, counts, strict=False) for one in people(count, zone)]
    by, now = rules(hours=Hours.parse(hours), numbers=[Number("+14155550100", per_second=pace)]), MONDAY + start * HOUR / 2
    planned = [
        each.at for each in forecast([contact for contact, _ in waiting], by, now, live=10**6, duration=1.0) if isinstance(each, Planned)
    ]
    found = about(waiting, by, now, per_second=pace)
    assert found is not None
    assert abs(found - max(planned, default=now)) <= 2 * STEP + 2 / pace
