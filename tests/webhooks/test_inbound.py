"""Inbound calls and text messages: what is asked, and what may be answered."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest

from retell_async.raw.models import AgentOverrideRequest
from retell_async.webhooks import (
    InboundAnswer,
    InboundCall,
    InboundChat,
    WebhookVerificationError,
    sign,
    unwrap,
    unwrap_inbound,
)

from .sending import KEY, body_of, event_body, inbound_body, signed

CALL = InboundCall(from_number="+14155550100", to_number="+14155550101")
CHAT = InboundChat(from_number="+14155550100", to_number="+14155550101")


def test_a_call() -> None:
    body = inbound_body(agent_id="agent_1", agent_version=2, call_id="call_1", custom_sip_headers={"x-account": "42"}, new=True)
    request = unwrap_inbound(body, signed(body), api_key=KEY)

    assert isinstance(request, InboundCall)
    assert request.event == "call_inbound"
    assert (request.from_number, request.to_number) == ("+14155550100", "+14155550101")
    assert (request.agent_id, request.agent_version, request.call_id) == ("agent_1", 2, "call_1")
    assert request.custom_sip_headers == {"x-account": "42"}
    assert request.event_timestamp == 1780000000000
    assert request.data == json.loads(body)
    assert request == unwrap(body, signed(body), api_key=KEY)


def test_a_text_message() -> None:
    body = body_of(
        {"event": "chat_inbound", "chat_inbound": {"from_number": "+14155550100", "to_number": "+14155550101", "agent_id": None}}
    )
    request = unwrap_inbound(body, signed(body), api_key=KEY)

    assert isinstance(request, InboundChat)
    assert (request.agent_id, request.agent_version, request.chat_id, request.event_timestamp) == (None, None, None, None)


@pytest.mark.parametrize("body", [event_body(), b"{}", b"[]", b"", b'{"event":"call_inbound"}', b'{"event":{}}'])
def test_something_else(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="unreadable"):
        unwrap_inbound(body, signed(body), api_key=KEY)


def test_not_from_retell() -> None:
    body = inbound_body()
    with pytest.raises(WebhookVerificationError, match="wrong key"):
        unwrap_inbound(body, {"X-Retell-Signature": sign(body, "other")}, api_key=KEY)


def test_every_field_of_an_answer() -> None:
    fields: dict[str, Any] = {
        "override_agent_id": "agent_2",
        "override_agent_version": 1,
        "dynamic_variables": {"customer_name": "Änne", "empty": ""},
        "metadata": {"crm_id": "77", "tags": ["a", None, 1.5]},
        "agent_override": {"agent": {"voice_speed": 1.1}, "retell_llm": {"model": "gpt-4.1"}},
    }
    answer = CALL.accept(**fields)

    assert answer.to_dict() == {"call_inbound": fields}
    assert json.loads(answer.to_json()) == {"call_inbound": fields}
    assert "Änne".encode() in answer.to_json()
    assert CHAT.accept(**fields).to_dict() == {"chat_inbound": fields}


def test_what_is_not_given_is_not_sent() -> None:
    assert CALL.accept().to_json() == b'{"call_inbound":{}}'
    assert CALL.accept(metadata={}).to_json() == b'{"call_inbound":{"metadata":{}}}'


def test_a_rejection_stands_alone() -> None:
    assert CALL.reject().to_json() == b'{"call_inbound":{"reject":true}}'
    assert CHAT.reject().to_json() == b'{"chat_inbound":{"reject":true}}'


def test_an_override_may_be_a_model_or_hold_what_is_new() -> None:
    model = AgentOverrideRequest.from_dict({"agent": {"voice_speed": 1.1}})
    assert CALL.accept(agent_override=model).to_json() == b'{"call_inbound":{"agent_override":{"agent":{"voice_speed":1.1}}}}'
    new: Any = {"agent": {"voice_speed": 1, "language": "xx-XX", "voice_mood": "calm", "ring_duration_ms": None}, "new_engine": {}}
    assert CALL.accept(agent_override=new).to_dict() == {"call_inbound": {"agent_override": new}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dynamic_variables": {"age": 42}}, r"dynamic_variables\.age must be a string, not int"),
        ({"dynamic_variables": {"ok": "yes", "vip": True}}, r"dynamic_variables\.vip must be a string, not bool"),
        ({"dynamic_variables": {"name": None}}, r"dynamic_variables\.name must be a string, not NoneType"),
        ({"dynamic_variables": {"address": {"city": "Bonn"}}}, r"dynamic_variables\.address must be a string, not dict"),
        ({"dynamic_variables": {1: "one"}}, r"dynamic_variables: the name 1 must be a string"),
        ({"dynamic_variables": [("a", "b")]}, r"dynamic_variables must be a mapping, not list"),
        ({"dynamic_variables": None}, r"dynamic_variables must be a mapping, not NoneType"),
        ({"override_agent_id": 7}, r"override_agent_id must be a string, not int"),
        ({"override_agent_id": None}, r"override_agent_id must be a string, not NoneType"),
        ({"override_agent_version": "1"}, r"override_agent_version must be a whole number, not str"),
        ({"override_agent_version": 1.0}, r"override_agent_version must be a whole number, not float"),
        ({"override_agent_version": True}, r"override_agent_version must be a whole number, not bool"),
        ({"metadata": "crm"}, r"metadata must be a mapping, not str"),
        ({"metadata": {"since": datetime.time(1)}}, r"metadata\.since: time cannot be sent"),
        ({"metadata": {"items": [{"price": Decimal(1)}]}}, r"metadata\.items\[0\]\.price: Decimal cannot be sent"),
        ({"agent_override": [1]}, r"agent_override must be a mapping, not list"),
        ({"agent_override": {"agent": {"voice_speed": "fast"}}}, r"agent_override\.agent\.voice_speed: a string"),
        ({"agent_override": {"agent": {"enable_backchannel": 1}}}, r"agent_override\.agent\.enable_backchannel: a number"),
        ({"agent_override": {"agent": {"voice_id": True}}}, r"agent_override\.agent\.voice_id: a boolean"),
        ({"agent_override": {"agent": {"boosted_keywords": ["a", 1]}}}, r"agent_override\.agent\.boosted_keywords\[1\]: a number"),
        ({"agent_override": {"retell_llm": []}}, r"agent_override\.retell_llm: an array"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(fields: Any, message: str) -> None:
    for request in (CALL, CHAT):
        with pytest.raises(TypeError, match=message):
            request.accept(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"override_agent_id": ""}, "override_agent_id is empty"),
        ({"metadata": {"rate": float("nan")}}, r"metadata\.rate: nan cannot be sent"),
        ({"dynamic_variables": {"name": "\ud800"}}, r"dynamic_variables\.name: a text with half a surrogate pair"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_its_name(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CALL.accept(**fields)


def test_no_number_is_shown() -> None:
    answer = CALL.accept(metadata={"callback_number": "+14155550199"})
    assert isinstance(answer, InboundAnswer)
    assert "4155550" not in f"{CALL!r} {answer!r}"
