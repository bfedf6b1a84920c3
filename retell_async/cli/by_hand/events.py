"""Webhook events that are made here: samples, and those that calls and chats must have had. Functions over values."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from ..operations.table import Json

__all__ = ["CALL", "CHAT", "SAMPLES", "Event", "Seen", "events_of", "sample"]

Kind = Literal["call", "chat"]

_OVER = {"ended", "error", "not_connected"}
_MINUTE = 60_000
_BASIC = (
    *("call_id", "chat_id", "call_type", "chat_type", "agent_id", "agent_name", "agent_version", "call_status", "chat_status"),
    *("direction", "from_number", "to_number", "metadata", "retell_llm_dynamic_variables", "start_timestamp", "telephony_identifier"),
)
"""What an event that something began says of it."""
_OF_THE_END = ("end_timestamp", "duration_ms", "disconnection_reason", "call_cost", "call_analysis")
"""What no call has that goes on."""


@attrs.frozen
class Event:
    """An event: its name, when it happened, and what its webhook says."""

    name: str
    about: str
    """The id of the call or chat."""
    at_ms: int
    body: Json = attrs.field(repr=False)


def happened(kind: Kind, item: Mapping[str, Any]) -> list[str]:
    """The events that a call or chat must have had, in their order."""
    found: list[str] = []
    if item.get("start_timestamp") is not None:
        found.append(f"{kind}_started")
    if item.get(f"{kind}_status") in _OVER:
        found.append(f"{kind}_ended")
        if item.get(f"{kind}_analysis"):
            found.append(f"{kind}_analyzed")
    return found


def events_of(kind: Kind, item: Mapping[str, Any], names: Iterable[str]) -> list[Event]:
    """These events of a call or chat that was fetched whole.

    Their bodies are made of how it stands now: the first event has less of it than the real one if more was known then, and one that
    ended says as its status how it ended.
    """
    started = item.get("start_timestamp") or 0
    ended = item.get("end_timestamp") or started
    made: list[Event] = []
    for name in names:
        fields: Json = dict(item)
        at = ended
        if name == f"{kind}_started":
            fields = {field: item[field] for field in _BASIC if field in item} | {f"{kind}_status": "ongoing"}
            at = started
        elif name == f"{kind}_ended":
            fields.pop(f"{kind}_analysis", None)
        made.append(Event(name, str(item.get(f"{kind}_id")), at, {"event": name, kind: fields, "event_timestamp": at}))
    return made


@attrs.define
class Seen:
    """Which events are known to have been: those of what was there before do not come."""

    kind: Kind
    _known: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]])

    def due(self, item: Mapping[str, Any]) -> list[str]:
        """The events of it that are new."""
        known = self._known.get(str(item.get(f"{self.kind}_id")), set())
        return [name for name in happened(self.kind, item) if name not in known]

    def take(self, item: Mapping[str, Any]) -> None:
        """Take its events for known."""
        self._known.setdefault(str(item.get(f"{self.kind}_id")), set()).update(happened(self.kind, item))


def _call(now: int) -> Json:
    return {
        "call_id": "call_00000000000000000000000000sample",
        "call_type": "phone_call",
        "agent_id": "agent_0000000000000000000000sample",
        "agent_name": "Sample",
        "agent_version": 1,
        "call_status": "ended",
        "direction": "outbound",
        "from_number": "+14155550100",
        "to_number": "+14155550101",
        "metadata": {"sample": True},
        "start_timestamp": now - _MINUTE,
        "end_timestamp": now,
        "duration_ms": _MINUTE,
        "disconnection_reason": "user_hangup",
        "transcript": "Agent: Hello, how can I help?\nUser: I have what I need, thank you.\n",
        "transcript_object": [
            {"role": "agent", "content": "Hello, how can I help?", "words": []},
            {"role": "user", "content": "I have what I need, thank you.", "words": []},
        ],
        "transcript_with_tool_calls": [
            {"role": "agent", "content": "Hello, how can I help?", "words": []},
            {"role": "user", "content": "I have what I need, thank you.", "words": []},
        ],
        "call_cost": {"combined_cost": 12.5, "product_costs": [], "total_duration_seconds": 60, "total_duration_unit_price": 0.2},
        "call_analysis": {
            "call_summary": "The user had what they needed.",
            "user_sentiment": "Positive",
            "call_successful": True,
            "in_voicemail": False,
            "custom_analysis_data": {},
        },
    }


def _chat(now: int) -> Json:
    return {
        "chat_id": "chat_00000000000000000000000000sample",
        "agent_id": "agent_0000000000000000000000sample",
        "chat_status": "ended",
        "start_timestamp": now - _MINUTE,
        "end_timestamp": now,
        "transcript": "User: Hello\nAgent: Hello, how can I help?\n",
        "message_with_tool_calls": [
            {"message_id": "message_1", "role": "user", "content": "Hello", "created_timestamp": now - _MINUTE},
            {"message_id": "message_2", "role": "agent", "content": "Hello, how can I help?", "created_timestamp": now - _MINUTE + 1000},
        ],
        "chat_analysis": {"chat_summary": "A greeting.", "user_sentiment": "Neutral", "chat_successful": True, "custom_analysis_data": {}},
    }


def _alert(now: int, *, over: bool) -> Json:
    return {
        "alert_incident_id": "incident_sample",
        "alert_rule_id": "rule_sample",
        "org_id": "org_sample",
        "name": "Calls that succeed",
        "metric_type": "call_success_rate",
        "threshold_type": "absolute",
        "threshold_value": 0.8,
        "comparator": "lt",
        "current_value": 0.9 if over else 0.7,
        "frequency": "5m",
        "window": "1h",
        "triggered_timestamp": now - _MINUTE,
        "resolved_timestamp": now if over else None,
    }


CALL = ("call_started", "call_ended", "call_analyzed")
CHAT = ("chat_started", "chat_ended", "chat_analyzed")
_TRANSFERS = ("transfer_started", "transfer_bridged", "transfer_cancelled", "transfer_ended")
SAMPLES = (*CALL, *CHAT, "transcript_updated", *_TRANSFERS, "alert_triggered", "alert_resolved")
"""The events of which there is a sample."""


def sample(name: str, now: int | None = None) -> Event:
    """An event about a call, a chat or an alert that there never was.

    :param now: milliseconds of Unix time.
    """
    at = int(time.time() * 1000) if now is None else now
    if name in CHAT:
        (made,) = events_of("chat", _chat(at), [name])
        return made
    if name.startswith("alert_"):
        return Event(name, "incident_sample", at, {"event": name, "alert": _alert(at, over=name == "alert_resolved")})
    (made,) = events_of("call", _call(at), [name])
    if name in _TRANSFERS or name == "transcript_updated":
        made.body["call"] = {field: value for field, value in made.body["call"].items() if field not in _OF_THE_END}
        made.body["call"]["call_status"] = "ongoing"
    if name == "transcript_updated":
        made.body["transcript_with_tool_calls"] = made.body["call"]["transcript_with_tool_calls"]
    elif name in _TRANSFERS and name != "transfer_ended":
        made.body.update({"transfer_destination": {"number": "+14155550102"}, "transfer_option": {"type": "cold_transfer"}})
    return made
