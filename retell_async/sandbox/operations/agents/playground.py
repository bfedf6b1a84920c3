"""The playground: an agent's answer to a given conversation."""

from __future__ import annotations

from zlib import crc32

from ...common.messages import Incoming, Json, Refused
from ...simulation import chat_script
from ...state.store import Store
from ..helpers import existing, version_of
from . import engines

__all__ = ["complete"]


def complete(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id")
    engine = version_of(agent, incoming.query.get("version"), "the agent")["response_engine"]
    if engine["type"] == "custom-llm":
        raise Refused(400, "agents with a custom LLM cannot be tried here")
    spoken = [message["content"] for message in body["messages"] if message["role"] == "user"]
    seed = crc32(agent.id.encode())
    messages, ended = chat_script.answer(seed, len(body["messages"]), spoken[-1] if spoken else "", store.now())
    settings = engines.settings(store, engine)
    variables: Json = (settings.get("default_dynamic_variables") or {}) | body.get("dynamic_variables", {})
    answer: Json = {"messages": messages, "call_ended": ended, "dynamic_variables": variables, "knowledge_base_retrieved_contents": []}
    where = ("current_state", settings.get("starting_state")) if engine["type"] == "retell-llm" else ("current_node_id", _start(settings))
    place = body.get(where[0], where[1])
    return answer if place is None else answer | {where[0]: place}


def _start(flow: Json) -> str | None:
    """The first node of a flow."""
    nodes: list[Json] = flow.get("nodes") or []
    first: str | None = flow.get("start_node_id") or (nodes[0]["id"] if nodes else None)
    return first
