"""Calls: placing, reading, listing and ending them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from random import Random
from typing import Any

from .. import filters, lifecycle
from ..exchange import Incoming, Json, Refused
from ..lifecycle import Habits
from ..ordered import Position, page, position_of, walk
from ..store import Call, Order, Store
from ..views import call_object, listed_call
from ._assets import existing, limit_of, version_of
from .numbers import is_e164

__all__ = ["create_phone_call", "create_web_call", "listing", "retrieve", "stop"]

_ECHOED = ("metadata", "retell_llm_dynamic_variables", "custom_sip_headers")
_JOIN_WITHIN_MS = 30_000
_VARIABLE = re.compile(r"{{\s*([^{}]+?)\s*}}")


def create_phone_call(store: Store, incoming: Incoming) -> Json:
    """A repeated idempotency key gives the call that it made, whatever else is in the request."""
    body = incoming.body
    key = body.get("idempotency_key")
    if key is not None and (before := store.calls.by_key(key, store.now())) is not None:
        return call_object(before, store.now())
    if not is_e164(body["to_number"]):
        raise Refused(400, "body.to_number must be in E.164 format")
    number = existing(store.numbers, body["from_number"], "body.from_number")
    agent_id, version = body.get("override_agent_id"), body.get("override_agent_version")
    if agent_id is None:
        chosen = _outbound_agent(store, number.latest, body["to_number"])
        agent_id, version = chosen["agent_id"], chosen.get("agent_version") if version is None else version
    agent = _agent(store, agent_id, version, body)
    _take_slot(store)
    call = store.start_call(_order(store, agent, body, from_number=body["from_number"], to_number=body["to_number"]), _habits(agent))
    if key is not None:
        store.remember_key(key, call)
    return call_object(call, store.now())


def create_web_call(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    agent = _agent(store, body["agent_id"], body.get("agent_version"), body)
    _take_slot(store)
    token = f"token_{store.new_id('token', length=32)}"
    call = store.start_call(_order(store, agent, body, access_token=token), _habits(agent))
    return {
        "call_id": call.id,
        "access_token": token,
        "transport": "gateway",
        "ice_servers": [{"urls": "stun:stun.example.com:3478"}],
        "expires_at": store.now() + _JOIN_WITHIN_MS,
    }


def retrieve(store: Store, incoming: Incoming) -> Json:
    return call_object(_call(store, incoming), store.now())


def listing(store: Store, incoming: Incoming) -> Json:
    asked, now = incoming.body, store.now()
    criteria: Json = asked.get("filter_criteria", {})
    meant = filters.meant(criteria, now)
    where = filters.places(criteria, store.calls, now) if criteria else store.calls.entries

    def walked(after: Position | None = None) -> Iterable[tuple[Position, Call]]:
        entries = walk(where, descending=asked.get("sort_order") != "ascending", after=after)
        return (entry for entry in entries if meant(entry[1])) if criteria else entries

    skip = min(asked.get("skip", 0), len(where))
    answer = page(islice(walked(position_of(asked)), skip, None), limit_of(asked), lambda call: listed_call(call, now))
    if asked.get("include_total"):
        answer["total"] = sum(1 for _ in walked()) if criteria else len(where)
    return answer


def stop(store: Store, incoming: Incoming) -> None:
    call, now = _call(store, incoming), store.now()
    if lifecycle.stage(call.course, now) != "ongoing":
        raise Refused(422, "the call is not ongoing")
    store.calls.change(call, lifecycle.stopped(call.course, now))


def _call(store: Store, incoming: Incoming) -> Call:
    call = store.calls.get(incoming.path["call_id"])
    if call is None:
        raise Refused(422, "call_id was not found")
    return call


def _outbound_agent(store: Store, number: Json, to_number: str) -> Json:
    """One of the agents of a number, by their weights; the same for the same person every time."""
    weighted: list[Json] = number.get("outbound_agents") or []
    if not weighted:
        raise Refused(400, "body.from_number has no outbound agent: give it outbound_agents, or send override_agent_id")
    if len(weighted) == 1:
        return weighted[0]
    return Random(f"{store.settings.seed} {to_number}").choices(weighted, [item["weight"] for item in weighted])[0]


def _agent(store: Store, agent_id: str, version: Any, body: Json) -> Json:
    """The settings with which an agent takes part in this call."""
    agent = version_of(existing(store.agents, agent_id, "the agent"), version, "the agent")
    override: Json = body.get("agent_override", {}).get("agent", {})
    return agent | override | {"agent_id": agent_id, "version": agent["version"]}


def _take_slot(store: Store) -> None:
    limit = store.settings.concurrency_limit
    if len(store.calls.active(store.now())) >= limit:
        raise Refused(429, f"all {limit} concurrent calls of this account are in use")


def _habits(agent: Json) -> Habits:
    defaults = Habits()
    return Habits(
        ring_ms=agent.get("ring_duration_ms", defaults.ring_ms),
        max_duration_ms=max(60_000, agent.get("max_call_duration_ms", defaults.max_duration_ms)),
        detects_voicemail=bool(agent.get("voicemail_option")),
    )


def _order(store: Store, agent: Json, body: Json, **parties: str) -> Order:
    echoed = {name: body[name] for name in _ECHOED if name in body}
    echoed["data_storage_setting"] = agent.get("data_storage_setting", "everything")
    echoed["opt_in_signed_url"] = agent.get("opt_in_signed_url", False)
    return Order(
        kind="phone_call" if "to_number" in parties else "web_call",
        agent_id=agent["agent_id"],
        agent_version=agent["version"],
        agent_name=agent.get("agent_name"),
        opening=_opening(store, agent, body),
        echoed=echoed,
        **parties,
    )


def _opening(store: Store, agent: Json, body: Json) -> str | None:
    """What the LLM is told to begin with, its dynamic variables filled in as far as they are known."""
    engine: Json = agent["response_engine"]
    asset = store.llms.get(engine["llm_id"]) if engine["type"] == "retell-llm" else None
    if asset is None:
        return None
    version = engine.get("version")
    llm = (asset.version(None if version is None else int(version)) or {}) | body.get("agent_override", {}).get("retell_llm", {})
    variables: Json = (llm.get("default_dynamic_variables") or {}) | body.get("retell_llm_dynamic_variables", {})
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), llm.get("begin_message") or "") or None
