"""Every message of the facts, both ways."""

from __future__ import annotations

import copy
import json
import pickle
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from retell_async.llm import ProtocolError
from retell_async.llm.messages import (
    AgentConfig,
    AgentInterrupt,
    CallDetails,
    Config,
    Message,
    Metadata,
    Options,
    Ping,
    Pong,
    ReminderRequired,
    Response,
    ResponseRequired,
    ToolCallInvocation,
    ToolCallResult,
    UnknownAnswer,
    UnknownRequest,
    UpdateAgent,
    UpdateOnly,
    dump,
    parse_answer,
    parse_request,
)
from retell_async.types import PhoneCallResponse, ToolCallInvocationUtterance, Utterance

Json = dict[str, Any]

SAID: list[Json] = [
    {"role": "agent", "content": "Hello.", "words": [{"word": "Hello.", "start": 0.1, "end": 0.5}]},
    {"role": "user", "content": "Are you open?"},  # words may be absent
]
CALL: Json = {"call_type": "phone_call", "call_id": "c1", "agent_id": "a1", "call_status": "registered", "from_number": "+14155550100"}

REQUESTS: list[tuple[type, Json]] = [
    (Ping, {"interaction_type": "ping_pong", "timestamp": 1760000000000}),
    (CallDetails, {"interaction_type": "call_details", "call": {**CALL, "opt_out_sensitive_data_storage": False}}),
    (UpdateOnly, {"interaction_type": "update_only", "transcript": SAID, "turntaking": "agent_turn"}),
    (UpdateOnly, {"interaction_type": "update_only", "transcript": []}),
    (ResponseRequired, {"interaction_type": "response_required", "response_id": 4, "transcript": SAID, "timestamp": 1}),
    (
        ReminderRequired,
        {
            "interaction_type": "reminder_required",
            "response_id": 5,
            "transcript": SAID,
            "transcript_with_tool_calls": [
                *SAID,
                {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": "{}", "thought_signature": "x"},
                {"role": "tool_call_result", "tool_call_id": "t1", "content": "7", "successful": True},
                {"role": "dtmf", "digit": "5"},
                {"role": "sms", "content": "Hi", "time_sec": 2},
                {"role": "brand_new", "content": "?"},
            ],
        },
    ),
    (UnknownRequest, {"interaction_type": "brand_new", "mood": "good"}),
]

ANSWERS: list[tuple[type, Json]] = [
    (Config, {"response_type": "config", "config": {"auto_reconnect": True, "call_details": True, "brand_new": 1}}),
    (UpdateAgent, {"response_type": "update_agent", "agent_config": {"responsiveness": 0.4, "reminder_trigger_ms": 8000}}),
    (Pong, {"response_type": "ping_pong", "timestamp": 1760000000123}),
    (Response, {"response_type": "response", "response_id": 4, "content": "Yes.", "content_complete": True, "end_call": True}),
    (Response, {"response_id": 4, "content": "Yes.", "content_complete": True}),  # counts as a response
    (
        AgentInterrupt,
        {
            "response_type": "agent_interrupt",
            "interrupt_id": 1,
            "content": "Stop.",
            "content_complete": True,
            "no_interruption_allowed": True,
        },
    ),
    (ToolCallInvocation, {"response_type": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": '{"id":7}'}),
    (ToolCallResult, {"response_type": "tool_call_result", "tool_call_id": "t1", "content": "7", "successful": True}),
    (Metadata, {"response_type": "metadata", "metadata": {"mood": "happy"}}),
    (Metadata, {"response_type": "metadata", "metadata": None}),
    (UnknownAnswer, {"response_type": "brand_new", "x": 1}),
]


@pytest.mark.parametrize(("kind", "data"), REQUESTS)
def test_requests_come_back_as_they_were_sent(kind: type, data: Json) -> None:
    message = parse_request(json.dumps(data))
    assert type(message) is kind
    assert message.to_dict() == data
    assert json.loads(dump(message)) == data


@pytest.mark.parametrize(("kind", "data"), ANSWERS)
def test_answers_come_back_as_they_were_sent(kind: type, data: Json) -> None:
    message = parse_answer(json.dumps(data))
    assert type(message) is kind
    assert message.to_dict() == data
    assert json.loads(dump(message)) == data


def test_what_stands_in_messages_is_typed() -> None:
    details = parse_request(json.dumps(REQUESTS[1][1]))
    assert isinstance(details, CallDetails)
    assert isinstance(details.call, PhoneCallResponse)
    assert "+14155550100" not in repr(details)
    reminder = parse_request(json.dumps(REQUESTS[5][1]))
    assert isinstance(reminder, ReminderRequired)
    assert isinstance(reminder.transcript[1], Utterance)
    assert "words" not in reminder.transcript[1]
    items = reminder.transcript_with_tool_calls or []
    assert isinstance(items[2], ToolCallInvocationUtterance)
    assert items[-1].role == "brand_new"
    config = parse_answer(json.dumps(ANSWERS[0][1]))
    assert isinstance(config, Config)
    assert config.config.auto_reconnect is True
    assert config.config["brand_new"] == 1
    assert "response_type" not in parse_answer(json.dumps(ANSWERS[4][1]))


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (Ping(timestamp=1), REQUESTS[0][1] | {"timestamp": 1}),
        (
            UpdateOnly(transcript=[], turntaking="user_turn"),
            {"interaction_type": "update_only", "transcript": [], "turntaking": "user_turn"},
        ),
        (Config(config=Options(auto_reconnect=True)), {"response_type": "config", "config": {"auto_reconnect": True}}),
        (
            UpdateAgent(agent_config=AgentConfig(reminder_max_count=0)),
            {"response_type": "update_agent", "agent_config": {"reminder_max_count": 0}},
        ),
        (
            Response(response_id=0, content="", content_complete=True),
            {"response_type": "response", "response_id": 0, "content": "", "content_complete": True},
        ),
    ],
)
def test_messages_are_made_with_their_names_on_them(message: Message, data: Json) -> None:
    assert json.loads(dump(message)) == data


def test_messages_are_models_like_all_others() -> None:
    config = parse_answer(json.dumps({"response_type": "config", "config": {"auto_reconnect": True}, "brand_new": 1}))
    assert isinstance(config, Config)
    assert copy.deepcopy(config) == pickle.loads(pickle.dumps(config)) == config
    assert attrs.evolve(config, config=Options(call_details=True)).to_dict() == {
        "response_type": "config",
        "config": {"call_details": True},
        "brand_new": 1,
    }
    with pytest.raises(TypeError, match="content_complete"):
        Response(response_id=1, content="")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('"response_required"', "not an object"),
        ("[" * 100_000, "not JSON|nested too deeply"),
        ("{}", "`interaction_type`"),
        ('{"interaction_type": 5}', "`interaction_type`"),
        ('{"interaction_type": "response_required", "transcript": []}', "response_required has no `response_id`"),
        ('{"interaction_type": "response_required", "response_id": "4"}', "`response_id` that is not a whole number"),
        ('{"interaction_type": "response_required", "response_id": true}', "`response_id` that is not a whole number"),
        ('{"interaction_type": "response_required", "response_id": 1.5}', "`response_id` that is not a whole number"),
        ('{"interaction_type": "ping_pong"}', "ping_pong has no `timestamp`"),
        ('{"interaction_type": "ping_pong", "timestamp": "now"}', "`timestamp` that is not a number"),
        ('{"interaction_type": "call_details", "call": []}', "`call` that is not an object"),
    ],
)
def test_what_is_no_request_is_refused(text: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse_request(text)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"response_id": "0"}, "`response_id` that is not a whole number"),
        ({"content": None}, "`content` that is not a text"),
        ({"content_complete": "true"}, "`content_complete` that is not true or false"),
        ({"content_complete": 1}, "`content_complete` that is not true or false"),
        ({"response_type": None}, "`response_type`"),
        ({"response_type": "agent_interrupt"}, "agent_interrupt has no `interrupt_id`"),
        ({"response_type": "config"}, "config has no `config`"),
    ],
)
def test_what_is_no_answer_is_refused(changes: Json, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse_answer(json.dumps({"response_type": "response", "response_id": 0, "content": "", "content_complete": True} | changes))


@pytest.mark.parametrize("transcript", [None, 5, "Hello", [None, 7, "Hello"], {}])
def test_a_transcript_that_is_none_is_an_empty_one(transcript: object) -> None:
    message = parse_request(json.dumps({"interaction_type": "response_required", "response_id": 1, "transcript": transcript}))
    assert isinstance(message, ResponseRequired)
    assert message.transcript == []
    missing = parse_request('{"interaction_type": "update_only"}')
    assert isinstance(missing, UpdateOnly)
    assert missing.transcript == []


def test_half_an_emoji_comes_in_and_goes_out() -> None:
    update = parse_request('{"interaction_type": "update_only", "transcript": [{"role": "user", "content": "\\ud83d"}]}')
    assert isinstance(update, UpdateOnly)
    assert update.transcript[0].content == "\ud83d"
    frame = dump(Response(response_id=1, content="\ud83d", content_complete=False))
    assert frame.isascii()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_have_is_no_answer(number: str) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        parse_answer(f'{{"response_type": "metadata", "metadata": {{"score": {number}}}}}')


@pytest.mark.parametrize("metadata", [object(), float("nan"), {1, 2}])
def test_what_json_does_not_have_is_not_written(metadata: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        dump(Metadata(metadata=metadata))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
_fields = st.sampled_from(["interaction_type", "response_type", "response_id", "transcript", "call", "timestamp", "content", "turntaking"])
_names = st.sampled_from([data.get("interaction_type", data.get("response_type", "")) for _, data in [*REQUESTS, *ANSWERS]])


@given(st.dictionaries(_fields, _json | _names, max_size=6))
def test_whatever_comes_is_a_message_or_refused(data: Json) -> None:
    for parse in (parse_request, parse_answer):
        with suppress(ProtocolError):
            assert parse(json.dumps(data)).to_dict().keys() >= data.keys()
