from __future__ import annotations

from typing import Any, Literal

import pytest

from retell_async._core.errors import ConfigurationError
from retell_async._engine.retry import KEY_LIFETIME, Budget, Failure, RetryPolicy, RetryState, backoff, may_have_acted

POLICY = RetryPolicy()
SILENCE = Failure()
NOT_SENT = Failure(sent=False)
CUT_OFF = Failure(status=201)
LOCKED = Failure(status=409, locked=True)


def tries(
    repeat: Literal["safe", "idempotency_key", "unsafe"] = "safe", *, policy: RetryPolicy = POLICY, max_retries: int = 2, **more: Any
) -> RetryState:
    settings: dict[str, Any] = {"random": lambda: 1.0, **more}
    return RetryState(policy, settings.pop("budget", Budget(500)), repeat, max_retries, **settings)


def again(state: RetryState, fault: Failure, now: float = 0.0) -> bool:
    return state.failed(fault, now=now) is not None


@pytest.mark.parametrize(
    ("fault", "safe", "keyed", "unsafe"),
    [
        (NOT_SENT, True, True, True),
        (SILENCE, True, True, False),
        (CUT_OFF, True, True, False),
        (Failure(status=408), True, True, False),
        (Failure(status=500), True, True, False),
        (Failure(status=502), True, True, False),
        (Failure(status=503, retry_after=1), True, True, False),
        (Failure(status=529), True, True, False),
        (LOCKED, True, True, True),
        (Failure(status=409), False, False, False),
        (Failure(status=400), False, False, False),
        (Failure(status=401), False, False, False),
        (Failure(status=402), False, False, False),
        (Failure(status=404), False, False, False),
        (Failure(status=422), False, False, False),
        (Failure(status=429), False, False, False),  # waited for elsewhere
        (Failure(status=499), False, False, False),
        (Failure(status=501), False, False, False),
        (Failure(status=505), False, False, False),
        (Failure(status=302), False, False, False),
    ],
)
def test_what_is_sent_again(fault: Failure, safe: bool, keyed: bool, unsafe: bool) -> None:
    assert (again(tries("safe"), fault), again(tries("idempotency_key"), fault), again(tries("unsafe"), fault)) == (safe, keyed, unsafe)


def test_a_rule_that_nobody_knows_is_unsafe() -> None:
    assert not again(tries("maybe"), SILENCE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "acted"),
    [(SILENCE, True), (NOT_SENT, False), (CUT_OFF, True), (LOCKED, False)]
    + [
        (Failure(status=status), acted)
        for status, acted in ((408, True), (499, True), (500, True), (504, True), (501, False), (429, False), (422, False))
    ],
)
def test_what_may_have_been_carried_out(fault: Failure, acted: bool) -> None:
    assert may_have_acted(fault) is acted
    for repeat in ("unsafe", "idempotency_key"):
        state = tries(repeat)
        state.failed(fault, now=9.0)
        assert state.unknown is acted
    state = tries("safe")
    state.failed(fault, now=9.0)
    assert not state.unknown


def test_an_outcome_stays_unknown_whatever_comes_after() -> None:
    state = tries("idempotency_key", max_retries=5)
    assert again(state, SILENCE, 1.0)
    assert again(state, NOT_SENT, 2.0)
    assert not again(state, Failure(status=422), 3.0)
    assert (state.unknown, state.attempts) == (True, 3)


def test_what_was_never_sent_is_sent_again_until_it_may_have_been_carried_out() -> None:
    state = tries("unsafe", max_retries=5)
    assert again(state, NOT_SENT)
    assert again(state, LOCKED)
    assert not again(state, SILENCE)
    assert not again(state, NOT_SENT)


def test_no_more_than_so_often() -> None:
    state = tries(max_retries=2)
    assert [again(state, SILENCE) for _ in range(3)] == [True, True, False]
    assert state.attempts == 3
    assert not again(tries(max_retries=0), SILENCE)


def test_never_beyond_the_hour_of_the_key() -> None:
    state = tries("idempotency_key", max_retries=99)
    assert state.failed(SILENCE, now=100.0, age=0.0) is not None
    assert state.failed(SILENCE, now=100.0, age=KEY_LIFETIME - 10) is not None
    assert state.failed(SILENCE, now=100.0, age=KEY_LIFETIME) is None
    assert tries("safe").failed(SILENCE, now=100.0, age=1e9) is not None
    refused = tries("idempotency_key", max_retries=99)
    assert refused.failed(LOCKED, now=100.0, age=KEY_LIFETIME) is None


def test_what_was_sent_before_is_unknown_from_the_beginning() -> None:
    state = tries("idempotency_key", unknown=True)
    assert again(state, NOT_SENT)
    assert state.unknown


def test_not_when_the_time_is_over_before_the_next_attempt() -> None:
    assert tries(give_up_at=10.0).failed(SILENCE, now=9.4) == 0.5
    assert tries(give_up_at=10.0).failed(SILENCE, now=9.5) is None


def test_not_when_the_body_is_used_up() -> None:
    assert tries().failed(NOT_SENT, now=0, repeatable=False) is None


def test_waits_double_up_to_a_bound_and_are_random() -> None:
    assert [backoff(POLICY, number, None, lambda: 1.0) for number in (1, 2, 3, 4, 5, 6, 99)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert backoff(POLICY, 3, None, lambda: 0.0) == 0
    assert backoff(POLICY, 3, None, lambda: 0.25) == 0.5
    assert backoff(POLICY, 10**6, None, lambda: 1.0) == 8


@pytest.mark.parametrize(("asked", "waited"), [(2.0, 2.0), (86400.0, 60.0), (0.0, 0.0), (-5.0, 0.0), (None, 0.0)])
def test_the_server_has_its_way_within_reason(asked: float | None, waited: float) -> None:
    assert backoff(POLICY, 1, asked, lambda: 0.0) == waited
    assert waited <= backoff(POLICY, 1, asked, lambda: 1.0) <= waited + 0.5


def test_an_outage_uses_the_budget_up_and_success_fills_it_again() -> None:
    budget = Budget(20)
    assert again(tries(budget=budget), SILENCE)
    assert again(tries(budget=budget), Failure(status=500))
    retried = tries(budget=budget)
    assert again(retried, Failure(status=500))
    assert not again(tries(budget=budget), Failure(status=500))
    retried.succeeded()
    assert again(tries(budget=budget), Failure(status=500))
    assert not again(tries(budget=budget), Failure(status=500))
    for _ in range(5):
        tries(budget=budget).succeeded()
    assert again(tries(budget=budget), Failure(status=500))


def test_the_budget_has_a_top_and_can_be_left_out() -> None:
    budget = Budget(5)
    budget.give(100)
    assert [budget.take(5), budget.take(5)] == [True, False]
    assert all(Budget(None).take(5) for _ in range(1000))
    assert not Budget(0).take(5)


@pytest.mark.parametrize(
    "settings",
    [{"first_delay": -1}, {"max_delay": float("nan")}, {"max_retry_after": -1}, {"deadline": 0}, {"budget": -1}, {"reconcile_within": -1},
     {"first_delay": "1"}, {"budget": 1.5}, {"budget": "1"}, {"deadline": "1"}, {"max_delay": True}, {"max_retry_after": float("inf")},
     {"deadline": 10**400}, {"max_delay": 10**400}, {"budget": 10**400},
     {"on_unknown_outcome": "retry"}],
)  # fmt: skip
def test_a_policy_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        RetryPolicy(**settings)
