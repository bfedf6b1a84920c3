"""What a refusal says: the field that is wrong, of the kind that was meant."""

from __future__ import annotations

import pytest

from ..checked import Api, Json

TRANSFER: Json = {
    "type": "transfer_call",
    "name": "t",
    "transfer_destination": {"type": "predefined", "number": "+12015550100"},
    "transfer_option": {"type": "cold_transfer"},
}
ENGINE = {"type": "retell-llm", "llm_id": "llm_1"}
FLOW: Json = {"start_speaker": "agent", "model_choice": {"type": "cascading", "model": "gpt-4.1"}}
PROMPT = {"type": "prompt", "text": "Greet."}


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ({"type": "custom", "name": "x"}, 'body.general_tools.1: "url" is a required property'),
        ({"type": "custom", "name": "x", "url": "u", "method": "FETCH"}, "body.general_tools.1.method: the value is not one of"),
        (
            {"type": "custom", "name": "x", "url": "u", "headers": {"a": 1}},
            'body.general_tools.1.headers.a: the value is not of type "string"',
        ),
        ({"type": "cusTom", "name": "x"}, "body.general_tools.1.type: 'cusTom' is not one of end_call, transfer_call,"),
        ({"name": "x"}, "body.general_tools.1.type: the field is missing: it must be one of end_call, transfer_call,"),
        ({"type": None}, "body.general_tools.1.type: None is not one of end_call,"),
        ({"type": "+12015550199"}, "body.general_tools.1.type: '+120******99' is not one of"),
        ({"type": "x" * 500}, "body.general_tools.1.type: the value is not one of"),
        ("end_call", "body.general_tools.1: the value is not of the type object"),
        (TRANSFER | {"transfer_destination": {"type": "predefined"}}, 'body.general_tools.1.transfer_destination: "number" is a required'),
        (TRANSFER | {"transfer_destination": {}}, "body.general_tools.1.transfer_destination.type: the field is missing"),
        (
            TRANSFER | {"transfer_option": {"type": "hot"}},
            "body.general_tools.1.transfer_option.type: 'hot' is not one of cold_transfer, warm",
        ),
        ({"type": "transfer_call", "name": "t"}, "body.general_tools.1: transfer_destination, transfer_option are required properties"),
        ({"type": "custom", "name": "\ud83d", "url": 1}, 'body.general_tools.1.url: the value is not of type "string"'),
    ],
)
def test_a_tool(tool: object, said: str) -> None:
    status, message = Api().refusal("POST", "/create-retell-llm", {"general_tools": [TRANSFER, tool]})
    assert (status, message[: len(said)]) == (400, said)
    assert "oneOf" not in message


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"id": "a", "type": "conversation"}, 'body.nodes.0: "instruction" is a required property'),
        ({"id": "a", "type": "conversation", "instruction": {"type": "prompt"}}, 'body.nodes.0.instruction: "text" is a required property'),
        ({"id": "a", "type": "conversing"}, "body.nodes.0.type: 'conversing' is not one of conversation, subagent,"),
        ({"id": "a", "type": "transfer_call"}, "body.nodes.0: edge, transfer_destination, transfer_option are required properties"),
        (
            {"id": "a", "type": "conversation", "instruction": PROMPT, "edges": [{"id": "e", "transition_condition": {"type": "prompt"}}]},
            'body.nodes.0.edges.0.transition_condition: "prompt" is a required property',
        ),
        (
            {"id": "a", "type": "subagent", "instruction": PROMPT, "tools": [{"type": "custom", "name": "x"}]},
            'body.nodes.0.tools.0: "url" is a required property',
        ),
    ],
)
def test_a_node(node: Json, said: str) -> None:
    status, message = Api().refusal("POST", "/create-conversation-flow", {**FLOW, "nodes": [node]})
    assert (status, message[: len(said)]) == (400, said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"response_engine": {"type": "retell-llm"}}, 'body.response_engine: "llm_id" is a required property'),
        (
            {"response_engine": {"type": "retell"}},
            "body.response_engine.type: 'retell' is not one of retell-llm, custom-llm, conversation-flow",
        ),
        ({"language": ["de-DE", "xx"]}, "body.language.1: the value is not one of"),
        ({"language": 5}, "body.language: the value is not of the type array or string"),
        ({"post_call_analysis_data": [{"type": "enum", "name": "n"}]}, "body.post_call_analysis_data.0: choices, description are required"),
        (
            {"post_call_analysis_data": [{"type": "list"}]},
            "body.post_call_analysis_data.0.type: 'list' is not one of string, enum, boolean,",
        ),
        ({"voicemail_option": {"action": {"type": "prompt"}}}, 'body.voicemail_option.action: "text" is a required property'),
        ({"voicemail_option": {"action": {"type": "sing"}}}, "body.voicemail_option.action.type: 'sing' is not one of"),
    ],
)
def test_an_agent(changes: Json, said: str) -> None:
    status, message = Api().refusal("POST", "/create-agent", {"voice_id": "retell-Cimo", "response_engine": ENGINE, **changes})
    assert (status, message[: len(said)]) == (400, said)


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({"call_id": {"type": "string", "op": "eq", "value": 5}}, 'body.filter_criteria.call_id.value: the value is not of type "string"'),
        (
            {"duration_ms": {"type": "range", "op": "bt", "value": 5}},
            'body.filter_criteria.duration_ms.value: the value is not of type "array"',
        ),
        ({"duration_ms": {"type": "text"}}, "body.filter_criteria.duration_ms.type: 'text' is not one of number, range"),
        ({"metadata": [{"key": "a", "type": "range", "op": "bt"}]}, 'body.filter_criteria.metadata.0: "value" is a required property'),
    ],
)
def test_a_filter(criteria: Json, said: str) -> None:
    status, message = Api().refusal("POST", "/v3/list-calls", {"filter_criteria": criteria})
    assert (status, message[: len(said)]) == (400, said)
