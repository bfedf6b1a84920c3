"""Waiting for what goes on, and finding what ended: the client in virtual time."""

from __future__ import annotations

import gc
import json
import pickle
import weakref
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import trio

from retell_async import AuthenticationError, ConfigurationError, Retell, RetellError, UnprocessableEntityError, WaitTimeoutError, webhooks
from retell_async._helpers.call import Ends

from ..engine.virtual import Server, run

Json = dict[str, Any]
LIST, GET = "list-calls", "get-call"


class Account:
    """An account whose calls end, and are analysed, at times of their own."""

    def __init__(self, calls: dict[str, Json], fault: Callable[[httpx.Request, float], httpx.Response | None] = lambda *_: None) -> None:
        self.calls = calls
        self.fault = fault
        self.server = Server(self.answer, latency=0.05)

    def call(self, name: str, now: float) -> Json:
        said = self.calls[name]
        over = now >= said["ends"]
        call: Json = {
            "call_id": name,
            "call_type": "web_call",
            "agent_id": "a",
            "call_status": said.get("status", "ended") if over else "ongoing",
        }
        if said.get("status") != "not_connected":
            call["start_timestamp"] = 1
        if over and said.get("status") != "not_connected":
            call["end_timestamp"] = 2
        if now >= said.get("analysed", float("inf")):
            call["call_analysis"] = {"call_summary": "short"}
        more: Json = said.get("more", {})
        return call | more

    def is_known(self, name: str, now: float) -> bool:
        return name in self.calls and now >= self.calls[name].get("known", 0.0)

    def answer(self, request: httpx.Request, now: float) -> httpx.Response:
        if (fault := self.fault(request, now)) is not None:
            return fault
        path = request.url.path
        if GET in path:
            name = path.rpartition("/")[2]
            if not self.is_known(name, now):
                return httpx.Response(422, json={"status": "error", "message": "no such call"})
            return httpx.Response(200, json=self.call(name, now) | {"transcript": "hello"})
        criteria = json.loads(request.content)["filter_criteria"]
        found = [self.call(name, now) for name in criteria["call_id"]["value"] if self.is_known(name, now)]
        if "call_status" in criteria:
            found = [call for call in found if call["call_status"] in criteria["call_status"]["value"]]
        return httpx.Response(200, json={"items": found, "has_more": False})

    def run(self, main: Callable[[Any], Awaitable[None]], **settings: Any) -> None:
        async def begun() -> None:
            async with self.server.client(hooks=(), **settings) as client:
                await main(client)

        run(begun)


def test_all_who_wait_are_asked_for_with_one_request() -> None:
    account = Account({f"call_{number}": {"ends": 10 + number % 5} for number in range(300)})
    ended: dict[str, float] = {}

    async def main(client: Any) -> None:
        start = trio.current_time()

        async def one(name: str) -> None:
            call = await client.call.wait(name)
            assert (call.call_status, call.transcript) == ("ended", "hello")
            ended[name] = trio.current_time() - start

        async with trio.open_nursery() as tasks:
            for name in account.calls:
                tasks.start_soon(one, name)

    account.run(main)
    assert len(ended) == 300
    assert all(account.calls[name]["ends"] <= moment <= account.calls[name]["ends"] + 3 for name, moment in ended.items())
    assert len(account.server.times(LIST)) <= 10
    assert len(account.server.times(GET)) == 300


@pytest.mark.parametrize(
    ("said", "after"),
    [
        pytest.param({"ends": 10, "analysed": 30}, 30, id="analysed later"),
        pytest.param({"ends": 10, "status": "not_connected"}, 10, id="never connected"),
        pytest.param({"ends": 10, "more": {"data_storage_setting": "basic_attributes_only"}}, 10, id="nothing stored"),
        pytest.param({"ends": 10, "status": "error", "analysed": 20}, 20, id="error"),
        pytest.param({"ends": 10, "status": "archived", "analysed": 20}, 20, id="a new status"),
    ],
)
def test_a_call_is_waited_for_until_it_is_analysed_or_cannot_be(said: Json, after: float) -> None:
    account = Account({"call_1": said})

    async def main(client: Any) -> None:
        start = trio.current_time()
        call = await client.call.wait("call_1", until="analyzed")
        assert after <= trio.current_time() - start <= after + 70
        assert (call.call_analysis is not None) == ("analysed" in said)

    account.run(main)


def test_time_runs_out_with_what_was_seen_last() -> None:
    account = Account({"call_1": {"ends": 1000}})

    async def main(client: Any) -> None:
        start = trio.current_time()
        with pytest.raises(WaitTimeoutError, match="call_1 was not done within 60 s") as caught:
            await client.call.wait("call_1", within=60)
        assert trio.current_time() - start == 60
        assert caught.value.last is not None
        assert isinstance(caught.value, TimeoutError)
        assert pickle.loads(pickle.dumps(caught.value)).name == "call_1"
        with pytest.raises(WaitTimeoutError, match="never seen"):
            await client.call.wait("call_1", within=0.05)

    account.run(main)


def test_a_call_that_is_new_need_not_be_known_everywhere() -> None:
    account = Account({"call_1": {"known": 15, "ends": 12}, "call_2": {"known": 100, "ends": 90}})

    async def main(client: Any) -> None:
        assert (await client.call.wait("call_1")).call_id == "call_1"
        ends = Ends(client.call, None, within=None, every=None)  # as those have who placed it
        assert (await ends.wait("call_2", "ended")).call_id == "call_2"
        assert trio.current_time() < 110
        with pytest.raises(UnprocessableEntityError, match="no such call"):
            await client.call.wait("call_0")
        assert 120 < trio.current_time() < 140
        with pytest.raises(UnprocessableEntityError, match="no such call"):
            await client.call.wait("call_0", within=10)
        with pytest.raises(UnprocessableEntityError, match="no such call"):
            await ends.wait("call_0", "ended")
        assert 250 < trio.current_time() < 290

    account.run(main)


def test_a_call_that_is_not_there_ends_its_own_wait_and_no_other() -> None:
    account = Account({"call_1": {"ends": 30}})

    async def main(client: Any) -> None:
        async def missing() -> None:
            with pytest.raises(UnprocessableEntityError, match="no such call"):
                await client.call.wait("call_0")

        async with trio.open_nursery() as tasks:
            tasks.start_soon(missing)
            assert (await client.call.wait("call_1")).call_id == "call_1"

    account.run(main)


def test_a_key_that_may_not_ask_ends_all_waits_at_once() -> None:
    account = Account({}, fault=lambda *_: httpx.Response(401, json={"message": "no"}))
    ended: list[Exception] = []

    async def main(client: Any) -> None:
        async def one() -> None:
            try:
                await client.call.wait("call_1")
            except RetellError as error:
                ended.append(error)

        async with trio.open_nursery() as tasks:
            for _ in range(50):
                tasks.start_soon(one)

    account.run(main)
    assert {type(error) for error in ended} == {AuthenticationError}
    assert len(ended) == 50
    assert len(account.server.arrivals) == 1


def test_an_outage_is_outlasted() -> None:
    account = Account({"call_1": {"ends": 10}}, fault=lambda _, now: httpx.Response(503) if 5 < now < 300 else None)

    async def main(client: Any) -> None:
        assert (await client.call.wait("call_1")).call_status == "ended"

    account.run(main, max_retries=0)
    assert account.server.times()[-1] >= 300


def test_whoever_asks_for_all_may_leave() -> None:
    account = Account({"call_1": {"ends": 100}, "call_2": {"ends": 20}})

    async def main(client: Any) -> None:
        async with trio.open_nursery() as tasks:

            async def leaves() -> None:
                with trio.move_on_after(5):
                    await client.call.wait("call_1")

            tasks.start_soon(leaves)
            await trio.sleep(1)
            assert (await client.call.wait("call_2")).call_status == "ended"

    account.run(main)
    assert len(account.server.times(LIST)) <= 14


def test_events_end_a_wait_at_once_and_make_questions_rare() -> None:
    account = Account({f"call_{number}": {"ends": 1000} for number in range(100)})
    router = webhooks.Router("key")
    ended: list[Any] = []

    async def main(client: Any) -> None:
        async def one(name: str) -> None:
            ended.append(await client.call.wait(name, router=router))

        async with trio.open_nursery() as tasks:
            for name in account.calls:
                tasks.start_soon(one, name)
            await trio.sleep(45)
            for name in account.calls:
                call = {"call_id": name, "call_type": "web_call", "call_status": "ended", "transcript": "bye"}
                body = json.dumps({"event": "call_ended", "call": call})
                await deliver(router, body)

    account.run(main)
    assert {call.transcript for call in ended} == {"bye"}
    assert len(ended) == 100
    assert len(account.server.times(LIST)) == 2
    assert not account.server.times(GET)


async def deliver(router: Any, body: str) -> None:
    transport = httpx.ASGITransport(router)
    async with httpx.AsyncClient(transport=transport, base_url="http://own.test") as sender:
        answer = await sender.post("/events", content=body, headers={"x-retell-signature": webhooks.sign(body, "key")})
    assert answer.status_code == 204


@pytest.mark.parametrize(
    "wrong",
    [{"until": "over"}, {"within": 0}, {"within": "1"}, {"within": timedelta(seconds=1)}, {"every": -1}, {"every": True}],
    ids=str,
)
def test_what_cannot_be_waited_for_is_said_at_once(wrong: Json) -> None:
    account = Account({})

    async def main(client: Any) -> None:
        name = next(iter(wrong))
        with pytest.raises(ConfigurationError, match=name if name == "until" else f"{name} must be a number of seconds above 0"):
            await client.call.wait("call_1", **wrong)
        with pytest.raises(ValueError, match="empty"):
            await client.call.wait("")

    account.run(main)
    assert not account.server.arrivals


@pytest.mark.parametrize("wrong", ["router", 5, object(), webhooks.Router])
def test_what_gives_no_events_is_no_router(wrong: Any) -> None:
    account = Account({})

    async def main(client: Any) -> None:
        for resource in (client.call, client.chat):
            with pytest.raises(ConfigurationError, match=r"router must be a webhooks\.Router, or another object whose `on`"):
                await resource.wait("call_1", router=wrong)

    account.run(main)
    assert not account.server.arrivals


def test_what_ended_since_a_moment_is_found_and_what_never_connected_among_it() -> None:
    def call(name: str, status: str, start: int | None, end: int | None) -> Json:
        times = {"start_timestamp": start, "end_timestamp": end}
        return {"call_id": name, "call_type": "phone_call", "call_status": status, **{key: value for key, value in times.items() if value}}

    since = datetime(2026, 10, 1, tzinfo=UTC)
    moment = int(since.timestamp() * 1000)
    calls = [
        call("old", "ended", moment - 9000, moment - 5000),
        call("new", "ended", moment - 9000, moment + 5000),
        call("broken", "error", moment + 1000, None),
        call("failed", "error", moment - 9000, moment + 1),
        call("unheard", "not_connected", None, None),
        call("old and broken", "error", moment - 9000, None),
    ]

    def answer(request: httpx.Request, _: float) -> httpx.Response:
        criteria = json.loads(request.content)["filter_criteria"]
        found = [
            one
            for one in calls
            if ("end_timestamp" not in criteria or one.get("end_timestamp", 0) >= criteria["end_timestamp"]["value"])
            and ("call_status" not in criteria or one["call_status"] in criteria["call_status"]["value"])
        ]
        return httpx.Response(200, json={"items": found, "has_more": False})

    async def main() -> None:
        async with Server(answer).client() as client:
            for form in (since, since.timestamp()):
                found = [one.call_id async for one in client.call.ended_since(form)]
                assert sorted(found) == ["broken", "failed", "new", "old and broken", "unheard"]
            wrongs: list[Any] = [since.replace(tzinfo=None), since.date(), timedelta(1), "yesterday", since.timestamp() * 1000, True]
            for wrong in wrongs:
                with pytest.raises(ConfigurationError, match="a datetime with a time zone, or Unix time in seconds"):
                    await anext(client.call.ended_since(wrong))

    run(main)


def test_a_chat_a_knowledge_base_and_a_batch_of_tests_are_waited_for_too() -> None:
    def answer(request: httpx.Request, now: float) -> httpx.Response:
        path = request.url.path
        chat: Json = {"chat_id": "chat_1", "agent_id": "a", "chat_status": "ended" if now >= 5 else "ongoing"}
        if now >= 12:
            chat["chat_analysis"] = {"chat_summary": "short"}
        if "list-chats" in path:
            return httpx.Response(200, json={"items": [chat], "has_more": False})
        if "get-chat" in path:
            return httpx.Response(200, json=chat | {"transcript": "hello"})
        if "get-knowledge-base" in path:
            ready = {"knowledge_base_id": "kb_1", "knowledge_base_name": "one", "status": "complete" if now >= 20 else "in_progress"}
            return httpx.Response(200, json=ready)
        if "list-knowledge-bases" in path:
            names = ("kb_1", "kb_2")
            return httpx.Response(
                200,
                json=[
                    {"knowledge_base_id": name, "knowledge_base_name": name, "status": "error" if now >= 30 else "in_progress"}
                    for name in names
                ],
            )
        return httpx.Response(200, json={"test_case_batch_job_id": "job_1", "status": "complete" if now >= 40 else "in_progress"})

    server = Server(answer)

    async def main() -> None:
        async with server.client() as client:
            start = trio.current_time()
            assert (await client.chat.wait("chat_1")).transcript == "hello"
            assert (await client.chat.wait("chat_1", until="analyzed")).chat_analysis is not None
            assert (await client.knowledge_base.wait("kb_1")).status == "complete"
            statuses: list[str] = []

            async def one(name: str) -> None:
                statuses.append((await client.knowledge_base.wait(name)).status)

            async with trio.open_nursery() as tasks:
                tasks.start_soon(one, "kb_2")
                tasks.start_soon(one, "kb_1")
            assert statuses == ["error", "error"]
            assert (await client.tests.wait("job_1")).status == "complete"
            assert 40 <= trio.current_time() - start <= 43

    run(main)


def test_one_client_waits_in_one_event_loop_after_the_other() -> None:
    account = Account({"call_1": {"ends": 10}})
    client = account.server.client(hooks=())

    async def main() -> None:
        with trio.move_on_after(5):
            await client.call.wait("call_1")

    async def again() -> None:
        assert (await client.call.wait("call_1")).call_status == "ended"
        await client.aclose()

    run(main)
    account.calls["call_1"]["ends"] = 0
    account.server.start = None
    run(again)


def test_a_client_without_await_waits_and_finds_too() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        call: Json = {"call_id": "call_1", "call_type": "web_call", "call_status": "ended", "end_timestamp": 2}
        if "get-call" in path:
            return httpx.Response(200, json=call | {"transcript": "hello"})
        if "list-calls" in path:
            return httpx.Response(200, json={"items": [call], "has_more": False})
        if "knowledge-base" in path:
            return httpx.Response(200, json={"knowledge_base_id": "kb_1", "knowledge_base_name": "one", "status": "complete"})
        if "chat" in path:
            chat: Json = {"chat_id": "chat_1", "chat_status": "ended", "transcript": "hello"}
            return httpx.Response(200, json={"items": [chat], "has_more": False})
        return httpx.Response(200, json={"test_case_batch_job_id": "job_1", "status": "complete"})

    with Retell("key", http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer))) as client:
        assert client.call.wait("call_1").transcript == "hello"
        assert [call.call_id for call in client.call.ended_since(1.0)] == ["call_1"]
        assert client.chat.wait("chat_1").transcript == "hello"
        assert client.knowledge_base.wait("kb_1").status == "complete"
        assert client.tests.wait("job_1").status == "complete"
        with pytest.raises(ConfigurationError):
            client.call.wait("call_1", within=0)


@pytest.mark.parametrize("status", [400, 422])
def test_an_id_that_the_api_refuses_ends_its_own_wait_alone(status: int) -> None:
    def fault(request: httpx.Request, _: float) -> httpx.Response | None:
        refused = httpx.Response(status, json={"status": "error", "message": "an id is malformed"})
        if LIST in request.url.path:
            return refused if "bad" in json.loads(request.content)["filter_criteria"]["call_id"]["value"] else None
        return refused if request.url.path.endswith("bad") else None

    account = Account({"call_1": {"ends": 10}, "call_2": {"ends": 20}}, fault)
    ended: dict[str, str] = {}

    async def main(client: Any) -> None:
        async def one(name: str) -> None:
            try:
                ended[name] = (await client.call.wait(name)).call_status
            except RetellError as error:
                ended[name] = type(error).__name__

        async with trio.open_nursery() as tasks:
            for name in ("call_1", "bad", "call_2"):
                tasks.start_soon(one, name)

    account.run(main)
    assert ended.pop("bad") in {"BadRequestError", "UnprocessableEntityError"}
    assert ended == {"call_1": "ended", "call_2": "ended"}


@pytest.mark.parametrize("name", ["", "call_\ud83d", 7, b"call_1", None], ids=repr)
def test_what_is_no_id_is_said_to_whoever_gives_it(name: Any) -> None:
    account = Account({"call_1": {"ends": 5}})

    async def main(client: Any) -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(client.call.wait, "call_1")
            await trio.sleep(1)
            with pytest.raises((TypeError, ValueError), match="id of what is waited for"):
                await client.call.wait(name)

    account.run(main)


@pytest.mark.parametrize("answer", [503, b"<html>", b"null", b"[]"], ids=repr)
@pytest.mark.parametrize("path", [LIST, GET])
def test_an_outage_of_any_kind_is_outlasted_to_the_last_question(path: str, answer: int | bytes) -> None:
    def fault(request: httpx.Request, now: float) -> httpx.Response | None:
        if path not in request.url.path or not 8 < now < 60:
            return None
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, content=answer)

    account = Account({"call_1": {"ends": 10}}, fault)

    async def main(client: Any) -> None:
        assert (await client.call.wait("call_1")).transcript == "hello"

    account.run(main, max_retries=0)


def test_the_time_to_wait_holds_for_fetching_the_whole_too() -> None:
    account = Account({"call_1": {"ends": 10}}, lambda request, _: httpx.Response(503) if GET in request.url.path else None)

    async def main(client: Any) -> None:
        start = trio.current_time()
        with pytest.raises(WaitTimeoutError):
            await client.call.wait("call_1", within=30)
        assert trio.current_time() - start == 30

    account.run(main)


def test_a_wait_ends_at_once_with_the_client_and_is_asked_for_at_once_when_it_joins_others() -> None:
    account = Account({"call_1": {"ends": 1000}, "call_2": {"ends": 0}})

    async def main() -> None:
        client = account.server.client(hooks=())
        async with trio.open_nursery() as tasks:

            async def waits() -> None:
                with pytest.raises(RetellError, match="closed"):
                    await client.call.wait("call_1", every=600)

            tasks.start_soon(waits)
            await trio.sleep(0.12)  # the question is under way
            start = trio.current_time()
            await client.call.wait("call_2", every=600)
            assert trio.current_time() - start < 2
            await client.aclose()

    async def begun() -> None:
        start = trio.current_time()
        await main()
        assert trio.current_time() - start < 5

    run(begun)


def test_an_event_ends_the_wait_of_the_one_who_asks_while_it_asks() -> None:
    account = Account(
        {"call_1": {"ends": 1000}}, lambda request, now: httpx.Response(429, headers={"retry-after": "300"}) if now > 1 else None
    )
    router = webhooks.Router("key")

    async def main(client: Any) -> None:
        start = trio.current_time()
        async with trio.open_nursery() as tasks:
            tasks.start_soon(lambda: client.call.wait("call_1", router=router, every=2.0))
            await trio.sleep(5)
            call = {"call_id": "call_1", "call_type": "web_call", "call_status": "ended", "transcript": "bye"}
            await deliver(router, json.dumps({"event": "call_ended", "call": call}))
        assert trio.current_time() - start < 6

    account.run(main)


def test_views_that_waited_leave_no_key_and_no_handler_with_a_router() -> None:
    account = Account({"call_1": {"ends": 0}})
    router = webhooks.Router("key")
    views: list[weakref.ref[Any]] = []

    async def main(client: Any) -> None:
        for number in range(20):
            view = client.with_options(api_key=f"key_of_tenant_{number}")
            views.append(weakref.ref(view))
            await view.call.wait("call_1", router=router)
            del view
        await trio.sleep(1)  # until when trio may hold the frames of what it cancelled last
        gc.collect()
        assert not [view for view in views if view() is not None]
        assert len(router._events["call_ended"]) == 1

    account.run(main)
