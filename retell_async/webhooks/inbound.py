"""Inbound webhooks: what Retell asks before it takes an inbound call or text message, and the answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs

from retell_async._core.encode import json_bytes
from retell_async._core.errors import WebhookVerificationError
from retell_async._core.json import loads
from retell_async._core.masking import Hidden, masked_fields, masked_repr
from retell_async._core.model import Model
from retell_async._core.operation import Omit, given, omit

from .body import json_object
from .signature import TOLERANCE, Headers, header_value, verify

if TYPE_CHECKING:
    from retell_async.raw.models import AgentOverrideRequest
    from retell_async.raw.params import AgentOverrideRequestParam

__all__ = ["InboundAnswer", "InboundCall", "InboundChat", "InboundRequest", "inbound_request", "parse_inbound", "unwrap_inbound"]


@attrs.frozen(repr=False)
class InboundAnswer:
    """The answer to an inbound request, as its `accept` and `reject` make it."""

    event: str
    fields: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object to answer with."""
        return {self.event: dict(self.fields)}

    def to_json(self) -> bytes:
        """The body to answer with, as ``application/json`` and with a status of 2xx."""
        return json_bytes(self.to_dict())

    def __repr__(self) -> str:
        return masked_repr("InboundAnswer", {"event": self.event, **self.fields})

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        return masked_fields({"event": self.event, **self.fields})


@attrs.frozen(kw_only=True, repr=False)
class InboundRequest:
    """Base class of inbound requests."""

    event: ClassVar[str]

    from_number: str
    """Who calls or writes."""
    to_number: str
    """The number that was called or written to."""
    agent_id: str | None = None
    """The inbound agent of that number, if it has one."""
    agent_version: int | None = None
    """The version of that agent, if the number names one."""
    event_timestamp: int | None = None
    """When Retell asked, in milliseconds of Unix time."""
    data: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """The whole body, with what this version does not know."""

    def accept(
        self,
        *,
        override_agent_id: str | Omit = omit,
        override_agent_version: int | Omit = omit,
        dynamic_variables: Mapping[str, str] | Omit = omit,
        metadata: Mapping[str, Any] | Omit = omit,
        agent_override: AgentOverrideRequestParam | AgentOverrideRequest | Omit = omit,
    ) -> InboundAnswer:
        """Let an agent take the call or message: the number's own if no other is named. (If the number has none, the call ends.)

        Retell ignores the whole answer if one value is wrong, so wrong values are refused here.

        :param override_agent_id: the agent that is to take it.
        :param override_agent_version: the version of the agent.
        :param dynamic_variables: values for the agent's prompts; all of them strings.
        :param metadata: what to keep with the call or chat; any JSON object.
        :param agent_override: settings of the agent for this once.
        :raises TypeError: a value is of the wrong kind; the message names it.
        :raises ValueError: a value cannot be sent; the message names it.
        """
        answer = InboundAnswer(
            self.event,
            given(
                {
                    "override_agent_id": override_agent_id,
                    "override_agent_version": override_agent_version,
                    "dynamic_variables": dynamic_variables,
                    "metadata": metadata,
                    "agent_override": agent_override,
                }
            ),
        )
        _check(answer.fields)
        return answer

    def reject(self) -> InboundAnswer:
        """Decline it: the call is hung up or the message dropped, and no call or chat is created."""
        return InboundAnswer(self.event, {"reject": True})

    def __repr__(self) -> str:
        return masked_repr(type(self).__name__, self._shown())

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        return masked_fields(self._shown())

    def _shown(self) -> dict[str, Any]:
        return attrs.asdict(self, recurse=False, filter=lambda field, _: field.name != "data")


@attrs.frozen(kw_only=True, repr=False)
class InboundCall(InboundRequest):
    """An inbound phone call. It rings until this request is answered."""

    event: ClassVar[str] = "call_inbound"

    call_id: str | None = None
    """The call's id, where Retell names it already."""
    custom_sip_headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The SIP headers of the caller's side, with names in lower case."""


@attrs.frozen(kw_only=True, repr=False)
class InboundChat(InboundRequest):
    """A text message that starts a chat. The agent does not reply until this request is answered."""

    event: ClassVar[str] = "chat_inbound"

    chat_id: str | None = None
    """The chat's id, where Retell names it already."""


_KINDS: Mapping[str, type[InboundCall | InboundChat]] = {kind.event: kind for kind in (InboundCall, InboundChat)}
_FIELDS = {kind: [field.name for field in attrs.fields(kind) if field.name not in {"data", "event_timestamp"}] for kind in _KINDS.values()}

_WRONG_KIND = re.compile(r": (null|a boolean|.+ where none is expected|.+ instead of an? .+)$")


def unwrap_inbound(
    body: bytes | str,
    headers: Headers,
    *,
    api_key: str | Sequence[str],
    tolerance: float = TOLERANCE,
) -> InboundCall | InboundChat:
    """Verify an inbound webhook and parse it; the parameters are those of `unwrap`.

    :raises WebhookVerificationError: it does not come from Retell, or asks for something else; the `reason` says why.
    """
    raw, key = Hidden(body), Hidden(api_key)
    del body, api_key  # what is refused below shows them in no traceback
    verify(raw.value, key.value, header_value(headers), tolerance=tolerance)
    return parse_inbound(raw.value)


def parse_inbound(body: bytes | str) -> InboundCall | InboundChat:
    """The request in a body that is verified already.

    :raises WebhookVerificationError: there is none in it.
    """
    request = inbound_request(json_object(body))
    if request is None:
        raise WebhookVerificationError("unreadable: the body is not about an inbound call or chat")
    return request


def inbound_request(data: Mapping[str, Any]) -> InboundCall | InboundChat | None:
    """The request in a body's JSON object, or ``None`` when there is none in it."""
    event = data.get("event")
    if not isinstance(event, str) or event not in _KINDS or not isinstance(data.get(event), dict):
        return None
    kind, inner = _KINDS[event], cast("dict[str, Any]", data[event])
    fields: dict[str, Any] = {"from_number": "", "to_number": "", "event_timestamp": data.get("event_timestamp"), "data": data}
    fields.update((name, inner[name]) for name in _FIELDS[kind] if inner.get(name) is not None)
    return kind(**fields)


def _check(fields: Mapping[str, Any]) -> None:
    for name, kind, words in (
        ("override_agent_id", str, "a string"),
        ("override_agent_version", int, "a whole number"),
        ("dynamic_variables", Mapping, "a mapping"),
        ("metadata", Mapping, "a mapping"),
        ("agent_override", (Mapping, Model), "a mapping"),
    ):
        value = fields.get(name, omit)
        if value is not omit and (not isinstance(value, kind) or isinstance(value, bool)):
            raise TypeError(f"{name} must be {words}, not {type(value).__name__}")
    if fields.get("override_agent_id") == "":
        raise ValueError("override_agent_id is empty")
    for variable, value in cast("Mapping[object, object]", fields.get("dynamic_variables", {})).items():
        if not isinstance(variable, str):
            raise TypeError(f"dynamic_variables: the name {variable!r} must be a string, not {type(variable).__name__}")
        if not isinstance(value, str):
            raise TypeError(f"dynamic_variables.{variable} must be a string, not {type(value).__name__}")
    sent = loads(json_bytes(fields))
    if "agent_override" in sent:
        _check_override(sent["agent_override"])


def _check_override(override: Mapping[str, Any]) -> None:
    """Refuse values of the wrong kind. Fields and choices that this version does not know are let through."""
    from retell_async._core.strict import problems
    from retell_async.raw.models import AgentOverrideRequest

    for problem in problems(AgentOverrideRequest, override):
        if _WRONG_KIND.search(problem):
            raise TypeError(f"agent_override{problem.removeprefix('$')}")
