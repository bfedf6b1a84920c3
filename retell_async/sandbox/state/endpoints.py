"""The user's own endpoints that a call or chat uses: webhook, custom functions, custom LLM."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import attrs

from ..common.messages import Json
from ..simulation.variables import fill_variables

__all__ = ["CALL_EVENTS", "CHAT_EVENTS", "CallEndpoints", "WebhookTarget", "custom_tools"]

CALL_EVENTS = ("call_started", "call_ended", "call_analyzed")
CHAT_EVENTS = ("chat_started", "chat_ended", "chat_analyzed")
"""The events that are sent unless the agent's ``webhook_events`` say otherwise."""
_TIMEOUT_MS = 10_000


@attrs.frozen
class WebhookTarget:
    """A webhook: its URL and the events that it gets."""

    url: str
    events: Collection[str]
    timeout_ms: int = _TIMEOUT_MS

    @classmethod
    def of(cls, agent: Mapping[str, Any], account_url: str | None, default: Collection[str]) -> WebhookTarget | None:
        """The webhook of an agent, or else of the account; ``None`` when there is neither."""
        url = agent.get("webhook_url") or account_url
        if not url:
            return None
        events = agent.get("webhook_events")
        return cls(url, default if events is None else events, agent.get("webhook_timeout_ms") or _TIMEOUT_MS)


@attrs.frozen
class CallEndpoints:
    """The user's own endpoints that a call uses."""

    webhook: WebhookTarget | None
    tools: list[Json]
    """Custom functions, in the order in which they are called."""
    transfer: Json | None
    """The ``transfer_call`` tool, if the agent has one."""
    llm_url: str | None
    variables: Mapping[str, str]
    """Dynamic variables that the call was created with."""
    reminder_ms: float
    reminders: float

    @classmethod
    def of(cls, agent: Json, engine: Json, variables: Mapping[str, str], account_url: str | None) -> CallEndpoints | None:
        """The endpoints of a call; ``None`` when it uses none.

        :param agent: the agent's settings, with the overrides of this call.
        :param engine: the settings of its LLM or conversation flow, with the overrides of this call; empty for a custom LLM.
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
    """The custom functions of an LLM (in all its states) or a conversation flow, in their order."""
    lists = [engine.get("general_tools"), engine.get("tools"), *(state.get("tools") for state in engine.get("states") or ())]
    return [tool for tools in lists for tool in cast("Iterable[Json]", tools or ()) if tool.get("type") == "custom"]
