"""Leaves out of a checked value what the document does not know at its place.

A field that the document knows at another place is one that a handler might read, here unchecked. A field that it knows nowhere is read
by nobody: it is kept, and shown again as the API shows what it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from ..common.messages import Json

__all__ = ["KnownFields"]


class KnownFields:
    """The fields of a document.

    :param holder: all its schemas, in anything that holds them.
    :param resolve: gives the schema that a ``$ref`` leads to, or the schema itself.
    :param matches: whether a schema allows a value.
    """

    def __init__(self, holder: object, resolve: Callable[[Json], Json], matches: Callable[[Json, Any], bool]) -> None:
        self._names = frozenset(_names(holder))
        self._resolve = resolve
        self._matches = matches

    def only(self, value: Any, schema: Json) -> Any:
        """The value, which the schema allows, without fields that the document knows at other places only."""
        return self._only(value, [schema])

    def _only(self, value: Any, schemas: Iterable[Json]) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        parts = [part for schema in schemas for part in self._parts(schema, value)]
        if isinstance(value, list):
            items = [part["items"] for part in parts if "items" in part]
            return [self._only(item, items) for item in cast("list[object]", value)]
        known: dict[str, list[Json]] = {}
        for part in parts:
            for name, schema in part.get("properties", {}).items():
                known.setdefault(name, []).append(schema)
        others: list[Json] = [part["additionalProperties"] for part in parts if isinstance(part.get("additionalProperties"), dict)]
        return {
            name: self._only(item, known.get(name, others))
            for name, item in cast("Json", value).items()
            if name in known or not known or others or name not in self._names
        }

    def _parts(self, schema: Json, value: Any) -> Iterator[Json]:
        """The schemas that say something of a value: this one, those that it consists of, and of its alternatives those that were meant."""
        schema = self._resolve(schema)
        yield schema
        for part in schema.get("allOf", ()):
            yield from self._parts(part, value)
        branches = [branch for key in ("oneOf", "anyOf") for branch in schema.get(key, ()) if branch.get("type") != "null"]
        for branch in branches:
            if len(branches) == 1 or self._matches(branch, value):
                yield from self._parts(branch, value)


def _names(schema: Any) -> Iterator[str]:
    """The names of all properties in a schema, or in something that holds schemas."""
    if isinstance(schema, dict):
        found = cast("Json", schema)
        if isinstance(found.get("properties"), dict):
            yield from found["properties"]
        for part in found.values():
            yield from _names(part)
    elif isinstance(schema, list):
        for part in cast("list[object]", schema):
            yield from _names(part)
