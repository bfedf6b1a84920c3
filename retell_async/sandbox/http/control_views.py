"""What the control interface and the page show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import dropwhile, islice
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs

from ..common.messages import Json
from ..faults.active import ActiveFault
from ..faults.fault import Fault
from ..outgoing.outbox import Attempt, Delivery
from ..state.assets import Asset
from ..state.calls import Call
from ..state.request_log import LoggedRequest
from ..state.store import Store
from ..views.calls import listed_call

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


def page(newest_first: Iterable[T], serial: Callable[[T], int], before: int | None, limit: int) -> tuple[list[T], int | None]:
    """A page of items with serial numbers below ``before``, and the number to go on with if there are more."""
    matches = newest_first if before is None else dropwhile(lambda item: serial(item) >= before, newest_first)
    found = list(islice(matches, limit + 1))
    return found[:limit], serial(found[limit - 1]) if len(found) > limit else None


def call_row(call: Call, now: int) -> Json:
    view = listed_call(call, now)
    return {"created": call.created, **{name: view[name] for name in _OF_A_CALL if name in view}}


def agent_row(asset: Asset) -> Json:
    return {name: asset.latest.get(name) for name in _OF_AN_AGENT}


def number_row(asset: Asset) -> Json:
    return {"phone_number": asset.id, "nickname": asset.latest.get("nickname")}


def request_row(received: LoggedRequest) -> Json:
    return {
        "number": received.number,
        "at": received.at,
        "method": received.method,
        "path": received.path,
        "operation": received.operation,
        "status": received.status,
        "faults": received.faults,
    }


def request_detail(received: LoggedRequest) -> Json:
    return {
        **request_row(received),
        "query": received.query,
        "content_type": received.content_type,
        "sent": _text(received.content),
        "answered": None if received.answer is None else _text(received.answer),
    }


def delivery_row(delivery: Delivery) -> Json:
    return {
        "id": delivery.id,
        "kind": delivery.kind,
        "event": delivery.name,
        "about": delivery.about,
        "url": delivery.url,
        "created": delivery.created,
        "due": delivery.due,
        "state": delivery.state,
        "attempts": [
            {"at": attempt.at, "status": attempt.result.status, "problem": attempt.result.problem} for attempt in list(delivery.attempts)
        ],
    }


def delivery_detail(delivery: Delivery, store: Store) -> Json:
    """A delivery with the request as it would be sent now, and the results of all attempts.

    The request is made anew for each attempt: ``signs_this`` says whether an attempt sent what is shown.
    """
    row = delivery_row(delivery)
    try:
        request = delivery.make_request()
    except (ValueError, RecursionError) as error:
        return {**row, "attempts": [_attempt(attempt, None, store) for attempt in delivery.attempts], "cannot_be_sent": str(error)}
    return {
        **row,
        "method": request.method,
        "headers": dict(request.headers),
        "query": dict(request.query),
        "payload": _text(request.content),
        "attempts": [_attempt(attempt, request.content, store) for attempt in delivery.attempts],
    }


def _attempt(attempt: Attempt, content: bytes | None, store: Store) -> Json:
    result = attempt.result
    return {
        "at": attempt.at,
        "status": result.status,
        "problem": result.problem,
        "seconds": round(result.seconds, 3),
        "signature": result.signature,
        "signs_this": content is not None and _signs(result.signature, content, store.webhook_key),
        "answer": _text(result.content),
    }


def _signs(signature: str, content: bytes, key: str) -> bool:
    from retell_async.webhooks import sign  # models of all that Retell sends, which a start need not wait for

    stamp = signature.partition(",")[0].removeprefix("v=")
    return stamp.isdecimal() and sign(content, key, timestamp_ms=int(stamp)) == signature


def fault_row(active: ActiveFault) -> Json:
    return {"id": active.id, "struck": active.count, "fault": active.fault.to_dict()}


def fault_fields() -> list[Json]:
    """The fields of a fault, for a form: each with its type, choices, default, and the kinds that it is for."""
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
        "kinds": field.metadata.get("kinds"),
        "hint": field.metadata.get("hint"),
    }


def _text(content: bytes) -> Json:
    """A body, or the beginning of a very long one."""
    return {"bytes": len(content), "text": content[:_LONGEST].decode(errors="replace")}
