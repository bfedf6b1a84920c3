"""Nothing is used that was not checked: fields where the document has none, under every name that the sandbox has a use for elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

import retell_async.sandbox
from retell_async.sandbox import Settings
from retell_async.sandbox.openapi.document import packaged_document
from retell_async.sandbox.outgoing.outbox import AttemptResult

from ..checked import Api, Json

USER = "http://user.example"
TOOL: Json = {"type": "custom", "name": "f", "url": f"{USER}/tool", "parameters": {"type": "object", "properties": {"a": {}}}}
TRANSFER: Json = {
    "type": "transfer_call",
    "name": "t",
    "transfer_destination": {"type": "predefined", "number": "+12015550144"},
    "transfer_option": {"type": "cold_transfer"},
}
LLM: Json = {"general_tools": [TOOL, TRANSFER], "states": [{"name": "s", "tools": [TOOL]}], "starting_state": "s"}
FLOW: Json = {"start_speaker": "agent", "nodes": [{"id": "a", "type": "end"}], "start_node_id": "a", "tools": [{**TOOL, "tool_id": "t"}]}
OVERRIDE: Json = {"agent": {"voice_speed": 1}, "retell_llm": {"model_temperature": 0}, "conversation_flow": {"model_temperature": 0}}


@cache
def names() -> list[str]:
    """The names of fields that the sandbox's own code reads, of whatever."""
    files = Path(retell_async.sandbox.__file__).parent.rglob("*.py")
    return sorted({name for file in files for name in re.findall(r"(?:get\(|\[)\"([a-z_]+)\"", file.read_text(encoding="utf-8"))})


def objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield cast("Json", value)
    for inner in [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


@cache
def unchecked(path: str, text: str) -> list[tuple[int, str]]:
    """The names that each object of a body may have with anything at all: those that the document does not know there."""
    found = packaged_document().match("POST", path)
    assert found is not None
    check = found[0]._body_check  # pyright: ignore[reportPrivateUsage]
    body = json.loads(text)

    def allowed(holder: Json, names: list[str]) -> list[str]:
        """Those of the names that the holder may have with something that no field is meant to be."""
        holder |= {name: [[{}]] for name in names}
        valid = check.is_valid(body)
        for name in names:
            del holder[name]
        if valid:
            return names
        middle = len(names) // 2
        return allowed(holder, names[:middle]) + allowed(holder, names[middle:]) if middle else []

    return [
        (number, name)
        for number, holder in enumerate(list(objects(body)))
        for name in allowed(holder, [name for name in names() if name not in holder])
    ]


def littered(path: str, body: Json, junk: Any) -> Json:
    """A body with junk wherever it is not refused."""
    sent = deepcopy(body)
    holders = list(objects(sent))
    places = unchecked(path, json.dumps(body))
    assert len(places) > len(holders)
    for number, name in places:
        holders[number][name] = junk
    return sent


def account(post: Callable[[str, Json], Json]) -> tuple[str, list[str], list[str]]:
    """A number, voice agents and chat agents: one on an LLM, one on a flow, one on a custom LLM."""
    engines: list[Json] = [
        {"type": "retell-llm", "llm_id": post("/create-retell-llm", LLM)["llm_id"]},
        {"type": "conversation-flow", "conversation_flow_id": post("/create-conversation-flow", FLOW)["conversation_flow_id"]},
        {"type": "custom-llm", "llm_websocket_url": "ws://user.example/llm"},
    ]
    voice = [str(post("/create-agent", {"voice_id": "retell-Cimo", "response_engine": engine})["agent_id"]) for engine in engines]
    chat = [str(post("/create-chat-agent", {"response_engine": engine})["agent_id"]) for engine in engines]
    agents = [{"agent_id": voice[0], "weight": 1}]
    return str(post("/create-phone-number", {"inbound_agents": agents, "outbound_agents": agents})["phone_number"]), voice, chat


@pytest.mark.parametrize("junk", [None, "x", 5, [None], {"a": None}, [{"type": "custom"}]], ids=repr)
def test_what_the_document_does_not_know_is_not_used(junk: Any) -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_url=f"{USER}/hook"))
    number, voice, chat = account(lambda path, body: cast("Json", api.post(path, littered(path, body, junk))))
    calls: list[Json] = []
    for agent_id in voice:
        asked = {"override_agent_id": agent_id, "to_number": "+12015550100", "agent_override": OVERRIDE}
        task = littered("/create-batch-call", {"from_number": number, "tasks": [asked]}, junk)
        api.post("/create-batch-call", task)
        calls.append(api.post("/v2/create-phone-call", littered("/v2/create-phone-call", {"from_number": number, **asked}, junk)))
    web: Json = {"agent_id": voice[0], "agent_override": OVERRIDE}
    calls += [api.post(path, littered(path, web, junk)) for path in ("/v3/create-web-call", "/v2/register-phone-call")]
    for agent_id in chat:
        chat_id = api.post("/create-chat", littered("/create-chat", {"agent_id": agent_id}, junk))["chat_id"]
        api.post("/create-chat-completion", littered("/create-chat-completion", {"chat_id": chat_id, "content": "hello"}, junk))
    api.sandbox.ring("+12015550177", number)
    while (due := api.sandbox.store.scheduler.next_due) is not None:
        api.clock.advance(max(0, due - api.clock.now()) / 1000)
        api.get("/get-concurrency")
        for delivery in list(api.sandbox.outbox.waiting.values()):
            delivery.make_request()
            api.sandbox.attempted(delivery.id, AttemptResult(200, b"{}"))
        for call_id, session in list(api.sandbox.sessions.items()):
            if session.connect_at is not None:
                api.sandbox.session_event(call_id, "failed")
    found = api.post("/v3/list-calls", {"limit": 100})["items"]
    assert len(found) == len(calls) + len(voice) + 1
    assert {call["call_status"] for call in found} == {"ended", "error"}
    assert {call["disconnection_reason"] for call in found} == {"user_hangup", "error_llm_websocket_open"}
    assert {entry["name"] for call in found for entry in tool_calls(api, call["call_id"])} == {"f"}


def tool_calls(api: Api, call_id: str) -> Iterator[Json]:
    for entry in api.get(f"/v2/get-call/{call_id}").get("transcript_with_tool_calls", ()):
        if entry["role"] == "tool_call_invocation":
            yield entry


def test_fields_of_a_newer_api_are_kept_as_they_came() -> None:
    api = Api()
    sent = {"brand_new": {"general_tools": [None]}, "model_temperature": 0}
    llm_id = api.llm(**sent)
    assert api.get(f"/get-retell-llm/{llm_id}")["brand_new"] == sent["brand_new"]


WRONG: list[Json] = [
    {"agent": None},
    {"agent": {"post_call_analysis_data": [None]}},
    {"retell_llm": {"general_tools": [None]}},
    {"retell_llm": {"general_tools": 5}},
    {"retell_llm": {"states": [{"name": "a", "tools": [None]}]}},
    {"retell_llm": {"default_dynamic_variables": {"a": 1}}},
    {"conversation_flow": {"tools": ["x"]}},
    {"conversation_flow": {"nodes": [None]}},
    *(
        {"retell_llm": {"general_tools": [{**TOOL, name: value}]}}
        for name, value in [("headers", "x"), ("url", ["x"]), ("query_params", 5)]
    ),
    {"retell_llm": {"states": [{"name": "a", "tools": [{**TOOL, "response_variables": [1]}]}]}},
]


@pytest.mark.parametrize("override", WRONG, ids=repr)
def test_an_override_must_be_valid_where_it_is_laid_over(override: Json) -> None:
    api = Api()
    number = api.number()
    agent_id = api.agent()
    group, fields = next(iter(override.items()))
    place = f"agent_override.{group}" + (f".{next(iter(fields))}" if fields else "")
    for path, body, where in [
        ("/v2/create-phone-call", {"from_number": number, "to_number": "+12015550100", "agent_override": override}, "body"),
        ("/v3/create-web-call", {"agent_id": agent_id, "agent_override": override}, "body"),
        ("/v2/register-phone-call", {"agent_id": agent_id, "agent_override": override}, "body"),
        (
            "/create-batch-call",
            {"from_number": number, "tasks": [{"to_number": "+12015550100", "agent_override": override}]},
            "body.tasks.0",
        ),
    ]:
        status, message = api.refusal("POST", path, body)
        assert status == 400
        assert message.startswith(f"{where}.{place}")
    assert api.post("/v3/list-calls", {})["items"] == []


@pytest.mark.parametrize("override", WRONG, ids=repr)
def test_an_inbound_answer_with_a_wrong_override_is_ignored(override: Json) -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    agents = [{"agent_id": api.agent(), "weight": 1}]
    number = api.post("/create-phone-number", {"inbound_agents": agents, "inbound_webhook_url": f"{USER}/hook"})["phone_number"]
    answer = {"agent_override": override, "metadata": {"of": "the answer"}}
    pending = api.sandbox.ring("+12015550177", number)
    (delivery,) = api.sandbox.outbox.waiting.values()
    api.sandbox.attempted(delivery.id, AttemptResult(200, json.dumps({"call_inbound": answer}).encode()))
    api.clock.advance(3_600)
    call = api.get(f"/v2/get-call/{pending.call_id}")
    assert (call["call_status"], call.get("metadata")) == ("ended", None)


def test_tools_of_an_override_are_called() -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    api.call(api.number(), agent_override={"retell_llm": {"general_tools": [TOOL]}})
    api.clock.advance(100)
    api.get("/get-concurrency")
    assert [delivery.name for delivery in api.sandbox.outbox.log] == ["f"]
