"""The arithmetic of rate limits, and what it leads to against limiters of several kinds, in simulated time."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from itertools import pairwise
from typing import Any, Protocol

import pytest

from retell_async._errors import ConfigurationError
from retell_async._limits import Pacer, RateLimit


class Limiter(Protocol):
    def ask(self, now: float) -> float:
        """0 when the request is let through, otherwise the seconds after which one will be."""
        ...


class FixedWindow:
    def __init__(self, number: int, span: float) -> None:
        self.number, self.span = number, span
        self.window, self.count = -1, 0

    def ask(self, now: float) -> float:
        window = int(now // self.span)
        if window != self.window:
            self.window, self.count = window, 0
        self.count += 1
        return 0.0 if self.count <= self.number else (window + 1) * self.span - now


class SlidingWindow:
    def __init__(self, number: int, span: float) -> None:
        self.number, self.span = number, span
        self.passed: deque[float] = deque()

    def ask(self, now: float) -> float:
        while self.passed and self.passed[0] <= now - self.span:
            self.passed.popleft()
        if len(self.passed) < self.number:
            self.passed.append(now)
            return 0.0
        return self.passed[0] + self.span - now


class TokenBucket:
    def __init__(self, number: int, span: float) -> None:
        self.most, self.rate = number, number / span
        self.tokens, self.at = float(number), 0.0

    def ask(self, now: float) -> float:
        self.tokens, self.at = min(self.tokens + (now - self.at) * self.rate, self.most), now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


def simulate(limiter: Limiter, limit: RateLimit, requests: int, *, told: str, at_once: int = 100) -> tuple[float, int]:
    """Send so many requests, `at_once` of them at a time, and give the seconds that took and the number of 429 answers."""
    seeded = random.Random(1)
    pacer = Pacer(limit)
    start = now = 1000.0
    answers: list[tuple[float, float, float]] = []  # when it arrives, when its request left, what the limiter said
    ready, left, refused, done = min(at_once, requests), max(requests - at_once, 0), 0, 0
    while done < requests:
        turn = now + pacer.delay(now) + (seeded.random() * 0.002 if pacer.delay(now) else 0) if ready else math.inf
        if answers and answers[0][0] <= turn:
            arrived, departed, wait = heapq.heappop(answers)
            now = max(now, arrived)
            if wait:
                refused += 1
                ready += 1
                pacer.refused(departed, {"rest": wait, "second": 1.0, "whole": math.ceil(wait), "nothing": None}[told], now)
            else:
                done += 1
                pacer.passed(now)
                if left:
                    left -= 1
                    ready += 1
        elif pacer.delay(turn) > 0:
            now = turn
        else:
            now = turn + 0.0005
            pacer.take(now)
            ready -= 1
            heapq.heappush(answers, (now + 0.01 + 0.02 * seeded.random(), now, limiter.ask(now + 0.005)))
    return now - start, refused


@pytest.mark.parametrize("told", ["rest", "second", "whole", "nothing"])
@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow, TokenBucket])
def test_a_limit_that_is_not_known_is_found_and_kept(kind: Any, told: str) -> None:
    took, refused = simulate(kind(50, 1.0), RateLimit(), 1000, told=told)
    assert took <= 1.25 * 20
    assert refused <= 0.1 * (1000 + refused)


@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow, TokenBucket])
def test_a_high_limit_and_a_low_one(kind: Any) -> None:
    took, refused = simulate(kind(400, 1.0), RateLimit(), 4000, told="second")
    assert took <= 1.25 * 10
    assert refused <= 0.1 * 4000
    took, refused = simulate(kind(1, 1.0), RateLimit(), 40, told="second", at_once=10)
    assert took <= 1.5 * 40
    assert refused <= 35


@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow, TokenBucket])
def test_a_limit_that_is_known_is_never_hit(kind: Any) -> None:
    took, refused = simulate(kind(50, 1.0), RateLimit(50), 500, told="second")
    assert refused == 0
    assert took <= 1.05 * 10


def test_a_limit_that_falls_is_followed_down() -> None:
    class Falling:
        def __init__(self) -> None:
            self.high, self.low = SlidingWindow(100, 1.0), SlidingWindow(5, 1.0)

        def ask(self, now: float) -> float:
            return (self.high if now < 1005 else self.low).ask(now)

    took, refused = simulate(Falling(), RateLimit(), 600, told="second")
    assert took <= 1.3 * (5 + 170 / 5)  # some 430 pass in the first five seconds
    assert refused <= 150


def test_a_limit_that_rises_is_followed_up() -> None:
    class Rising:
        def __init__(self) -> None:
            self.low, self.high = SlidingWindow(20, 1.0), SlidingWindow(200, 1.0)

        def ask(self, now: float) -> float:
            return (self.low if now < 1005 else self.high).ask(now)

    pacer_alone, _ = simulate(Rising(), RateLimit(), 4000, told="second")
    assert pacer_alone <= 110  # 4,000 would take 200 s at the low limit


@pytest.mark.parametrize(("wait", "most"), [(0.02, 20), (0.25, 80)])
def test_refusals_that_are_not_for_the_pace_do_not_hold_it_down(wait: float, most: float) -> None:
    class Whim:
        def __init__(self) -> None:
            self.seeded = random.Random(2)

        def ask(self, now: float) -> float:
            return wait if self.seeded.random() < 0.05 else 0.0

    took, _ = simulate(Whim(), RateLimit(), 3000, told="rest")
    assert took <= most


def test_nothing_is_held_back_before_a_limit_is_known() -> None:
    pacer = Pacer(RateLimit())
    for _ in range(1000):
        assert pacer.delay(5.0) == 0
        pacer.take(5.0)
    assert pacer.rate is None


def test_a_429_pauses_everything_until_the_time_that_the_server_gave() -> None:
    pacer = Pacer(RateLimit())
    assert pacer.refused(5.0, 2.0, 5.1) == 2.0
    assert pacer.delay(5.1) == 2.0
    assert pacer.delay(7.0) == pytest.approx(0.1)
    assert pacer.refused(5.05, 3.0, 5.2) == pytest.approx(3.0)  # another one of the same time: the longer wish counts
    assert pacer.delay(8.19) > 0
    assert pacer.delay(8.21) == 0


@pytest.mark.parametrize(
    ("asked", "pause"), [(None, 1.0), (0.0, 0.02), (1e-9, 0.02), (-3.0, 0.02), (1.5, 1.5), (86400.0, 60.0), (math.inf, 60.0)]
)
def test_a_pause_is_bounded(asked: float | None, pause: float) -> None:
    assert Pacer(RateLimit()).refused(5.0, asked, 5.0) == pytest.approx(pause)


def test_pauses_grow_when_none_helps_and_shrink_again_when_one_did() -> None:
    pacer = Pacer(RateLimit())
    now, pauses = 5.0, list[float]()
    for _ in range(8):
        pauses.append(pacer.refused(now, None, now))
        now = pacer.paused_until
        now += pacer.delay(now)
        pacer.take(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    pacer.passed(now)
    assert pacer.refused(now, None, now) == 1


def test_late_answers_to_what_left_before_a_pause_change_nothing() -> None:
    pacer = Pacer(RateLimit())
    pacer.refused(5.0, 1.0, 5.1)
    assert pacer.delay(6.2) == 0
    rate = pacer.rate
    assert pacer.refused(5.05, 30.0, 6.3) == 0
    assert (pacer.delay(6.3), pacer.rate) == (0, rate)


def test_after_a_pause_requests_leave_one_by_one() -> None:
    pacer = Pacer(RateLimit())
    for _ in range(10):
        pacer.passed(5.0)
    pacer.refused(5.0, 1.0, 5.0)
    now = pacer.paused_until
    left: list[float] = []
    while len(left) < 5:
        if (delay := pacer.delay(now)) == 0:
            pacer.take(now)
            left.append(now)
        now += delay
    assert [b - a for a, b in pairwise(left)] == pytest.approx([1 / 9.5] * 4, rel=0.6)
    assert left[-1] - left[0] > 0.3


def test_turns_that_were_not_taken_do_not_pile_up() -> None:
    pacer = Pacer(RateLimit(10))
    left = 0
    while pacer.delay(100.0) == 0:
        pacer.take(100.0)
        left += 1
    assert left == 1


@pytest.mark.parametrize("settings", [{"requests": 0}, {"requests": -1}, {"per": 0}, {"max_wait": -1}])
def test_a_limit_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        RateLimit(**settings)
