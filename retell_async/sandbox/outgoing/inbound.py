"""Inbound calls and text messages: ask the number's webhook, then let an agent take them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import attrs

from ..common.messages import Json, Refused
from ..operations.account.numbers import choose_agent
from ..operations.calls.calls import has_room_inbound, take_inbound
from ..operations.calls.chats import take_inbound_sms
from ..state.assets import Asset
from ..state.store import Store
from . import inbound_webhook
from .events import RETRIES
from .outbox import AttemptResult, Delivery, Outbox, OutgoingRequest

__all__ = ["PendingInbound", "check", "ring", "write"]

_TIMEOUT_MS = 10_000
_WAITING_MS = 40_000
_LOOK_MS = 1_000


@attrs.define(eq=False)
class PendingInbound:
    """An inbound call or message that waits for a decision."""

    over: bool = False
    """Whether it has been decided."""
    call_id: str | None = None
    """The call, if an agent took it."""
    chat_id: str | None = None
    """The chat, if an agent took it."""


def check(store: Store, from_number: str, to_number: str) -> None:
    """:raises ValueError: the account has no such number, or the other side's number cannot be sent."""
    _number(store, to_number)
    if not from_number or any("\ud800" <= character <= "\udfff" for character in from_number):
        raise ValueError("from_number must be a text that can be sent")


def ring(store: Store, outbox: Outbox, from_number: str, to_number: str, headers: Mapping[str, str]) -> PendingInbound:
    """:raises ValueError: the account has no such number."""
    number, pending = _number(store, to_number), PendingInbound()
    agent = _agent(store, number, "inbound_agents", from_number)

    def decided(result: AttemptResult | None) -> None:
        decision = inbound_webhook.decision("call_inbound", result, agent)
        if not decision.taken:
            pending.over = True
            return
        body: Json = {"agent_id": decision.agent_id, "agent_version": decision.agent_version, **decision.body}
        if headers:
            came = inbound_webhook.sip_headers(headers)
            variables = {name.removeprefix("x-"): value for name, value in came.items()}
            body["custom_sip_headers"] = came
            body["retell_llm_dynamic_variables"] = variables | body.get("retell_llm_dynamic_variables", {})
        take(body, store.now() + _WAITING_MS)

    def take(body: Json, until: int) -> None:
        """Take the call as soon as there is room for it, or turn it away at ``until``."""
        reason = None
        if not has_room_inbound(store):
            if store.now() < until:
                store.scheduler.add(min(until, store.now() + _LOOK_MS), partial(take, body, until))
                return
            reason = "no_concurrency_fallback" if number.latest.get("fallback_number") else "concurrency_limit_reached"
        pending.over = True
        try:
            call = take_inbound(store, body, from_number=from_number, to_number=to_number, turned_away=reason)
        except Refused:
            return  # there is no such agent, so nobody takes the call
        pending.call_id = call.id

    content = inbound_webhook.request("call_inbound", store.now(), from_number, to_number, agent, headers)
    _ask(store, outbox, "call_inbound", number.latest.get("inbound_webhook_url"), content, decided)
    return pending


def write(store: Store, outbox: Outbox, from_number: str, to_number: str, text: str) -> PendingInbound:
    """:raises ValueError: the account has no such number."""
    number, pending = _number(store, to_number), PendingInbound()
    agent = _agent(store, number, "inbound_sms_agents", from_number)

    def decided(result: AttemptResult | None) -> None:
        pending.over = True
        decision = inbound_webhook.decision("chat_inbound", result, agent)
        if not decision.taken or decision.agent_id is None:
            return
        try:
            chat = take_inbound_sms(
                store, decision.body, decision.agent_id, decision.agent_version, agent_number=to_number, user_number=from_number, text=text
            )
        except Refused:
            return  # there is no such agent, so nobody answers the message
        pending.chat_id = chat.id

    content = inbound_webhook.request("chat_inbound", store.now(), from_number, to_number, agent)
    _ask(store, outbox, "chat_inbound", number.latest.get("inbound_sms_webhook_url"), content, decided)
    return pending


def _number(store: Store, number: str) -> Asset:
    found = store.numbers.get(number)
    if found is None:
        raise ValueError("the number is none of the account's")
    return found


def _agent(store: Store, number: Asset, name: str, other_side: str) -> Json | None:
    weighted: list[Json] = number.latest.get(name) or []
    return choose_agent(store, weighted, other_side) if weighted else None


def _ask(
    store: Store,
    outbox: Outbox,
    kind: inbound_webhook.InboundEvent,
    url: str | None,
    content: bytes,
    decided: Callable[[AttemptResult | None], None],
) -> None:
    """Ask the number's webhook; without one, decide at once."""
    if not url:
        decided(None)
        return
    outbox.add(
        Delivery(
            id=outbox.new_id(),
            kind="inbound",
            name=kind,
            about=store.new_id(kind),
            url=url,
            created=store.now(),
            timeout_ms=_TIMEOUT_MS,
            retries=RETRIES,
            reads_content=True,
            make_request=lambda: OutgoingRequest("POST", url, content, {"content-type": "application/json"}),
            done=decided,
        )
    )
