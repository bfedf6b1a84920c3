"""From a contact to the request for a call, and from what came of it to what that says of the contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from .._core.errors import APIError, BadRequestError, NotFoundError, OutcomeUnknownError, UnprocessableEntityError
from .._core.masking import mask_text
from .._engine.idempotency import MARK
from .._helpers.watch import is_transient
from .._logs import Log
from .case import Result
from .contact import Contact
from .hours import zone
from .rules import REASONS, Rules
from .settings import Settings

if TYPE_CHECKING:
    from .._dispatch.outcome import Outcome
    from ..raw.models import PhoneCallResponse

__all__ = ["opted_out", "request_of", "result_of"]

_NOT_CALLED = ("do_not_call", "do not call", "dnc")

_NO = frozenset(("", "no", "false", "0", "none", "null", "unknown", "n/a", "undefined"))

_logger = Log("retell_async")


def request_of(contact: Contact, settings: Settings, from_number: str, key: str) -> dict[str, Any]:
    """The keywords of `call.create_phone_call` for a contact: what `client.dispatch` takes.

    :param key: names this attempt and no other: its idempotency key, and in its metadata what it is found by later.
    """
    request: dict[str, Any] = {
        "from_number": from_number,
        "to_number": contact.number,
        "idempotency_key": key,
        "metadata": {**contact.metadata, MARK: key},
    }
    if settings.honor_internal_dnc:
        request["honor_internal_dnc"] = True
    if contact.variables:
        request["retell_llm_dynamic_variables"] = dict(contact.variables)
    if settings.agent is not None:
        request["override_agent_id"] = settings.agent
    if settings.agent_version is not None:
        request["override_agent_version"] = settings.agent_version
    return request


def result_of(outcome: Outcome, rules: Rules, contact: Contact) -> Result | None:
    """What an outcome of a dispatch says of a contact; ``None`` if the call was placed and its end is not known."""
    if outcome.status == "unknown":
        return Result("unknown")
    if outcome.status == "not_placed":
        return _refused(outcome.error)
    if outcome.status == "placed" or outcome.call is None:
        return None
    call = outcome.call
    reason = _text(call.disconnection_reason) or _text(call.call_status) or "unknown"
    connected = call.start_timestamp is not None
    callback = _callback(call, rules.callback, contact.zones)
    return Result(reason, connected=connected, callback=callback, opted_out=opted_out(call, rules))


def opted_out(call: PhoneCallResponse, rules: Rules) -> bool:
    """Whether whoever the call was with wants no more calls: its end says so, or what its agent left in the field `Rules.opt_out`."""
    if REASONS.get(_text(call.disconnection_reason)) == "opted_out":
        return True
    said = None if rules.opt_out is None else _said(call, rules.opt_out)
    return said.strip().lower() not in _NO if isinstance(said, str) else bool(said)


def _refused(error: Exception | None) -> Result:
    """What was not placed: for good if the request is at fault, which stays as it is."""
    if isinstance(error, OutcomeUnknownError):
        return Result("unknown")
    if isinstance(error, BadRequestError) and any(words in error.message.lower() for words in _NOT_CALLED):
        return Result("not_placed", opted_out=True)
    if error is not None and is_transient(error):
        return Result("unavailable")
    at_fault = (BadRequestError, NotFoundError, UnprocessableEntityError, ValueError, TypeError)
    text = error.message if isinstance(error, APIError) else str(error or "")
    return Result("not_placed", for_good=isinstance(error, at_fault), text=mask_text(text))


def _callback(call: PhoneCallResponse, name: str | None, zones: Sequence[str]) -> float | None:
    """When the contact wants to be called, if the call's analysis or its variables say so.

    A time without an offset is the contact's own; where that may be in several zones, it has come in all of them.
    """
    if name is None:
        return None
    text = _said(call, name)
    if not isinstance(text, str) or not text:
        return None
    try:
        said = datetime.fromisoformat(text.strip())
        times = [said] if said.tzinfo is not None else [said.replace(tzinfo=zone(each)) for each in zones]
        moment = max(time.timestamp() for time in times)
    except (ValueError, OverflowError):
        _logger.warning("call %s: %s is no time in the form of ISO 8601, and nobody is called back for it", call.call_id, name)
        return None
    if isinstance(call.end_timestamp, (int, float)) and moment * 1000 <= call.end_timestamp:
        _logger.warning("call %s: %s is a time before the end of that call, and nobody is called back for it", call.call_id, name)
        return None
    return moment


def _said(call: PhoneCallResponse, name: str) -> object:
    given = call.to_dict()
    for found in (_table(_table(given.get("call_analysis")).get("custom_analysis_data")), _table(given.get("collected_dynamic_variables"))):
        if (said := found.get(name)) is not None:
            return said
    return None


def _table(said: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", said) if isinstance(said, Mapping) else {}


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""
