"""What is said of an activity: its name, and attributes by the conventions of OpenTelemetry. No numbers of people, no bodies, no keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from retell_async import APIStatusError, CircuitEvent, LimitEvent, OutcomeUnknownError, RetellError, RetryEvent, WaitEvent
from retell_async._core.json import well_formed
from retell_async._core.masking import mask_text
from retell_async._instrumentation import (
    Activity,
    AttemptActivity,
    CampaignAttemptActivity,
    DeliveryActivity,
    RequestActivity,
    TurnActivity,
)

__all__ = ["Attributes", "Told", "at_begin", "at_end", "error_type", "kind_of", "name_of", "of_event", "text_of"]

Attributes: TypeAlias = dict[str, str | int | float | bool]
Told: TypeAlias = RetryEvent | LimitEvent | WaitEvent | CircuitEvent

_SCHEMES = {"http": 80, "https": 443}
_KIND_NAMES: Mapping[type[Activity], str] = {
    RequestActivity: "request",
    AttemptActivity: "attempt",
    DeliveryActivity: "webhook",
    TurnActivity: "turn",
    CampaignAttemptActivity: "campaign attempt",
}
_CANCELLED = {"CancelledError", "Cancelled", "GeneratorExit"}


def kind_of(activity: Activity) -> str:
    """What kind of thing it is, in a word or two."""
    return _KIND_NAMES.get(type(activity), "activity")


def name_of(activity: Activity) -> str:
    """The name of its span, of which there are few: no id is in it."""
    match activity:
        case RequestActivity():
            return method_of(activity.operation)
        case AttemptActivity():
            return f"{activity.request.method} {activity.request.path}"
        case DeliveryActivity():
            return f"webhook {activity.name}" if activity.kind != "function" else f"function {activity.name}"
        case TurnActivity():
            return f"turn {activity.kind}"
        case _:
            return kind_of(activity)


def at_begin(activity: Activity) -> Attributes:
    """What is known when it begins: what samplers see. To be read only: requests have theirs in common."""
    attributes: Attributes = {}
    match activity:
        case RequestActivity():
            attributes = _of_operation(activity.operation, activity.method, activity.path, activity.base_url)
            if activity.call_id is None:
                return attributes
            attributes = {**attributes}
        case AttemptActivity(request=request):
            attributes = _of_operation(None, request.method, request.path, request.base_url)
            if activity.number == 1 and activity.call_id is None:
                return attributes
            attributes = {**attributes}
            if activity.number > 1:
                attributes["http.request.resend_count"] = activity.number - 1
        case DeliveryActivity():
            attributes[f"retell.{'function' if activity.kind == 'function' else 'event'}"] = text_of(activity.name) or ""
            attributes.update(_of_call(getattr(activity.sent, "call", None)))
        case TurnActivity():
            attributes["gen_ai.operation.name"] = "invoke_agent"
            attributes["gen_ai.conversation.id"] = str(text_of(activity.call_id))
            attributes["retell.turn.id"] = activity.turn
            attributes["retell.turn.kind"] = activity.kind
        case CampaignAttemptActivity():
            attributes["retell.campaign.attempt"] = activity.key
        case _:
            pass
    if (call_id := text_of(activity.call_id)) is not None:
        attributes["retell.call_id"] = call_id
    return attributes


def at_end(activity: Activity) -> Attributes:
    """What else is known at its end."""
    attributes: Attributes = {}
    match activity:
        case AttemptActivity():
            if activity.status is not None:
                attributes["http.response.status_code"] = activity.status
                if activity.status < 400 and activity.error is None:
                    return attributes
        case RequestActivity():
            attributes["retell.attempts"] = activity.attempts
            learn(activity)
        case DeliveryActivity():
            attributes["retell.webhook.outcome"] = activity.outcome or "cancelled"
        case TurnActivity():
            attributes["retell.turn.outcome"] = activity.outcome
            attributes["retell.turn.interrupted"] = activity.outcome == "interrupted"
            if activity.first_text is not None:
                attributes["gen_ai.response.time_to_first_chunk"] = activity.first_text
        case CampaignAttemptActivity() if activity.reason is not None:
            attributes["retell.campaign.result"] = activity.reason
        case _:
            pass
    if (call_id := text_of(activity.call_id)) is not None:
        attributes["retell.call_id"] = call_id
    failed = error_type(activity)
    if failed is not None:
        attributes["error.type"] = failed
    return attributes


def of_event(event: Told) -> tuple[str, Attributes]:
    """The name of an event on a span, and its attributes."""
    match event:
        case RetryEvent():
            return "retry", {"attempt": event.attempt, "delay": event.delay, "error.type": _type_of(event.error)}
        case LimitEvent():
            rate: Attributes = {} if event.rate is None else {"rate": event.rate}
            return "rate limited", {"limit": event.limit, "pause": event.pause, **rate}
        case WaitEvent():
            return "waited", {"limit": event.limit, "seconds": event.seconds}
        case CircuitEvent():
            return "circuit breaker", {"state": event.state, "failures": event.failures}


def error_type(activity: Activity) -> str | None:
    """What kind of failure it ended with, of which there are few; ``None`` if it ended well."""
    match activity:
        case RequestActivity(error=None):
            return None
        case AttemptActivity(status=int(status)) if status >= 400:
            return str(status)
        case Activity(error=BaseException() as error):
            return _type_of(error)
        case DeliveryActivity(outcome=("late" | "refused") as outcome) | TurnActivity(outcome=("failed" | "timed_out") as outcome):
            return outcome
        case _:
            return None


def text_of(value: object) -> str | None:
    """A text of Retell's or of a caller's, such as can be sent on: with a mark for each half of a surrogate pair, and no number whole.

    ``None`` if it is none.
    """
    return mask_text(cast("str", well_formed(value))) if isinstance(value, str) else None


def learn(activity: RequestActivity) -> None:
    """Take from the answer which call was placed."""
    if activity.places_call and activity.answer is not None and activity.call_id is None:
        try:
            activity.call_id = activity.answer.meaning.call_id
        except (RetellError, AttributeError):  # whoever placed it is told
            return


@lru_cache(maxsize=1024)
def method_of(operation: str) -> str:
    """The method of the client that stands for an operation; the operation's id where there is none."""
    from retell_async.resources._operations import METHODS

    return next((method for method, id in METHODS.items() if id == operation), operation)


@lru_cache(maxsize=1024)
def _of_operation(operation: str | None, method: str, path: str, base_url: str) -> Attributes:
    parts = urlsplit(base_url)
    return {
        **({} if operation is None else {"retell.operation": operation}),
        "http.request.method": method,
        "url.template": path,
        "server.address": parts.hostname or "",
        "server.port": parts.port or _SCHEMES.get(parts.scheme, 443),
    }


def _of_call(call: Any) -> Mapping[str, str]:
    if call is None:
        return {}
    found = {f"retell.{name}": text_of(getattr(call, name, None)) for name in ("agent_id", "direction", "disconnection_reason")}
    return {name: value for name, value in found.items() if value is not None}


def _type_of(error: BaseException) -> str:
    if isinstance(error, OutcomeUnknownError):
        return OutcomeUnknownError.__name__
    if type(error) is APIStatusError:
        return str(error.status_code)
    name = type(error).__name__
    return "cancelled" if name in _CANCELLED else name
