"""What real answers look like, as captures of November 2026 show them, all of it made up: strict mode has nothing to say about it."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async._core.model import Model
from retell_async._core.strict import problems
from retell_async.types import (
    AgentResponse,
    BookAppointmentCalTool,
    CheckAvailabilityCalTool,
    ConversationFlowResponse,
    EquationCondition,
    LlmResponse,
    NodeTransitionUtterance,
    PhoneCallResponse,
    WebCallResponse,
)

TRANSCRIPT: list[dict[str, Any]] = [
    {"role": "agent", "content": "Hello ", "words": [{"word": "Hello ", "start": 0.1, "end": 0.4}], "metadata": {"response_id": 0}},
    {"role": "agent", "content": "Yes? ", "words": [], "metadata": {"interrupt_id": 2}},
    {
        "role": "node_transition",
        "former_node_id": "node-1",
        "former_node_name": "Welcome",
        "new_node_id": "node-2",
        "new_node_name": "Booking",
        "time_sec": 4.217,
    },
    {
        "role": "tool_call_invocation",
        "tool_call_id": "t1",
        "name": "book",
        "arguments": "{}",
        "type": "book_appointment_cal",
        "time_sec": 5,
    },
    {"role": "tool_call_result", "tool_call_id": "t1", "content": "booked", "successful": True, "time_sec": 6.5},
]
ANALYSIS: dict[str, Any] = {"call_summary": "[PII INFO] booked", "user_sentiment": "Positive"}
BASE: dict[str, Any] = {"call_id": "call_1", "agent_id": "agent_1", "agent_version": 3, "call_status": "ended"}
CALL: dict[str, Any] = BASE | {
    "call_type": "phone_call",
    "direction": "inbound",
    "from_number": "anonymous",
    "to_number": "+14155550100",
    "transcript_with_tool_calls": TRANSCRIPT,
    "scrubbed_transcript_with_tool_calls": TRANSCRIPT,
    "call_analysis": ANALYSIS,
    "scrubbed_call_analysis": ANALYSIS,
    "scrubbed_metadata": {"customer": "[PII INFO]"},
    "scrubbed_retell_llm_dynamic_variables": {"name": "[PII INFO]"},
    "custom_sip_headers": {"x-twilio-callsid": "CA1"},
}
EDGE: dict[str, Any] = {
    "id": "edge-1",
    "condition": "They want to book",
    "destination_node_id": "node-2",
    "transition_condition": {
        "type": "equation",
        "operator": "||",
        "equations": [{"left": "{{a}}", "operator": "==", "right": "1"}],
    },
}
NODE: dict[str, Any] = {
    "id": "node-1",
    "type": "conversation",
    "start_speaker": "agent",
    "instruction": {"type": "prompt", "text": "Greet"},
    "edges": [EDGE],
    "else_edge": {"id": "edge-2", "condition": "Else", "transition_condition": {"type": "prompt", "prompt": "Else"}},
}
CAL: dict[str, Any] = {"name": "free_times", "cal_api_key": "cal_live_1", "event_type_id": 17, "timezone": "Europe/Berlin"}
FLOW: dict[str, Any] = {
    "conversation_flow_id": "flow_1",
    "version": 0,
    "last_modification_timestamp": 1760000000000,
    "is_published": False,
    "start_speaker": "agent",
    "model_choice": {"type": "cascading", "model": "gpt-4.1"},
    "nodes": [NODE],
    "tools": [{**CAL, "type": "check_availability_cal", "tool_id": "tool_1"}],
    "components": [
        {"name": "Booking", "nodes": [NODE], "conversation_flow_component_id": "component_1", "user_modified_timestamp": 1760000000000}
    ],
}
AGENT: dict[str, Any] = {
    "agent_id": "agent_1",
    "channel": "voice",
    "version": 0,
    "is_published": False,
    "opt_out_sensitive_data_storage": False,
    "voice_id": "retell-Cimo",
    "response_engine": {"type": "conversation-flow", "conversation_flow_id": "flow_1", "version": 0},
    "last_modification_timestamp": 1760000000000,
}
LLM: dict[str, Any] = {
    "llm_id": "llm_1",
    "last_modification_timestamp": 1760000000000,
    "general_tools": [
        {**CAL, "type": "check_availability_cal"},
        {**CAL, "type": "book_appointment_cal", "name": "book", "event_type_id": "{{event}}"},
    ],
}


@pytest.mark.parametrize(
    ("cls", "data"),
    [
        (PhoneCallResponse, CALL),
        (WebCallResponse, BASE | {"call_type": "web_call"}),
        (AgentResponse, AGENT),
        (ConversationFlowResponse, FLOW),
        (LlmResponse, LLM),
    ],
)
def test_it_is_as_the_corrected_document_says(cls: type[Model], data: dict[str, Any]) -> None:
    assert problems(cls, data) == []
    assert cls.from_dict(data).to_dict() == data


def test_it_is_typed() -> None:
    call = PhoneCallResponse.from_dict(CALL)
    transition = (call.transcript_with_tool_calls or [])[2]
    assert isinstance(transition, NodeTransitionUtterance)
    assert transition.time_sec == 4.217
    assert call.scrubbed_call_analysis is not None
    assert call.scrubbed_call_analysis.user_sentiment == "Positive"
    flow = ConversationFlowResponse.from_dict(FLOW)
    assert flow.components is not None
    assert flow.components[0].conversation_flow_component_id == "component_1"
    tools = LlmResponse.from_dict(LLM).general_tools or []
    assert [type(tool) for tool in tools] == [CheckAvailabilityCalTool, BookAppointmentCalTool]
    assert "cal_live_1" not in repr(tools)


@pytest.mark.parametrize("operator", ["and", "or"])
def test_words_are_no_operators(operator: str) -> None:
    data = {"type": "equation", "equations": [], "operator": operator}
    assert problems(EquationCondition, data) == [f"$.operator: unknown value {operator!r}"]
