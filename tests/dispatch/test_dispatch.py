"""Placing many calls and following them: a client in virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import nullcontext, suppress
from itertools import pairwise
from typing import Any
from unittest.mock import AsyncMock

import anyio
import httpx
import pytest
import trio

from retell_async import (
    APIStatusError,
    AsyncRetell,
    AuthenticationError,
    BadRequestError,
    CallSlots,
    ConfigurationError,
    Outcome,
    OutcomeUnknownError,
    PermissionDeniedError,
    Progress,
    RateLimit,
    RetellError,
    WaitTimeoutError,
)
from retell_async._dispatch.numbers import Numbers
from retell_async.testing import LocalRetell

from ..engine.example import KEY
from ..engine.virtual import Server, refusal
from .account import FROM, GET, LIST, PLACE, ROOM, Account, request


async def all_of(client: AsyncRetell, requests: Any, **settings: Any) -> list[Outcome]:
    async with client.dispatch(requests, **settings) as outcomes:
        return [outcome async for outcome in outcomes]


async def read(client: AsyncRetell, requests: Any, found: list[Outcome]) -> None:
    async with client.dispatch(requests) as outcomes:
        async for outcome in outcomes:
            found.append(outcome)  # noqa: PERF401 - what came before an error is wanted


@pytest.mark.parametrize("until", ["placed", "ended", "analyzed"])
@pytest.mark.parametrize("events", [True, False])
def test_each_request_has_one_outcome(until: Any, events: bool) -> None:
    account = Account(limit=30, lasts=lambda number: 20 + number % 40)

    async def main(client: AsyncRetell) -> None:
        outcomes = await all_of(client, (request(number) for number in range(100)), until=until, router=account if events else None)
        assert sorted(outcome.index for outcome in outcomes) == list(range(100))
        for outcome in outcomes:
            assert outcome.status == until
            assert outcome.error is None
            assert outcome.request == request(outcome.index)
            assert outcome.call is not None
            assert outcome.call.to_number == outcome.request["to_number"]
            assert account.keys[str(outcome.idempotency_key)] == outcome.call.call_id
            assert (outcome.call.transcript == "hello") == (until != "placed")
            assert (outcome.call.call_analysis is not None) == (until == "analyzed")

    account.run(main)
    assert len(account.server.times(PLACE)) == len(account.calls) == 100
    assert account.most <= 30
    if events:
        assert len(account.server.times(GET)) <= 10  # whose event and a question came at the same time
        assert len(account.server.times(LIST)) <= 10


def test_the_room_that_others_leave_is_kept_to() -> None:
    account = Account(limit=20)
    account.others = 8

    async def main(client: AsyncRetell) -> None:
        await all_of(client, map(request, range(60)), keep_free=2, router=account)

    account.run(main)
    assert account.most == 18


@pytest.mark.parametrize("settings", [{}, {"live": 5}])
def test_an_account_that_has_nothing_but_what_is_left_to_others_is_one_error(settings: dict[str, Any]) -> None:
    account = Account(limit=20)

    async def main(client: AsyncRetell) -> None:
        with pytest.raises(ConfigurationError, match="keep_free=20 leaves no slot: the account has 20 "):
            await all_of(client, map(request, range(3)), keep_free=20, **settings)

    account.run(main)
    assert not account.server.times(PLACE)


def test_a_bound_of_its_own_needs_no_question() -> None:
    account = Account(limit=1000)

    async def main(client: AsyncRetell) -> None:
        await all_of(client, map(request, range(60)), live=7, keep_free=None)

    account.run(main)
    assert account.most == 7
    assert not account.server.times(ROOM)


def test_dispatches_may_share_slots() -> None:
    account = Account(limit=10)

    async def main(client: AsyncRetell) -> None:
        slots = CallSlots(client)
        async with trio.open_nursery() as tasks:
            for _ in range(3):
                tasks.start_soon(lambda: all_of(client, map(request, range(20)), slots=slots, router=account))

    account.run(main)
    assert account.most <= 10
    assert len(account.calls) == 60


def test_a_number_places_no_more_calls_a_second_than_it_may() -> None:
    account = Account(limit=500, latency=0.3)
    numbers = ["+14155550001", "+14155550002", "+14155550003"]

    async def main(client: AsyncRetell) -> None:
        requests = [request(number, from_number=numbers[number % 3]) for number in range(150)]
        limits = {numbers[0]: RateLimit(1), numbers[1]: RateLimit(10)}
        await all_of(client, requests, until="placed", per_number=limits)

    account.run(main)
    placed: dict[str, list[float]] = {number: [] for number in numbers}
    for (moment, path), body in zip(account.server.arrivals, account.server.bodies, strict=True):
        if PLACE in path:
            placed[body["from_number"]].append(moment)
    for number, most in ((numbers[0], 1), (numbers[1], 10)):
        moments = placed[number]
        assert all(later - sooner >= 1.0 for sooner, later in zip(moments, moments[most:], strict=False))
    assert 50 <= placed[numbers[0]][-1] <= 50 * 1.35
    assert placed[numbers[1]][-1] <= 50 / 10 * 1.5
    assert placed[numbers[2]][-1] <= 1


class _Hangs(Server):
    """Answers the first call after 115 s, and the others at once."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.latency = 0.05 if self.times(PLACE) or PLACE not in request.url.path else 115.0
        return await super().handle_async_request(request)


def test_a_request_without_an_answer_does_not_hold_up_its_number() -> None:
    account = Account(limit=500)
    account.server = _Hangs(account.answer)

    async def main(client: AsyncRetell) -> None:
        await all_of(client, map(request, range(30)), until="placed", per_number=RateLimit(1))

    account.run(main)
    moments = account.server.times(PLACE)
    assert len(moments) == 30
    assert moments[-1] < 40
    assert all(later - sooner >= 1.0 for sooner, later in pairwise(moments))


def test_a_call_that_waits_for_its_number_leaves_the_room_to_others() -> None:
    account = Account(limit=5, lasts=lambda _: 4.0)

    async def main(client: AsyncRetell) -> None:
        slow = [request(number) for number in range(4)]
        fast = [request(number, from_number="+14155550002") for number in range(40)]
        async with client.dispatch([*slow, *fast], live=5, router=account, per_number={FROM: RateLimit(1, per=60)}) as outcomes:
            ended = [outcome.request["from_number"] async for outcome in outcomes]
        assert ended[-1] == FROM

    account.run(main)


def test_what_is_wrong_with_one_request_ends_no_other() -> None:
    account = Account(fault=lambda sent, _: httpx.Response(400, json={"message": "no"}) if b"5550003" in sent.content else None)

    class Strange:
        pass

    async def main(client: AsyncRetell) -> None:
        wrong = [
            {"from_number": FROM},
            5,
            Strange(),
            request(0, idempotency_key="no"),
            request(0, colour="red"),
            request(1, metadata={"a": object()}),
        ]
        outcomes = await all_of(client, [*wrong, request(3), request(4)], router=account)
        found = {outcome.index: outcome for outcome in outcomes}
        assert [found[index].status for index in range(8)] == [*["not_placed"] * 7, "ended"]
        assert [type(found[index].error) for index in range(7)] == [
            TypeError,
            TypeError,
            TypeError,
            ConfigurationError,
            TypeError,
            TypeError,
            BadRequestError,
        ]
        assert all(found[index].idempotency_key is None for index in range(6))

    account.run(main)
    assert len(account.server.times(PLACE)) == 2


def test_what_may_have_been_placed_is_unknown() -> None:
    lost: Counter[str] = Counter()

    def fault(sent: httpx.Request, _: float) -> httpx.Response | Exception | None:
        if PLACE not in sent.url.path:
            return None
        to = json.loads(sent.content)["to_number"]
        lost[to] += 1
        if to.endswith("1"):
            return httpx.ReadTimeout("no answer", request=sent)
        return httpx.Response(503) if to.endswith("2") and lost[to] == 1 else None

    account = Account(fault=fault)

    async def main(client: AsyncRetell) -> None:
        outcomes = {outcome.index: outcome for outcome in await all_of(client, map(request, range(3)), router=account)}
        assert [outcomes[index].status for index in range(3)] == ["ended", "unknown", "ended"]
        error = outcomes[1].error
        assert isinstance(error, OutcomeUnknownError)
        assert error.idempotency_key == outcomes[1].idempotency_key
        assert outcomes[1].call is None

    account.run(main)
    sent = [body for (_, path), body in zip(account.server.arrivals, account.server.bodies, strict=True) if PLACE in path]
    keys = Counter((body["to_number"][-1], body["idempotency_key"]) for body in sent)
    assert {number: count for (number, _), count in keys.items()} == {"0": 1, "1": 3, "2": 2}


def test_an_answer_that_is_not_understood_leaves_the_outcome_unknown() -> None:
    account = Account(fault=lambda sent, _: httpx.Response(201, json={"call_id": 5}) if PLACE in sent.url.path else None)

    async def main(client: AsyncRetell) -> None:
        (outcome,) = await all_of(client, [request()], router=account)
        assert outcome.status == "unknown"

    account.run(main, strict=True)


def test_a_key_that_is_none_ends_all() -> None:
    account = Account(limit=10, fault=lambda sent, _: httpx.Response(401, json={"message": "no"}) if PLACE in sent.url.path else None)
    taken: list[int] = []

    def requests() -> Generator[Any]:
        for number in range(1000):
            taken.append(number)
            yield request(number)

    async def main(client: AsyncRetell) -> None:
        found: list[Outcome] = []
        with pytest.raises(AuthenticationError):
            await read(client, requests(), found)
        assert {outcome.status for outcome in found} == {"not_placed"}
        assert len(found) == len(taken) <= 20

    account.run(main)


def test_an_error_of_the_requests_comes_after_the_last_outcome() -> None:
    account = Account()

    async def requests() -> AsyncGenerator[Any]:
        for number in range(5):
            yield request(number)
        raise KeyError("row 6")

    async def main(client: AsyncRetell) -> None:
        found: list[Outcome] = []
        with pytest.raises(KeyError, match="row 6"):
            await read(client, requests(), found)
        assert [outcome.status for outcome in found] == ["ended"] * 5

    account.run(main)


def test_requests_without_end_are_taken_as_there_is_room() -> None:
    account = Account(limit=10)
    taken: list[float] = []

    async def requests() -> AsyncGenerator[Any]:
        while True:
            taken.append(trio.current_time())
            yield request(len(taken))

    async def main(client: AsyncRetell) -> None:
        async with client.dispatch(requests(), router=account) as outcomes:
            assert (await anext(outcomes)).status == "ended"
            assert len(taken) <= 12
            for _ in range(50):
                await anext(outcomes)
        before = len(account.server.arrivals)
        await trio.sleep(300)
        assert len(account.server.arrivals) == before

    account.run(main)


def test_outcomes_that_nobody_reads_hold_calls_back() -> None:
    account = Account(limit=5, lasts=lambda _: 1.0)

    async def main(client: AsyncRetell) -> None:
        async with client.dispatch(map(request, range(200)), router=account) as outcomes:
            await trio.sleep(3600)
            assert len(account.calls) <= 5 * 4 + 1
            assert len([outcome async for outcome in outcomes]) == 200

    account.run(main)


def test_stopped_it_follows_what_was_placed_and_places_no_more() -> None:
    account = Account(limit=10)

    async def main(client: AsyncRetell) -> None:
        async with client.dispatch(map(request, range(100)), live=20, router=account, per_number=RateLimit(1)) as outcomes:
            await trio.sleep(5)
            placed = len(account.calls)
            outcomes.stop()
            found = Counter([outcome.status async for outcome in outcomes])
            assert found == {"ended": placed, "not_placed": 20 - placed}
            assert outcomes.progress == Progress(taken=20, placed=placed, done=placed, not_placed=20 - placed)
        assert len(account.calls) == placed > 0

    account.run(main)


@pytest.mark.parametrize(
    "answers",
    [None, refusal(30.0), httpx.ConnectError("no way"), httpx.ConnectTimeout("no way")],
    ids=["a known limit", "429", "no connection", "no connection in time"],
)
def test_stopped_it_places_none_that_waits_in_the_client(answers: Any) -> None:
    account = Account(limit=1000, fault=lambda sent, now: answers if PLACE in sent.url.path and now > 4 else None)

    async def main(client: AsyncRetell) -> None:
        async with client.dispatch(map(request, range(60)), live=40, until="placed") as outcomes:
            await trio.sleep(5.5)
            asked, placed = len(account.server.times(PLACE)), len(account.calls)
            outcomes.stop()
            stopped = trio.current_time()
            found = Counter([outcome.status async for outcome in outcomes])
            assert trio.current_time() - stopped < 0.2
            assert found["not_placed"] > 10
            assert found == {"placed": placed, "not_placed": outcomes.progress.taken - placed}
        assert len(account.server.times(PLACE)) == asked

    account.run(main, rate_limits={"call.create_phone_call": RateLimit(3)})


@pytest.mark.parametrize("acts", [True, False])
def test_stopped_it_finds_out_what_the_server_may_have_done(acts: bool) -> None:
    """What waits to be sent again, after a failure of the server, goes on under its key."""
    account = Account(limit=1000)

    def fault(sent: httpx.Request, now: float) -> httpx.Response | None:
        if PLACE not in sent.url.path or now > 6:
            return None
        if acts:
            account.place(json.loads(sent.content))
        return httpx.Response(503, headers={"retry-after": "20"})

    account.fault = fault

    async def main(client: AsyncRetell) -> None:
        async with client.dispatch(map(request, range(5)), live=5, until="placed") as outcomes:
            await trio.sleep(3)
            outcomes.stop()
            assert [outcome.status async for outcome in outcomes] == ["placed"] * 5

    account.run(main)
    assert len(account.calls) == 5


def test_a_dispatch_that_is_stopped_gives_back_the_room_of_others() -> None:
    account = Account(limit=10, fault=lambda sent, now: refusal(60.0) if PLACE in sent.url.path and now < 5 else None)

    async def main(client: AsyncRetell) -> None:
        slots = CallSlots(client, every=3600.0)
        async with client.dispatch(map(request, range(10)), slots=slots) as outcomes:
            await trio.sleep(1)
            outcomes.stop()
            assert [outcome.status async for outcome in outcomes] == ["not_placed"] * 10
        start = trio.current_time()
        assert len(await all_of(client, map(request, range(10)), slots=slots, until="placed")) == 10
        assert trio.current_time() - start < 120

    account.run(main)


def test_an_event_that_comes_before_the_answer_is_not_lost() -> None:
    account = Account(lasts=lambda _: 0.0, analysed=0.0, delay=0.0, latency=0.5)

    async def main(client: AsyncRetell) -> None:
        start = trio.current_time()
        outcomes = await all_of(client, map(request, range(10)), until="analyzed", router=account)
        assert {outcome.status for outcome in outcomes} == {"analyzed"}
        assert trio.current_time() - start < 5

    account.run(main)
    assert not account.server.times(LIST)


def test_a_call_whose_answer_took_long_is_asked_for_at_once() -> None:
    account = Account(lasts=lambda _: 0.0, delay=0.0, latency=20.0)

    async def main(client: AsyncRetell) -> None:
        start = trio.current_time()
        await all_of(client, [request()], live=1, keep_free=None, router=account)
        assert trio.current_time() - start < 62

    account.run(main)


def test_a_call_that_does_not_end_in_time_is_placed_and_no_more() -> None:
    account = Account(limit=1, lasts=lambda number: 500.0 if number == 0 else 10.0)

    async def main(client: AsyncRetell) -> None:
        outcomes = await all_of(client, map(request, range(2)), within=100.0)
        assert [(outcome.status, type(outcome.error)) for outcome in outcomes] == [("placed", WaitTimeoutError), ("ended", type(None))]

    account.run(main)
    assert account.most == 1


def test_an_account_that_does_not_answer_is_asked_again() -> None:
    account = Account(limit=3, fault=lambda sent, now: httpx.Response(503) if ROOM in sent.url.path and now < 600 else None)

    async def main(client: AsyncRetell) -> None:
        assert len(await all_of(client, map(request, range(6)), router=account)) == 6

    account.run(main, max_retries=0)


def test_an_account_that_may_not_be_asked_ends_all() -> None:
    account = Account(fault=lambda sent, _: httpx.Response(403, json={"message": "no"}) if ROOM in sent.url.path else None)

    async def main(client: AsyncRetell) -> None:
        with pytest.raises(PermissionDeniedError):
            await all_of(client, map(request, range(6)), live=3)

    account.run(main)
    assert not account.calls


def test_limits_are_waited_for_as_long_as_it_takes() -> None:
    account = Account(limit=2000, fault=lambda sent, now: refusal(5.0) if PLACE in sent.url.path and now < 1000 else None)

    async def main(client: AsyncRetell) -> None:
        assert {outcome.status for outcome in await all_of(client, map(request, range(50)), until="placed")} == {"placed"}

    account.run(main)


def test_the_key_of_an_outcome_is_the_one_that_placed_the_call() -> None:
    """One that is too old, after more than an hour of refusals, has made way for another."""
    account = Account(fault=lambda sent, now: refusal(60.0) if PLACE in sent.url.path and now < 4200 else None)

    async def main(client: AsyncRetell) -> None:
        (outcome,) = await all_of(client, [request()], until="placed")
        assert outcome.call is not None
        assert account.keys == {outcome.idempotency_key: outcome.call.call_id}

    account.run(main)


@pytest.mark.parametrize("until", ["placed", "ended"])
def test_a_key_that_is_anothers_places_nobody_else(until: Any) -> None:
    account = Account(limit=1)
    key = {"idempotency_key": "appointment-4711"}
    extra = request(1, extra_body={"to_number": request(2)["to_number"]})

    async def main(client: AsyncRetell) -> None:
        requests = [request(1, **key), request(2, **key), request(1, **key), extra | key]
        first, *others = sorted(await all_of(client, requests, until=until, keep_free=0), key=lambda outcome: outcome.index)
        assert first.call is not None
        for outcome in (others[0], others[2]):
            assert (outcome.status, outcome.call, outcome.idempotency_key) == ("not_placed", None, key["idempotency_key"])
            assert f"the idempotency_key as that of {first.call.call_id}, a call to another number" in str(outcome.error)
        assert others[1].error is None
        assert others[1].call is not None
        assert others[1].call.call_id == first.call.call_id

    account.run(main)
    assert account.placed == 1


def test_limits_are_waited_for_as_long_as_the_client_says() -> None:
    account = Account(limit=2000, fault=lambda sent, _: refusal(5.0) if PLACE in sent.url.path else None)

    async def main(client: AsyncRetell) -> None:
        assert {outcome.status for outcome in await all_of(client, map(request, range(5)), until="placed")} == {"not_placed"}

    account.run(main, rate_limits={"call.create_phone_call": RateLimit(max_wait=60)})


def test_a_client_that_is_closed_ends_all() -> None:
    account = Account(limit=5)

    async def main(client: AsyncRetell) -> None:
        async def close() -> None:
            await trio.sleep(90)
            await client.aclose()

        async with trio.open_nursery() as tasks:
            tasks.start_soon(close)
            with pytest.raises(RetellError, match="closed"):
                await all_of(client, map(request, range(1000)))
        assert trio.current_time() < 1000

    account.run(main)


def test_progress_is_told() -> None:
    account = Account(limit=3)
    told: list[Progress] = []

    async def main(client: AsyncRetell) -> None:
        await all_of(client, [*map(request, range(9)), 5], router=account, on_progress=told.append)

    account.run(main)
    assert told[-1] == Progress(taken=10, placed=9, not_placed=1, done=9)
    assert max(progress.live for progress in told) == 3


def test_a_hook_that_fails_loses_no_call(caplog: pytest.LogCaptureFixture) -> None:
    account = Account()

    def fails(_: Progress) -> None:
        raise KeyError

    async def main(client: AsyncRetell) -> None:
        assert len(await all_of(client, map(request, range(3)), router=account, on_progress=fails)) == 3

    with caplog.at_level(logging.ERROR, "retell_async"):
        account.run(main)
    assert "on_progress failed" in caplog.text


@pytest.mark.parametrize("limits", [RateLimit(1), {FROM: RateLimit(1)}])
def test_a_number_that_is_none_is_refused_with_a_limit_of_numbers_too(limits: Any) -> None:
    account = Account(fault=lambda _, __: httpx.Response(400, json={"message": "from_number must be string"}))

    async def main(client: AsyncRetell) -> None:
        (outcome,) = await all_of(client, [request() | {"from_number": [FROM]}], live=1, keep_free=None, per_number=limits)
        assert (outcome.status, type(outcome.error)) == ("not_placed", BadRequestError)

    account.run(main)


def test_what_goes_wrong_before_a_call_may_leave_is_not_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()

    def fails(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Numbers, "first", fails)

    async def main(client: AsyncRetell) -> None:
        (outcome,) = await all_of(client, [request()], live=1, keep_free=None)
        assert (outcome.status, type(outcome.error)) == ("not_placed", KeyError)

    account.run(main)
    assert not account.server.times(PLACE)


def test_no_number_is_shown() -> None:
    account = Account(fault=lambda sent, _: httpx.Response(400, json={"message": f"cannot call {request(7)['to_number']}"}))

    async def main(client: AsyncRetell) -> None:
        (outcome,) = await all_of(client, [request(7)], live=1, keep_free=None)
        assert isinstance(outcome.error, APIStatusError)
        shown = repr(outcome) + "".join(traceback.TracebackException.from_exception(outcome.error, capture_locals=True).format())
        assert "5550007" not in shown
        assert outcome.error.__traceback__ is None

    account.run(main)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"until": "over"}, "until"),
        ({"live": 0}, "live"),
        ({"live": True}, "live"),
        ({"requests": request()}, "requests"),
        ({"requests": "abc"}, "requests"),
        ({"requests": 5}, "requests"),
        ({"per_number": 5}, "per_number"),
        ({"per_number": {FROM: 5}}, "per_number"),
        ({"per_number": RateLimit(1, max_wait=5)}, "max_wait"),
        ({"keep_free": -1}, "keep_free"),
        ({"keep_free": None}, "live"),
        ({"on_progress": 5}, "on_progress"),
        ({"router": 5}, "router"),
        ({"on_progress": AsyncMock()}, "async def"),
        *[({"within": seconds}, "within") for seconds in (-1, 0, "60", math.nan)],
        *[({"every": seconds}, "every") for seconds in (0, "1")],
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], what: str) -> None:
    requests = settings.pop("requests", [])
    with pytest.raises(ConfigurationError, match=what):
        AsyncRetell(KEY).dispatch(requests, **settings)


def test_slots_have_their_own_settings() -> None:
    client = AsyncRetell(KEY)
    with pytest.raises(ConfigurationError, match="slots"):
        client.dispatch([], slots=CallSlots(client), burst=True)


def _endless(request: httpx.Request) -> httpx.Response:
    if "get-concurrency" in request.url.path:
        return httpx.Response(200, json={"current_concurrency": 0, "concurrency_limit": 5})
    return httpx.Response(201, json={"call_id": "call_1", "call_type": "phone_call", "call_status": "registered"})


@pytest.mark.anyio
@pytest.mark.parametrize("until", ["placed", "ended"])
async def test_leaving_it_ends_all_and_changes_no_error(until: Any) -> None:
    transport = httpx.MockTransport(_endless)
    async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=transport)) as client:
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012
            async with client.dispatch(map(request, range(100)), until=until):
                await anyio.sleep(0.01)
                raise KeyError("mine")
        with anyio.move_on_after(0.05) as scope:
            async with client.dispatch(map(request, range(3)), until="ended") as outcomes:
                async for _ in outcomes:
                    pass
        assert scope.cancelled_caught
        async with client.dispatch(map(request, range(100)), until="placed") as outcomes:
            async for _ in outcomes:
                break
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)
        with pytest.raises(RetellError, match="once"):
            await outcomes.__aenter__()


@pytest.mark.anyio
async def test_it_is_entered_first() -> None:
    async with AsyncRetell(KEY) as client:
        with pytest.raises(RetellError, match="async with"):
            async for _ in client.dispatch([]):
                pass


async def give_up_by_a_timer() -> None:
    """Leaves the task with a cancellation that was asked for and never taken back."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(5)


async def be_cancelled() -> None:
    raise asyncio.CancelledError


async def exit_the_program() -> None:
    raise SystemExit("of the iterable")


@pytest.mark.asyncio
@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("does", [give_up_by_a_timer, be_cancelled, exit_the_program])
async def test_what_an_iterable_does_to_its_task_loses_no_outcome(does: Callable[[], Awaitable[None]], stops: bool) -> None:
    local, found = LocalRetell(), list[str]()

    async def requests() -> AsyncGenerator[dict[str, str]]:
        for number in range(4):
            if number == 2:
                await does()
            yield {"from_number": FROM, "to_number": f"+1415555000{number}"}

    async with local.client() as client:
        number = local.create_fixtures().phone_number
        given = ({**each, "from_number": number} async for each in requests())
        async with client.dispatch(given, until="placed", live=2) as outcomes:
            raises = pytest.raises(RuntimeError, match=r"^CancelledError$|^SystemExit: of the iterable$")
            with nullcontext() if stops or does is give_up_by_a_timer else raises:  # who has stopped asks for no more of it
                async for outcome in outcomes:
                    found.append(outcome.status)
                    if stops and len(found) == 2:
                        outcomes.stop()
            assert outcomes.progress.taken == len(found)
    assert found[:2] == ["placed"] * 2
    assert stops or len(found) == (4 if does is give_up_by_a_timer else 2)
