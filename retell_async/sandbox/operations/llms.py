"""Retell LLMs: the prompts that agents answer with."""

from __future__ import annotations

from ..exchange import Incoming, Json, Refused
from ..store import Store
from ._assets import changed, existing, listed, version_of

__all__ = ["create", "delete", "listing", "retrieve", "update"]

_FIXED = ("llm_id", "version", "is_published", "is_transfer_llm")


def create(store: Store, incoming: Incoming) -> Json:
    _check(incoming.body)
    llm_id = f"llm_{store.new_id('llm')}"
    body = incoming.body | {"llm_id": llm_id, "version": 0, "is_published": False, "last_modification_timestamp": store.now()}
    store.llms.add(llm_id, body)
    return body


def retrieve(store: Store, incoming: Incoming) -> Json:
    return version_of(existing(store.llms, incoming.path["llm_id"], "llm_id"), incoming.query.get("version"), "the LLM")


def listing(store: Store, incoming: Incoming) -> Json:
    return listed(store.llms, incoming.query, lambda llm: llm.latest)


def update(store: Store, incoming: Incoming) -> Json:
    llm = existing(store.llms, incoming.path["llm_id"], "llm_id")
    body = changed(version_of(llm, incoming.query.get("version"), "the LLM"), incoming.body, _FIXED, store.now())
    _check(body)
    llm.versions[body["version"]] = body
    return body


def delete(store: Store, incoming: Incoming) -> None:
    llm_id = existing(store.llms, incoming.path["llm_id"], "llm_id").id
    if not incoming.query.get("force_delete") and any(_uses(body, llm_id) for agent in store.agents for body in agent.versions.values()):
        raise Refused(400, "an agent uses this LLM: delete the agent first, or send force_delete")
    store.llms.remove(llm_id)


def _check(body: Json) -> None:
    if body.get("states") and not body.get("starting_state"):
        raise Refused(400, "body.starting_state is needed with states")


def _uses(agent: Json, llm_id: str) -> bool:
    engine: Json = agent["response_engine"]
    return bool(engine["type"] == "retell-llm" and engine["llm_id"] == llm_id)
