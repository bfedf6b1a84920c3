"""Events: each of the documented ones, what is not known yet, and what stays unread until it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from retell_async import WebhookVerificationError, webhooks
from retell_async._core.model import plain
from retell_async.raw.models import ChatResponse, PhoneCallResponse, UnknownCallResponse, Utterance, WebCallResponse
from retell_async.webhooks.events import require_subject

from .sending import CALL, CHAT, KEY, body_of, signed

pytestmark = pytest.mark.parallel

TRANSFER: dict[str, Any] = {
    "transfer_destination": {"number": "+14155550100", "extension": "12"},
    "transfer_option": {"type": "warm_transfer", "showTransfereeAsCaller": True, "onHoldMusic": {"type": "default"}},
}
ALERT: dict[str, Any] = {
    "alert_incident_id": "incident_1",
    "org_id": "org_1",
    "alert_rule_id": "rule_1",
    "name": "Too few successes",
    "metric_type": "call_success_rate",
    "filter": {"agent": [{"agent_id": "agent_1"}]},
    "threshold_type": "relative",
    "threshold_value": 10,
    "comparator": "lt",
    "current_value": 0.5,
    "previous_value": None,
    "frequency": "5m",
    "window": "1h",
    "emails": ["a@example.com"],
    "webhook_urls": ["https://example.com"],
    "triggered_timestamp": 1760000000000,
    "resolved_timestamp": None,
}


def unwrap(data: Any) -> webhooks.Event:
    body = body_of(data)
    return webhooks.unwrap(body, signed(body), api_key=KEY)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"event": "call_started", "call": CALL}, webhooks.CallStarted),
        ({"event": "call_ended", "call": CALL}, webhooks.CallEnded),
        ({"event": "call_analyzed", "call": {**CALL, "call_analysis": {"call_successful": True}}}, webhooks.CallAnalyzed),
        ({"event": "transcript_updated", "call": CALL}, webhooks.TranscriptUpdated),
        ({"event": "transfer_started", "call": CALL, **TRANSFER}, webhooks.TransferStarted),
        ({"event": "transfer_bridged", "call": CALL, **TRANSFER}, webhooks.TransferBridged),
        ({"event": "transfer_cancelled", "call": CALL, **TRANSFER}, webhooks.TransferCancelled),
        ({"event": "transfer_ended", "call": CALL}, webhooks.TransferEnded),
        ({"event": "chat_started", "chat": CHAT}, webhooks.ChatStarted),
        ({"event": "chat_ended", "chat": CHAT}, webhooks.ChatEnded),
        ({"event": "chat_analyzed", "chat": CHAT}, webhooks.ChatAnalyzed),
        ({"event": "transcript_updated", "chat": CHAT}, webhooks.ChatTranscriptUpdated),
        ({"event": "alert_triggered", "alert": ALERT}, webhooks.AlertTriggered),
        ({"event": "alert_resolved", "alert": ALERT}, webhooks.AlertResolved),
    ],
)
def test_every_documented_event(data: dict[str, Any], kind: type[Any]) -> None:
    event = unwrap(data)

    assert type(event) is kind
    assert attrs.has(kind)
    assert event.event == data["event"]
    assert not isinstance(event, (webhooks.InboundCall, webhooks.InboundChat))
    assert event.to_dict() == data
    assert list(event.to_dict()) == list(data)


def test_the_call_is_the_generated_model() -> None:
    match unwrap({"event": "call_ended", "call": CALL}):
        case webhooks.CallEnded(call=call):
            assert isinstance(call, PhoneCallResponse)
            assert call.disconnection_reason == "user_hangup"
            assert call.call_analysis is None
            assert call.transcript_object is not None
            assert isinstance(call.transcript_object[0], Utterance)
            assert call.transcript_object[0].words[0].end == 0.4
        case other:
            pytest.fail(f"{other!r} is no CallEnded")

    match unwrap({"event": "call_started", "call": {"call_id": "call_2", "call_type": "web_call"}}):
        case webhooks.CallEvent(call=WebCallResponse(call_id=call_id)):
            assert call_id == "call_2"
        case other:
            pytest.fail(f"{other!r} has no WebCallResponse")


def test_the_chat_is_the_generated_model() -> None:
    match unwrap({"event": "chat_started", "chat": CHAT}):
        case webhooks.ChatEvent(chat=chat):
            assert isinstance(chat, ChatResponse)
            assert chat.chat_status == "ongoing"
        case other:
            pytest.fail(f"{other!r} is no ChatEvent")


def test_transfers_have_their_fields_beside_the_call() -> None:
    match unwrap({"event": "transfer_started", "call": CALL, **TRANSFER}):
        case webhooks.TransferEvent(transfer_destination={"number": number}, transfer_option=option):
            assert number == "+14155550100"
            assert option == TRANSFER["transfer_option"]
        case other:
            pytest.fail(f"{other!r} is no TransferEvent")

    ended = unwrap({"event": "transfer_ended", "call": CALL})
    assert isinstance(ended, webhooks.TransferEnded)
    assert ended.transfer_destination is None
    assert "transfer_destination" not in ended


@pytest.mark.parametrize("beside", [True, False])
def test_the_transcript_may_stand_beside_the_call_or_in_it(beside: bool) -> None:
    transcript = {"transcript_with_tool_calls": CALL["transcript_object"]}
    data = (
        {"event": "transcript_updated", "call": CALL, **transcript}
        if beside
        else {"event": "transcript_updated", "call": CALL | transcript}
    )
    event = unwrap(data)

    assert isinstance(event, webhooks.TranscriptUpdated)
    found = event.transcript_with_tool_calls if beside else event.call.transcript_with_tool_calls
    assert found is not None
    assert isinstance(found[0], Utterance)


def test_an_alert_has_its_own_class() -> None:
    event = unwrap({"event": "alert_triggered", "alert": ALERT | {"new": 1}})

    assert isinstance(event, webhooks.AlertTriggered)
    assert isinstance(event.alert, webhooks.Alert)
    assert event.alert.current_value == 0.5
    assert event.alert.resolved_timestamp is None
    assert event.alert["new"] == 1


def test_what_is_new_is_kept() -> None:
    data = {"event": "call_ended", "call": {**CALL, "mood": "calm"}, "attempt": 2}
    event = unwrap(data)

    assert isinstance(event, webhooks.CallEnded)
    assert event["attempt"] == 2
    assert event.call["mood"] == "calm"
    assert event.to_dict() == data


@pytest.mark.parametrize(
    "data",
    [
        {"event": "call_paused", "call": CALL, "by": "agent"},
        {"event": "alert_muted", "alert": ALERT},
        {"event": "call_paused", "call": "call_1", "chat": [CHAT]},
        {"event": ""},
    ],
)
def test_an_event_that_is_not_known_has_everything_in_it(data: dict[str, Any]) -> None:
    match unwrap(data):
        case webhooks.UnknownEvent(event=name) as event:
            assert name == data["event"]
            assert event.to_dict() == data
            assert all(plain(event[key]) == value for key, value in data.items())
            assert event.event_timestamp is None
        case other:
            pytest.fail(f"{other!r} is no UnknownEvent")


def test_what_an_unknown_event_is_about_is_the_generated_model() -> None:
    event = unwrap({"event": "call_paused", "call": CALL, "chat": CHAT, "event_timestamp": 1})
    assert isinstance(event, webhooks.UnknownEvent)
    assert isinstance(event.call, PhoneCallResponse)
    assert isinstance(event.chat, ChatResponse)
    assert event.event_timestamp == 1


@pytest.mark.parametrize("more", [{}, {"call_type": "fax_call", "pages": 2}])
def test_a_call_of_no_known_kind_is_read_like_its_siblings(more: dict[str, Any]) -> None:
    call = {key: value for key, value in CALL.items() if key != "call_type"} | more
    event = unwrap({"event": "call_ended", "call": call, "event_timestamp": 1760000060000})

    assert isinstance(event, webhooks.CallEnded)
    assert isinstance(event.call, UnknownCallResponse)
    assert event.call.disconnection_reason == "user_hangup"
    assert (event.call.call_type, event.call.recording_url, event.event_timestamp) == (more.get("call_type"), None, 1760000060000)
    assert event.call.transcript_object is not None
    assert isinstance(event.call.transcript_object[0], Utterance)
    assert event.call.to_dict() == call


SUBJECTS = {"call_ended": "`call`", "transcript_updated": "`call` or `chat`", "chat_started": "`chat`", "alert_resolved": "`alert`"}


@pytest.mark.parametrize("name", [*SUBJECTS, "call_inbound", "chat_inbound"])
@pytest.mark.parametrize("subject", [{}, None, [], "call_1", [{"call_id": "call_1"}]])
def test_an_event_without_what_it_is_about_is_unknown_and_not_for_its_handlers(name: str, subject: Any) -> None:
    data = {"event": name} if subject == {} else {"event": name, "call": subject, "chat": subject, "alert": subject, name: subject}
    event = unwrap(data)
    assert type(event) is webhooks.UnknownEvent
    assert event.to_dict() == data
    with pytest.raises(WebhookVerificationError) as caught:
        require_subject(event)
    assert caught.value.reason == f"unreadable: {name} has no object in {SUBJECTS.get(name, f'`{name}`')} to be about"


def test_an_event_about_the_wrong_thing_is_unknown_and_what_stands_beside_is_no_matter() -> None:
    assert type(unwrap({"event": "call_ended", "chat": CHAT})) is webhooks.UnknownEvent
    about_a_chat = unwrap({"event": "chat_ended", "call": {"call_id": "call_1"}, "chat": CHAT})
    assert type(require_subject(about_a_chat)) is webhooks.ChatEnded
    new = unwrap({"event": "call_paused"})
    assert require_subject(new) is new


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["call_ended", "transcript_updated", "chat_started", "alert_triggered", "call_inbound", "transfer_started", "new"]),
    st.dictionaries(
        st.sampled_from(["call", "chat", "alert", "call_inbound", "transfer_destination", "transcript_with_tool_calls"]), json_values
    ),
)
def test_no_shape_breaks_the_parser(name: str, more: dict[str, Any]) -> None:
    data = {"event": name, **more}
    event = unwrap(data)

    assert event.event == name
    assert (event.data if isinstance(event, webhooks.InboundRequest) else event.to_dict()) == data
    assert isinstance(webhooks.delivery_key(event, b""), str)
    repr(event)


def test_no_number_is_shown() -> None:
    for event in (
        unwrap({"event": "call_ended", "call": CALL}),
        unwrap({"event": "transfer_started", "call": CALL, **TRANSFER}),
        unwrap({"event": "new", "call": CALL}),
        unwrap({"event": "call_inbound", "call_inbound": {"from_number": "+14155550100", "to_number": "+14155550101"}}),
    ):
        assert "4155550" not in repr(event)


def test_importing_loads_no_framework_and_no_model() -> None:
    code = """
import json, sys
from retell_async import webhooks
body = b'{"event":"call_paused"}'
webhooks.unwrap(body, {"X-Retell-Signature": webhooks.sign(body, "key_1")}, api_key="key_1")
webhooks.Router("key_1")
print(json.dumps(sorted(sys.modules)))
"""
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout)

    tops = {name.partition(".")[0] for name in loaded}
    assert tops.isdisjoint({"starlette", "fastapi", "aiohttp", "uvicorn", "httpx", "pydantic"})
    assert [name for name in loaded if name.startswith("retell_async.raw.models.")] == []


@pytest.mark.soak
def test_a_program_that_makes_no_client_reads_events() -> None:
    program = (
        f"from retell_async import webhooks; print(webhooks.parse_event({body_of({'event': 'call_ended', 'call': CALL})!r}).call.call_id)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "call_1"
