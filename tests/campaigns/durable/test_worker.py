"""What is sent, sent again, looked for and left unknown: a worker on a database, and a client whose server is a function."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import attrs
import httpx
import pytest
from sqlalchemy import exc

from retell_async import APIConnectionError, AsyncRetell, BadRequestError, CallSlots, CircuitOpenError, OutcomeUnknownError
from retell_async._helpers.call import Ends
from retell_async.campaigns import Retry, Settings
from retell_async.campaigns.durable import worker as worker_module
from retell_async.campaigns.durable.placing import Placing
from retell_async.campaigns.durable.store import LeaseLost
from retell_async.campaigns.durable.worker import REFUSALS, Worker, patiently

from ...engine.example import BASE_URL, KEY
from .desk import RULES, Campaigns, Desk, contacts

pytestmark = pytest.mark.anyio


class Server:
    """Places calls, by key, and loses answers."""

    def __init__(self) -> None:
        self.refuse: list[httpx.Response] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.sent: list[bytes] = []
        self.lose: list[int] = []
        self.acts = True
        self.is_down = False
        self.refuses_to_tell = 0
        self.room = 20

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_down:
            raise httpx.ConnectError("no route")
        if self.refuses_to_tell and "list-calls" in request.url.path:
            return httpx.Response(self.refuses_to_tell, json={"message": "Invalid API key"})
        if "get-concurrency" in request.url.path:
            return httpx.Response(200, json={"concurrency_limit": 20, "current_concurrency": 20 - self.room})
        if "get-call" in request.url.path:
            call = next(call for call in self.calls.values() if request.url.path.endswith(call["call_id"]))
            return httpx.Response(200, json=self.over(call))
        body = json.loads(request.content)
        if "list-calls" in request.url.path:
            criteria = body["filter_criteria"]
            if "metadata" in criteria:
                token = criteria["metadata"][0]["value"]
                found = [call for call in self.calls.values() if call["metadata"]["retell_async_token"] == token]
            else:
                found = [self.over(call) for call in self.calls.values() if call["call_id"] in criteria["call_id"]["value"]]
            return httpx.Response(200, json={"items": found, "has_more": False})
        self.sent.append(request.content)
        if self.refuse:
            return self.refuse.pop(0)
        if self.acts:
            call = {"call_id": f"call_{len(self.calls)}", "call_type": "phone_call", "call_status": "registered", "agent_id": "a"}
            self.calls.setdefault(body["idempotency_key"], {**call, "metadata": body["metadata"]})
        if self.lose:
            return httpx.Response(self.lose.pop(0), json={"message": "no"})
        return httpx.Response(201, json=self.calls[body["idempotency_key"]])

    def over(self, call: dict[str, Any]) -> dict[str, Any]:
        """A call as it is when it has ended."""
        ended = {"call_status": "ended", "start_timestamp": 1, "end_timestamp": 60_001, "duration_ms": 60_000, "transcript": ""}
        return {**call, **ended, "disconnection_reason": "user_hangup"}

    def client(self) -> AsyncRetell:
        return AsyncRetell(KEY, base_url=BASE_URL, max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(self)))


REQUEST = {
    "from_number": "+14155550100",
    "to_number": "+12125550000",
    "idempotency_key": "spring-1",
    "metadata": {"retell_async_token": "spring-1"},
}


async def test_a_call_is_placed_once_whoever_places_it() -> None:
    server = Server()
    async with server.client() as client:
        first = await Placing(client).place(REQUEST, None)
        again = await Placing(client).place(REQUEST, 600.0)  # a process that was killed had sent it ten minutes ago
        assert first == again
        assert server.sent[0] == server.sent[1]
        late = await Placing(client).place(REQUEST, 4000.0)  # after the hour of the key it is looked for, and not sent
        assert late == first
        assert len(server.sent) == 2
        server.lose = [503]
        other = {**REQUEST, "idempotency_key": "spring-2", "metadata": {"retell_async_token": "spring-2"}}
        with pytest.raises(OutcomeUnknownError):
            await Placing(client).place(other, None)
        assert await Placing(client).place(other, 0.1) == "call_1"
        assert len(server.calls) == 2


async def test_what_nobody_can_know_is_unknown_and_what_was_refused_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.campaigns.durable.placing._LOOK", 0.3)
    monkeypatch.setattr("retell_async.campaigns.durable.placing._GLANCE", 0.1)
    server = Server()
    server.acts = False
    async with server.client() as client:
        with pytest.raises(OutcomeUnknownError):
            await Placing(client).place(REQUEST, 4000.0)
        assert server.sent == []
        server.lose = [503, 503]
        for age in (None, 1.0):
            with pytest.raises(OutcomeUnknownError):
                await Placing(client).place(REQUEST, age)
        server.lose = [400]
        with pytest.raises(BadRequestError):
            await Placing(client).place(REQUEST, None)


class Bench:
    """A campaign of one contact, a worker of it, and the server that it calls."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.campaigns = Campaigns(path)
        self.campaigns.now = time.time()
        self.desk = self.campaigns(contacts(1), settings)
        self.settings = settings
        self.server = Server()

    @asynccontextmanager
    async def worker(self) -> AsyncGenerator[Worker]:
        async with self.server.client() as client:
            ends = Ends(client.call, None, within=60.0, every=None)
            slots = CallSlots(client)
            yield Worker(self.desk.worker, self.desk.store, self.settings, Placing(client), ends, slots, lease=15.0, live=10)

    def later(self, seconds: float) -> None:
        """Let time pass, in which another worker takes over."""
        self.campaigns.now += seconds
        self.desk = Desk(self.desk.store, self.campaigns)

    @property
    def result(self) -> Any:
        return self.desk.store.attempts()[-1]["result"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("retell_async.campaigns.durable.placing._LOOK", 0.3)
    monkeypatch.setattr("retell_async.campaigns.durable.placing._GLANCE", 0.1)
    monkeypatch.setattr("retell_async.campaigns.durable.worker._OUTAGE", 0.01)
    monkeypatch.setattr("retell_async.campaigns.durable.worker._AGAIN", 0.01)
    monkeypatch.setattr("retell_async.campaigns.durable.worker._LATER", 0.01)
    return Bench(tmp_path / "campaign.db", Settings(rules=RULES))


async def test_an_attempt_is_placed_followed_and_settled(bench: Bench) -> None:
    key = bench.desk.begin()
    async with bench.worker() as worker:
        await worker.carry_out(key)
        await worker.carry_out(key)  # again, as after a kill that came too late to matter
    assert len(bench.server.sent) == 1
    row = bench.desk.store.attempts()[0]
    assert (row["result"], row["call_id"], row["duration_ms"]) == ("user_hangup", "call_0", 60_000)
    assert bench.desk.store.counts() == {"reached": 1}


async def test_a_server_that_is_left_alone_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [3]
    place = Placing.place

    async def refuse(self: Placing, request: Mapping[str, Any], age: float | None, on_leave: Callable[[], object]) -> str:
        if left[0]:
            left[0] -= 1
            raise CircuitOpenError(message="not sent", request=httpx.Request("POST", BASE_URL), retry_after=0.01)
        return await place(self, request, age, on_leave)

    monkeypatch.setattr(Placing, "place", refuse)
    key = bench.desk.begin()
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (len(bench.server.sent), bench.result) == (1, "user_hangup")
    assert len(bench.desk.store.attempts()) == 1


@pytest.mark.parametrize("was_placed", [True, False])
async def test_a_kill_after_the_request_was_sent_within_the_hour_repeats_its_bytes(bench: Bench, was_placed: bool) -> None:
    key = bench.desk.begin()
    bench.server.acts = was_placed
    turn = bench.desk.send(key)
    async with bench.server.client() as client:
        bench.server.lose = [503]
        with pytest.raises(OutcomeUnknownError):
            await Placing(client).place(turn.request, None)  # and the worker is killed
    bench.server.lose, bench.server.acts = [], True
    bench.later(50 * 60)
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert len(bench.server.sent) == 2
    assert bench.server.sent[0] == bench.server.sent[1]
    assert (len(bench.server.calls), bench.result) == (1, "user_hangup")


@pytest.mark.parametrize("was_placed", [True, False])
@pytest.mark.parametrize(
    "then",
    [lambda bench: bench.later(56 * 60), lambda bench: bench.later(-60), lambda bench: bench.desk.store.set_status("paused")],
    ids=["after the hour", "clock set back", "paused"],
)
async def test_later_or_where_nobody_may_be_called_it_is_looked_for_and_not_sent(
    bench: Bench, was_placed: bool, then: Callable[[Bench], None]
) -> None:
    key = bench.desk.begin()
    turn = bench.desk.send(key)
    if was_placed:
        async with bench.server.client() as client:
            await client.call.create_phone_call(**turn.request)
    sent = len(bench.server.sent)
    then(bench)
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert len(bench.server.sent) == sent
    assert bench.result == ("user_hangup" if was_placed else "unknown")
    assert bench.desk.store.counts() == ({"reached": 1} if was_placed else {"unknown": 1})


async def test_what_is_unknown_is_dialled_again_if_the_campaign_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.campaigns.durable.placing._LOOK", 0.3)
    again = attrs.evolve(RULES, retries={"unknown": Retry(600.0)})
    bench = Bench(tmp_path / "campaign.db", Settings(rules=again))
    key = bench.desk.begin()
    bench.desk.send(key)
    bench.later(56 * 60)
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert bench.result == "unknown"
    assert bench.desk.idle() == pytest.approx(600)
    bench.later(600)
    assert bench.desk.begin() != key


async def test_a_process_that_stood_still_after_it_had_leave_asks_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bench.desk.begin()
    asked = bench.desk.store.turn

    def turn(*args: Any, **kwargs: Any) -> Any:
        given = asked(*args, **kwargs)
        bench.campaigns.now += 16.0
        return given

    monkeypatch.setattr(bench.desk.store, "turn", turn)
    monkeypatch.setattr(worker_module, "time", SimpleNamespace(time=lambda: bench.campaigns.now, monotonic=time.monotonic))
    async with bench.worker() as worker:
        with pytest.raises(LeaseLost):
            await worker.carry_out(key)
    assert bench.server.sent == []


async def test_what_the_server_has_no_room_for_is_sent_again_and_is_no_attempt_lost(bench: Bench) -> None:
    key = bench.desk.begin()
    refusal = httpx.Response(429, headers={"retry-after": "0.05"}, json={"message": "concurrency limit"})
    bench.server.refuse = [refusal, refusal]
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (len(bench.server.sent), len(bench.server.calls), bench.result) == (3, 1, "user_hangup")


async def test_a_key_that_is_none_pauses_the_campaign(bench: Bench) -> None:
    key = bench.desk.begin()
    bench.server.refuse = [httpx.Response(401, json={"message": "Invalid API key"})]
    async with bench.worker() as worker:
        await worker.carry_out(key)
    _, _, status, note = bench.desk.store.campaign()
    assert (status, "Invalid API key" in note, bench.result) == ("paused", True, "not_placed")


@pytest.mark.parametrize("status", [401, 403, 402])
async def test_calls_of_which_the_api_refuses_to_tell_are_left_to_the_next_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    monkeypatch.setattr(worker_module, "_REFUSED", 0.3)
    key = bench.desk.begin()
    bench.server.refuses_to_tell = status
    async with bench.worker() as worker, anyio.create_task_group() as tasks:
        tasks.start_soon(worker.carry_out, key)
        with anyio.fail_after(10):
            while not (begun := bench.desk.store.open_attempts()[0]).call_id:  # noqa: ASYNC110 - the database tells nobody
                await anyio.sleep(0.01)
            tasks.start_soon(worker._follow, begun, "call_0", None, None)  # another that is followed
            while worker.refusal is None:  # noqa: ASYNC110 - nor does the worker
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert isinstance(worker.refusal, REFUSALS)
    assert [begun.call_id for begun in bench.desk.store.open_attempts()] == ["call_0"]
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert said[0].startswith("campaign: calls cannot be followed, and are asked for again: ")


async def test_a_refusal_to_tell_of_calls_that_is_over_soon_ends_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_REFUSED", 0.2)
    monkeypatch.setattr("retell_async._helpers.call.EVERY", 0.05)
    over, server = bench.server.over, bench.server
    monkeypatch.setattr(server, "over", lambda call: call)  # it goes on
    key = bench.desk.begin()
    async with bench.worker() as worker, anyio.create_task_group() as tasks:
        tasks.start_soon(worker.carry_out, key)
        for refuses in (401, 0, 401, 0):
            server.refuses_to_tell = refuses
            await anyio.sleep(0.15 if refuses else 0.4)
        monkeypatch.setattr(server, "over", over)
    assert (worker.refusal, bench.result) == (None, "user_hangup")


async def test_a_database_that_fails_now_and_then_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bench.desk.begin()
    for name in ("turn", "placed", "settle"):
        function = getattr(bench.desk.store, name)

        def fails_once(*args: Any, _function: Any = function, _failed: list[int] = [], **kwargs: Any) -> Any:  # noqa: B006
            if not _failed:
                _failed.append(1)
                raise exc.OperationalError("UPDATE", {}, Exception("disk I/O error"))
            _failed.clear()
            return _function(*args, **kwargs)

        monkeypatch.setattr(bench.desk.store, name, fails_once)
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (len(bench.server.sent), bench.result) == (1, "user_hangup")


async def test_a_database_that_is_away_is_said_once_for_all_who_wait(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    is_full, now = [True], bench.desk.store.now

    def write() -> float:
        if is_full[0]:
            raise exc.OperationalError("UPDATE", {}, Exception("database or disk is full"))
        return now()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(patiently, write)
        for _ in range(10):
            await patiently(now)  # reading works meanwhile
            await anyio.sleep(0.01)
        is_full[0] = False
    assert [record.getMessage() for record in caplog.records] == [
        "campaign: the database did not do it (database or disk is full); it is asked until it does",
        "campaign: the database does again what it is asked",
    ]


async def test_an_outage_is_waited_for_and_loses_nobody(bench: Bench) -> None:
    key = bench.desk.begin()
    bench.server.refuse = [httpx.Response(503, json={"message": "down"}) for _ in range(6)]
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (len(bench.server.sent), len(set(bench.server.sent)), len(bench.server.calls)) == (7, 1, 1)
    assert bench.desk.store.counts() == {"reached": 1}


async def test_what_the_api_refuses_after_a_failure_is_unknown_at_once(bench: Bench) -> None:
    key = bench.desk.begin()
    bench.server.refuse = [httpx.Response(503, json={}), httpx.Response(422, json={"message": "no such agent"})]
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (len(bench.server.sent), bench.result) == (2, "unknown")


async def test_a_network_that_is_down_uses_up_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bench.desk.begin()
    place, failures = Placing.place, [20]

    async def down(self: Placing, request: Any, *args: Any) -> str:
        if failures[0]:
            failures[0] -= 1
            raise APIConnectionError(request=httpx.Request("POST", BASE_URL), sent=False)
        return await place(self, request, *args)

    monkeypatch.setattr(Placing, "place", down)
    monkeypatch.setattr(worker_module, "_LONGEST_OUTAGE", 0.01)
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (len(bench.server.sent), bench.result) == (1, "user_hangup")
    assert bench.desk.store.counts() == {"reached": 1}


async def test_a_call_whose_analysis_does_not_come_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_ANALYSIS", 0.3)
    bench = Bench(tmp_path / "campaign.db", Settings(rules=attrs.evolve(RULES, opt_out="no_more")))
    key = bench.desk.begin()
    async with bench.worker() as worker:
        await worker.carry_out(key)
    assert (bench.result, bench.desk.store.counts()) == ("user_hangup", {"reached": 1})


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While it says so, there is no connection."""
    is_down, place = [True], Placing.place

    async def placed(self: Placing, request: Any, *args: Any) -> str:
        if is_down[0]:
            raise APIConnectionError(request=httpx.Request("POST", BASE_URL), sent=False)
        return await place(self, request, *args)

    monkeypatch.setattr(Placing, "place", placed)
    monkeypatch.setattr(worker_module, "_LONGEST_OUTAGE", 0.01)
    monkeypatch.setattr(worker_module, "_SILENT", 0.05)
    monkeypatch.setattr(worker_module, "_LOOK", 0.02)
    return is_down


async def test_an_outage_is_said_once_and_stands_beside_the_status_until_it_is_over(
    bench: Bench, down: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    key, note = bench.desk.begin(), ""
    async with bench.worker() as worker, anyio.create_task_group() as tasks:
        tasks.start_soon(worker.carry_out, key)
        with anyio.fail_after(10):
            while not note:
                await anyio.sleep(0.01)
                note = bench.desk.store.campaign()[3]  # as another process sees it
        assert note.startswith("the API does not answer, and is asked until it does: ")
        await anyio.sleep(0.1)
        down[0] = False
    assert bench.result == "user_hangup"
    assert bench.desk.store.campaign()[2:] == ("running", "")
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [f"campaign: {note}", "campaign: the API answers again"]


def halt(bench: Bench, worker: Worker, how: str) -> None:
    """Let nothing be sent any more."""
    if how == "stop":
        worker.stop.set()
    else:
        bench.desk.store.hold()


@pytest.mark.parametrize("how", ["stop", "pause"])
@pytest.mark.parametrize("asks", [True, False], ids=["for room", "for a call"])
async def test_an_outage_keeps_nobody_from_stopping(bench: Bench, down: list[bool], how: str, asks: bool) -> None:
    if asks:
        bench.server.is_down = True
    key = bench.desk.begin()
    async with bench.worker() as worker, anyio.create_task_group() as tasks:
        tasks.start_soon(worker.carry_out, key)
        await anyio.sleep(0.1)
        halt(bench, worker, how)
        with anyio.fail_after(5):
            while bench.desk.store.open_attempts():  # noqa: ASYNC110 - see above
                await anyio.sleep(0.01)
    assert bench.desk.store.counts() == {"waiting": 1}
    assert bench.server.sent == []


@pytest.mark.parametrize("what", ["stop", "pause"])
@pytest.mark.parametrize("of", ["the account", "the campaign"])
async def test_what_waits_for_room_is_taken_back_when_nothing_is_to_be_sent_any_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, of: str, what: str
) -> None:
    monkeypatch.setattr(worker_module, "_LOOK", 0.02)
    key = bench.desk.begin()
    async with bench.worker() as worker:
        if of == "the account":
            bench.server.room = 0
        else:
            worker.live = 0
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                tasks.start_soon(worker.carry_out, key)
                await anyio.sleep(0.1)
                halt(bench, worker, what)
    assert bench.server.sent == []
    assert bench.desk.store.open_attempts() == []
    assert bench.desk.store.counts() == {"waiting": 1}
