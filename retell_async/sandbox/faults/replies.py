"""How an answer goes out: whole, or as a fault wants it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from email.utils import formatdate
from typing import Literal

import attrs

from ..common.messages import Answer, Refused
from .active import RequestEffect
from .fault import Fault
from .unknown_values import with_unknown_field, with_unknown_value

__all__ = ["Reply", "reply_to", "whole"]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_JSON: Mapping[str, str] = {"content-type": "application/json"}


@attrs.frozen
class Reply:
    """What is sent for one request."""

    status: int | None
    """``None`` when no answer is sent."""
    content: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    ending: Literal["whole", "truncated", "reset", "silence"] = "whole"
    """`truncated` closes the connection after half of the content."""
    seconds: float = 0.0
    """How long a silence lasts."""


def reply_to(answer: Answer | None, effect: RequestEffect, now: float) -> Reply:
    """What is sent for a request.

    :param answer: what the API says; ``None`` when it was not asked.
    :param now: Unix time in seconds.
    """
    end = effect.end
    if end is not None:
        match end.kind:
            case "timeout":
                return Reply(None, ending="silence", seconds=end.time)
            case "reset":
                return Reply(None, ending="reset")
            case "rate_limit":
                reply = whole(Refused(429, "Too many requests: this account has reached its rate limit.").answer())
                return attrs.evolve(reply, headers={**reply.headers, **_retry_after(end, now)})
            case "error":
                return whole(Refused(end.status, "This request fails because a fault is set for it.").answer())
            case _:
                pass
    if answer is None:
        raise ValueError("a request that is to be answered was not carried out")
    reply = whole(_changed(answer, effect))
    if end is None or not reply.content:
        return reply
    if end.kind == "truncated":
        return attrs.evolve(reply, ending="truncated")
    return attrs.evolve(reply, content=reply.content[: len(reply.content) // 2])


def whole(answer: Answer) -> Reply:
    return Reply(answer.status) if answer.body is None else Reply(answer.status, _encode(answer.body).encode(), _JSON)


def _changed(answer: Answer, effect: RequestEffect) -> Answer:
    body = answer.body
    for fault, number in effect.changes:
        body = with_unknown_value(body, number) if fault.kind == "unknown_value" else with_unknown_field(body)
    return Answer(answer.status, body)


def _retry_after(fault: Fault, now: float) -> dict[str, str]:
    seconds = fault.retry_after
    if seconds is None:
        return {}
    match fault.form:
        case "seconds":
            return {"retry-after": str(math.ceil(seconds))}
        case "fraction":
            return {"retry-after": f"{seconds:.3f}"}
        case "date":
            return {"retry-after": formatdate(math.ceil(now + seconds), usegmt=True)}
        case "milliseconds":
            return {"retry-after-ms": str(math.ceil(seconds * 1000))}
