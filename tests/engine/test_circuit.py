"""A circuit breaker: its states, what it refuses, and how it goes with retries, unknown outcomes, dispatches and campaigns."""

from __future__ import annotations

import json
import pickle
from collections.abc import Generator
from typing import Any

import anyio
import httpx
import pytest

from retell_async import (
    APIConnectionError,
    APITimeoutError,
    CircuitBreaker,
    CircuitEvent,
    CircuitOpenError,
    ConfigurationError,
    InternalServerError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    RetryPolicy,
    log,
    telemetry,
)
from retell_async._engine.calls import failure_of
from retell_async._engine.circuit import Circuit
from retell_async._engine.retry import may_have_acted

from ..dispatch.account import Account, request
from .virtual import Server, run

NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550101"}
CALL = {"call_type": "phone_call", "call_id": "call_1", "agent_id": "a", "agent_version": 1, "call_status": "registered", **NUMBERS}


# The machine, without a clock.


def opened() -> Circuit:
    circuit = Circuit(CircuitBreaker(failures=3, open_for=30.0))
    for now in range(3):
        circuit.answered(now, failed=True)
    return circuit


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    circuit = Circuit(CircuitBreaker(failures=3, open_for=30.0))
    for failed in (True, True, False, True, True):
        circuit.answered(0.0, failed=failed)
    assert (circuit.state, circuit.refuses(0.0), circuit.is_blank) == ("closed", None, False)
    circuit.answered(5.0, failed=True)
    assert (circuit.state, circuit.refuses(6.0)) == ("open", 29.0)


@pytest.mark.parametrize(("failed", "state"), [(False, "closed"), (True, "open")])
def test_after_a_while_one_request_tries_the_server(failed: bool, state: str) -> None:
    circuit = opened()
    assert circuit.refuses(31.0) == 1.0
    assert circuit.refuses(32.0) is None
    assert circuit.enters()
    assert (circuit.state, circuit.refuses(33.0)) == ("half_open", 1.0)
    circuit.answered(34.0, failed=failed)
    circuit.leaves()
    assert circuit.state == state
    assert circuit.refuses(35.0) == (29.0 if failed else None)
    assert circuit.is_blank is not failed


def test_a_try_without_an_answer_makes_way_for_another() -> None:
    circuit = opened()
    circuit.enters()
    circuit.leaves()
    assert (circuit.state, circuit.refuses(40.0)) == ("half_open", None)
    assert circuit.enters()


def test_what_tried_the_server_in_an_event_loop_that_is_gone_is_gone() -> None:
    circuit = opened()
    circuit.enters()
    circuit.restart()
    assert circuit.refuses(40.0) is None


def test_any_answer_closes_it() -> None:
    circuit = opened()
    circuit.answered(5.0, failed=False)
    assert circuit.is_blank


@pytest.mark.parametrize(
    "settings", [{"failures": 0}, {"failures": 1.5}, {"failures": True}, {"open_for": 0}, {"open_for": float("inf")}, {"open_for": 10**400}]
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(settings))} of a CircuitBreaker must be"):
        CircuitBreaker(**settings)
    with pytest.raises(ConfigurationError, match="must be a CircuitBreaker or None, not dict"):
        RetryPolicy(circuit_breaker={"failures": 3})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_a_refusal_is_not_sent_and_nothing_that_is_tried_again() -> None:
    error = CircuitOpenError(message="not sent", request=httpx.Request("GET", "http://retell.test"), retry_after=7.0)
    assert isinstance(error, APIConnectionError)
    assert (error.sent, error.retry_after, error.status_code) == (False, 7.0, None)
    assert not failure_of(error).is_transient
    assert not may_have_acted(failure_of(error))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.sent, again.retry_after) == (CircuitOpenError, False, 7.0)


# In a client, in virtual time.


@pytest.fixture(autouse=True)
def events() -> Generator[list[CircuitEvent]]:
    found: list[CircuitEvent] = []

    def hear(what: Any) -> None:
        if isinstance(what, CircuitEvent):
            found.append(what)

    with telemetry.instrumented(hear):
        yield found


def test_it_is_logged_where_the_client_logs(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        for hooks in ((), (log,)):
            retry = RetryPolicy(circuit_breaker=CircuitBreaker(failures=1))
            async with Server(lambda *_: httpx.Response(503)).client(retry=retry, max_retries=0, hooks=hooks) as client:
                with pytest.raises(InternalServerError):
                    await client.call.retrieve("call_1")

    run(main)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "getCall: the circuit breaker is open after 1 answers of 5xx in a row"
    ]


class Retell:
    """A server that fails for a time."""

    def __init__(self, *, until: float = 100.0, status: int = 503) -> None:
        self.until = until
        self.status = status
        self.asked: list[float] = []
        self.server = Server(self.answer, latency=0.1)

    def answer(self, _: httpx.Request, now: float) -> httpx.Response:
        self.asked.append(now)
        return httpx.Response(self.status) if now < self.until else httpx.Response(201, json=CALL)

    def client(self, *, failures: int = 3, max_retries: int = 0, **policy: Any) -> Any:
        retry = RetryPolicy(first_delay=0.0, circuit_breaker=CircuitBreaker(failures=failures, open_for=30.0), **policy)
        return self.server.client(retry=retry, max_retries=max_retries)


def test_new_requests_are_refused_until_one_tries_the_server(events: list[CircuitEvent]) -> None:
    async def main() -> None:
        retell = Retell(until=40.0)
        async with retell.client() as client:
            for _ in range(3):
                with pytest.raises(InternalServerError):
                    await client.call.retrieve("call_1")
            assert len(retell.asked) == 3
            for _ in range(100):
                with pytest.raises(
                    CircuitOpenError, match="not sent: the server failed 3 times in a row, and is left alone for 30 s"
                ) as caught:
                    await client.call.create_phone_call(**NUMBERS)
                assert 29 < caught.value.retry_after <= 30
            assert len(retell.asked) == 3
            await anyio.sleep(30)
            with pytest.raises(InternalServerError):
                await client.call.retrieve("call_1")
            with pytest.raises(CircuitOpenError):
                await client.call.retrieve("call_1")
            await anyio.sleep(30)
            outcomes: list[str] = []
            async with anyio.create_task_group() as tasks:  # of all that come now, one goes

                async def one() -> None:
                    try:
                        await client.call.retrieve("call_1")
                        outcomes.append("answered")
                    except CircuitOpenError:
                        outcomes.append("refused")

                for _ in range(5):
                    tasks.start_soon(one)
            assert sorted(outcomes) == ["answered", *["refused"] * 4]
            await client.call.retrieve("call_1")
        assert [event.state for event in events] == ["open", "half_open", "open", "half_open", "closed"]
        assert len({event.circuit for event in events}) == 1

    run(main)


@pytest.mark.parametrize("status", [404, 422, 429, 501, 505])
def test_what_is_no_failure_of_the_server_opens_nothing(status: int, events: list[CircuitEvent]) -> None:
    async def main() -> None:
        retell = Retell(status=status)
        async with retell.client(failures=1) as client:
            for _ in range(3):
                with pytest.raises(Exception) as caught:
                    await client.call.retrieve("call_1", deadline=0.5)
                assert not isinstance(caught.value, CircuitOpenError)
        assert events == []

    run(main)


def test_a_request_under_way_goes_on_and_finds_out_what_came_of_it(events: list[CircuitEvent]) -> None:
    """Its first answer opens the circuit. It is repeated under its key all the same: else nobody would know whether it was placed."""

    async def main() -> None:
        retell = Retell(until=0.05)
        async with retell.client(failures=1, max_retries=2) as client:
            assert (await client.call.create_phone_call(**NUMBERS)).call_id == "call_1"
        assert len(retell.asked) == 2
        assert [event.state for event in events] == ["open", "closed"]

    run(main)


def test_what_may_have_been_carried_out_stays_unknown_and_is_never_called_not_sent() -> None:
    async def main() -> None:
        retell = Retell()
        async with retell.client(failures=1) as client:
            with pytest.raises(OutcomeUnknownError) as caught:
                await client.call.create_phone_call(**NUMBERS)
            error: Any = caught.value
            assert not isinstance(error, CircuitOpenError)
            # Whoever repeats it under its key asks what came of it, and is not refused.
            with pytest.raises(OutcomeUnknownError):
                await client.call.create_phone_call(**NUMBERS, idempotency_key=error.idempotency_key, idempotency_key_since=error.since)
            assert len(retell.asked) == 2
            with pytest.raises(CircuitOpenError):
                await client.call.create_phone_call(**NUMBERS)

    run(main)


def test_the_list_of_calls_is_searched_past_an_open_circuit() -> None:
    async def main() -> None:
        def answer(request: httpx.Request, _: float) -> httpx.Response:
            if "list-calls" not in request.url.path:
                token.append(json.loads(request.content)["metadata"]["retell_async_token"])
                return httpx.Response(503)
            return httpx.Response(200, json={"items": [{**CALL, "metadata": {"retell_async_token": token[-1]}}], "has_more": False})

        token: list[str] = []
        retry = RetryPolicy(first_delay=0.0, on_unknown_outcome="reconcile", circuit_breaker=CircuitBreaker(failures=1))
        async with Server(answer).client(retry=retry, max_retries=0) as client:
            assert (await client.call.create_phone_call(**NUMBERS)).call_id == "call_1"

    run(main)


def test_an_attempt_without_an_answer_neither_opens_nor_closes() -> None:
    async def main() -> None:
        def answer(*_: object) -> httpx.Response | Exception:
            return steps.pop(0)

        steps: list[httpx.Response | Exception] = [httpx.Response(503), httpx.ReadTimeout(""), httpx.ConnectError(""), httpx.Response(503)]
        retry = RetryPolicy(first_delay=0.0, circuit_breaker=CircuitBreaker(failures=2))
        async with Server(answer).client(retry=retry, max_retries=0) as client:
            for kind in (InternalServerError, APITimeoutError, APIConnectionError, InternalServerError, CircuitOpenError):
                with pytest.raises(kind):
                    await client.call.retrieve("call_1")

    run(main)


def test_each_account_has_its_own(events: list[CircuitEvent]) -> None:
    async def main() -> None:
        retell = Retell()
        async with retell.client(failures=1) as client:
            other = client.with_options(api_key="key_of_another")
            for each in (client, other):
                with pytest.raises(InternalServerError):
                    await each.call.retrieve("call_1")
                with pytest.raises(CircuitOpenError):
                    await each.with_options(timeout=1.0).call.retrieve("call_1")
        assert len({event.circuit for event in events}) == 2

    run(main)


def test_a_request_that_waits_for_its_turn_meanwhile_is_not_sent_either() -> None:
    async def main() -> None:
        retell = Retell()
        kinds: list[str] = []
        async with retell.client(failures=2) as client, anyio.create_task_group() as tasks:
            view = client.with_options(rate_limits={"call.retrieve": RateLimit(1)})

            async def one() -> None:
                try:
                    await view.call.retrieve("call_1")
                except (InternalServerError, CircuitOpenError, RateLimitError) as error:
                    kinds.append(type(error).__name__)

            for _ in range(6):
                tasks.start_soon(one)
        assert len(retell.asked) == 2
        assert sorted(kinds) == ["CircuitOpenError"] * 4 + ["InternalServerError"] * 2

    run(main)


def test_a_dispatch_waits_and_loses_none() -> None:
    async def main() -> None:
        account = Account(fault=lambda request, now: httpx.Response(503) if 1 < now < 100 and "create" in request.url.path else None)
        retry = RetryPolicy(first_delay=0.0, circuit_breaker=CircuitBreaker(failures=3, open_for=20.0))
        async with account.server.client(retry=retry, max_retries=0) as client:
            requests = [request(number) for number in range(60)]
            async with client.dispatch(requests, until="placed", live=2, keep_free=None) as outcomes:
                statuses = [outcome.status async for outcome in outcomes]
        assert len(statuses) == 60
        assert set(statuses) <= {"placed", "unknown"}
        assert statuses.count("unknown") < 15

    run(main)
