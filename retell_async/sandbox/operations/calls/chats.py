"""Chats, over the API or by SMS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...common.messages import Incoming, Json, Refused
from ...simulation import chat_script
from ...simulation.variables import fill_variables
from ...state import filters
from ...state.filters import Field, KeyedField
from ...state.records import Chat
from ...state.store import Store
from ...views.chats import analysis, chat_cost, chat_object, listed_chat
from ..account.contacts import refuse_if_dnc, variables_of
from ..account.numbers import choose_agent, is_e164
from ..agents.agents import existing_agent
from ..agents.engines import settings
from ..helpers import existing, listed, stricter, version_of

__all__ = ["complete", "create", "create_sms", "delete", "end", "listing", "rerun_analysis", "retrieve", "take_inbound_sms", "update"]

_ECHOED = ("metadata", "retell_llm_dynamic_variables")
_SILENCE_MS = 3_600_000
_LEAST_SILENCE_MS = 120_000
_METADATA_BYTES = 50_000


def create(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    return chat_object(_start(store, body, body["agent_id"], body.get("agent_version")), store.now())


def create_sms(store: Store, incoming: Incoming) -> Json:
    """Whether the other side answers is decided by the seed."""
    body = incoming.body
    if not is_e164(body["to_number"]):
        raise Refused(400, "body.to_number must be in E.164 format")
    if body.get("honor_internal_dnc"):
        refuse_if_dnc(store, body["to_number"])
    number = existing(store.numbers, body["from_number"], "body.from_number").latest
    agent_id, version = body.get("override_agent_id"), body.get("override_agent_version")
    if agent_id is None:
        weighted: list[Json] = number.get("outbound_sms_agents") or []
        if not weighted:
            raise Refused(400, "body.from_number has no outbound SMS agent: give it outbound_sms_agents, or send override_agent_id")
        taken = choose_agent(store, weighted, body["to_number"])
        agent_id, version = taken["agent_id"], taken.get("agent_version") if version is None else version
    return chat_object(_start(store, body, agent_id, version, agent_number=body["from_number"], user_number=body["to_number"]), store.now())


def take_inbound_sms(store: Store, body: Json, agent_id: str, version: Any, *, agent_number: str, user_number: str, text: str) -> Chat:
    """Let an agent answer a text message.

    :raises Refused: there is no such agent.
    """
    chat, now = _start(store, body, agent_id, version, agent_number=agent_number, user_number=user_number), store.now()
    said = chat_script.user_message(chat.seed, 0, text, now)
    chat.messages = [said, *chat_script.answer(chat.seed, 0, text, now)[0]]
    store.on_chat_change(chat)
    return chat


def complete(store: Store, incoming: Incoming) -> Json:
    chat, now = existing(store.chats, incoming.body["chat_id"], "body.chat_id"), store.now()
    if chat.status(now) != "ongoing":
        raise Refused(400, "the chat is not ongoing")
    text, number = incoming.body["content"], len(chat.messages)
    said = chat_script.user_message(chat.seed, number, text, now)
    answers, ended = chat_script.answer(chat.seed, number, text, now)
    chat.messages += [said, *answers]
    if ended:
        chat.closed = now
    store.on_chat_change(chat)
    return {"messages": answers}


def retrieve(store: Store, incoming: Incoming) -> Json:
    return chat_object(_chat(store, incoming), store.now())


def listing(store: Store, incoming: Incoming) -> Json:
    asked, now = incoming.body, store.now()
    criteria: Json = asked.get("filter_criteria", {})
    tests = list(filters.field_tests(criteria, now, _FIELDS, _KEYED_FIELDS))
    if "agent" in criteria:
        tests.append(filters.agent_test(criteria["agent"], lambda chat: (chat.agent_id, chat.agent_version)))
    return listed(
        store.chats.entries,
        asked,
        lambda chat: listed_chat(chat, now),
        lambda chat: all(test(chat) for test in tests),
        total=asked.get("include_total", False),
    )


def update(store: Store, incoming: Incoming) -> Json:
    chat, body = _chat(store, incoming), incoming.body
    echoed = dict(chat.echoed)
    if "metadata" in body:
        if len(json.dumps(body["metadata"])) > _METADATA_BYTES:
            raise Refused(400, "metadata takes more than 50 kB")
        echoed["metadata"] = body["metadata"]
    if "data_storage_setting" in body:
        chat.storage = stricter(chat.storage, body["data_storage_setting"])
    if "override_dynamic_variables" in body:
        chat.overrides = body["override_dynamic_variables"] or {}
    attributes = {name: value for name, value in body.get("custom_attributes", {}).items() if name in store.settings.custom_attributes}
    if attributes:
        echoed["custom_attributes"] = echoed.get("custom_attributes", {}) | attributes
    chat.echoed = echoed
    return chat_object(chat, store.now())


def end(store: Store, incoming: Incoming) -> None:
    chat, now = _chat(store, incoming), store.now()
    if chat.status(now) != "ongoing":
        raise Refused(422, "the chat is not ongoing")
    chat.closed = now
    store.on_chat_change(chat)


def delete(store: Store, incoming: Incoming) -> None:
    store.chats.remove(_chat(store, incoming).id)


def rerun_analysis(store: Store, incoming: Incoming) -> Json:
    """The analysis goes by the agent's present settings."""
    chat, now = _chat(store, incoming, 404), store.now()
    if now < chat.analyzed():
        raise Refused(422, "the chat was not analyzed yet")
    agent = store.agents.get(chat.agent_id)
    if agent is not None and chat.agent_version in agent.versions:
        chat.asked_analysis = agent.versions[chat.agent_version].get("post_chat_analysis_data") or ()
    return chat_object(chat, now)


def _start(store: Store, body: Json, agent_id: str, version: Any, agent_number: str | None = None, user_number: str | None = None) -> Chat:
    asset = existing_agent(store, agent_id, "chat", "the agent")
    agent = version_of(asset, version, "the agent")
    now, name = store.now(), store.new_id("chat", length=32)
    silence = agent.get("end_chat_after_silence_ms")
    chat = Chat(
        id=f"chat_{name}",
        kind="api_chat" if user_number is None else "sms_chat",
        agent_id=agent_id,
        agent_version=agent["version"],
        agent_tag=version if version in asset.tags else None,
        start=now,
        silence_ms=_SILENCE_MS if silence is None else max(silence, _LEAST_SILENCE_MS),
        messages=[],
        echoed={name: body[name] for name in _ECHOED if name in body},
        storage=agent.get("data_storage_setting") or "everything",
        asked_analysis=agent.get("post_chat_analysis_data") or (),
        seed=int(name[:12], 16),
        agent_number=agent_number,
        user_number=user_number,
    )
    engine = settings(store, agent["response_engine"])
    defaults: Json = engine.get("default_dynamic_variables") or {}
    variables = defaults | variables_of(store, user_number)
    opening = fill_variables(engine.get("begin_message") or "", variables | body.get("retell_llm_dynamic_variables", {}))
    chat.messages = (chat_script.opening if user_number is None else chat_script.sms_script)(chat.seed, opening, now)
    store.chats.put(chat.id, chat)
    store.on_chat_start(chat, agent)
    return chat


def _chat(store: Store, incoming: Incoming, status: int = 422) -> Chat:
    return existing(store.chats, incoming.path["chat_id"], "chat_id", status)


def _analyzed(name: str) -> Field[Chat]:
    return lambda chat, now: (analysis(chat, now) or {}).get(name)


_FIELDS: Mapping[str, Field[Chat]] = {
    "chat_id": lambda chat, _: chat.id,
    "chat_status": lambda chat, now: chat.status(now),
    "chat_type": lambda chat, _: chat.kind,
    "agent_tag": lambda chat, _: chat.agent_tag,
    "agent_number": lambda chat, _: chat.agent_number,
    "user_number": lambda chat, _: chat.user_number,
    "direction": lambda chat, _: chat.direction if chat.kind == "sms_chat" else None,
    "data_storage_setting": lambda chat, _: chat.storage,
    "start_timestamp": lambda chat, _: chat.start,
    "end_timestamp": lambda chat, now: chat.end() if now >= chat.end() else None,
    "duration_ms": lambda chat, now: chat.end() - chat.start if now >= chat.end() else None,
    "disconnection_reason": lambda chat, now: chat.reason() if now >= chat.end() else None,
    "combined_cost": lambda chat, now: chat_cost(chat, now)["combined_cost"] if now >= chat.end() else None,
    "chat_successful": _analyzed("chat_successful"),
    "user_sentiment": _analyzed("user_sentiment"),
}
_KEYED_FIELDS: Mapping[str, KeyedField[Chat]] = {
    "custom_analysis_data": lambda chat, now: (analysis(chat, now) or {}).get("custom_analysis_data", {}),
    "custom_attributes": lambda chat, _: chat.echoed.get("custom_attributes", {}),
}
