"""The inbound webhook: its request, and the decision in its answer. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

import attrs

from ..common.messages import Json
from ..common.untrusted import parse_json
from ..openapi.document import packaged_document
from .outbox import AttemptResult

__all__ = ["Decision", "InboundEvent", "decision", "request", "sip_headers"]

InboundEvent = Literal["call_inbound", "chat_inbound"]

_SETTINGS = ("dynamic_variables", "metadata", "agent_override")
_CALL_FIELDS = {
    "override_agent_id": "override_agent_id",
    "override_agent_version": "override_agent_version",
    "dynamic_variables": "retell_llm_dynamic_variables",
    "metadata": "metadata",
    "agent_override": "agent_override",
}
"""Fields of the answer, and their names in the request that creates a call."""


@attrs.frozen
class Decision:
    """Whether the call or message is taken, by which agent, and with which settings."""

    taken: bool
    agent_id: str | None = None
    agent_version: int | None = None
    body: Json = attrs.field(factory=dict[str, Any])
    """Fields as in a request that creates a call or chat."""


def request(
    kind: InboundEvent, at: int, from_number: str, to_number: str, agent: Json | None, headers: Mapping[str, str] | None = None
) -> bytes:
    """The body of the request.

    :param agent: the number's own agent, if it has one.
    :param headers: the caller's SIP headers.
    """
    inner: Json = {"from_number": from_number, "to_number": to_number}
    if agent is not None:
        inner["agent_id"] = agent["agent_id"]
        if isinstance(agent.get("agent_version"), int):
            inner["agent_version"] = agent["agent_version"]
    if headers:
        inner["custom_sip_headers"] = sip_headers(headers)
    return json.dumps({"event": kind, "event_timestamp": at, kind: inner}, separators=(",", ":")).encode()


def sip_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's SIP headers as Retell shows them: with names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def decision(kind: InboundEvent, result: AttemptResult | None, agent: Json | None) -> Decision:
    """The decision. The number's own agent takes it when no webhook was asked, or when its answer is unusable.

    :param result: the last attempt; ``None`` when there is no webhook.
    """
    fields = {} if result is None else _fields(kind, result)
    if fields.get("reject") is True:
        return Decision(False)
    agent_id = fields.get("override_agent_id")
    version = fields.get("override_agent_version")
    if agent_id is None:
        if agent is None:
            return Decision(False)
        agent_id = agent["agent_id"]
        version = agent.get("agent_version") if version is None else version
    return Decision(True, agent_id, version, {_CALL_FIELDS[sent]: value for sent, value in fields.items() if sent in _SETTINGS})


def _fields(kind: InboundEvent, result: AttemptResult) -> Json:
    """The fields of an answer; empty when any of them is invalid."""
    if not result.good:
        return {}
    try:
        answer = parse_json(result.content)
    except ValueError:
        return {}
    inner: object = cast("Json", answer).get(kind) if isinstance(answer, dict) else None
    try:
        return _checked(cast("Json", inner)) if isinstance(inner, dict) else {}
    except ValueError:
        return {}


def _checked(fields: Json) -> Json:
    """The known fields, which must be valid in a request that creates a call; the version must be a number here.

    :raises ValueError: one is not.
    """
    if not isinstance(fields.get("override_agent_version", 0), int):
        raise ValueError("override_agent_version")  # noqa: TRY004 - it is the value of an answer
    call = packaged_document().routes["createPhoneCall"]
    return fields | {name: call.read_field(_CALL_FIELDS[name], value) for name, value in fields.items() if name in _CALL_FIELDS}
