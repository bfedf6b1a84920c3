"""What operations take and ask, from the generated table. Of it only what is needed is decoded: a help is there at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

import attrs
import msgspec

from ..parts import BY_HAND, PARTS

__all__ = ["Json", "Operation", "flag", "kinds", "methods", "named", "operation", "resolved", "sentence", "within"]

Json = dict[str, Any]


@attrs.frozen
class Operation:
    """An operation, as the method of a resource."""

    resource: str
    method: str
    about: str
    effect: Literal["read", "write", "delete"]
    repeat: Literal["safe", "idempotency_key", "unsafe"]
    asks: Mapping[str, str]
    """What a human is asked about before: under ``""`` always, else where that argument is given."""
    lists: Literal["pages", "array"] | None
    answers: str
    """The type of what it answers; of a list, of one thing in it."""
    positional: tuple[str, ...]
    files: tuple[str, ...]
    required: tuple[str, ...]
    arguments: Mapping[str, Json] = attrs.field(repr=False)
    """What it takes: JSON Schema by name."""

    @property
    def command(self) -> str:
        """What it is called at the command line."""
        return f"{group(self.resource)} {command(self.resource, self.method)}"

    def asked(self, arguments: Mapping[str, Any]) -> frozenset[str]:
        """What a human is asked about before it is called so: ``money``, ``deletion``."""
        return frozenset(what for name, what in self.asks.items() if not name or arguments.get(name) is not None)


@cache
def _table() -> dict[str, dict[str, msgspec.Raw]]:
    text = resources.files("retell_async.raw").joinpath("operations.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, dict[str, msgspec.Raw]])


@cache
def methods() -> Mapping[str, Mapping[str, str]]:
    """The methods of each resource: under which name the table has each."""
    found: dict[str, dict[str, str]] = {}
    for key, said in _table()["operations"].items():
        for name in msgspec.json.decode(said, type=_Methods).methods:
            resource, _, method = name.partition(".")
            found.setdefault(resource, {})[method] = key
    return {resource: dict(sorted(some.items())) for resource, some in sorted(found.items())}


class _Methods(msgspec.Struct):
    methods: list[str]


def about(resource: str) -> str:
    """What a resource is, in a few words, or what can be done with it."""
    said = _table()["resources"].get(resource)
    return msgspec.json.decode(said, type=str) if said is not None else ", ".join(map(named, methods()[resource]))


def operation(resource: str, method: str) -> Operation:
    """The operation behind a method."""
    said: Json = msgspec.json.decode(_table()["operations"][methods()[resource][method]])
    return Operation(
        resource,
        method,
        _spoken(said["about"]),
        said["effect"],
        said["repeat"],
        said["asks"],
        said["lists"],
        said["answers"],
        tuple(said["positional"]),
        tuple(said["files"]),
        tuple(said["required"]),
        said["arguments"],
    )


def named(name: str) -> str:
    """A name as commands and options have it: ``phone-number``, ``import``."""
    return name.strip("_").replace("_", "-")


def group(resource: str) -> str:
    """Under what the commands of a resource are: one that has the name of a part of ours stands apart from it."""
    return f"api-{named(resource)}" if named(resource) in PARTS else named(resource)


def command(resource: str, method: str) -> str:
    """What a method is called there: one that has the name of a command of ours stands apart from it."""
    return f"api-{named(method)}" if named(method) in BY_HAND.get(resource, ()) else named(method)


_OURS = frozenset(
    ("all", "body", "dry-run", "explain", "fields", "help", "json", "jsonl", "profile", "sandbox", "show-numbers", "since", "until", "yes")
)


def flag(name: str) -> str:
    """The option of an argument: one that has the name of an option of ours stands apart from it."""
    return f"--api-{named(name)}" if named(name) in _OURS else f"--{named(name)}"


def _spoken(text: str) -> str:
    """Words that speak of commands where they spoke of methods."""

    def spoken(match: re.Match[str]) -> str:
        resource, method = match[1], match[2]
        return f"`{group(resource)} {command(resource, method)}`" if method in methods().get(resource, ()) else match[0]

    return re.sub(r"`(\w+)\.(\w+)`", spoken, text)


def words(schema: Json) -> str:
    """What there is to say of an argument or a field."""
    return _spoken(schema.get("description") or resolved(schema).get("description", ""))


def sentence(text: str) -> str:
    """The first sentence; a dot within a name or a number ends none."""
    first = re.split(r"(?<=\.) ", text, maxsplit=1)[0]
    return f"{first.rstrip('.')}." if first else ""


def resolved(schema: Json) -> Json:
    """Follow references."""
    while "$ref" in schema:
        schema = _schema(schema["$ref"].rpartition("/")[2])
    return schema


@cache
def _schema(name: str) -> Json:
    return cast("Json", msgspec.json.decode(_table()["schemas"][name]))


def members(schema: Json) -> list[Json]:
    """What a value may be, one by one: the members of a choice, or the schema itself."""
    schema = resolved(schema)
    return [one for member in schema["oneOf"] for one in members(member)] if "oneOf" in schema else [schema]


def kinds(schema: Json) -> list[str]:
    """The types that a value may have; none where it may have any."""
    found: list[str] = []
    for member in members(schema):
        said = member.get("type", [])
        found += [said] if isinstance(said, str) else said
    return list(dict.fromkeys(found))


def values(schema: Json) -> list[str]:
    """The texts that a value may be, where they are known."""
    return list(dict.fromkeys(str(value) for member in members(schema) for value in member.get("enum", ()) if value is not None))


def within(schema: Json, step: str) -> Json | None:
    """What is in a field of an object, or in an item of a list; ``{}`` for anything, ``None`` if there is no such field."""
    free = False
    for member in members(schema):
        if step.isdecimal() and "items" in member:
            return cast("Json", member["items"])
        if step in (properties := member.get("properties", {})):
            return cast("Json", properties[step])
        if isinstance(more := member.get("additionalProperties"), dict):
            return cast("Json", more)
        free = free or ("object" in kinds(member) and not properties) or not kinds(member)
    return {} if free else None


def objects(schema: Json) -> list[Json]:
    """The kinds of objects that a value, or an item of it, may be."""
    found = [one for member in members(schema) for one in (objects(member["items"]) if "items" in member else [member])]
    return [one for one in found if one.get("properties")]


def fields(schema: Json) -> dict[str, Json]:
    """The fields of an object, of each kind that it may have. What kinds have each in their way is a choice."""
    found: dict[str, list[Json]] = {}
    for one in objects(schema):
        for name, field in one["properties"].items():
            ways = found.setdefault(name, [])
            ways += [field] if field not in ways else []
    return {name: ways[0] if len(ways) == 1 else {"oneOf": ways, "description": words(ways[0])} for name, ways in found.items()}


def tag(objects: list[Json]) -> str | None:
    """The field that tells kinds of objects apart: each has one value of its own there."""
    names: Json = objects[0]["properties"] if objects else {}
    for name in names:
        found = [values(one["properties"].get(name, {})) for one in objects]
        if all(len(one) == 1 for one in found) and len({one[0] for one in found}) == len(objects) > 1:
            return name
    return None
