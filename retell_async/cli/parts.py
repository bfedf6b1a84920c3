"""The parts of the command that are no operations of the API, by name."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BY_HAND", "PARTS"]

PARTS = {
    "archive": ("archive", "Keep calls and chats in a database of your own, and ask it."),
    "campaign": ("campaign", "Plan calls to many people by rules, place them, and follow them to their end."),
    "completion": ("programs", "Print what lets a shell complete commands."),
    "config": ("config", "Keep agents, prompts, flows and tools as files in git."),
    "doctor": ("by_hand.doctor", "Look whether everything is as it has to be: key, connection, clock, limits."),
    "logs": ("by_hand.calls", "Show calls as they end, or the log of one."),
    "mcp": ("mcp", "Serve a workspace to models, as tools and resources."),
    "sandbox": ("programs", "Serve the Retell API on this machine: no account, no network, no cost."),
    "test": ("by_hand.suite", "Run an agent's test cases, for CI."),
    "webhooks": ("by_hand.webhooks", "Bring webhook events to a program on this machine, or again."),
}
"""The parts: the module in which each is, under its own name, and what it does."""
BY_HAND: dict[str, Mapping[str, tuple[str, str]]] = {
    "call": {
        "follow": ("by_hand.calls", "Show a call as it goes on: what is said, and how it ends."),
        "place": ("by_hand.calls", "Call somebody, in few words."),
    },
    "llm": {"simulate": ("programs", "Play Retell's side against the server of a custom LLM.")},
}
"""Commands by hand among those of a resource."""
