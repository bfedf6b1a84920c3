"""What each kind of fault does. A new kind is an entry here, and a name and a line of documentation in `fault`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

import attrs

from ..common.messages import Refused
from ..outgoing.outbox import DeliveryEffect
from .fault import Fault, FaultKind
from .replies import Reply, whole
from .unknown_values import with_unknown_field, with_unknown_value

__all__ = ["KINDS", "ChangesBody", "ChangesDelivery", "ChangesReply", "Delays", "Kind", "Replaces"]


@attrs.frozen
class Delays:
    """The request is taken up later."""


@attrs.frozen
class Replaces:
    """Something else is sent in place of the answer."""

    reply: Callable[[Fault, float], Reply]
    """Told the fault and the Unix time in seconds."""
    may_act: bool = True
    """Whether ``acted`` lets the request be carried out all the same."""


@attrs.frozen
class ChangesReply:
    """The request is carried out, and what is sent for it is changed, if it has content."""

    reply: Callable[[Reply], Reply]


@attrs.frozen
class ChangesBody:
    """The request is carried out, and the JSON of its answer is changed."""

    body: Callable[[Any, int], Any]
    """Told the JSON and a number that decides where it is changed."""


@attrs.frozen
class ChangesDelivery:
    """A webhook is delivered another way."""

    delivery: Callable[[Fault, DeliveryEffect], DeliveryEffect]
    """Told the fault and what the faults before it do to the delivery."""


Kind = Delays | Replaces | ChangesReply | ChangesBody | ChangesDelivery


def _error(fault: Fault, _: float) -> Reply:
    return whole(Refused(fault.status, "This request fails because a fault is set for it.").answer())


def _rate_limit(fault: Fault, now: float) -> Reply:
    reply = whole(Refused(429, "Too many requests: this account has reached its rate limit.").answer())
    return attrs.evolve(reply, headers={**reply.headers, **_retry_after(fault, now)})


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


def _malformed(reply: Reply) -> Reply:
    return attrs.evolve(reply, content=reply.content[: len(reply.content) // 2])


def _duplicate(_: Fault, effect: DeliveryEffect) -> DeliveryEffect:
    return attrs.evolve(effect, copies=effect.copies + 1 if effect.copies else 0)


def _late(fault: Fault, effect: DeliveryEffect) -> DeliveryEffect:
    return attrs.evolve(effect, delay=effect.delay + fault.time)


KINDS: Mapping[FaultKind, Kind] = {
    "rate_limit": Replaces(_rate_limit, may_act=False),
    "latency": Delays(),
    "timeout": Replaces(lambda fault, _: Reply(None, ending="silence", seconds=fault.time)),
    "reset": Replaces(lambda _, __: Reply(None, ending="reset")),
    "error": Replaces(_error),
    "malformed": ChangesReply(_malformed),
    "truncated": ChangesReply(lambda reply: attrs.evolve(reply, ending="truncated")),
    "unknown_value": ChangesBody(with_unknown_value),
    "unknown_field": ChangesBody(lambda body, _: with_unknown_field(body)),
    "webhook_duplicate": ChangesDelivery(_duplicate),
    "webhook_late": ChangesDelivery(_late),
    "webhook_lost": ChangesDelivery(lambda _, effect: attrs.evolve(effect, copies=0)),
}
