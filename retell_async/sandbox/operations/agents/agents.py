"""Voice agents and chat agents, with their versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from ...common.messages import Incoming, Json, Refused
from ...openapi.document import packaged_document
from ...state.assets import Asset
from ...state.endpoints import CALL_EVENTS, CHAT_EVENTS
from ...state.listing import Entries
from ...state.store import Store
from ..helpers import changed, draft_of, existing, listed, version_of
from . import engines

__all__ = [
    "CHAT",
    "VOICE",
    "Agents",
    "create_version",
    "delete_version",
    "existing_agent",
    "listing",
    "mcp_tools",
    "publish",
    "repair",
    "tag",
    "versions",
    "view",
]

_FIXED = ("agent_id", "version", "is_published", "base_version", "assigned_tags", "is_transfer_agent")
_BOUND = ("inbound_agents", "outbound_agents", "inbound_sms_agents", "outbound_sms_agents")

_EVENTS = {"voice": CALL_EVENTS, "chat": CHAT_EVENTS}

Channel = Literal["voice", "chat"]


@attrs.frozen
class Agents:
    """The operations that voice agents and chat agents both have."""

    channel: Channel

    def create(self, store: Store, incoming: Incoming) -> Json:
        engines.check(store, incoming.body["response_engine"], 422 if self.channel == "voice" else 400)
        agent_id = f"agent_{store.new_id('agent')}"
        body: Json = incoming.body | {
            "agent_id": agent_id,
            "version": 0,
            "base_version": None,
            "is_published": False,
            "last_modification_timestamp": store.now(),
        }
        return view(store.agents.add(agent_id, body, self.channel), body)

    def retrieve(self, store: Store, incoming: Incoming) -> Json:
        agent = existing_agent(store, incoming.path["agent_id"], self.channel, "agent_id")
        return view(agent, version_of(agent, incoming.query.get("version"), "the agent"))

    def update(self, store: Store, incoming: Incoming) -> Json:
        agent = existing_agent(store, incoming.path["agent_id"], self.channel, "agent_id")
        body = changed(draft_of(agent, incoming.query.get("version"), "the agent"), incoming.body, _FIXED, store.now())
        engines.check(store, body["response_engine"])
        return view(agent, agent.write(body))

    def delete(self, store: Store, incoming: Incoming) -> None:
        """Phone numbers lose the agent; their other agents share its weight."""
        agent_id = existing_agent(store, incoming.path["agent_id"], self.channel, "agent_id").id
        store.agents.remove(agent_id)
        for number in store.numbers:
            unbound = {name: _without(number.latest[name], agent_id) for name in _BOUND if number.latest.get(name)}
            number.write(number.latest | unbound)


VOICE, CHAT = Agents("voice"), Agents("chat")


def view(agent: Asset, body: Json) -> Json:
    """A version as answers show it.

    It always has ``webhook_events``: nothing else tells a voice agent from a chat agent in answers that can be either.
    """
    events = body.get("webhook_events")
    channel = {"channel": agent.kind} if packaged_document().carries("AgentResponse", "channel") else {}
    return {name: value for name, value in body.items() if name != "channel"} | {
        **channel,
        "assigned_tags": [name for name, version in agent.tags.items() if version == body["version"]],
        "webhook_events": list(_EVENTS[agent.kind]) if events is None else events,
    }


def existing_agent(store: Store, agent_id: str, channel: Channel, what: str, status: int = 422) -> Asset:
    agent = existing(store.agents, agent_id, what, status)
    if agent.kind != channel:
        raise Refused(status, f"{what} was not found among {channel} agents")
    return agent


def listing(store: Store, incoming: Incoming) -> Json:
    return listed(store.agents.entries, incoming.query, _summary, _filter(incoming.body.get("filter_criteria", {})))


def create_version(store: Store, incoming: Incoming) -> Json:
    """A published response engine gets a draft too."""
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id", 404)
    base = version_of(agent, incoming.body["base_version"], "the agent", 404)
    now = store.now()
    draft = agent.draft(
        {name: value for name, value in base.items() if name not in {"version_title", "version_description"}},
        base_version=base["version"],
        is_published=False,
        response_engine=engines.draft(store, base["response_engine"], now),
        last_modification_timestamp=now,
    )
    return view(agent, draft)


def versions(store: Store, incoming: Incoming) -> Json:
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id", 404)
    entries: Entries[Json] = [((number, 0), agent.versions[number]) for number in sorted(agent.versions)]
    return listed(entries, incoming.query, _version_summary)


def publish(store: Store, incoming: Incoming) -> None:
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id", 404)
    body = version_of(agent, incoming.body["version"], "the agent", 404)
    titles = {name: value for name, value in incoming.body.items() if name in {"version_title", "version_description"}}
    engine = engines.publish(store, body["response_engine"])
    agent.write(body | titles | {"is_published": True, "response_engine": engine, "last_modification_timestamp": store.now()})
    agent.published.add(body["version"])


def delete_version(store: Store, incoming: Incoming) -> None:
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id", 404)
    number: int = version_of(agent, incoming.query["version"], "the agent", 404)["version"]
    if len(agent.versions) == 1:
        raise Refused(400, "this is the only version of the agent: delete the agent")
    del agent.versions[number]
    agent.published.discard(number)
    agent.tags = {name: version for name, version in agent.tags.items() if version != number}


def repair(store: Store, incoming: Incoming) -> Json:
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id")
    body = version_of(agent, incoming.query.get("version"), "the agent")
    if body["version"] in agent.published:
        raise Refused(409, "published versions are not repaired")
    return view(agent, body)


def mcp_tools(store: Store, incoming: Incoming) -> list[Json]:
    """Each MCP server has two tools here, a look-up and an order. A server without an id is found by its name."""
    agent = existing(store.agents, incoming.path["agent_id"], "agent_id")
    engine = version_of(agent, incoming.query.get("version"), "the agent")["response_engine"]
    component_id = incoming.query.get("component_id")
    holder = engines.settings(store, engine) if component_id is None else existing(store.components, component_id, "component_id").latest
    wanted = incoming.query["mcp_id"]
    server = next((mcp for mcp in holder.get("mcps") or () if wanted in {mcp.get("id"), mcp["name"]}), None)
    if server is None:
        raise Refused(422, "mcp_id was not found")
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return [
        {"name": name, "description": f"{description} of {server['name']}.", "inputSchema": schema}
        for name, description in (("look_up", "Looks something up in the records"), ("place_order", "Places an order with the services"))
    ]


def tag(store: Store, agent_id: str, name: str, version: int) -> None:
    """Assign a tag to a version of an agent, as people do in the dashboard.

    :raises LookupError: there is no such agent or version.
    """
    agent = store.agents.get(agent_id)
    if agent is None or version not in agent.versions:
        raise LookupError(f"{agent_id} has no version {version}")
    agent.tags[name] = version


def _without(weighted: list[Json], agent_id: str) -> list[Json]:
    left = [item for item in weighted if item["agent_id"] != agent_id]
    whole = sum(item["weight"] for item in left)
    return left if len(left) == len(weighted) or not whole else [item | {"weight": item["weight"] / whole} for item in left]


def _summary(agent: Asset) -> Json:
    body = agent.latest
    return {
        "agent_id": agent.id,
        "agent_name": body.get("agent_name") or "",
        "channel": agent.kind,
        "user_modified_timestamp": body["last_modification_timestamp"],
        "tags": {name: {"version": version} for name, version in agent.tags.items()},
        "is_transfer_agent": body.get("is_transfer_agent", False),
        "is_suspended": False,
    }


def _version_summary(body: Json) -> Json:
    names = ("version", "is_published", "last_modification_timestamp", "base_version", "version_title", "version_description")
    return {name: body[name] for name in names if body.get(name) is not None}


def _filter(criteria: Json) -> Callable[[Asset], bool]:
    channel = criteria.get("channel", {}).get("value")
    transfer = criteria.get("is_transfer_agent", {}).get("value")
    wanted: str = criteria.get("query", "")

    def matches(agent: Asset) -> bool:
        body = agent.latest
        return (
            channel in {None, agent.kind}
            and transfer in {None, body.get("is_transfer_agent", False)}
            and (wanted in agent.id or wanted.lower() in (body.get("agent_name") or "").lower())
        )

    return matches
