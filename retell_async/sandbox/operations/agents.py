"""Voice agents."""

from __future__ import annotations

from collections.abc import Callable

from ..exchange import Incoming, Json, Refused
from ..store import Asset, Store
from ._assets import changed, existing, listed, version_of

__all__ = ["create", "delete", "listing", "retrieve", "update"]

_FIXED = ("agent_id", "version", "is_published", "base_version", "assigned_tags")


def create(store: Store, incoming: Incoming) -> Json:
    _check_engine(store, incoming.body["response_engine"])
    agent_id = f"agent_{store.new_id('agent')}"
    body: Json = incoming.body | {
        "agent_id": agent_id,
        "version": 0,
        "base_version": None,
        "assigned_tags": [],
        "is_published": False,
        "last_modification_timestamp": store.now(),
    }
    store.agents.add(agent_id, body)
    return body


def retrieve(store: Store, incoming: Incoming) -> Json:
    return version_of(existing(store.agents, incoming.path["agent_id"], "agent_id"), incoming.query.get("version"), "the agent")


def listing(store: Store, incoming: Incoming) -> Json:
    return listed(store.agents, incoming.query, _summary, _filter(incoming.body.get("filter_criteria", {})))


def update(store: Store, incoming: Incoming) -> Json:
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id")
    body = changed(version_of(agent, incoming.query.get("version"), "the agent"), incoming.body, _FIXED, store.now())
    _check_engine(store, body["response_engine"])
    agent.versions[body["version"]] = body
    return body


def delete(store: Store, incoming: Incoming) -> None:
    store.agents.remove(existing(store.agents, incoming.path["agent_id"], "agent_id").id)


def _check_engine(store: Store, engine: Json) -> None:
    if engine["type"] == "retell-llm":
        llm = existing(store.llms, engine["llm_id"], "response_engine.llm_id")
        version = engine.get("version")
        version_of(llm, None if version is None else int(version), "response_engine.llm_id")
    elif engine["type"] == "conversation-flow":
        raise Refused(422, "response_engine.conversation_flow_id was not found")


def _summary(agent: Asset) -> Json:
    body = agent.latest
    return {
        "agent_id": agent.id,
        "agent_name": body.get("agent_name") or "",
        "channel": "voice",
        "user_modified_timestamp": body["last_modification_timestamp"],
        "tags": {},
        "is_suspended": False,  # not in the document, and asked for by clients made from a later one
    }


def _filter(criteria: Json) -> Callable[[Asset], bool] | None:
    if criteria.get("channel", {}).get("value") == "chat":
        return lambda _: False
    wanted: str = criteria.get("query", "")
    if not wanted:
        return None
    return lambda agent: wanted in agent.id or wanted.lower() in (agent.latest.get("agent_name") or "").lower()
