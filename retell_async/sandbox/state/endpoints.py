"""The user's own endpoints that a call or chat has to do with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import attrs

from ..common.messages import Json
from ..simulation.variables import fill_variables

__all__ = ["CALL_EVENTS", "CHAT_EVENTS", "CallEndpoints", "WebhookTarget", "custom_tools"]


CALL_EVENTS = ("call_started", "call_ended", "call_analyzed")
CHAT_EVENTS = ("chat_started", "chat_ended", "chat_analyzed")
"""Told of unless the agent says otherwise."""
_TIMEOUT_MS = 10_000


@attrs.frozen
class WebhookTarget:
    """Where events are sent, and which."""

    url: str
    events: Collection[str]
    timeout_ms: int = _TIMEOUT_MS

    @classmethod
    def of(cls, agent: Mapping[str, Any], account_url: str | None, default: Collection[str]) -> WebhookTarget | None:
        """The address that an agent has, or that the account has for it; ``None`` where nobody listens."""
        url = agent.get("webhook_url") or account_url
        if not url:
            return None
        events = agent.get("webhook_events")
        return cls(url, default if events is None else events, agent.get("webhook_timeout_ms") or _TIMEOUT_MS)


@attrs.frozen
class CallEndpoints:
    """The user's own endpoints that a call has to do with."""

    webhook: WebhookTarget | None
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
    def of(cls, agent: Json, engine: Json, variables: Mapping[str, str], account_url: str | None) -> CallEndpoints | None:
        """``None`` for a call that has to do with no endpoint.

        :param agent: the agent's settings, with those of this call laid over them.
        :param engine: the same of its LLM or conversation flow; empty for a custom LLM.
        """
        webhook = WebhookTarget.of(agent, account_url, CALL_EVENTS)
        tools = custom_tools(engine)
        llm_url = agent["response_engine"].get("llm_websocket_url")
        if webhook is None and not tools and llm_url is None:
            return None
        transfers: list[Json] = [tool for tool in engine.get("general_tools") or () if tool["type"] == "transfer_call"]
        return cls(
            webhook,
            tools,
            transfers[0] if transfers else None,
            fill_variables(llm_url, variables) if llm_url is not None else None,
            variables,
            agent.get("reminder_trigger_ms") or 10_000,
            agent.get("reminder_max_count", 1),
        )


def custom_tools(engine: Mapping[str, Any]) -> list[Json]:
    """The custom functions of an LLM or a conversation flow, in their order; of an LLM with states, those of all states."""
    lists = [engine.get("general_tools"), engine.get("tools"), *(state.get("tools") for state in engine.get("states") or ())]
    return [tool for tools in lists for tool in cast("Iterable[Json]", tools or ()) if tool.get("type") == "custom"]
