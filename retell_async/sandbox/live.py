"""What a call has to do with the world outside, and what came into it from there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import attrs

from .conversation import Item, Pause
from .exchange import Json
from .variables import filled

__all__ = ["CALL_EVENTS", "CHAT_EVENTS", "Address", "Live", "Outside"]

CALL_EVENTS = ("call_started", "call_ended", "call_analyzed")
CHAT_EVENTS = ("chat_started", "chat_ended", "chat_analyzed")
"""Told of unless the agent says otherwise."""
_TIMEOUT_MS = 10_000


@attrs.frozen
class Address:
    """Where events are sent, and which."""

    url: str
    events: Collection[str]
    timeout_ms: int = _TIMEOUT_MS

    @classmethod
    def of(cls, agent: Mapping[str, Any], account_url: str | None, default: Collection[str]) -> Address | None:
        """The address that an agent has, or that the account has for it; ``None`` where nobody listens."""
        url = agent.get("webhook_url") or account_url
        if not url:
            return None
        events = agent.get("webhook_events")
        return cls(url, default if events is None else events, agent.get("webhook_timeout_ms") or _TIMEOUT_MS)


@attrs.frozen
class Outside:
    """The user's own endpoints that a call has to do with."""

    address: Address | None
    tools: list[Json]
    """Custom functions, in the order in which they are called."""
    transfer: Json | None
    """The tool that transfers the call."""
    llm_url: str | None
    variables: Mapping[str, str]
    """Dynamic variables that the call was made with."""
    reminder_ms: float
    reminders: float

    @classmethod
    def of(cls, agent: Json, engine: Json, variables: Mapping[str, str], account_url: str | None) -> Outside | None:
        """``None`` for a call that has to do with no endpoint.

        :param agent: the agent's settings, with those of this call laid over them.
        :param engine: the same of its LLM or conversation flow; empty for a custom LLM.
        """
        address = Address.of(agent, account_url, CALL_EVENTS)
        tools = custom_tools(engine)
        llm_url = agent["response_engine"].get("llm_websocket_url")
        if address is None and not tools and llm_url is None:
            return None
        transfers: list[Json] = [tool for tool in engine.get("general_tools") or () if tool["type"] == "transfer_call"]
        return cls(
            address,
            tools,
            transfers[0] if transfers else None,
            filled(llm_url, variables) if llm_url is not None else None,
            variables,
            agent.get("reminder_trigger_ms") or 10_000,
            agent.get("reminder_max_count", 1),
        )


def custom_tools(engine: Mapping[str, Any]) -> list[Json]:
    """The custom functions of an LLM or a conversation flow, in their order; of an LLM with states, those of all states."""
    lists = [engine.get("general_tools"), engine.get("tools"), *(state.get("tools") for state in engine.get("states") or ())]
    return [tool for tools in lists for tool in cast("Iterable[Json]", tools or ()) if tool.get("type") == "custom"]


@attrs.define(eq=False)
class Live:
    """What came into a call from outside so far, and how far it was told of."""

    pauses: list[Pause] = attrs.field(factory=list[Pause])
    items: list[Item] = attrs.field(factory=list[Item])
    added: list[Json] = attrs.field(factory=list[Json])
    """What the agent said beside what it meant to."""
    collected: dict[str, str] = attrs.field(factory=dict[str, str])
    spoken: list[Json] | None = None
    """What was said, in a conversation by a custom LLM; ``None`` in one that goes by its script."""
    told: tuple[int, int] = (0, 0)
    """The milestone that was passed last."""
    scheduled: int | None = None
    """When the next one is due."""
    called: int = 0
    """How many custom functions were called."""
