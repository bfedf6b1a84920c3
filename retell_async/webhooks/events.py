"""Webhook events, as classes to match on.

An event is a `Model`: its fields are attributes, `to_dict` gives back what was sent, and what this version does not know is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from retell_async._core.errors import WebhookVerificationError
from retell_async._core.masking import Hidden
from retell_async._core.model import Many, Model, One, Spec, adopter, decoder, model

from .body import json_object
from .inbound import InboundCall, InboundChat, inbound_request
from .signature import TOLERANCE, Headers, header_value, verify

if TYPE_CHECKING:
    from retell_async.raw.models import CallResponse, ChatResponse, UtteranceOrToolCall

__all__ = [
    "EVENT_NAMES",
    "Alert",
    "AlertResolved",
    "AlertTriggered",
    "CallAnalyzed",
    "CallEnded",
    "CallEvent",
    "CallStarted",
    "ChatAnalyzed",
    "ChatEnded",
    "ChatEvent",
    "ChatStarted",
    "ChatTranscriptUpdated",
    "Event",
    "TranscriptUpdated",
    "TransferBridged",
    "TransferCancelled",
    "TransferEnded",
    "TransferEvent",
    "TransferStarted",
    "UnknownEvent",
    "parse_event",
    "require_subject",
    "unwrap",
]


@model
class CallEvent(Model):
    """Base class of events about a call."""

    __nested__: ClassVar[Mapping[str, Spec]] = {"call": One("CallResponse")}

    call: CallResponse
    """The call as it is at that moment; its status may lag behind the event."""
    event_timestamp: int | None = None
    """When it happened, in milliseconds of Unix time, where Retell says so."""


@model
class CallStarted(CallEvent):
    """A call was connected. Not sent for a call that never was."""

    event: Literal["call_started"]


@model
class CallEnded(CallEvent):
    """A call is over, or never connected. It has no analysis yet."""

    event: Literal["call_ended"]


@model
class CallAnalyzed(CallEvent):
    """The analysis of a call is there, in `call.call_analysis`."""

    event: Literal["call_analyzed"]


@model
class TranscriptUpdated(CallEvent):
    """A turn of a call's conversation changed, or the call is over and this is the final transcript. May arrive out of order."""

    __nested__: ClassVar[Mapping[str, Spec]] = {**CallEvent.__nested__, "transcript_with_tool_calls": Many(One("UtteranceOrToolCall"))}

    event: Literal["transcript_updated"]
    transcript_with_tool_calls: list[UtteranceOrToolCall] | None = None
    """The transcript, unless Retell sends it in `call.transcript_with_tool_calls`."""


@model
class TransferEvent(CallEvent):
    """Base class of events about a transfer. One call may be transferred several times."""

    transfer_destination: dict[str, Any] | str | None = None
    """Where to; its fields depend on the kind of transfer."""
    transfer_option: dict[str, Any] | None = None
    """How, with names in camel case; its fields depend on the kind of transfer."""


@model
class TransferStarted(TransferEvent):
    """A transfer was begun."""

    event: Literal["transfer_started"]


@model
class TransferBridged(TransferEvent):
    """A transfer succeeded: the parties are connected."""

    event: Literal["transfer_bridged"]


@model
class TransferCancelled(TransferEvent):
    """A transfer was given up or did not get through; the call goes on with its agent."""

    event: Literal["transfer_cancelled"]


@model
class TransferEnded(TransferEvent):
    """The transferred conversation is over."""

    event: Literal["transfer_ended"]


@model
class ChatEvent(Model):
    """Base class of events about a chat."""

    __nested__: ClassVar[Mapping[str, Spec]] = {"chat": One("ChatResponse")}

    chat: ChatResponse
    """The chat as it is at that moment."""
    event_timestamp: int | None = None
    """When it happened, in milliseconds of Unix time, where Retell says so."""


@model
class ChatStarted(ChatEvent):
    """A chat was begun."""

    event: Literal["chat_started"]


@model
class ChatEnded(ChatEvent):
    """A chat is over. It has no analysis yet."""

    event: Literal["chat_ended"]


@model
class ChatAnalyzed(ChatEvent):
    """The analysis of a chat is there, in `chat.chat_analysis`."""

    event: Literal["chat_analyzed"]


@model
class ChatTranscriptUpdated(ChatEvent):
    """A chat has another message. May arrive out of order."""

    event: Literal["transcript_updated"]


@model
class Alert(Model):
    """An alert: what a rule measures crossed the rule's threshold."""

    alert_incident_id: str
    """The same in the triggered and in the resolved event of an alert."""
    alert_rule_id: str
    org_id: str
    name: str
    """The rule's name."""
    metric_type: str
    """What is measured, such as ``call_success_rate``."""
    filter: dict[str, Any] | None = None
    """Which calls or chats are measured, as the rule says it."""
    threshold_type: str
    """``absolute``, or ``relative`` to the previous value."""
    threshold_value: float
    """Cents where costs are measured."""
    comparator: str
    """How the value is compared with the threshold: ``gt``, ``ge``, ``lt`` or ``le``, or the sign of one of these."""
    current_value: float
    """Cents where costs are measured."""
    previous_value: float | None = None
    """The value that a relative threshold is compared with."""
    frequency: str
    """How often the rule is checked, such as ``5m``."""
    window: str
    """The time that a value is measured over, such as ``1h``."""
    emails: list[str] | None = None
    """Who is told by mail."""
    webhook_urls: list[str] | None = None
    """Where this event is sent."""
    triggered_timestamp: int
    """Milliseconds of Unix time."""
    resolved_timestamp: int | None = None
    """Milliseconds of Unix time; ``None`` while the alert lasts."""


@model
class AlertTriggered(Model):
    """A threshold was crossed. Sent once, with no retry."""

    event: Literal["alert_triggered"]
    alert: Alert


@model
class AlertResolved(Model):
    """An alert is over. Sent once, with no retry."""

    event: Literal["alert_resolved"]
    alert: Alert


@model
class UnknownEvent(Model):
    """An event that this version does not know, or one without its call, chat or alert. (A router refuses the latter.)

    `event["name"]` reads a field that is not declared here.
    """

    event: str
    call: CallResponse | None = None
    """The call that it is about, if it is about one."""
    chat: ChatResponse | None = None
    """The chat that it is about, if it is about one."""
    event_timestamp: int | None = None
    """When it happened, in milliseconds of Unix time, where Retell says so."""


Event = (
    CallStarted
    | CallEnded
    | CallAnalyzed
    | TranscriptUpdated
    | TransferStarted
    | TransferBridged
    | TransferCancelled
    | TransferEnded
    | ChatStarted
    | ChatEnded
    | ChatAnalyzed
    | ChatTranscriptUpdated
    | AlertTriggered
    | AlertResolved
    | InboundCall
    | InboundChat
    | UnknownEvent
)
"""Everything that Retell may send to a webhook. `InboundCall` and `InboundChat` are requests that wait for an answer."""

_EVENTS: Mapping[tuple[str, str], type[Model]] = {
    ("call_started", "call"): CallStarted,
    ("call_ended", "call"): CallEnded,
    ("call_analyzed", "call"): CallAnalyzed,
    ("transcript_updated", "call"): TranscriptUpdated,
    ("transcript_updated", "chat"): ChatTranscriptUpdated,
    ("transfer_started", "call"): TransferStarted,
    ("transfer_bridged", "call"): TransferBridged,
    ("transfer_cancelled", "call"): TransferCancelled,
    ("transfer_ended", "call"): TransferEnded,
    ("chat_started", "chat"): ChatStarted,
    ("chat_ended", "chat"): ChatEnded,
    ("chat_analyzed", "chat"): ChatAnalyzed,
    ("alert_triggered", "alert"): AlertTriggered,
    ("alert_resolved", "alert"): AlertResolved,
}
"""The class of an event, by its name and by the field that holds its call, chat or alert."""

_SUBJECTS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(subject for other, subject in _EVENTS if other == name) for name, _ in _EVENTS},
    **{kind.event: (kind.event,) for kind in (InboundCall, InboundChat)},
}
"""The fields of each event that may hold its call, chat or alert."""

EVENT_NAMES = frozenset(name for name, _ in _EVENTS)
"""The names of the events that have a class here."""


def unwrap(
    body: bytes | str,
    headers: Headers,
    *,
    api_key: str | Sequence[str],
    tolerance: float = TOLERANCE,
) -> Event:
    """Verify a webhook and parse it.

    :param body: the raw body as it was received.
    :param headers: the headers as they were received.
    :param api_key: the API key with the webhook badge; several while keys are being changed.
    :param tolerance: seconds that the signature may lie in the past or in the future.
    :raises WebhookVerificationError: it does not come from Retell, or holds no event; the `reason` says why.
    """
    raw, key = Hidden(body), Hidden(api_key)
    del body, api_key  # what is refused below shows them in no traceback
    verify(raw.value, key.value, header_value(headers), tolerance=tolerance)
    return parse_event(raw.value)


def parse_event(body: bytes | str) -> Event:
    """The event in a body that is verified already.

    :raises WebhookVerificationError: there is none in it.
    """
    data = json_object(body)
    name = data.get("event")
    if not isinstance(name, str):
        raise WebhookVerificationError("unreadable: the body's JSON has no name in `event`")
    request = inbound_request(data)
    if request is not None:
        return request
    subject = next((key for key in _SUBJECTS.get(name, ()) if isinstance(data.get(key), dict)), None)
    if subject is None:
        for key, spec in (*CallEvent.__nested__.items(), *ChatEvent.__nested__.items()):
            if isinstance(data.get(key), dict):
                data[key] = decoder(spec)(data[key])
        return adopter(UnknownEvent)(data)
    if subject == "alert":
        data["alert"] = adopter(Alert)(data["alert"])  # this class is not among the generated ones, which decode themselves
    adopt = cast("Callable[[dict[str, Any]], Event]", adopter(_EVENTS[name, subject]))
    return adopt(data)


def require_subject(event: Event) -> Event:
    """The event, if it has the call, chat or alert that its name promises.

    :raises WebhookVerificationError: it has not.
    """
    if isinstance(event, UnknownEvent) and (subjects := _SUBJECTS.get(event.event)):
        raise WebhookVerificationError(f"unreadable: {event.event} has no object in `{'` or `'.join(subjects)}` to be about")
    return event
