"""A failure within the sandbox ends the call that it happened to, and is written down: no call goes on for ever and keeps its slot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from retell_async.sandbox import Settings
from retell_async.sandbox.outgoing import call_runner, custom_functions
from retell_async.sandbox.outgoing.llm_session import Session
from retell_async.sandbox.outgoing.outbox import AttemptResult

from ..checked import Api, Json

TOOL: Json = {"type": "custom", "name": "f", "url": "http://user.example/tool"}
EVENTS = ["call_started", "call_ended", "call_analyzed", "transcript_updated"]


def fail(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("about +12015550100")


def after(times: int, whole: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which fails when it was called so many times."""
    left = [times]

    def counted(*about: Any, **named: Any) -> Any:
        left[0] -= 1
        return whole(*about, **named) if left[0] >= 0 else fail()

    return counted


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (custom_functions, "arguments"),
        (custom_functions, "request"),
        (custom_functions, "tool_result"),
        (custom_functions, "variables_in"),
        (call_runner, "_variables"),
        (call_runner, "_milestones"),
        (call_runner, "_turns"),
        (call_runner, "paused"),
        (Session, "opened"),
        (Session, "received"),
        (Session, "time_passed"),
        (Session, "stop"),
    ],
)
@pytest.mark.parametrize("times", [0, 1, 2, 5])
def test_a_call_that_fails_ends(monkeypatch: pytest.MonkeyPatch, problems: list[str], holder: Any, name: str, times: int) -> None:
    monkeypatch.setattr(holder, name, after(times, getattr(holder, name)))
    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_url="http://user.example/hook"))
    engine: Json = {"type": "retell-llm", "llm_id": api.llm(general_tools=[TOOL, TOOL])}
    if holder is Session:
        engine = {"type": "custom-llm", "llm_websocket_url": "ws://user.example/llm"}
    agents = [{"agent_id": api.agent(response_engine=engine, webhook_events=EVENTS), "weight": 1}]
    number = str(api.post("/create-phone-number", {"outbound_agents": agents})["phone_number"])
    call_id = api.call(number)["call_id"]
    for _ in range(120):
        api.clock.advance(1)
        api.get("/get-concurrency")
        for delivery in list(api.sandbox.outbox.waiting.values()):
            api.sandbox.attempted(delivery.id, AttemptResult(200, b"{}"))
        for session in list(api.sandbox.sessions.values()):
            what = "opened" if session.connect_at is not None and session.connect_at <= api.clock.now() else "received"
            api.sandbox.session_event(call_id, what, **({"text": '{"response_id": 0, "content": "yes"}'} if what == "received" else {}))
    api.clock.advance(3_600)
    call = api.get(f"/v2/get-call/{call_id}")
    assert call["call_status"] in {"ended", "error"}
    assert api.get("/get-concurrency")["current_concurrency"] == 0
    if call["disconnection_reason"] == "error_retell":
        assert call["call_status"] == "error"
        assert problems
    assert all(call_id in problem and "+12015550100" not in problem for problem in problems)
    assert problems or times
    problems.clear()


def test_a_batch_goes_on_after_a_task_that_fails(monkeypatch: pytest.MonkeyPatch, problems: list[str]) -> None:
    api = Api()
    number = api.number()
    monkeypatch.setattr(sys.modules["retell_async.sandbox.operations.calls.batches"], "place", fail)
    api.post("/create-batch-call", {"from_number": number, "tasks": [{"to_number": "+12015550100"}] * 2})
    api.clock.advance(1)
    assert api.post("/v3/list-calls", {})["items"] == []
    assert len(problems) == 2
    problems.clear()


def ongoing(api: Api) -> str:
    """The id of a call whose custom LLM is about to be connected to."""
    engine = {"type": "custom-llm", "llm_websocket_url": "ws://user.example/llm"}
    agents = [{"agent_id": api.agent(response_engine=engine), "weight": 1}]
    call_id = str(api.call(str(api.post("/create-phone-number", {"outbound_agents": agents})["phone_number"]))["call_id"])
    while not api.sandbox.sessions:
        api.clock.advance(1)
        api.get("/get-concurrency")
    return call_id


def test_a_call_that_is_deleted_while_it_goes_on_stays_away() -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    call_id = ongoing(api)
    api.delete(f"/v2/delete-call/{call_id}")
    for _ in range(3):
        api.sandbox.session_event(call_id, "failed")
        api.clock.advance(10)
    reason = {"type": "enum", "op": "in", "value": ["error_llm_websocket_open"]}
    assert api.post("/v3/list-calls", {"filter_criteria": {"disconnection_reason": reason}})["items"] == []


@pytest.mark.parametrize("request_path", ["/v2/stop-call", "/v2/delete-call"])
def test_a_call_that_ends_while_it_is_not_connected_is_not_connected_any_more(request_path: str) -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    call_id = ongoing(api)
    api.sandbox.session_event(call_id, "failed")
    (api.post if "stop" in request_path else api.delete)(f"{request_path}/{call_id}")
    api.clock.advance(3_600)
    api.get("/get-concurrency")
    assert not api.sandbox.sessions
