"""Retell LLMs: the prompts that agents answer with."""

from __future__ import annotations

from ...common.messages import Incoming, Json, Refused
from ...state.store import Store
from ..helpers import changed, draft_of, existing, listed, version_of
from .engines import refuse_if_used

__all__ = ["create", "delete", "listing", "retrieve", "update"]

_FIXED = ("llm_id", "version", "is_published", "is_transfer_llm")


def create(store: Store, incoming: Incoming) -> Json:
    _check(incoming.body)
    llm_id = f"llm_{store.new_id('llm')}"
    body = incoming.body | {"llm_id": llm_id, "version": 0, "is_published": False, "last_modification_timestamp": store.now()}
    return store.llms.add(llm_id, body).latest


def retrieve(store: Store, incoming: Incoming) -> Json:
    return version_of(existing(store.llms, incoming.path["llm_id"], "llm_id"), incoming.query.get("version"), "the LLM")


def listing(store: Store, incoming: Incoming) -> Json:
    return listed(store.llms.entries, incoming.query, lambda llm: llm.latest)


def update(store: Store, incoming: Incoming) -> Json:
    llm = existing(store.llms, incoming.path["llm_id"], "llm_id")
    body = changed(draft_of(llm, incoming.query.get("version"), "the LLM"), incoming.body, _FIXED, store.now())
    _check(body)
    return llm.write(body)


def delete(store: Store, incoming: Incoming) -> None:
    llm_id = existing(store.llms, incoming.path["llm_id"], "llm_id").id
    if not incoming.query.get("force_delete"):
        refuse_if_used(store, {"type": "retell-llm", "llm_id": llm_id}, "LLM")
    store.llms.remove(llm_id)


def _check(body: Json) -> None:
    if body.get("states") and not body.get("starting_state"):
        raise Refused(400, "body.starting_state is needed with states")
