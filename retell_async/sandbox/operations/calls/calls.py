"""Calls: placing, reading, listing and ending them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from retell_async._core.masking import mask_text

from ...common.messages import Incoming, Json, Refused
from ...simulation import lifecycle
from ...simulation.lifecycle import CallProfile
from ...simulation.variables import fill_variables
from ...state import filters
from ...state.calls import Call, CallParams
from ...state.endpoints import CallEndpoints
from ...state.listing import Position, page, position_of, walk
from ...state.store import Store
from ...views.calls import call_object, listed_call
from ..account.contacts import refuse_if_dnc, variables_of
from ..account.numbers import choose_agent, is_e164
from ..agents.agents import existing_agent
from ..agents.engines import settings
from ..helpers import existing, limit_of, skipped, stricter, version_of

__all__ = [
    "check_sip_headers",
    "create_phone_call",
    "create_web_call",
    "delete",
    "has_room_inbound",
    "listen",
    "listing",
    "place",
    "register_phone_call",
    "rerun_analysis",
    "retrieve",
    "stop",
    "take_inbound",
    "take_over",
    "update",
    "update_live",
]

_ECHOED = ("metadata", "retell_llm_dynamic_variables", "custom_sip_headers")
_JOIN_WITHIN_MS = 30_000
_METADATA_BYTES = 50_000
_ICE_SERVERS = [{"urls": "stun:stun.example.com:3478"}]


def create_phone_call(store: Store, incoming: Incoming) -> Json:
    """A repeated idempotency key gives the same call, whatever else the request says."""
    body = incoming.body
    key = body.get("idempotency_key")
    if key is not None and (before := store.call_of_key(key)) is not None:
        return call_object(before, store.now())
    if not is_e164(body["to_number"]):
        raise Refused(400, "body.to_number must be in E.164 format")
    check_sip_headers(body, "body")
    if body.get("honor_internal_dnc"):
        refuse_if_dnc(store, body["to_number"])
    params, profile = _outbound(store, body["from_number"], body)
    _take_slot(store)
    call = store.start_call(params, profile)
    if key is not None:
        store.remember_key(key, call)
    return call_object(call, store.now())


def place(store: Store, from_number: str, task: Json, *, batch_call_id: str) -> Call:
    """Place the call of a batch's task; the caller has seen to it that there is room.

    :raises Refused: its number or its agent was deleted.
    """
    params, profile = _outbound(store, from_number, task, batch_call_id=batch_call_id)
    return store.start_call(params, profile)


def check_sip_headers(body: Json, where: str) -> None:
    """:raises Refused: a header may not be set by callers."""
    for name in body.get("custom_sip_headers", ()):
        if not name.lower().startswith("x-"):
            raise Refused(400, f"{where}.custom_sip_headers: the names must start with X-, and {mask_text(repr(name))} does not")


def has_room_inbound(store: Store) -> bool:
    """Whether there is room for an inbound call."""
    return len(store.calls.active(store.now())) < store.settings.room("inbound")


def take_inbound(store: Store, body: Json, *, from_number: str, to_number: str, turned_away: str | None = None) -> Call:
    """Let an agent take an inbound call.

    :param turned_away: the disconnection reason, if there was no room for it.
    :raises Refused: there is no such agent.
    """
    agent = _agent(store, body["agent_id"], body.get("agent_version"), body)
    params = _params(store, agent, body, direction="inbound", from_number=from_number, to_number=to_number)
    call = store.start_call(params, _profile(agent))
    if turned_away is not None:
        store.change_call(call, lifecycle.turned_away(call.plan, store.now(), turned_away))
    return call


def register_phone_call(store: Store, incoming: Incoming) -> Json:
    """The call goes on as if it had been dialled."""
    body = incoming.body
    agent = _agent(store, body["agent_id"], body.get("agent_version"), body)
    direction = body.get("direction", "outbound")
    _take_slot(store, direction)
    parties = {name: body.get(name, "") for name in ("from_number", "to_number")}
    call = store.start_call(_params(store, agent, body, direction=direction, **parties), _profile(agent))
    return call_object(call, store.now())


def create_web_call(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    agent = _agent(store, body["agent_id"], body.get("agent_version"), body)
    _take_slot(store)
    token = f"token_{store.new_id('token', length=32)}"
    call = store.start_call(_params(store, agent, body, access_token=token), _profile(agent))
    return {
        "call_id": call.id,
        "access_token": token,
        "transport": "gateway",
        "ice_servers": _ICE_SERVERS,
        "expires_at": store.now() + _JOIN_WITHIN_MS,
    }


def retrieve(store: Store, incoming: Incoming) -> Json:
    return call_object(_call(store, incoming), store.now())


def listing(store: Store, incoming: Incoming) -> Json:
    asked, now = incoming.body, store.now()
    criteria: Json = asked.get("filter_criteria", {})
    matches = filters.call_test(criteria, now)
    where = filters.candidates(criteria, store.calls, now) if criteria else store.calls.entries

    def walked(after: Position | None = None) -> Iterable[tuple[Position, Call]]:
        entries = walk(where, descending=asked.get("sort_order") != "ascending", after=after)
        return (entry for entry in entries if matches(entry[1])) if criteria else entries

    answer = page(skipped(walked(position_of(asked)), asked, len(where)), limit_of(asked), lambda call: listed_call(call, now))
    if asked.get("include_total"):
        answer["total"] = sum(1 for _ in walked()) if criteria else len(where)
    return answer


def stop(store: Store, incoming: Incoming) -> None:
    call, now = _call(store, incoming), store.now()
    if lifecycle.stage(call.plan, now) != "ongoing":
        raise Refused(422, "the call is not ongoing")
    store.change_call(call, lifecycle.stopped(call.plan, now))


def update(store: Store, incoming: Incoming) -> Json:
    call, now, body = _call(store, incoming), store.now(), incoming.body
    if now < call.plan.end:
        raise Refused(400, "the call has not ended: change it with update-live-call")
    _change(store, call, body)
    call.attributes |= {
        name: value for name, value in body.get("custom_attributes", {}).items() if name in store.settings.custom_attributes
    }
    return call_object(call, now)


def update_live(store: Store, incoming: Incoming) -> Json:
    call, now = _live(store, incoming, 422), store.now()
    fields: Json = incoming.body.get("fields_to_override", {})
    control: Json = incoming.body.get("call_control", {})
    if control.get("trigger_response") is False:
        raise Refused(400, "call_control.trigger_response can only be true")
    _change(store, call, fields)
    if "override_dynamic_variables" in fields:
        overrides = fields["override_dynamic_variables"]
        call.overrides = {} if overrides is None else call.overrides | overrides
    if "additional_context" in control:
        call.injected.append((now, control["additional_context"]))
    if control.get("trigger_response"):
        store.on_prompt(call)
    return {"success": True}


def delete(store: Store, incoming: Incoming) -> None:
    store.calls.remove(_call(store, incoming))


def rerun_analysis(store: Store, incoming: Incoming) -> Json:
    """The analysis goes by the agent's present settings."""
    call, now = _call(store, incoming, 404), store.now()
    if now < call.plan.analyzed:
        raise Refused(422, "the call was not analyzed yet")
    agent = store.agents.get(call.params.agent_id)
    if agent is not None and call.params.agent_version in agent.versions:
        call.params.asked_analysis = agent.versions[call.params.agent_version].get("post_call_analysis_data") or ()
    return call_object(call, now)


def listen(store: Store, incoming: Incoming) -> Json:
    call = _live(store, incoming, 400)
    participant_id = f"listener_{store.new_id('listener')}"
    call.listeners.add(participant_id)
    return {
        "access_token": f"token_{store.new_id('token', length=32)}",
        "participant_id": participant_id,
        "room_name": f"room_{call.id}",
        "expires_at": store.now() + _JOIN_WITHIN_MS,
        "transport": "gateway",
        "ice_servers": _ICE_SERVERS,
    }


def take_over(store: Store, incoming: Incoming) -> Json:
    call = _live(store, incoming, 400)
    if incoming.body["participant_id"] not in call.listeners:
        raise Refused(404, "body.participant_id is nobody who listens")
    store.change_call(call, lifecycle.ended(call.plan, store.now(), "call_take_over"))
    return {"success": True}


def _call(store: Store, incoming: Incoming, status: int = 422) -> Call:
    call = store.calls.get(incoming.path["call_id"])
    if call is None:
        raise Refused(status, "call_id was not found")
    return call


def _live(store: Store, incoming: Incoming, status: int) -> Call:
    call = _call(store, incoming, 404)
    if lifecycle.stage(call.plan, store.now()) != "ongoing":
        raise Refused(status, "the call is not ongoing")
    return call


def _change(store: Store, call: Call, changes: Json) -> None:
    """Change fields that answers about a call repeat."""
    echoed = dict(call.params.echoed)
    if "metadata" in changes:
        if len(json.dumps(changes["metadata"])) > _METADATA_BYTES:
            raise Refused(400, "metadata takes more than 50 kB")
        echoed["metadata"] = changes["metadata"]
    if "data_storage_setting" in changes:
        echoed["data_storage_setting"] = stricter(echoed.get("data_storage_setting"), changes["data_storage_setting"])
    store.calls.change(call, echoed=echoed)


def _outbound(store: Store, from_number: str, body: Json, **about: Any) -> tuple[CallParams, CallProfile]:
    """The parameters and the profile of a call from a number of the account."""
    number = existing(store.numbers, from_number, "body.from_number")
    agent_id, version = body.get("override_agent_id"), body.get("override_agent_version")
    if agent_id is None:
        weighted: list[Json] = number.latest.get("outbound_agents") or []
        if not weighted:
            raise Refused(400, "body.from_number has no outbound agent: give it outbound_agents, or send override_agent_id")
        taken = choose_agent(store, weighted, body["to_number"])
        agent_id, version = taken["agent_id"], taken.get("agent_version") if version is None else version
    agent = _agent(store, agent_id, version, body)
    return _params(store, agent, body, from_number=from_number, to_number=body["to_number"], **about), _profile(agent)


def _agent(store: Store, agent_id: str, version: Any, body: Json) -> Json:
    """The settings of the agent, with the overrides of this call."""
    asset = existing_agent(store, agent_id, "voice", "the agent")
    agent = version_of(asset, version, "the agent")
    override: Json = body.get("agent_override", {}).get("agent", {})
    tag = version if version in asset.tags else None
    return agent | override | {"agent_id": agent_id, "version": agent["version"], "agent_tag": tag}


def _take_slot(store: Store, direction: Literal["inbound", "outbound"] = "outbound") -> None:
    limit = store.settings.room(direction)
    if len(store.calls.active(store.now())) >= limit:
        raise Refused(429, f"all {limit} concurrent calls of this account are in use")


def _profile(agent: Json) -> CallProfile:
    defaults = CallProfile()
    return CallProfile(
        ring_ms=agent.get("ring_duration_ms", defaults.ring_ms),
        max_duration_ms=max(60_000, agent.get("max_call_duration_ms", defaults.max_duration_ms)),
        detects_voicemail=bool(agent.get("voicemail_option")),
    )


def _params(store: Store, agent: Json, body: Json, **about: Any) -> CallParams:
    echoed = {name: body[name] for name in _ECHOED if name in body}
    echoed["data_storage_setting"] = agent.get("data_storage_setting", "everything")
    echoed["opt_in_signed_url"] = agent.get("opt_in_signed_url", False)
    other_side = about.get("from_number" if about.get("direction") == "inbound" else "to_number")
    engine = _engine(store, agent["response_engine"], body)
    defaults: Json = engine.get("default_dynamic_variables") or {}
    variables = defaults | variables_of(store, other_side)
    variables |= body.get("retell_llm_dynamic_variables", {})
    return CallParams(
        kind="web_call" if other_side is None else "phone_call",
        agent_id=agent["agent_id"],
        agent_version=agent["version"],
        agent_name=agent.get("agent_name"),
        agent_tag=agent["agent_tag"],
        opening=fill_variables(engine.get("begin_message") or "", variables) or None,
        echoed=echoed,
        asked_analysis=agent.get("post_call_analysis_data") or (),
        endpoints=CallEndpoints.of(agent, engine, variables, store.settings.webhook_url),
        **about,
    )


def _engine(store: Store, engine: Json, body: Json) -> Json:
    """The settings of the agent's LLM or flow, with the overrides of this call."""
    override: Json = body.get("agent_override", {}).get("conversation_flow" if engine["type"] == "conversation-flow" else "retell_llm", {})
    return settings(store, engine) | override
