"""Our notes beside the pinned document (`openapi/notes.yaml`) come to the schemas that they are about.

A note is found by a JSON pointer in which names stand for positions: a parameter by its name, a member of a union by the component it
refers to, its title or the first value of its tag. Members of an ``allOf`` that are written out there are one with the schema around them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from .. import marks
from ..document import Json, at, followed, parts, pointer


def lay(document: Json, notes: Json, moved: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """Put each note beside what its pointer points to, and give back the pointers of those that are about nothing any more.

    :param moved: the operations that go on under other paths, by pointer: where they were, and where they are.
    """
    dead: list[str] = []
    for where, note in notes.items():
        led = [(old, place) for old, new in (moved or {}).items() if where.startswith(old) for place in new]
        places = [where, *(place + where.removeprefix(old) for old, place in led)]
        found = [schema for place in places for schema in _meant(document, parts(place))]
        dead.extend([] if found else [where])
        for schema in found:
            schema[marks.NOTE] = note
    return dead


def _meant(document: Json, way: Sequence[str]) -> list[Json]:
    """What is there. A parameter that an operation shares with others becomes its own: a note is about no other one."""
    found = _found(document, document, way)
    if not found and way[:1] == ["paths"] and way[3:4] == ["parameters"] and (operation := at(document, pointer(*way[:3]), None)):
        shared = document["paths"][way[1]].get("parameters", ())
        operation["parameters"] = [deepcopy(followed(document, one)) for one in [*operation.get("parameters", ()), *shared]]
        return _found(document, document, way)
    return found


def _found(document: Json, value: Any, way: Sequence[str]) -> list[Json]:
    if not way:
        return [value] if isinstance(value, dict) else []
    value, led = followed(document, value), []
    if isinstance(value, list):
        led = [(item, way[1:]) for item in value if way[0] in names(item)]
    elif isinstance(value, dict):
        led = [(value[way[0]], way[1:])] if way[0] in value else []
        led += [(member, way) for member in value.get("allOf", ()) if "$ref" not in member]
    return [found for inner, rest in led for found in _found(document, inner, rest)]


def names(item: Any) -> list[str]:
    """What a parameter or a member of a union is called, the best first."""
    if not isinstance(item, dict):
        return []
    fields = sorted((item.get("properties") or {}).items(), key=lambda pair: pair[0] != "type")
    tags = [str(field["enum"][0]) for _, field in fields if isinstance(field, dict) and field.get("enum")]
    said = [item.get("name"), str(item.get("$ref", "")).rpartition("/")[2], item.get("title"), *tags, item.get("type")]
    return [str(name) for name in said if name]
