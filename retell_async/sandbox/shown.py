"""What the sandbox's page and its own interface show of what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import dropwhile, islice
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs

from retell_async.webhooks import sign

from .errands import Attempt, Errand
from .exchange import Json
from .faults import Fault, Struck
from .log import Received
from .store import Asset, Call, Store
from .views import listed_call

__all__ = [
    "agent_row",
    "call_row",
    "delivery_detail",
    "delivery_row",
    "fault_fields",
    "fault_row",
    "number_row",
    "page",
    "request_detail",
    "request_row",
]

T = TypeVar("T")

_LONGEST = 256 * 1024

_OF_A_CALL = (
    "call_id",
    "call_type",
    "call_status",
    "disconnection_reason",
    "direction",
    "from_number",
    "to_number",
    "agent_id",
    "agent_name",
    "start_timestamp",
    "end_timestamp",
    "duration_ms",
)
_OF_AN_AGENT = ("agent_id", "agent_name", "version", "voice_id", "response_engine", "webhook_url")
_MATTERS_TO: Mapping[str, tuple[str, ...]] = {
    "acted": ("timeout", "reset", "error"),
    "status": ("error",),
    "seconds": ("latency", "timeout", "webhook_late"),
    "retry_after": ("rate_limit",),
    "form": ("rate_limit",),
    "requests": ("rate_limit",),
    "per": ("rate_limit",),
}
"""The kinds of faults that a field says something about; fields that are not here do so about all."""
_HINTS: Mapping[str, str] = {
    "operation": "of the API, or an event for webhook_…; * stands for any characters",
    "probability": "0 to 1",
    "seed": "the same seed strikes the same requests",
    "times": "at most; empty: without end",
    "acted": "carried out first",
    "status": "400 to 599",
    "seconds": "empty: what is usual for the kind",
    "retry_after": "seconds; empty: not said",
    "requests": "so many are let in; empty: none",
    "per": "seconds, in which so many are let in",
}


def page(newest_first: Iterable[T], serial: Callable[[T], int], before: int | None, limit: int) -> tuple[list[T], int | None]:
    """So many of the things whose serial numbers are below one, and the number to go on with when there are more."""
    meant = newest_first if before is None else dropwhile(lambda item: serial(item) >= before, newest_first)
    found = list(islice(meant, limit + 1))
    return found[:limit], serial(found[limit - 1]) if len(found) > limit else None


def call_row(call: Call, now: int) -> Json:
    view = listed_call(call, now)
    return {"created": call.created, **{name: view[name] for name in _OF_A_CALL if name in view}}


def agent_row(asset: Asset) -> Json:
    return {name: asset.latest.get(name) for name in _OF_AN_AGENT}


def number_row(asset: Asset) -> Json:
    return {"phone_number": asset.id, "nickname": asset.latest.get("nickname")}


def request_row(received: Received) -> Json:
    return {
        "number": received.number,
        "at": received.at,
        "method": received.method,
        "path": received.path,
        "operation": received.operation,
        "status": received.status,
        "faults": received.faults,
    }


def request_detail(received: Received) -> Json:
    return {
        **request_row(received),
        "query": received.query,
        "content_type": received.content_type,
        "sent": _text(received.content),
        "answered": None if received.answer is None else _text(received.answer),
    }


def delivery_row(errand: Errand) -> Json:
    return {
        "id": errand.id,
        "kind": errand.kind,
        "event": errand.name,
        "about": errand.about,
        "url": errand.url,
        "created": errand.created,
        "due": errand.due,
        "state": errand.state,
        "attempts": [
            {"at": attempt.at, "status": attempt.heard.status, "problem": attempt.heard.problem} for attempt in list(errand.attempts)
        ],
    }


def delivery_detail(errand: Errand, store: Store) -> Json:
    """What is sent, as it would be sent now, and all that came of it.

    A payload is made anew at each attempt: ``signs_this`` of an attempt says whether what it sent is still what is shown.
    """
    row = delivery_row(errand)
    try:
        ask = errand.ask()
    except (ValueError, RecursionError) as error:
        return {**row, "attempts": [_attempt(attempt, None, store) for attempt in errand.attempts], "cannot_be_sent": str(error)}
    return {
        **row,
        "method": ask.method,
        "headers": dict(ask.headers),
        "query": dict(ask.query),
        "payload": _text(ask.content),
        "attempts": [_attempt(attempt, ask.content, store) for attempt in errand.attempts],
    }


def _attempt(attempt: Attempt, content: bytes | None, store: Store) -> Json:
    heard = attempt.heard
    return {
        "at": attempt.at,
        "status": heard.status,
        "problem": heard.problem,
        "seconds": round(heard.seconds, 3),
        "signature": heard.signature,
        "signs_this": content is not None and _signs(heard.signature, content, store.webhook_key),
        "answer": _text(heard.content),
    }


def _signs(signature: str, content: bytes, key: str) -> bool:
    stamp = signature.partition(",")[0].removeprefix("v=")
    return stamp.isdecimal() and sign(content, key, timestamp_ms=int(stamp)) == signature


def fault_row(struck: Struck) -> Json:
    return {"id": struck.id, "struck": struck.count, "fault": struck.fault.to_dict()}


def fault_fields() -> list[Json]:
    """What can be said of a fault, for a form: each field with its type, choices and default, and the kinds of faults it matters to."""
    hints = get_type_hints(Fault)
    return [_field(field, hints[field.name]) for field in attrs.fields(Fault)]


def _field(field: attrs.Attribute[Any], hint: Any) -> Json:
    members = [hint] if get_origin(hint) is Literal else list(get_args(hint)) or [hint]
    (kind,) = (member for member in members if member is not NoneType)
    choices = get_args(kind)
    return {
        "name": field.name,
        "type": "choice" if choices else {str: "text", bool: "boolean", int: "integer", float: "number"}[kind],
        "choices": choices,
        "optional": NoneType in members,
        "default": None if field.default is attrs.NOTHING else field.default,
        "kinds": _MATTERS_TO.get(field.name),
        "hint": _HINTS.get(field.name),
    }


def _text(content: bytes) -> Json:
    """A body, the beginning of a very long one."""
    return {"bytes": len(content), "text": content[:_LONGEST].decode(errors="replace")}
