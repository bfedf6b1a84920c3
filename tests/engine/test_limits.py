"""The arithmetic of rate limits, and what it leads to against limiters of several kinds, in simulated time."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from itertools import pairwise
from typing import Any, Protocol

import pytest

from retell_async._core.errors import ConfigurationError
from retell_async._engine.limits import History, Pacer, RateLimit, Turn, is_about_the_account


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


def simulate(limiter: Limiter, limit: RateLimit, requests: int, *, told: str, concurrency: int = 100) -> tuple[float, int]:
    """Send so many requests, `concurrency` of them at a time, and give the seconds that took and the number of 429 answers."""
    seeded = random.Random(1)
    start = now = 1000.0
    answers: list[tuple[float, float, float, Turn]] = []  # when it arrives, when its request left, what the limiter said, its turn
    history = History()
    pacer = Pacer(limit, [history])
    ready, left, refused, done = min(concurrency, requests), max(requests - concurrency, 0), 0, 0
    while done < requests:
        turn = now + pacer.delay(now) + (seeded.random() * 0.002 if pacer.delay(now) else 0) if ready else math.inf
        if answers and answers[0][0] <= turn:
            arrived, departed, wait, taken = heapq.heappop(answers)
            now = max(now, arrived)
            pacer.done(taken, now)
            if wait:
                refused += 1
                ready += 1
                pacer.refused(departed, {"rest": wait, "second": 1.0, "whole": math.ceil(wait), "nothing": None}[told], now)
            else:
                done += 1
                history.passed(now)
                pacer.passed(departed, now)
                if left:
                    left -= 1
                    ready += 1
        elif pacer.delay(turn) > 0:
            now = turn
        else:
            now = turn + 0.0005
            taken = pacer.take(now)
            ready -= 1
            heapq.heappush(answers, (now + 0.01 + 0.02 * seeded.random(), now, limiter.ask(now + 0.005), taken))
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
    took, refused = simulate(kind(1, 1.0), RateLimit(), 40, told="second", concurrency=10)
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
    for _ in range(6):
        pauses.append(pacer.refused(now, None, now))
        now = pacer.paused_until
        assert pacer.delay(now) == 0
        turn = pacer.take(now)
        pacer.done(turn, now)
    assert pauses == [1, 2, 4, 8, 15, 15]
    pacer.passed(now, now)
    assert pacer.refused(now, None, now) == 1


def test_late_answers_to_what_left_before_a_pause_change_nothing() -> None:
    pacer = Pacer(RateLimit())
    pacer.refused(5.0, 1.0, 5.1)
    assert pacer.delay(6.2) == 0
    rate = pacer.rate
    assert pacer.refused(5.05, 30.0, 6.3) == 0
    assert (pacer.delay(6.3), pacer.rate) == (0, rate)


def test_a_refusal_at_the_moment_at_which_a_pace_begins() -> None:
    history = History()
    pacer = Pacer(RateLimit(), [history])
    for _ in range(10):
        history.passed(5.0)
    pacer.refused(5.0, 1.0, 5.0)
    before = None
    for _ in range(10):  # now and then one is refused, whatever the pace
        now = pacer.paused_until
        assert pacer.delay(now) == 0
        before = pacer.rate
        for _ in range(9):
            pacer.passed(now, now)
        pacer.refused(now, 1.0, now)
    pacer.delay(pacer.paused_until)
    assert pacer.rate is not None
    assert before is not None
    assert before < pacer.rate < 2 * before


def test_after_a_pause_requests_leave_one_by_one() -> None:
    history = History()
    pacer = Pacer(RateLimit(), [history])
    for _ in range(10):
        history.passed(5.0)
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


@pytest.mark.parametrize(
    "settings",
    [
        *({"requests": value} for value in (0, -1, math.inf, True, "5", 10**400)),
        *({"per": value} for value in (0, math.nan, 10**400)),
        *({"max_wait": value} for value in (-1, math.inf, "no", 10**400)),
    ],
)
def test_a_limit_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        RateLimit(**settings)


def serve(pacer: Pacer, history: History, *, until: float, limited: Any, latency: float = 0.2, workers: int = 20) -> list[float]:
    """Workers that send one request after the other; gives when each was let through. `limited` says of a moment what a 429 asks for."""
    now, passed = 0.0, list[float]()
    idle = workers
    answers: deque[tuple[float, float, Turn]] = deque()
    while now < until:
        if idle and pacer.delay(now) == 0:
            answers.append((now + latency, now, pacer.take(now)))
            idle -= 1
            continue
        turn = now + pacer.delay(now) if idle else math.inf
        now = min(turn, answers[0][0] if answers else math.inf)
        while answers and answers[0][0] <= now:
            _, left_at, taken = answers.popleft()
            idle += 1
            pacer.done(taken, now)
            asked = limited(now)
            if asked is None:
                passed.append(now)
                history.passed(now)
                pacer.passed(left_at, now)
            else:
                pacer.refused(left_at, asked, now)
    return passed


@pytest.mark.parametrize("retry_after", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("outage", [120.0, 600.0])
def test_after_an_outage_the_pace_is_soon_what_it_was(outage: float, retry_after: float) -> None:
    history = History()
    pacer = Pacer(RateLimit(), [history])
    end = 60.0 + outage
    passed = serve(pacer, history, until=end + 120, limited=lambda now: retry_after if 60.0 <= now < end else None)
    before = sum(moment < 60.0 for moment in passed) / 60
    first = next(moment for moment in passed if moment >= end)
    assert first <= end + max(retry_after, 2.0) + 0.5
    assert sum(first + 10 <= moment < first + 20 for moment in passed) / 10 >= before / 2


def test_an_outage_is_asked_by_one_request_at_a_time() -> None:
    history = History()
    pacer = Pacer(RateLimit(), [history])
    refused = list[float]()

    def limited(now: float) -> float | None:
        if 10 <= now < 310:
            refused.append(now)
            return 1.0
        return None

    serve(pacer, history, until=310, limited=limited)
    assert sum(moment > 13 for moment in refused) <= 300


def test_one_a_second_is_found_from_a_burst_of_twenty() -> None:
    limiter = SlidingWindow(1, 1.0)
    took, refused = simulate(limiter, RateLimit(), 20, told="whole", concurrency=20)
    assert took <= 25
    assert refused <= 25


def test_a_first_request_that_is_refused_teaches_no_low_pace() -> None:
    pacer = Pacer(RateLimit(), [history := History()])
    pacer.refused(0.0, 1.0, 0.0)
    passed = serve(pacer, history, until=30, limited=lambda _: None)
    assert sum(moment >= 15 for moment in passed) / 15 >= 90


def test_a_refusal_by_chance_holds_back_nobody_who_sends_one_after_the_other() -> None:
    pacer = Pacer(RateLimit(), [history := History()])
    history.passed(0.0)
    pacer.refused(0.0, 0.001, 0.0)
    passed = serve(pacer, history, until=10, limited=lambda _: None, workers=1)
    assert len(passed) >= 48
    assert pacer.is_open()


@pytest.mark.parametrize("limit", [1, 5])
def test_a_limit_whose_beginning_tells_nothing_is_found_all_the_same(limit: int) -> None:
    limiter = SlidingWindow(limit, 1.0)
    for _ in range(limit):
        limiter.ask(999.9)  # others have used it up
    took, refused = simulate(limiter, RateLimit(), 40 * limit, told="second", concurrency=2)
    assert took <= 1.5 * 40
    assert refused <= 20 * limit


@pytest.mark.parametrize(
    ("requests", "per"),
    [
        (1, 1.0),
        (3, 1.0),
        (10, 1.0),
        (50, 1.0),
        (10, 60.0),
        (2.5, 1.0),
        (50 / 16, 1.0),
        (1.9, 60.0),
        (0.29 * 100, 1.0),
        (0.5, 1.0),
        (0.3, 10.0),
        (100, 3600.0),
    ],
)
def test_no_window_at_the_server_holds_more_than_the_known_limit_whatever_the_way_there(requests: float, per: float) -> None:
    seeded = random.Random(3)
    pacer = Pacer(limit := RateLimit(requests, per=per), [])
    number = max(math.floor(round(requests, 6)), 1)
    now, arrivals = 0.0, list[float]()
    answers: list[tuple[float, float, Turn]] = []
    while len(arrivals) < 20 * number:
        while answers and answers[0][0] <= now:
            _, left_at, turn = heapq.heappop(answers)
            pacer.done(turn, now)
            if seeded.random() < 0.1:
                pacer.refused(left_at, seeded.choice([None, 0.0, 2.0]), now)
            else:
                pacer.passed(left_at, now)
        if pacer.delay(now) == 0:
            arrived = now + seeded.random() * 0.3
            arrivals.append(arrived)
            heapq.heappush(answers, (arrived + seeded.random() * 0.3, now, pacer.take(now)))
        else:
            now = min(now + pacer.delay(now), answers[0][0] if answers else math.inf)
    arrivals.sort()
    window = per if requests >= 1 else per / requests
    assert limit.rate == pytest.approx(number / window)
    assert all(later - earlier > window for earlier, later in zip(arrivals, arrivals[number:], strict=False))


@pytest.mark.parametrize(
    ("requests", "per", "rate"), [(2.5, 1.0, 2), (7.5, 10.0, 0.7), (1.9, 60.0, 1 / 60), (1, 1.0, 1), (0.5, 1.0, 0.5), (0.3, 10.0, 0.03)]
)
def test_a_limit_with_a_fraction_is_made_use_of(requests: float, per: float, rate: float) -> None:
    pacer = Pacer(RateLimit(requests, per=per))
    now, left = 0.0, list[float]()
    for _ in range(40):
        now += pacer.delay(now)
        left.append(now)
        pacer.done(pacer.take(now), now)
    assert 0.97 * rate < 39 / (left[-1] - left[0]) <= rate * 1.05


def test_a_stricter_limit_that_comes_to_be_known_is_kept_and_a_looser_one_is_not() -> None:
    pacer = Pacer(RateLimit(10))
    pacer.know(RateLimit(20))
    assert pacer.limit.requests == 10
    pacer.know(RateLimit(30, per=60.0))
    assert (pacer.limit.requests, pacer.rate) == (30, 0.5)
    pacer.know(RateLimit())
    assert pacer.rate == 0.5


def test_a_full_account_has_no_pace_and_is_asked_by_few() -> None:
    pacer = Pacer(RateLimit(), [])
    assert pacer.full(0.0, None, 0.1) == 1.0
    assert pacer.full(0.05, None, 0.15) == pytest.approx(0.95)  # of the same time
    assert pacer.rate is None
    assert pacer.delay(1.1) == 0
    turn = pacer.take(1.1)
    assert pacer.delay(1.1) == math.inf  # one asks, the others wait for its answer
    pacer.done(turn, 1.2)
    assert pacer.full(1.1, None, 1.2) == 2.0
    turn = pacer.take(3.2)
    pacer.done(turn, 3.3)
    pacer.passed(3.2, 3.3)
    for _ in range(2):
        assert pacer.delay(3.3) == 0
        pacer.take(3.3)
    assert pacer.delay(3.3) == math.inf


def test_an_account_that_was_full_long_ago_is_not_asked_by_few() -> None:
    pacer = Pacer(RateLimit(), [])
    pacer.full(0.0, None, 0.1)
    assert pacer.delay(100.0) == 0
    assert pacer.is_open()


def test_a_429_is_about_all_that_the_account_sends_when_different_kinds_are_refused_and_none_goes_on() -> None:
    calls, web_calls, reads = History(), History(), History()
    kinds = [calls, web_calls, reads]
    assert not is_about_the_account(kinds, 5.0)
    calls.refused(5.0)
    calls.refused(5.5)  # again, and still alone
    assert not is_about_the_account(kinds, 5.5)
    web_calls.refused(6.0)
    assert is_about_the_account(kinds, 6.0)
    for _ in range(20):
        reads.passed(6.5)
    assert not is_about_the_account(kinds, 7.0)
    reads.refused(7.5)
    assert is_about_the_account(kinds, 7.5)
    web_calls.refused(60.0)  # the others are long ago
    assert not is_about_the_account(kinds, 60.0)


def test_what_was_found_out_can_be_forgotten_and_what_is_known_stays() -> None:
    pacer = Pacer(RateLimit(5), [])
    pacer.refused(1.0, 10.0, 1.0)
    pacer.forget()
    assert (pacer.delay(11.0), pacer.rate) == (0, 5)
    free = Pacer(RateLimit(), [])
    free.full(1.0, None, 1.0)
    free.forget()
    assert free.delay(1.5) > 0
    assert free.delay(2.0) == 0
    assert free.is_open()


def test_a_pace_that_holds_nobody_back_any_more_is_dropped() -> None:
    pacer = Pacer(RateLimit(), [history := History()])
    for _ in range(100):
        history.passed(1.0)
    pacer.refused(1.0, 1.0, 1.0)
    now = 2.0
    while not pacer.is_open() and now < 1000:
        now += pacer.delay(now)
        pacer.done(pacer.take(now), now)
        pacer.passed(now, now)
        now += 0.05
    assert pacer.is_open()


def test_what_is_under_way_in_an_event_loop_that_is_gone_holds_nobody_back() -> None:
    pacer = Pacer(RateLimit(1, per=1.0), [])
    pacer.take(0.0)
    assert pacer.delay(0.5) > 1
    pacer.abandon(0.1)
    assert pacer.delay(1.2) > 0  # its bytes may still be on their way
    assert pacer.delay(2.1) == 0
