"""What the tools are: those that carry out an operation, as `openapi/surface.yaml` says which, and those that answer a question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any, Literal

import attrs

__all__ = ["Asks", "Json", "Tool", "named", "near", "schemas", "tools"]

Json = dict[str, Any]
Asks = Literal["money", "deletion"]
"""What a human is asked about."""


@attrs.frozen
class Tool:
    """One tool, as it is whoever asks."""

    name: str
    about: str
    arguments: Mapping[str, Json] = attrs.field(repr=False)
    """What it takes: JSON Schema by name, in which ``#/schemas/`` are `schemas`."""
    required: tuple[str, ...] = ()
    effect: Literal["read", "write", "delete"] = "read"
    repeat: Literal["safe", "idempotency_key", "unsafe"] = "safe"
    asks: Mapping[str, Asks] = attrs.field(factory=dict[str, Asks])
    """What a human is asked about before: under ``""`` always, else where that argument is given."""
    open_world: bool = False
    """Whether it reaches people or the web, or gives back what these said."""
    method: str | None = None
    """The method of the client that it calls, such as ``call.retrieve``; ``None`` where it is more than that."""
    lists: Literal["pages", "array"] | None = None
    """What a list is: pages, each with the key of the next, or all at once."""

    def asked(self, arguments: Mapping[str, Any]) -> frozenset[Asks]:
        """What a human is asked about before it is called so."""
        return frozenset(what for name, what in self.asks.items() if not name or arguments.get(name) is not None)


_FIELDS: Json = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Give only these fields, such as ['call_id', 'call_cost.combined_cost'].",
}
_LIMIT: Json = {"type": "integer", "minimum": 1, "maximum": 100, "description": "Items at most, by default 20."}
_CURSOR: Json = {"type": "string", "description": "Where to go on: the next_cursor of the answer before."}
_SINCE: Json = {
    "type": "string",
    "description": "The period's beginning, as '2026-11-01T00:00:00Z', by default 7 days ago.",
}
_UNTIL: Json = {"type": "string", "description": "The period's end, by default now."}
_AGENT: Json = {"type": "string", "minLength": 1, "description": "Only calls of this agent."}

_QUESTIONS = (
    Tool(
        "failed_calls",
        "Tell why calls of a period failed, grouped by the reason and by the workspace's own number. A call failed if it never connected, "
        "broke off with an error, or was not successful in the eyes of its analysis.",
        {"since": _SINCE, "until": _UNTIL, "agent_id": _AGENT},
        open_world=True,
    ),
    Tool(
        "compare_agent_versions",
        "Compare two versions of an agent: which settings differ, and how their calls of a period went.",
        {
            "agent_id": {"type": "string", "minLength": 1, "description": "The agent."},
            "version_a": {"type": "integer", "minimum": 0, "description": "The number of one version."},
            "version_b": {"type": "integer", "minimum": 0, "description": "The number of the other."},
            "since": _SINCE,
            "until": _UNTIL,
        },
        ("agent_id", "version_a", "version_b"),
        open_world=True,
    ),
    Tool(
        "cost_by_agent",
        "Add up what calls of a period cost, by agent, the dearest first.",
        {"since": _SINCE, "until": _UNTIL},
    ),
    Tool(
        "find_in_transcripts",
        "Find calls of a period in which something was said, the latest first. Reads 100 transcripts at a time: go on with the cursor.",
        {
            "text": {"type": "string", "minLength": 2, "description": "What to look for, in any case."},
            "since": _SINCE,
            "until": _UNTIL,
            "agent_id": _AGENT,
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "description": "It stops at so many, by default 10, or a few more."},
            "cursor": _CURSOR,
        },
        ("text",),
        open_world=True,
    ),
    Tool(
        "wait_for_call",
        "Wait until a call is over, or until it is analysed, and give its summary. If that takes longer, say how it stands: call it again.",
        {
            "call_id": {"type": "string", "minLength": 1, "description": "The call."},
            "until": {"type": "string", "enum": ["ended", "analyzed"], "description": "By default ended."},
            "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 600, "description": "To wait at most, by default 45."},
        },
        ("call_id",),
        open_world=True,
    ),
    Tool(
        "describe_schema",
        "Say what an argument of a tool takes, level by level: 'create_agent' for all of a tool's, 'create_agent.response_engine' for one, "
        "'create_agent.response_engine.retell-llm' for one of several kinds. Every object and list opens so.",
        {"path": {"type": "string", "minLength": 1, "description": "A tool, or a tool with the way to a field, with dots between."}},
        ("path",),
    ),
)
"""Tools that answer a question with more than one request, or with none."""


@cache
def _table() -> Json:
    """The table of operations, with words that speak of tools where they spoke of methods."""
    text = resources.files("retell_async.raw").joinpath("operations.json").read_text(encoding="utf-8")
    spoken = {f"`{said['methods'][0]}`": f"`{said['tool']}`" for said in json.loads(text)["operations"].values() if said["tool"]}
    found: Json = json.loads(re.sub(r"`\w+\.\w+`", lambda match: spoken.get(match[0], match[0]), text))
    return found


def schemas() -> Mapping[str, Json]:
    """Schemas of objects in arguments, by name."""
    found: Mapping[str, Json] = _table()["schemas"]
    return found


@cache
def tools() -> Mapping[str, Tool]:
    """All tools, by name."""
    found = [_of_operation(said) for said in _table()["operations"].values() if said["tool"]]
    return {tool.name: tool for tool in sorted([*found, *_QUESTIONS], key=lambda tool: tool.name)}


def _of_operation(said: Json) -> Tool:
    arguments: dict[str, Json] = {name: schema for name, schema in said["arguments"].items() if name not in said["files"]}
    if said["lists"] is not None:
        arguments = {key: schema for key, schema in arguments.items() if key not in {"pagination_key", "skip"}}
        arguments |= {"limit": _LIMIT, "cursor": _CURSOR}
    if said["effect"] == "read":
        arguments["fields"] = _FIELDS
    return Tool(
        said["tool"],
        said["about"],
        arguments,
        tuple(name for name in said["required"] if name in arguments),
        said["effect"],
        said["repeat"],
        said["asks"],
        said["open_world"],
        said["methods"][0],
        said["lists"],
    )


def near(name: str, there: Iterable[str]) -> str:
    """What to say behind a name that is not there: those that look like it, or some of those that are."""
    some = sorted(there)
    return f": {', '.join(get_close_matches(name, some, 3) or some[:20])}" if some else ": there is nothing"


def named(name: str) -> Tool:
    """:raises ValueError: there is no such tool; the message names some that are near."""
    found = tools().get(name)
    if found is None:
        raise ValueError(f"there is no tool {name!r}{near(name, tools())}")
    return found
