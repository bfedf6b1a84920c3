"""Values made from schemas. Pure: the same schema always gives the same value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from ..common.messages import Json

__all__ = ["minimal_value", "properties", "required"]

Resolve = Callable[[Json], Json]
"""Gives the schema that a ``$ref`` leads to, or the schema itself."""

_DEEPEST = 12


def minimal_value(schema: Json, resolve: Resolve, depth: int = 0) -> Any:
    """The smallest value that a schema allows: the first alternative, required properties only."""
    schema = resolve(schema)
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return next((value for value in schema["enum"] if value is not None), None)
    alternatives = _alternatives(schema)
    if alternatives and "properties" not in schema:
        return minimal_value(alternatives[0], resolve, depth + 1)
    if "allOf" in schema or "properties" in schema or schema.get("type") == "object":
        known = properties(schema, resolve)
        needed = [name for name in _required(schema, resolve) if name in known]
        return {name: minimal_value(known[name], resolve, depth + 1) for name in needed} if depth < _DEEPEST else {}
    match schema.get("type"):
        case "array":
            return [minimal_value(schema["items"], resolve, depth + 1) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "string":
            return "a" * schema.get("minLength", 0)
        case _:
            return {}


def properties(schema: Json, resolve: Resolve) -> Json:
    """The schemas of all properties of an object, those from ``allOf`` and ``oneOf`` included."""
    schema = resolve(schema)
    known: Json = {}
    for part in schema.get("allOf", ()):
        known |= properties(part, resolve)
    for alternative in _alternatives(schema)[:1]:
        known |= properties(alternative, resolve)
    return known | cast("Json", schema.get("properties", {}))


def required(schema: Json, resolve: Resolve) -> set[str]:
    """The names of all properties that every object of this schema has, whichever of its alternatives it is."""
    schema = resolve(schema)
    found = set(cast("list[str]", schema.get("required", ())))
    if alternatives := _alternatives(schema):
        found |= set[str].intersection(*(required(one, resolve) for one in alternatives))
    return found.union(*(required(part, resolve) for part in schema.get("allOf", ())))


def _alternatives(schema: Json) -> list[Json]:
    return schema.get("oneOf") or schema.get("anyOf") or []


def _required(schema: Json, resolve: Resolve) -> Iterator[str]:
    schema = resolve(schema)
    for part in [*schema.get("allOf", ()), *_alternatives(schema)[:1]]:
        yield from _required(part, resolve)
    yield from schema.get("required", ())
