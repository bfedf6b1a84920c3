"""What is asked before an inbound call or text message is taken, and what the answer decides. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

import attrs

from .errands import Heard
from .exchange import Json

__all__ = ["Decision", "Kind", "decision", "request"]

Kind = Literal["call_inbound", "chat_inbound"]


@attrs.frozen
class Decision:
    """Whether it is taken, and with which settings for this once."""

    taken: bool
    agent_id: str | None = None
    agent_version: int | None = None
    body: Json = attrs.field(factory=dict[str, Any])
    """What the request that makes a call or chat would say of it."""


def request(kind: Kind, at: int, from_number: str, to_number: str, agent: Json | None, headers: Mapping[str, str] | None = None) -> bytes:
    """The body that a number's webhook is sent.

    :param agent: the number's own agent, if it has one.
    :param headers: SIP headers of the caller's side.
    """
    inner: Json = {"from_number": from_number, "to_number": to_number}
    if agent is not None:
        inner["agent_id"] = agent["agent_id"]
        if isinstance(agent.get("agent_version"), int):
            inner["agent_version"] = agent["agent_version"]
    if headers:
        inner["custom_sip_headers"] = {name.lower(): value for name, value in headers.items()}
    return json.dumps({"event": kind, "event_timestamp": at, kind: inner}, separators=(",", ":")).encode()


def decision(kind: Kind, heard: Heard | None, agent: Json | None) -> Decision:
    """What comes of it: the number's own agent takes it when nobody was asked or the answer is of no use.

    :param heard: the last answer; ``None`` when nobody was asked.
    """
    fields = {} if heard is None else _fields(kind, heard)
    if fields.get("reject") is True:
        return Decision(False)
    agent_id = fields.get("override_agent_id")
    version = fields.get("override_agent_version")
    if agent_id is None:
        if agent is None:
            return Decision(False)
        agent_id = agent["agent_id"]
        version = agent.get("agent_version") if version is None else version
    names = {"dynamic_variables": "retell_llm_dynamic_variables", "metadata": "metadata", "agent_override": "agent_override"}
    return Decision(True, agent_id, version, {name: fields[sent] for sent, name in names.items() if sent in fields})


def _fields(kind: Kind, heard: Heard) -> Json:
    """The fields of an answer; none when any of them is not as it should be."""
    if not heard.good:
        return {}
    try:
        answer = json.loads(heard.content)
    except ValueError:
        return {}
    inner: object = cast("Json", answer).get(kind) if isinstance(answer, dict) else None
    return cast("Json", inner) if isinstance(inner, dict) and _valid(cast("Json", inner)) else {}


def _valid(fields: Json) -> bool:
    variables = fields.get("dynamic_variables", {})
    return (
        isinstance(fields.get("override_agent_id", ""), str)
        and isinstance(fields.get("override_agent_version", 0), int)
        and isinstance(fields.get("metadata", {}), dict)
        and isinstance(fields.get("agent_override", {}), dict)
        and isinstance(variables, dict)
        and all(isinstance(value, str) for value in cast("Json", variables).values())
    )
