"""A custom LLM and a watched call in the process of the test: no port, no network."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import anyio
import httpx
import pytest

from retell_async import AsyncRetell, NotFoundError, llm
from retell_async.llm.monitor import MonitorError, MonitorItem
from retell_async.sandbox import Settings
from retell_async.testing import LocalRetell, SandboxTransport
from retell_async.types import CallResponse

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-tests"
URL = f"wss://any.example/{SECRET}"


class Brief(llm.Agent):
    """Says goodbye after two answers, and notes how it ends."""

    ends: list[str]

    def __init__(self, ends: list[str]) -> None:
        self.ends = ends

    async def on_turn(self, turn: llm.Turn) -> AsyncIterator[str]:
        answers = turn.session.state["answers"] = turn.session.state.get("answers", 0) + 1
        yield f"Answer {answers}."
        if answers == 2:
            turn.end_call()

    async def on_exit(self, session: llm.Session) -> None:
        self.ends.append(f"over: {session.ended}")

    async def on_leave(self, session: llm.Session) -> None:
        self.ends.append(f"left: {session.ended}")


def brief(ends: list[str], **settings: Any) -> llm.App:
    app = llm.App(secret=SECRET, begin_message="Hello.", **settings)
    app.agent(lambda: Brief(ends))
    return app


async def place(local: LocalRetell, client: AsyncRetell, url: str = URL) -> str:
    number = local.create_fixtures(response_engine={"type": "custom-llm", "llm_websocket_url": url}).phone_number
    return (await client.call.create_phone_call(from_number=number, to_number="+14155550123", metadata={"of": "me"})).call_id


def sandbox() -> LocalRetell:
    return LocalRetell(Settings(outcomes={"user_hangup": 1}))


async def led_by(app: Any, url: str = URL) -> CallResponse:
    """A call that an application led, after its end."""
    local = sandbox()
    local.send_to(app)
    async with local.client() as client:
        call_id = await place(local, client, url)
        await local.advance(120)
        return await client.call.retrieve(call_id)


async def test_a_call_to_its_end() -> None:
    ends = list[str]()
    call = await led_by(brief(ends, admit={"of": "me"}))
    assert (call.call_status, call.disconnection_reason) == ("ended", "agent_hangup")
    assert [line.content for line in call.transcript_object or () if line.role == "agent"] == ["Hello.", "Answer 1.", "Answer 2."]
    assert ends == ["over: closed"]


@pytest.mark.parametrize("outcome", ["user_hangup", "voicemail_reached", "ivr_reached", "inactivity", "max_duration_reached"])
async def test_the_end_of_a_call_closes_its_connection(outcome: str) -> None:
    """Whatever ends it; and what is known of an ended call stays."""

    class Patient(Brief):
        async def on_turn(self, turn: llm.Turn) -> AsyncIterator[str]:
            yield "Go on."

    local, ends = LocalRetell(Settings(outcomes={outcome: 1})), list[str]()
    app = llm.App(secret=SECRET, begin_message="Hello.")
    app.agent(lambda: Patient(ends))
    local.send_to(app)
    async with local.client() as client, local.running():
        call_id = await place(local, client)
        await local.advance(600)
        call = await client.call.retrieve(call_id)
        assert call.call_status == "ended"
        assert (ends, len(app.sessions), local.sandbox.sessions) == (["over: closed"], 0, {})
        await local.advance(3600)
        assert await client.call.retrieve(call_id) == call


@pytest.mark.parametrize("running", [True, False])
async def test_step_by_step(running: bool) -> None:
    """In one connection while the sandbox runs, else in one for each step."""
    local, ends = sandbox(), list[str]()
    local.send_to(brief(ends))

    async def steps() -> None:
        for _ in range(40):
            await local.advance(2)

    async with local.client() as client:
        call_id = await place(local, client)
        if running:
            async with local.running():
                await steps()
        else:
            await steps()
        call = await client.call.retrieve(call_id)
    assert call.disconnection_reason == "agent_hangup"
    assert [line.content for line in call.transcript_object or () if line.role == "agent"] == ["Hello.", "Answer 1.", "Answer 2."]
    assert ends[-1] == "over: closed"
    assert (len(ends) == 1) == running
    assert set(ends[:-1]) <= {"left: shutdown"}


def draining() -> llm.App:
    app = brief([])
    app.draining = True
    return app


def unavailable(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503)


@pytest.mark.parametrize(
    ("app", "url", "says"),
    [
        (brief([]), "wss://any.example/wrong-secret", "it answers 403: the path or the secret"),
        (draining(), URL, "it answers 503: it takes no more calls, or fails"),
        (httpx.MockTransport(unavailable), URL, "it answers 503: it takes no more calls, or fails"),
        (httpx.ASGITransport(brief([])), URL, "send_to needs the application itself"),
    ],
)
async def test_a_websocket_that_is_not_opened(app: Any, url: str, says: str, caplog: pytest.LogCaptureFixture) -> None:
    assert (await led_by(app, url)).disconnection_reason == "error_llm_websocket_open"
    assert says in caplog.text


async def test_an_application_that_raises(problems: list[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError

    assert (await led_by(app)).disconnection_reason == "error_llm_websocket_runtime"
    assert all("the application failed" in problem for problem in problems)
    assert len(problems) == 5  # it is connected to anew four times
    problems.clear()


async def test_rules_that_an_application_breaks_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        frame = {"response_type": "response", "response_id": 0, "content": "Bye.", "content_complete": True, "end_call": True}
        await send({"type": "websocket.send", "text": json.dumps({**frame, "transfer_number": "+14155550100"})})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    caplog.set_level(logging.WARNING)
    await led_by(app)
    assert "its custom LLM broke a rule: one-action: end_call and transfer_number" in caplog.text


async def until_ongoing(local: LocalRetell, client: AsyncRetell, call_id: str) -> None:
    while (await client.call.retrieve(call_id)).call_status == "registered":
        await local.advance(1)


async def test_a_call_is_watched_to_its_last_words() -> None:
    local = sandbox()
    seen: dict[str, str | None] = {}

    async with local.client() as client:
        number = local.create_fixtures().phone_number
        call_id = (await client.call.create_phone_call(from_number=number, to_number="+14155550123")).call_id
        await until_ongoing(local, client, call_id)

        async def watch() -> None:
            async for item in client.call.monitor(call_id):
                seen[item.id] = item.content

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.sleep(0.1)
            assert len(seen) <= 2
            await local.advance(600)
        call = await client.call.retrieve(call_id)
    assert list(seen.values()) == [line.content for line in call.transcript_object or ()]


async def test_who_may_not_watch() -> None:
    local = sandbox()
    async with local.client() as client, AsyncExitStack() as stack:

        async def watched() -> MonitorItem:
            return await anext(await stack.enter_async_context(aclosing(client.call.monitor(call_id))))

        number = local.create_fixtures().phone_number
        call_id = (await client.call.create_phone_call(from_number=number, to_number="+14155550123")).call_id
        with pytest.raises(MonitorError, match="4004"):
            await watched()
        await until_ongoing(local, client, call_id)
        await local.advance(10)
        async with aclosing(client.call.monitor(call_id)) as first:
            await anext(first)
            for _ in range(4):
                await watched()
            with pytest.raises(MonitorError, match="4008"):
                await watched()
        await watched()
    with pytest.raises(NotFoundError, match="not opened"):
        async with AsyncRetell("key", base_url="http://retell.sandbox/elsewhere", http_client=http_of(local)) as lost:
            await anext(lost.call.monitor(call_id))


def http_of(local: LocalRetell) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=SandboxTransport(local.sandbox))
