"""Response engines of agents: LLMs and conversation flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...common.messages import Json, Refused
from ...state.assets import Asset, Assets
from ...state.store import Store
from ..helpers import existing, version_of

__all__ = ["check", "draft", "publish", "refuse_if_used", "same", "settings", "tools"]


def check(store: Store, engine: Json, status: int = 422) -> None:
    """:raises Refused: there is no such engine or version."""
    found = _table(store, engine)
    if found is not None:
        assets, name = found
        what = f"response_engine.{name}"
        version_of(existing(assets, engine[name], what, status), _version(engine), what, status)


def _version(engine: Json) -> int | None:
    """The version in a reference to an engine; ``None`` for the latest."""
    named = engine.get("version")
    return None if named is None else int(named) if named == int(named) else -1


def _engine_of(store: Store, engine: Json) -> Asset | None:
    """The LLM or flow; ``None`` for a custom LLM, or when it was deleted."""
    found = _table(store, engine)
    return None if found is None else found[0].get(engine[found[1]])


def settings(store: Store, engine: Json) -> Json:
    """The settings of an LLM or a flow; empty for a custom LLM."""
    asset = _engine_of(store, engine)
    return {} if asset is None else asset.version(_version(engine)) or {}


def publish(store: Store, engine: Json) -> Json:
    """Publish the engine of an agent that is published, which keeps this version of it."""
    asset = _engine_of(store, engine)
    body = settings(store, engine)
    if asset is None or not body:
        return engine
    asset.published.add(body["version"])
    if "is_published" in body:
        asset.write(body | {"is_published": True})
    return engine | {"version": body["version"]}


def draft(store: Store, engine: Json, now: int) -> Json:
    """The engine for a draft of an agent: a new version of a published engine, or else the same."""
    asset = _engine_of(store, engine)
    body = settings(store, engine)
    if asset is None or not body or body["version"] not in asset.published:
        return engine
    changes: Json = {"last_modification_timestamp": now} | ({"is_published": False} if "is_published" in body else {})
    return engine | {"version": asset.draft(body, **changes)["version"]}


def same(engine: Json, asked: Json) -> bool:
    """Whether two references are to the same LLM or flow, of whatever version."""
    return all(engine.get(name) == asked.get(name) for name in ("type", "llm_id", "conversation_flow_id"))


def _users(store: Store, engine: Json) -> Iterator[Asset]:
    """The agents that use an LLM or a flow in any of their versions."""
    return (agent for agent in store.agents if any(same(body["response_engine"], engine) for body in agent.versions.values()))


def tools(engine: Json) -> Iterator[Json]:
    """The tools of an LLM's or a flow's settings."""
    yield from engine.get("general_tools") or ()
    for state in engine.get("states") or ():
        yield from state.get("tools") or ()
    for holder in (engine, *(engine.get("components") or ())):
        yield from holder.get("tools") or ()
        for node in holder.get("nodes") or ():
            yield from node.get("tools") or ()


def _table(store: Store, engine: Json) -> tuple[Assets, str] | None:
    kinds: dict[Any, tuple[Assets, str]] = {
        "retell-llm": (store.llms, "llm_id"),
        "conversation-flow": (store.flows, "conversation_flow_id"),
    }
    return kinds.get(engine["type"])


def refuse_if_used(store: Store, engine: Json, what: str) -> None:
    """:raises Refused: an agent uses it."""
    if any(True for _ in _users(store, engine)):
        raise Refused(400, f"an agent uses this {what}: delete the agent first, or send force_delete")
