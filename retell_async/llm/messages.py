"""Every message of the custom-LLM WebSocket, in both directions: parsed, made and written as JSON.

A message is a `Model`: its fields are attributes, `to_dict` gives back what was sent, unknown fields are kept. A message that this version
does not know is an `UnknownRequest` or an `UnknownAnswer`. Times are milliseconds of Unix time unless their name says otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar, cast, dataclass_transform

from retell_async import RetellError
from retell_async._core.json import loads
from retell_async._core.model import Many, Model, One, Spec, adopter, model

from .log import parsed

if TYPE_CHECKING:
    from retell_async.types import CallResponse, Utterance, UtteranceOrToolCall

__all__ = [
    "AgentConfig",
    "AgentInterrupt",
    "Answer",
    "CallDetails",
    "Config",
    "Message",
    "Metadata",
    "Options",
    "Ping",
    "Pong",
    "ProtocolError",
    "ReminderRequired",
    "Request",
    "Response",
    "ResponseRequired",
    "ToolCallInvocation",
    "ToolCallResult",
    "UnknownAnswer",
    "UnknownRequest",
    "UpdateAgent",
    "UpdateOnly",
    "dump",
    "odd_fields",
    "parse_answer",
    "parse_request",
]

MessageT = TypeVar("MessageT", bound="Message")


class ProtocolError(RetellError, ValueError):
    """A frame that is no message of the protocol. What it says names the place and holds nothing that was sent."""


class Message(Model):
    """Base of all messages. The field that says which message it is, is filled in."""

    __tag__: ClassVar[tuple[str, str]] = ("", "")
    __needs__: ClassVar[Mapping[str, type]] = {}
    """What must be there for the message to mean anything, and of which type."""

    def __init__(self, **fields: Any) -> None:
        tag, value = self.__tag__
        super().__init__(**({tag: value, **fields} if tag else fields))


@dataclass_transform(kw_only_default=True)
def _message(tag: str, value: str, **needs: type) -> Callable[[type[MessageT]], type[MessageT]]:
    def made(cls: type[MessageT]) -> type[MessageT]:
        found = model(cls)
        found.__tag__, found.__needs__ = (tag, value), needs
        return found

    return made


# From Retell.


@_message("interaction_type", "ping_pong", timestamp=float)
class Ping(Message):
    """Retell asks whether the server is alive, every two seconds, if `auto_reconnect` was asked for."""

    interaction_type: Literal["ping_pong"] = "ping_pong"
    timestamp: int


@_message("interaction_type", "call_details", call=dict)
class CallDetails(Message):
    """The call, once, if `call_details` was asked for."""

    __nested__: ClassVar[Mapping[str, Spec]] = {"call": One("CallResponse")}

    interaction_type: Literal["call_details"] = "call_details"
    call: CallResponse


class _WithTranscript(Message):
    __nested__: ClassVar[Mapping[str, Spec]] = {
        "transcript": Many(One("Utterance")),
        "transcript_with_tool_calls": Many(One("UtteranceOrToolCall")),
    }


@_message("interaction_type", "update_only")
class UpdateOnly(_WithTranscript):
    """The transcript or whose turn it is has changed. No answer is wanted."""

    interaction_type: Literal["update_only"] = "update_only"
    transcript: list[Utterance]
    """All that was said so far."""
    transcript_with_tool_calls: list[UtteranceOrToolCall] | None = None
    """The same with tool calls and keys pressed, if it was asked for."""
    turntaking: Literal["agent_turn", "user_turn"] | None = None
    """Who becomes the speaker, where that changes: ``agent_turn`` comes just before the agent speaks."""


@_message("interaction_type", "response_required", response_id=int)
class ResponseRequired(_WithTranscript):
    """An answer is wanted. All earlier ones no longer are."""

    interaction_type: Literal["response_required"] = "response_required"
    response_id: int
    transcript: list[Utterance]
    transcript_with_tool_calls: list[UtteranceOrToolCall] | None = None


@_message("interaction_type", "reminder_required", response_id=int)
class ReminderRequired(_WithTranscript):
    """The user has been silent for a while, and the agent may say something. All earlier answers are no longer wanted."""

    interaction_type: Literal["reminder_required"] = "reminder_required"
    response_id: int
    transcript: list[Utterance]
    transcript_with_tool_calls: list[UtteranceOrToolCall] | None = None


@model
class UnknownRequest(_WithTranscript):
    """A message from Retell that this version does not know. ``message["name"]`` reads a field."""

    interaction_type: str


# To Retell.


@model
class Options(Model):
    """What the server wants of the connection; each is off unless it is asked for."""

    auto_reconnect: bool | None = None
    """Pings both ways, and another connection when they stop."""
    call_details: bool | None = None
    """The call object, in `CallDetails`."""
    transcript_with_tool_calls: bool | None = None
    """The transcript with tool calls beside the plain one."""


@_message("response_type", "config", config=dict)
class Config(Message):
    """The connection's options. The first message, if it is sent at all."""

    __own__: ClassVar[Mapping[str, type[Model]]] = {"config": Options}

    response_type: Literal["config"] = "config"
    config: Options


@model
class AgentConfig(Model):
    """Settings of the agent that may be changed for this call."""

    responsiveness: float | None = None
    """0 to 1; less waits longer before the agent speaks."""
    interruption_sensitivity: float | None = None
    """0 to 1; more makes the agent easier to interrupt."""
    reminder_trigger_ms: float | None = None
    """Milliseconds of silence after which Retell asks for a reminder."""
    reminder_max_count: int | None = None
    """How many reminders there may be; 0 for none."""


@_message("response_type", "update_agent", agent_config=dict)
class UpdateAgent(Message):
    """Changes the agent for this call, at any time."""

    __own__: ClassVar[Mapping[str, type[Model]]] = {"agent_config": AgentConfig}

    response_type: Literal["update_agent"] = "update_agent"
    agent_config: AgentConfig


@_message("response_type", "ping_pong", timestamp=float)
class Pong(Message):
    """The server is alive."""

    response_type: Literal["ping_pong"] = "ping_pong"
    timestamp: int


@_message("response_type", "response", response_id=int, content=str, content_complete=bool)
class Response(Message):
    """An answer or a part of it; parts of one id are spoken as one text. The begin message has the id 0.

    At most one of `end_call`, `transfer_number` and `digit_to_press` may be given for an id; it is done after the text is spoken.
    """

    response_type: Literal["response"] = "response"
    response_id: int
    content: str
    content_complete: bool
    """Whether this is the last part."""
    no_interruption_allowed: bool | None = None
    end_call: bool | None = None
    transfer_number: str | None = None
    show_transferee_as_caller: bool | None = None
    digit_to_press: str | None = None


@_message("response_type", "agent_interrupt", interrupt_id=int, content=str, content_complete=bool)
class AgentInterrupt(Message):
    """The agent speaks now, whoever is speaking. An answer that is on its way is no longer wanted."""

    response_type: Literal["agent_interrupt"] = "agent_interrupt"
    interrupt_id: int
    content: str
    content_complete: bool
    no_interruption_allowed: bool | None = None
    end_call: bool | None = None
    transfer_number: str | None = None
    digit_to_press: str | None = None


@_message("response_type", "tool_call_invocation", tool_call_id=str, name=str, arguments=str)
class ToolCallInvocation(Message):
    """A tool is called. For the transcript alone."""

    response_type: Literal["tool_call_invocation"] = "tool_call_invocation"
    tool_call_id: str
    name: str
    arguments: str
    """A JSON object as text."""


@_message("response_type", "tool_call_result", tool_call_id=str, content=str)
class ToolCallResult(Message):
    """What came of a tool call. For the transcript alone."""

    response_type: Literal["tool_call_result"] = "tool_call_result"
    tool_call_id: str
    content: str
    successful: bool | None = None


@_message("response_type", "metadata", metadata=object)
class Metadata(Message):
    """Anything, for the front end of a web call."""

    response_type: Literal["metadata"] = "metadata"
    metadata: Any


@model
class UnknownAnswer(Message):
    """A message to Retell that this version does not know."""

    response_type: str


Request: TypeAlias = Ping | CallDetails | UpdateOnly | ResponseRequired | ReminderRequired | UnknownRequest
"""Whatever Retell may send."""
Answer: TypeAlias = Config | UpdateAgent | Pong | Response | AgentInterrupt | ToolCallInvocation | ToolCallResult | Metadata | UnknownAnswer
"""Whatever a server may send."""

_REQUESTS = {kind.__tag__[1]: kind for kind in (Ping, CallDetails, UpdateOnly, ResponseRequired, ReminderRequired)}
_ANSWERS = {
    kind.__tag__[1]: kind for kind in (Config, UpdateAgent, Pong, Response, AgentInterrupt, ToolCallInvocation, ToolCallResult, Metadata)
}
_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", dict: "an object", object: "anything"}

_OPTIONAL = {
    **dict.fromkeys(("auto_reconnect", "call_details", "transcript_with_tool_calls", "no_interruption_allowed"), bool),
    **dict.fromkeys(("end_call", "show_transferee_as_caller", "successful"), bool),
    **dict.fromkeys(("responsiveness", "interruption_sensitivity", "reminder_trigger_ms", "reminder_max_count"), float),
}
_BOUNDS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "responsiveness": ("between 0 and 1", lambda value: 0 <= value <= 1),
    "interruption_sensitivity": ("between 0 and 1", lambda value: 0 <= value <= 1),
    "reminder_trigger_ms": ("above 0", lambda value: value > 0),
    "reminder_max_count": ("a whole number of 0 or more", lambda value: value >= 0 and value == int(value)),
}


def parse_request(text: str) -> Request:
    """A message from Retell. A transcript that is missing reads as an empty one, and what is no object in one is left out.

    :raises ProtocolError: it is none.
    """
    data = _object(text, loads)
    kind = _kind(data, "interaction_type", _REQUESTS)
    if kind is None or kind.__base__ is _WithTranscript:
        _clean_transcripts(data, needed=kind is not None)
    return cast("Request", adopter(UnknownRequest if kind is None else kind)(data))


def parse_answer(text: str) -> Answer:
    """A message from a server. One that does not say what it is counts as a response, as Retell has it.

    ``NaN`` and ``Infinity``, which Python's `json.dumps` writes and JSON does not have, make it none: Retell would not read the frame.

    :raises ProtocolError: it is none.
    """
    data = _object(text, parsed)
    kind = _kind(data, "response_type", _ANSWERS, default="response")
    if kind is None:
        return adopter(UnknownAnswer)(data)
    for name, own in getattr(kind, "__own__", {}).items():
        data[name] = adopter(own)(data[name])
    return cast("Answer", adopter(kind)(data))


def odd_fields(answer: Answer) -> Iterator[str]:
    """What is wrong with fields of a message that may be left out, or be ``null``: a sentence for each. Actions are not looked at."""
    fields = answer.to_dict()
    for name in ("config", "agent_config"):
        if isinstance(fields.get(name), dict):
            fields |= fields[name]
    for name, needed in _OPTIONAL.items():
        value = fields.get(name)
        if value is None:
            continue
        if not _fits(value, needed):
            yield f"a `{name}` that is not {_NAMES[needed]}"
        elif name in _BOUNDS and not _BOUNDS[name][1](value):
            yield f"a `{name}` that is not {_BOUNDS[name][0]}"


def dump(message: Message) -> str:
    """A message as the text of a frame.

    :raises TypeError: it holds what JSON does not have.
    :raises ValueError: a number in it is not finite, or it holds itself.
    """
    return json.dumps(message.to_dict(), separators=(",", ":"), allow_nan=False)


def _object(text: str, read: Callable[[str], Any]) -> dict[str, Any]:
    try:
        data = read(text)
    except ValueError:
        raise ProtocolError("the frame is not JSON") from None
    except RecursionError:
        raise ProtocolError("the frame's JSON is nested too deeply") from None
    if not isinstance(data, dict):
        raise ProtocolError("the frame's JSON is not an object")
    return cast("dict[str, Any]", data)


def _kind(data: dict[str, Any], tag: str, kinds: Mapping[str, type[Message]], default: str | None = None) -> type[Message] | None:
    """The class of a message that has all it needs; ``None`` for one that is not known."""
    name = data.get(tag, default)
    if not isinstance(name, str):
        raise ProtocolError(f"the message has no text in `{tag}`")
    kind = kinds.get(name)
    if kind is None:
        return None
    for field, needed in kind.__needs__.items():
        if field not in data:
            raise ProtocolError(f"{name} has no `{field}`")
        if not _fits(data[field], needed):
            raise ProtocolError(f"{name} has a `{field}` that is not {_NAMES[needed]}")
    return kind


def _fits(value: Any, needed: type) -> bool:
    """Whether a value of JSON is of a type: ``float`` stands for any number."""
    if isinstance(value, bool) and needed in {int, float}:
        return False
    return isinstance(value, (int, float) if needed is float else needed) and not (isinstance(value, float) and not math.isfinite(value))


def _clean_transcripts(data: dict[str, Any], *, needed: bool) -> None:
    for name in _WithTranscript.__nested__:
        if name in data or (needed and name == "transcript"):
            said: Any = data.get(name)
            data[name] = [item for item in said if isinstance(item, dict)] if said.__class__ is list else []
