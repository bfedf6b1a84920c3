"""The custom-LLM conversation: its state machine without a socket, then a server on one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from retell_async.sandbox import Settings, serve
from retell_async.sandbox.outgoing.llm_session import Session
from retell_async.sandbox.simulation.lifecycle import CallProfile, plan_call
from retell_async.sandbox.simulation.outcomes import Outcomes

from ...webhooks.sending import served
from ..checked import Api

pytestmark = pytest.mark.parallel

Json = dict[str, Any]
NOW = 1_760_000_000_000


@attrs.define
class Talk:
    """A session whose socket is this test."""

    session: Session
    now: int
    ended: list[str]

    @classmethod
    def begin(cls, reason: str = "user_hangup", *, seed: int = 1, speed: float = 1) -> Talk:
        plan = plan_call(seed, "phone_call", NOW, Outcomes.of({reason: 1}), CallProfile(detects_voicemail=True))
        assert plan.start is not None
        ended: list[str] = []
        session = Session(
            url="ws://llm/call_1", plan=plan, speed=lambda: speed, details=lambda: {"call_id": "call_1"}, finished=ended.append
        )
        session.opened(plan.start)
        return cls(session, plan.start, ended)

    def sent(self, kind: str | None = None) -> list[Json]:
        """What was sent since the last time."""
        frames = [json.loads(frame) for frame in self.session.frames]
        self.session.frames.clear()
        return [frame for frame in frames if kind in {None, frame["interaction_type"]}]

    def say(self, content: str, id: int, *, complete: bool = True, **more: Any) -> None:
        self.tell({"response_type": "response", "response_id": id, "content": content, "content_complete": complete, **more})

    def tell(self, message: object) -> None:
        self.session.received(json.dumps(message), self.now)

    def pass_time(self) -> None:
        """Move on to the next thing that happens by itself."""
        deadline = self.session.deadline
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.session.time_passed(self.now)

    def asked(self) -> Json:
        """Wait until the server is to answer."""
        while True:
            for frame in self.sent():
                if frame["interaction_type"] in {"response_required", "reminder_required"}:
                    return frame
            self.pass_time()


def test_a_conversation_from_the_greeting_to_the_farewell() -> None:
    talk = Talk.begin()
    assert talk.sent() == []
    talk.say("Good ", 0, complete=False)
    talk.say("day.", 0)
    assert [frame["turntaking"] for frame in talk.sent()] == ["agent_turn"]
    ids = []
    while not talk.ended:
        asked = talk.asked() if talk.session.phase != "leaving" else None
        if asked is None:
            talk.pass_time()
            continue
        ids.append(asked["response_id"])
        assert asked["transcript"][-1]["role"] == "user"
        assert "transcript_with_tool_calls" not in asked
        talk.say("Certainly.", asked["response_id"])
        while talk.session.phase == "agent":
            talk.pass_time()
    assert ids == list(range(1, len(ids) + 1))
    assert talk.ended == ["user_hangup"]
    assert talk.session.closing == 1000
    assert [line["role"] for line in talk.session.spoken] == ["agent", *["user", "agent"] * len(ids)]
    edges = [edge for line in talk.session.spoken for word in line["words"] for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)


def test_config_details_and_tool_calls() -> None:
    talk = Talk.begin()
    talk.tell({"response_type": "config", "config": {"call_details": True, "transcript_with_tool_calls": True}})
    assert talk.sent() == [{"interaction_type": "call_details", "call": {"call_id": "call_1"}}]
    talk.say("Hello.", 0)
    asked = talk.asked()
    talk.tell({"response_type": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": "{}"})
    talk.tell({"response_type": "tool_call_result", "tool_call_id": "t1", "content": "ok", "successful": True})
    talk.say("Done.", asked["response_id"], digit_to_press="12")
    roles = [item["role"] for item in talk.asked()["transcript_with_tool_calls"]]
    assert roles == ["agent", "user", "tool_call_invocation", "tool_call_result", "agent", "dtmf", "dtmf", "user"]


@pytest.mark.parametrize(
    ("action", "reason"), [({"end_call": True, "transfer_number": "+1"}, "agent_hangup"), ({"transfer_number": "+1"}, "call_transfer")]
)
def test_what_the_server_does_with_the_call(action: Json, reason: str) -> None:
    talk = Talk.begin()
    talk.say("Goodbye.", 0, **action)
    assert talk.ended == []
    talk.pass_time()
    assert talk.ended == [reason]


def test_only_the_answer_to_the_last_question_counts() -> None:
    talk = Talk.begin()
    talk.say("Too early.", 1)
    talk.say("Hello.", 0)
    id = talk.asked()["response_id"]
    for wrong in (id - 1, id + 1, "1"):
        talk.tell({"response_type": "response", "response_id": wrong, "content": "No.", "content_complete": True})
    talk.tell({"response_type": "response", "response_id": id, "content": "No.", "content_complete": "yes"})
    talk.session.received("no JSON", talk.now)
    talk.session.received("[]", talk.now)
    assert talk.session.phase == "waiting"
    talk.tell({"response_id": id, "content": "Yes.", "content_complete": True})
    assert [line["content"] for line in talk.session.spoken if line["role"] == "agent"] == ["Hello.", "Yes."]


def test_a_server_that_does_not_answer_is_spoken_to_again() -> None:
    talk = Talk.begin()
    first = talk.asked()["response_id"]
    second = talk.asked()["response_id"]
    assert (first, second) == (1, 2)


def test_the_agent_begins_to_speak_with_the_first_sentence() -> None:
    talk = Talk.begin()
    talk.say("One moment", 0, complete=False)
    assert talk.sent() == []
    talk.say(", please. ", 0, complete=False)
    assert [frame["turntaking"] for frame in talk.sent()] == ["agent_turn"]
    talk.say("Here I am. ", 0, complete=False)
    talk.say("", 0)
    assert talk.sent() == []
    assert talk.session.spoken[0]["content"] == "One moment, please. Here I am. "


def test_an_answer_may_take_a_minute_if_more_of_it_comes() -> None:
    talk = Talk.begin()
    begun = talk.now
    for second in range(8, 56, 8):
        talk.now = begun + second * 1000
        talk.session.time_passed(talk.now)
        talk.say("Still looking. ", 0, complete=False)
    talk.say("There.", 0)
    assert talk.session.spoken[0]["content"] == "Still looking. " * 6 + "There."
    assert talk.session.faults == []


@pytest.mark.parametrize(("parts", "seconds"), [(1, 18), (9, 60)])
def test_what_came_of_an_answer_without_an_end_is_spoken(parts: int, seconds: int) -> None:
    talk = Talk.begin()
    begun = talk.now
    for part in range(1, parts + 1):
        talk.now = min(begun + part * 8_000, begun + 59_000)
        talk.say("And so on. ", 0, complete=False)
    talk.pass_time()
    assert talk.now - begun == seconds * 1000
    assert talk.session.spoken[0]["content"] == "And so on. " * parts
    assert "not completed" in talk.session.faults[0]


def test_time_stands_still_for_a_server_that_answers() -> None:
    talk = Talk.begin()
    talk.say("Hello.", 0)
    for _ in range(2):
        talk.asked()
        assert talk.session.busy(talk.now)
    id = talk.asked()["response_id"]
    assert not talk.session.busy(talk.now)
    talk.say("Yes.", id)
    talk.asked()
    assert talk.session.busy(talk.now)


def test_an_interruption_cuts_the_user_off() -> None:
    talk = Talk.begin()
    talk.say("Hello.", 0)
    while talk.session.phase != "user":
        talk.pass_time()
    talk.now += 700
    whole = len(talk.session.spoken[-1]["words"])
    talk.tell({"response_type": "agent_interrupt", "interrupt_id": 1, "content": "One moment.", "content_complete": True})
    user, agent = talk.session.spoken[-2:]
    assert 0 < len(user["words"]) < whole
    assert (user["role"], agent["content"]) == ("user", "One moment.")


def test_a_silent_user_is_reminded_as_often_as_it_says() -> None:
    talk = Talk.begin("inactivity")
    talk.tell({"response_type": "update_agent", "agent_config": {"reminder_trigger_ms": 3_000, "reminder_max_count": 2}})
    talk.say("Hello.", 0)
    talk.pass_time()
    quiet = talk.now
    asked = talk.asked()
    assert (asked["interaction_type"], talk.now - quiet) == ("reminder_required", 3_000)
    talk.say("Are you there?", asked["response_id"])
    talk.say("Hello?", talk.asked()["response_id"])
    talk.pass_time()
    assert talk.session.deadline is None
    assert talk.ended == []


def test_a_caller_who_falls_silent_is_reminded_and_goes_on() -> None:
    talk = Talk.begin(seed=2)
    talk.tell({"response_type": "update_agent", "agent_config": {"reminder_trigger_ms": 5_000}})
    talk.say("Hello.", 0)
    talk.say("Certainly.", talk.asked()["response_id"])
    while talk.session.phase == "agent":
        talk.pass_time()
    quiet = talk.now
    asked = talk.asked()
    assert (asked["interaction_type"], asked["response_id"], talk.now - quiet) == ("reminder_required", 2, 5_000)
    talk.say("Still there?", 2)
    assert talk.asked()["interaction_type"] == "response_required"


def test_a_caller_who_speaks_over_the_agent() -> None:
    talk = Talk.begin(seed=3)
    talk.say("Hello.", 0)
    said = "Certainly, and there is much more to say about that."
    talk.say(said, talk.asked()["response_id"])
    asked = talk.asked()
    agent, user = asked["transcript"][-2:]
    assert (asked["response_id"], agent["role"], user["role"]) == (2, "agent", "user")
    assert said.startswith(agent["content"])
    assert len(agent["content"]) < len(said) - 10
    talk.say(said, 2)
    while talk.session.phase == "agent":
        talk.pass_time()
    assert talk.session.spoken[-1]["content"] == said  # it does so once


@pytest.mark.parametrize(
    ("action", "ended"), [({"end_call": True}, "agent_hangup"), ({"transfer_number": "+14155550100"}, "call_transfer")]
)
def test_nobody_speaks_over_a_farewell(action: Json, ended: str) -> None:
    talk = Talk.begin(seed=3)
    talk.say("Hello.", 0)
    talk.say("Goodbye then, and have a nice day.", talk.asked()["response_id"], **action)
    talk.pass_time()
    assert talk.ended == [ended]


def test_what_the_server_does_against_the_rules() -> None:
    talk = Talk.begin()
    talk.say("Hello.", 0)
    id = talk.asked()["response_id"]
    talk.tell({"response_type": "response", "response_id": str(id), "content": "Yes.", "content_complete": True})
    second = talk.asked()["response_id"]
    talk.tell({"response_id": second, "content": "Yes.", "content_complete": True})
    talk.say("Yes.", talk.asked()["response_id"], end_call=True)
    talk.pass_time()
    assert talk.ended == ["agent_hangup"]
    assert talk.session.faults == [
        "completed: response 1 was not completed: nothing more came in 10 seconds",
        "well-formed: response has a `response_id` that is not a whole number",
        "response-type: a message without `response_type`",
    ]


def test_pings_and_what_comes_of_none() -> None:
    talk = Talk.begin(speed=10)
    talk.tell({"response_type": "config", "config": {"auto_reconnect": True}})
    lost = 0
    while not talk.ended:
        talk.pass_time()
        (ping,) = talk.sent("ping_pong")
        talk.tell({"response_type": "ping_pong", "timestamp": ping["timestamp"]})
        assert talk.session.deadline is not None
        while not talk.sent("ping_pong"):
            talk.pass_time()
        begun = talk.now
        while talk.session.closing is None:
            talk.pass_time()
        assert talk.now - begun == 50_000
        talk.session.closed(1006, talk.now)
        lost += 1
        if not talk.ended:
            talk.session.opened(talk.now)
            talk.tell({"response_type": "config", "config": {"auto_reconnect": True}})
    assert (lost, talk.ended) == (3, ["error_llm_websocket_lost_connection"])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, "agent_hangup"),
        (1005, "error_llm_websocket_open"),
        (1002, "error_llm_websocket_runtime"),
        (4000, "error_llm_websocket_runtime"),
    ],
)
def test_the_server_closes(code: int, reason: str) -> None:
    talk = Talk.begin()
    talk.session.closed(code, talk.now)
    assert talk.ended == [reason]


def test_a_connection_that_is_lost_is_opened_again_four_times() -> None:
    talk = Talk.begin()
    talk.say("Hello.", 0)
    asked = talk.asked()
    for _ in range(4):
        talk.session.closed(1006, talk.now)
        assert talk.session.connect_at == talk.now
        talk.session.opened(talk.now)
        assert talk.asked()["response_id"] == asked["response_id"]
    talk.session.closed(1006, talk.now)
    assert talk.ended == ["error_llm_websocket_runtime"]


def test_a_server_that_cannot_be_reached() -> None:
    talk = Talk.begin()
    talk.session.connected, talk.session.phase = False, "connecting"
    for _ in range(3):
        assert talk.ended == []
        talk.session.failed(talk.now)
    assert talk.ended == ["error_llm_websocket_open"]


def test_frames_that_are_not_text_end_the_call() -> None:
    talk = Talk.begin()
    talk.session.binary()
    assert (talk.ended, talk.session.closing) == (["error_llm_websocket_corrupt_payload"], 1007)


Server = Callable[[WebSocket], Awaitable[None]]


@asynccontextmanager
async def talking(server: Server, **agent: Any) -> AsyncIterator[tuple[Api, Any, str]]:
    """A sandbox whose agent talks by a server, the sandbox as it is served, and a call that was placed."""

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await server(socket)

    async with served(Starlette(routes=[WebSocketRoute("/llm/{call_id}", endpoint)])) as http:
        api = Api(Settings(outcomes={"user_hangup": 1}))
        engine = {"type": "custom-llm", "llm_websocket_url": f"http://{http.base_url.host}:{http.base_url.port}/llm?of={{{{tenant}}}}"}
        async with serve(api.sandbox) as listening:
            number = api.number()
            agent_id = api.agent(response_engine=engine, **agent)
            call = api.call(number, override_agent_id=agent_id, retell_llm_dynamic_variables={"tenant": "north"})
            yield api, listening, call["call_id"]


async def polite(socket: WebSocket) -> None:
    """Answers everything, and hangs up after its third answer."""
    assert socket.query_params["of"] == "north"
    await socket.send_json({"response_type": "config", "config": {"auto_reconnect": True, "call_details": True}})
    async for message in socket.iter_json():
        match message:
            case {"interaction_type": "ping_pong", "timestamp": timestamp}:
                await socket.send_json({"response_type": "ping_pong", "timestamp": timestamp})
            case {"interaction_type": "call_details", "call": call}:
                assert call["call_id"] == socket.path_params["call_id"]
                await socket.send_json({"response_type": "response", "response_id": 0, "content": "Hello.", "content_complete": True})
            case {"interaction_type": "response_required", "response_id": id}:
                answer = {"response_type": "response", "response_id": id, "content": "Yes.", "content_complete": True, "end_call": id == 3}
                await socket.send_json(answer)
            case _:
                pass


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_call_by_a_server() -> None:
    async with talking(polite) as (api, listening, call_id):
        await listening.advance(300)
        call = api.get(f"/v2/get-call/{call_id}")
        assert (call["call_status"], call["disconnection_reason"]) == ("ended", "agent_hangup")
        assert [line["role"] for line in call["transcript_object"]] == ["agent", *["user", "agent"] * 3]
        assert call["transcript"].startswith("Agent: Hello.\nUser: ")
        assert "llm_token_usage" not in call
        assert "call_analysis" in call


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_call_that_is_stopped_closes_the_socket() -> None:
    closed: list[int] = []

    async def server(socket: WebSocket) -> None:
        await socket.send_json({"response_type": "response", "response_id": 0, "content": "Hello.", "content_complete": True})
        while True:
            try:
                await socket.receive_text()
            except WebSocketDisconnect as gone:
                closed.append(gone.code)
                return

    async with talking(server) as (api, listening, call_id):
        while api.get(f"/v2/get-call/{call_id}")["call_status"] == "registered":
            await listening.advance(1)
        api.post(f"/v2/stop-call/{call_id}")
        await listening.advance(1)
        assert api.get(f"/v2/get-call/{call_id}")["disconnection_reason"] == "manual_stopped"
    assert closed == [1000]


@pytest.mark.soak
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "agent_hangup"), (1011, "error_llm_websocket_runtime"), (None, "error_llm_websocket_corrupt_payload")]
)
async def test_how_a_server_ends_a_call(code: int | None, reason: str) -> None:
    async def server(socket: WebSocket) -> None:
        if code is None:
            await socket.send_bytes(b"no text")
            with pytest.raises(WebSocketDisconnect):
                await socket.receive_text()
        else:
            await socket.close(code)

    async with talking(server) as (api, listening, call_id):
        await listening.advance(60)
        assert api.get(f"/v2/get-call/{call_id}")["disconnection_reason"] == reason


@pytest.mark.soak
@pytest.mark.anyio
@pytest.mark.parametrize("url", ["ws://127.0.0.1:9/llm", "ws://[", "no address", "ws://127.0.0.1:99999", f"ws://{'a' * 70}.example"])
async def test_nobody_serves_the_socket(url: str) -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    async with serve(api.sandbox) as listening:
        agent_id = api.agent(response_engine={"type": "custom-llm", "llm_websocket_url": url})
        call = api.call(api.number(), override_agent_id=agent_id)
        await listening.advance(60)
    assert api.get(f"/v2/get-call/{call['call_id']}")["disconnection_reason"] == "error_llm_websocket_open"
