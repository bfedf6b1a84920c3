"""What the API says of calls and chats, as rows of tables: functions over values.

What is sent may have any shape: a value of the wrong kind is left out of its column, and stands in the raw record alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

import attrs
import msgspec

from .._core.json import well_formed
from .policy import Storage

__all__ = [
    "KINDS",
    "LONGEST_ID",
    "Kind",
    "Observation",
    "ToolCall",
    "Utterance",
    "cleaned",
    "columns",
    "cost_rows",
    "dumped",
    "integer",
    "is_over",
    "latency_rows",
    "is_whole",
    "merged",
    "observed",
    "recheck_at",
    "stage_of",
    "text_of",
    "tool_calls_of",
    "utterances_of",
]

Kind: TypeAlias = Literal["call", "chat"]
Source: TypeAlias = Literal["event", "list", "read"]
Json: TypeAlias = Mapping[str, Any]

KINDS: tuple[Kind, ...] = ("call", "chat")
REGISTERED, ONGOING, OVER, ANALYSED = range(4)

_OVER = frozenset({"ended", "error", "not_connected"})
_STATUSES: Mapping[str, int] = {"registered": REGISTERED, "ongoing": ONGOING, **dict.fromkeys(_OVER, OVER)}
_EVENTS: Mapping[str, int] = {
    "call_started": ONGOING,
    "chat_started": ONGOING,
    "call_ended": OVER,
    "chat_ended": OVER,
    "call_analyzed": ANALYSED,
    "chat_analyzed": ANALYSED,
}
"""How far a call or chat has come at least when an event of this name is about it: the status in it may lag behind."""
_NOT_LISTED = frozenset(
    {
        "transcript",
        "transcript_object",
        "transcript_with_tool_calls",
        "message_with_tool_calls",
        "scrubbed_transcript_with_tool_calls",
        "scrubbed_message_with_tool_calls",
        *(
            f"{scrubbed}{when}_session_{what}_with_tool_calls"
            for scrubbed in ("", "scrubbed_")
            for when in ("pre", "post")
            for what in ("transcript", "message")
        ),
    }
)
"""The fields that lists leave out."""
_NO_ERRORS = frozenset(
    {
        "user_hangup",
        "agent_hangup",
        "user_requested_dnc",
        "call_transfer",
        "voicemail_reached",
        "ivr_reached",
        "inactivity",
        "max_duration_reached",
        "dial_busy",
        "dial_no_answer",
        "user_declined",
        "manual_stopped",
        "call_take_over",
        "transfer_bridged",
        "transfer_cancelled",
        "no_concurrency_fallback",
    }
)
_MINUTE = 60_000
LONGEST_ID = 255
"""Characters of what stands in an index, which has no room for everything."""
_LONGEST = 2**63 - 1
_HALF = re.compile(r"[\ud800-\udfff]")


@attrs.frozen
class Observation:
    """A call or chat as it was seen."""

    kind: Kind
    id: str
    data: Json
    stage: int
    """How far it had come."""
    seen_ms: int
    """When that was, in milliseconds of Unix time."""
    source: Source
    """What told of it: an event; a list, which leaves out what was said; or a request for it alone, which leaves out nothing."""


def observed(kind: Kind, data: Json, source: Source, now_ms: int, event: str = "", at_ms: int | None = None) -> Observation | None:
    """A call or chat in an event or an answer; ``None`` if it does not say its id, or says one that is none.

    :param event: the name of the event that it is in.
    :param at_ms: when the event happened, where that is known.
    """
    id = text_of(data.get(f"{kind}_id"))
    if not id or len(id) > LONGEST_ID:
        return None
    return Observation(kind, id, data, max(stage_of(kind, data), _EVENTS.get(event, 0)), now_ms if at_ms is None else at_ms, source)


def stage_of(kind: Kind, data: Json) -> int:
    """How far a call or chat has come, by what it says itself."""
    if isinstance(data.get(f"{kind}_analysis"), dict) and is_over(kind, data):
        return ANALYSED
    if is_over(kind, data):
        return OVER
    return max(_status(kind, data), ONGOING if data.get("start_timestamp") is not None else REGISTERED)


def is_over(kind: Kind, data: Json) -> bool:
    return _status(kind, data) == OVER or data.get("end_timestamp") is not None


def _status(kind: Kind, data: Json) -> int:
    status = data.get(f"{kind}_status")
    return _STATUSES.get(status, REGISTERED) if isinstance(status, str) else REGISTERED


def merged(known: Observation | None, new: Observation) -> Observation | None:
    """What is known of a call or chat when it was seen again; ``None`` if that says nothing new.

    What had come further counts, and of two that had come equally far the later. What the API says when it is asked for a call or chat is
    all that there is of it, until something tells of a later moment. Events come in any order, and one may lack what another one has.
    """
    if known is None:
        return new
    asked = new.source != "event" and known.source == "event"  # then clocks need not agree: the API knew of what it had told before
    newer = new.stage >= known.stage if asked else (new.stage, new.seen_ms) >= (known.stage, known.seen_ms)
    if not newer:
        if new.source != "event" or known.source != "event":
            return None
        return attrs.evolve(known, data={**new.data, **known.data})
    data = dict(new.data)
    if new.source == "list":
        data = {**{name: known.data[name] for name in _NOT_LISTED if name in known.data}, **data}
    elif new.source == "event":
        data = {**known.data, **data}
        status = f"{new.kind}_status"
        if _status(new.kind, new.data) < _status(new.kind, known.data):
            data[status] = known.data[status]
    return attrs.evolve(new, data=data)


def is_whole(kind: Kind, data: Json, storage: Storage, stage: int, source: Source) -> bool:
    """Whether there is nothing left to be read for which the API has to be asked for this call or chat alone: what was said in it.

    What is scrubbed of personal data is only there with the analysis.
    """
    if stage < OVER:
        return False
    if storage == "basic_attributes_only" or (kind == "call" and data.get("start_timestamp") is None):
        return True
    if storage == "everything_except_pii":
        return (stage == ANALYSED and source == "read") or any(name in data for name in _NOT_LISTED if name.startswith("scrubbed_"))
    return source == "read" or any(name in data for name in ("transcript", "transcript_with_tool_calls", "message_with_tool_calls"))


def recheck_at(kind: Kind, data: Json, storage: Storage, stage: int, now_ms: int) -> int | None:
    """When the API is to be asked again whether the analysis is there; ``None`` if there is none to come.

    After the end it is asked for often, and then ever less often, for a week.
    """
    ended = integer(data.get("end_timestamp"))
    if stage != OVER or storage == "basic_attributes_only" or (kind == "call" and data.get("start_timestamp") is None):
        return None
    age = now_ms - (ended if ended is not None else now_ms)
    if age > 7 * 24 * 60 * _MINUTE:
        return None
    return now_ms + max(_MINUTE // 2, min(age // 4, 12 * 60 * _MINUTE))


def columns(kind: Kind, data: Json, stage: int) -> dict[str, Any]:
    """The columns of a call or chat that say what it was."""
    analysis = _mapping(data.get(f"{kind}_analysis"))
    reason = _short(data.get("disconnection_reason"))
    status = _short(data.get(f"{kind}_status"))
    started, ended = integer(data.get("start_timestamp")), integer(data.get("end_timestamp"))
    if stage >= OVER and _status(kind, data) < OVER:  # the status in an event may lag behind
        status = "not_connected" if kind == "call" and started is None and data.get("direction") == "outbound" else "ended"
    duration = integer(data.get("duration_ms"))
    if duration is None and started is not None and ended is not None:
        duration = ended - started
    version = data.get("agent_version" if kind == "call" else "version")
    custom = analysis.get("custom_analysis_data")
    return {
        "kind": kind,
        "channel": _short(data.get(f"{kind}_type")),
        "direction": _short(data.get("direction")),
        "agent_id": _short(data.get("agent_id")),
        "agent_version": integer(version),
        "agent_name": _short(data.get("agent_name")),
        "from_number": _short(data.get("from_number")),
        "to_number": _short(data.get("to_number")),
        "status": status,
        "reason": reason,
        "error_code": (reason or "error") if status == "error" or (reason is not None and reason not in _NO_ERRORS) else None,
        "started_ms": started,
        "ended_ms": ended,
        "duration_ms": duration,
        "successful": _boolean(analysis.get(f"{kind}_successful")),
        "sentiment": _short(analysis.get("user_sentiment")),
        "in_voicemail": _boolean(analysis.get("in_voicemail")),
        "summary": text_of(analysis.get(f"{kind}_summary")),
        "custom_analysis": dumped(custom) if custom else None,
        "cost_cents": _number(_mapping(data.get(f"{kind}_cost")).get("combined_cost")),
        "metadata": dumped(data["metadata"]) if data.get("metadata") else None,
    }


@attrs.frozen
class Utterance:
    """What somebody said or wrote."""

    position: int
    role: str
    text: str
    second: float | None


@attrs.frozen
class ToolCall:
    """A tool that was called, as the transcript has it."""

    tool_call_id: str
    name: str
    arguments: str | None
    result: str | None
    successful: bool | None
    second: float | None
    duration_ms: float | None

    @property
    def state(self) -> str:
        if self.result is None and self.successful is None:
            return "begun"
        return "failed" if self.successful is False else "done"


def utterances_of(kind: Kind, data: Json) -> list[Utterance]:
    """What was said, in its order; where it is known only as a text, by its lines."""
    found: list[Utterance] = []
    for said in _spoken(kind, data):
        text = said.get("digit") if said.get("role") == "dtmf" else said.get("content")
        role = text_of(said.get("role"))
        if role is None or role.startswith("tool_call") or not isinstance(text, str):
            continue
        found.append(Utterance(len(found), role, cleaned(text.strip()), _second(data, said)))
    if found or not isinstance(transcript := data.get("transcript"), str):
        return found
    for line in transcript.splitlines():
        role, colon, text = line.partition(":")
        if colon and role.lower() in {"agent", "user", "transfer_target"}:
            found.append(Utterance(len(found), role.lower(), cleaned(text.strip()), None))
        elif found:
            last = found.pop()
            found.append(attrs.evolve(last, text=f"{last.text}\n{cleaned(line)}"))
    return found


def tool_calls_of(kind: Kind, data: Json) -> list[ToolCall]:
    """The tools that were called, before, in and after the conversation."""
    what = "transcript" if kind == "call" else "message"
    parts = [
        _list(data.get(f"scrubbed_{when}_session_{what}_with_tool_calls") or data.get(f"{when}_session_{what}_with_tool_calls"))
        for when in ("pre", "post")
    ]
    found: dict[str, ToolCall] = {}
    for said in (*parts[0], *_spoken(kind, data), *parts[1]):
        id = text_of(said.get("tool_call_id"))
        if id is None or len(id) > LONGEST_ID:
            continue
        if said.get("role") == "tool_call_invocation":
            arguments = text_of(said.get("arguments"))
            found[id] = ToolCall(id, _short(said.get("name")) or "", arguments, None, None, _second(data, said), None)
        elif said.get("role") == "tool_call_result" and id in found:
            call, then = found[id], _second(data, said)
            took = None if then is None or call.second is None or then < call.second else (then - call.second) * 1000
            found[id] = attrs.evolve(
                call, result=text_of(said.get("content")) or "", successful=_boolean(said.get("successful")), duration_ms=took
            )
    return list(found.values())


def _spoken(kind: Kind, data: Json) -> Sequence[Json]:
    names = (
        ("scrubbed_transcript_with_tool_calls", "transcript_with_tool_calls", "transcript_object")
        if kind == "call"
        else ("scrubbed_message_with_tool_calls", "message_with_tool_calls")
    )
    return next((spoken for spoken in (_list(data.get(name)) for name in names) if spoken), ())


def _second(data: Json, said: Json) -> float | None:
    """The second of the conversation in which something was said or done."""
    if (second := _number(said.get("time_sec"))) is not None:
        return second
    words = _list(said.get("words"))
    if words:
        return _number(words[0].get("start"))
    created, started = integer(said.get("created_timestamp")), integer(data.get("start_timestamp"))
    return None if created is None or started is None else (created - started) / 1000


def cost_rows(kind: Kind, data: Json) -> list[dict[str, Any]]:
    """What a call or chat cost, by product."""
    return [
        {
            "position": position,
            "product": _short(cost.get("product")) or "",
            "cents": _number(cost.get("cost")) or 0.0,
            "unit_price": _number(cost.get("unit_price")),
            "transfer_leg": cost.get("is_transfer_leg_cost") is True,
        }
        for position, cost in enumerate(_list(_mapping(data.get(f"{kind}_cost")).get("product_costs")))
    ]


def latency_rows(data: Json) -> list[dict[str, Any]]:
    """How long a call's parts took, by kind."""
    rows: list[dict[str, Any]] = []
    for kind, latency in _mapping(data.get("latency")).items():
        if isinstance(latency, dict):
            of = cast("Json", latency)
            numbers = {name: _number(of.get(name)) for name in ("p50", "p90", "p95", "p99", "min", "max", "num")}
            median = numbers["p50"]
            bucket = None if median is None or median < 0 else round(100 * math.log1p(median))
            rows.append({"kind": cleaned(kind)[:LONGEST_ID], **numbers, "agent_id": _short(data.get("agent_id")), "bucket": bucket})
    return rows


def dumped(value: object, *, halves: str | None = None) -> str:
    """A value as JSON that every database takes, whatever the texts in it hold. A number that is none becomes null.

    :param halves: what stands for halves of pairs of surrogates, which many parsers refuse; unless given, what stands for them in JSON.
    """
    try:
        return msgspec.json.encode(value).decode()
    except (
        msgspec.MsgspecError,
        TypeError,
        ValueError,
        OverflowError,
    ):  # halves of pairs, numbers beyond all bounds
        text = json.dumps(value, separators=(",", ":"), default=str, ensure_ascii=False)
        if "NaN" in text or "Infinity" in text:
            text = json.dumps(json.loads(text, parse_constant=lambda _: None), separators=(",", ":"), ensure_ascii=False)
        return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}" if halves is None else halves, text)


def text_of(value: object) -> str | None:
    """A text that a column can hold, if it is one."""
    return cleaned(value) if isinstance(value, str) else None


def _short(value: object) -> str | None:
    """A text that an index can hold, if it is one."""
    text = text_of(value)
    return text and text[:LONGEST_ID]


def cleaned(text: str) -> str:
    """A text without what databases refuse: NUL, and halves of pairs that are no characters."""
    return cast("str", well_formed(text.replace("\0", "\ufffd")))


def integer(value: object) -> int | None:
    """A whole number that a column can hold, if it is one or near one."""
    number = _number(value)
    return None if number is None or not -_LONGEST <= number <= _LONGEST else int(cast("float", value))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Json]:
    return [cast("Json", each) for each in cast("list[object]", value) if isinstance(each, dict)] if isinstance(value, list) else []
