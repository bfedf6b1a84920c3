"""Checks settings against the document that this package was generated from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import resources
from typing import Any, cast

import attrs

from ..resources._operations import METHODS
from .kinds import Json, Kind

try:
    import jsonschema_rs
except ModuleNotFoundError as error:  # pragma: no cover - tried in a process of its own
    raise ModuleNotFoundError("agents as files need the extra config: `pip install 'retell-async[config]'`", name=error.name) from None

__all__ = ["Fault", "Path", "faults_of", "is_nullable", "known_fields"]

Path = tuple[str | int, ...]

_LEAF = (
    "enum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "type",
    "uniqueItems",
)
"""Keywords that say something of a value itself, and not of what is in it."""
_BESIDE: Mapping[str, Json] = {
    "phone_numbers": {
        "phone_number": {"type": "string", "minLength": 1},
        "auth_password": {"type": "string"},
    }
}


@attrs.frozen
class Fault:
    """What is wrong in a value, and where in it.

    :param unknown: a field that the document does not have there.
    """

    path: Path
    message: str
    unknown: bool = False


@lru_cache(maxsize=1)
def _document() -> Json:
    return cast("Json", json.loads(resources.files("retell_async.raw").joinpath("openapi.json").read_bytes()))


@lru_cache
def _schema(method: str) -> Json:
    """The schema of what a method of the client sends."""
    wanted = METHODS[method]
    items: list[Json] = [*_document()["paths"].values()]
    operations: list[Any] = [one for item in items for one in item.values()]
    found: Json = next(one for one in map(_dict, operations) if one.get("operationId") == wanted)
    return cast("Json", next(iter(found["requestBody"]["content"].values()))["schema"])


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _body(kind: Kind) -> Json:
    if not kind.created:
        own = {"properties": _BESIDE.get(kind.folder, {}), "required": [kind.id]}
        return {"type": "object", "allOf": [_schema(kind.method("update")), own]}
    return _schema(kind.method("create"))


def known_fields(kind: Kind, verb: str | None = None) -> Mapping[str, Json]:
    """The fields that a file of this kind may have; with a verb, those that this method sends."""
    schema = _body(kind) if verb is None else _schema(kind.method(verb))
    return {name: item for part in _parts(schema, {}) for name, item in part.get("properties", {}).items()}


def is_nullable(schema: Json) -> bool:
    """Whether a field may be sent as ``null``."""
    return any(part.get("nullable") or None in part.get("enum", ()) for part in _parts(schema, None))


def faults_of(kind: Kind, fields: Json) -> list[Fault]:
    """What the document does not allow in the settings of an object."""
    found = list(_check(fields, [_body(kind)], ()))
    if kind.folder == "knowledge_bases":  # what a text says does not come back from the API
        found = [fault for fault in found if not (fault.path[:1] == ("knowledge_base_texts",) and fault.message == "lacks text")]
    return found


def _check(value: Any, schemas: Iterable[Json], path: Path) -> Iterator[Fault]:
    parts = [part for schema in schemas for part in _parts(schema, value)]
    if value is None and any(part.get("nullable") or None in part.get("enum", ()) for part in parts):
        return
    for part in parts:
        if "never" in part:
            yield Fault(path, part["never"])
        message = _leaf(part, value)
        if message is not None:
            yield Fault(path, message)
            return
    if isinstance(value, list):
        items = [part["items"] for part in parts if "items" in part]
        for index, item in enumerate(cast("list[object]", value)):
            yield from _check(item, items, (*path, index))
    elif isinstance(value, dict):
        yield from _fields(cast("Json", value), parts, path)


def _fields(value: Json, parts: list[Json], path: Path) -> Iterator[Fault]:
    known: dict[str, list[Json]] = {}
    for part in parts:
        for name, schema in part.get("properties", {}).items():
            known.setdefault(name, []).append(schema)
    others = [part["additionalProperties"] for part in parts if isinstance(part.get("additionalProperties"), dict)]
    for name in dict.fromkeys(name for part in parts for name in part.get("required", ())):
        if name not in value:
            yield Fault(path, f"lacks {name}")
    for name, item in value.items():
        if name in known or others or not known:
            yield from _check(item, known.get(name, others), (*path, name))
        else:
            near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.6))
            yield Fault((*path, name), f"the API has no such field here{near and f': near it are {near}'}", unknown=True)


def _parts(schema: Json, value: Any) -> Iterator[Json]:
    """The schemas that say something of a value: this one, those that it consists of, and the alternative that was meant."""
    nullable = bool(schema.get("nullable"))
    while "$ref" in schema:
        schema = _document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield schema | {"nullable": True} if nullable else schema
    for part in schema.get("allOf", ()):
        yield from _parts(part, value)
    for keyword in ("oneOf", "anyOf"):
        branches: list[Json] = schema.get(keyword, [])
        if not branches or value is None:
            continue
        meant = [branch for branch in branches if _meant(branch, value)]
        if not meant:
            yield {"never": _none_of(branches, value)}
        else:
            yield from _parts(meant[0] if len(meant) == 1 else min(meant, key=lambda one: len(list(_check(value, [one], ())))), value)


def _meant(branch: Json, value: Any) -> bool:
    """Whether a value may be meant for an alternative: it has its type, and its tags where it has tags."""
    parts = list(_parts(branch, value))
    if any("type" in part and _leaf({"type": part["type"]}, value) is not None for part in parts):
        return False
    if not isinstance(value, dict):
        return all(_leaf(part, value) is None for part in parts)
    found = cast("Json", value)
    return all(found.get(name, tags[0]) in tags for name, tags in _tags(parts))


def _tags(parts: Iterable[Json]) -> Iterator[tuple[str, list[Any]]]:
    for part in parts:
        for name, schema in part.get("properties", {}).items():
            if len(schema.get("enum", ())) == 1:
                yield name, schema["enum"]


def _none_of(branches: list[Json], value: Any) -> str:
    """What a value that is meant for no alternative could have been."""
    tags = [(name, f"{tag[0]}") for branch in branches for name, tag in _tags(_parts(branch, value))]
    if tags and isinstance(value, dict):
        name = tags[0][0]
        return f"{name} is none of {', '.join(sorted({tag for other, tag in tags if other == name}))}"
    return "is nothing that the API takes here"


def _leaf(schema: Json, value: Any) -> str | None:
    """What is wrong with a value itself."""
    said = {keyword: schema[keyword] for keyword in _LEAF if keyword in schema}
    if not said or (value is None and schema.get("nullable")):
        return None
    error = next(_validator(json.dumps(said)).iter_errors(value), None)
    return None if error is None else error.message.removeprefix("the value ")


@cache
def _validator(schema: str) -> jsonschema_rs.Draft4Validator:
    # Masked: a value may be a key or a phone number.
    return jsonschema_rs.Draft4Validator(json.loads(schema), mask="the value")
