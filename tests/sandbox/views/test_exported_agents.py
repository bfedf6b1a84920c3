"""What was exported from an account is taken in, and what is answered has what real answers have."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse

from retell_async.sandbox.openapi.document import packaged_document
from retell_async.sandbox.outgoing.sender import Sender
from retell_async.testing import LocalRetell

from ..checked import Api, Json
from ..endpoints import Endpoints
from ..outgoing.test_sender import HOOK, TOOL, account, number

FLOW: Json = {
    "conversation_flow_id": "conversation_flow_of_another_account",
    "version": 7,
    "is_published": True,
    "last_modification_timestamp": 1_760_000_000_000,
    "start_speaker": "agent",
    "start_node_id": "start",
    "global_prompt": "Arrange appointments.",
    "model_choice": {"type": "cascading", "model": "gpt-4.1", "high_priority": False},
    "kb_config": {"top_k": 3, "filter_score": 0.6},
    "knowledge_base_ids": [],
    "begin_tag_display_position": {"x": 1.5, "y": 2},
    "tools": [
        {"type": "custom", "tool_id": "tool_1", "name": "look_up", "url": "https://user.example/look-up", "headers": {}, "method": "POST"}
    ],
    "nodes": [
        {
            "id": "start",
            "type": "conversation",
            "name": "Welcome",
            "start_speaker": "agent",
            "instruction": {"type": "prompt", "text": "Greet."},
            "display_position": {"x": 1, "y": 2},
            "edges": [
                {
                    "id": "edge_1",
                    "condition": "Wants an appointment",
                    "transition_condition": {"type": "prompt", "prompt": "Wants an appointment"},
                    "destination_node_id": "end",
                }
            ],
        },
        {"id": "end", "type": "end", "instruction": {"type": "static_text", "text": "Bye."}, "speak_during_execution": False},
    ],
    "components": [
        {
            "conversation_flow_component_id": "conversation_flow_component_1",
            "user_modified_timestamp": 1_760_000_000_000,
            "name": "Data",
            "start_node_id": "ask",
            "tools": [],
            "nodes": [{"id": "ask", "type": "conversation", "instruction": {"type": "prompt", "text": "Ask."}, "edges": []}],
        }
    ],
}
OWN = ("conversation_flow_id", "version", "is_published", "last_modification_timestamp")


def test_a_flow_of_another_account_becomes_one_of_this() -> None:
    api = Api()
    made = api.post("/create-conversation-flow", FLOW)
    assert {name: value for name, value in made.items() if name not in OWN} == {
        name: value for name, value in FLOW.items() if name not in OWN
    }
    assert made["conversation_flow_id"] != FLOW["conversation_flow_id"]
    assert (made["version"], made.get("is_published", False)) == (0, False)
    changed = api.patch(f"/update-conversation-flow/{made['conversation_flow_id']}", {**FLOW, "global_prompt": "Be brief."})
    assert {name: changed.get(name) for name in OWN[:3]} == {name: made.get(name) for name in OWN[:3]}
    assert changed["global_prompt"] == "Be brief."


@pytest.mark.anyio
async def test_a_flow_that_was_pulled_is_pushed_again_in_strict_mode() -> None:
    local = LocalRetell()
    own = {name: FLOW[name] for name in OWN}
    known = {name: value for name, value in FLOW.items() if name not in {"nodes", "components", "start_node_id", *OWN}}
    async with local.client(strict=True) as client:
        made = (await client.conversation_flow.create(**known, nodes=FLOW["nodes"][1:], extra_body=own)).to_dict()
        assert made["conversation_flow_id"] != FLOW["conversation_flow_id"]
        again = await client.conversation_flow.create(
            **{name: value for name, value in made.items() if name not in OWN},
            extra_body={name: made[name] for name in OWN if name in made},
        )
    assert again.to_dict() | dict.fromkeys(OWN) == made | dict.fromkeys(OWN)


@pytest.mark.anyio
async def test_events_and_tool_calls_say_when_they_were() -> None:
    api, user = account(), Endpoints(lambda *_: JSONResponse({}))
    api.call(number(api, {"general_tools": [TOOL]}, webhook_url=HOOK))
    await Sender(api.sandbox, user.transport).advance(900)
    started, ended, analyzed = (body for body in user.bodies if "event" in body)
    assert started["event_timestamp"] == started["call"]["start_timestamp"]
    assert ended["event_timestamp"] == ended["call"]["end_timestamp"] <= analyzed["event_timestamp"]
    calls = [item for item in ended["call"]["transcript_with_tool_calls"] if item["role"].startswith("tool_call")]
    assert len(calls) == 2
    known = packaged_document().carries("ToolCallInvocationUtterance", "time_sec")
    assert all(("time_sec" in item) is known for item in calls)
