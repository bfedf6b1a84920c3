"""Requests with everything in them that the document knows: each property of each object, each alternative once where there is a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from .checked import DOCUMENT, Json

_DEEPEST = 16
_OLDER = {"check_availability_cal", "book_appointment_cal"}
"""Tools that agents made before spring 2026 have, and that the official SDK knows no more."""
_MATCHES = {
    "^[0-9a-f]{32}$": "0123456789abcdef" * 2,
    "\\S": "word",
    ".*\\S.*": "word",
    "^[A-Za-z0-9_-]+$": "key-1",
    "^[A-Za-z]{2}$": "US",
    "^upload_[a-f0-9]+$": "upload_0",
    DOCUMENT["components"]["schemas"]["AgentVersionReference"]["oneOf"][0]["pattern"]: "latest",
}


def resolve(schema: Json) -> Json:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def whole(schema: Json, depth: int = 0) -> Any:
    """One value with all that a schema knows; of alternatives, the first that has the most."""
    return max(variants(schema, depth), key=lambda value: len(value) if isinstance(value, dict) else 0)


def variants(schema: Json, depth: int = 0) -> list[Any]:
    """A value for each alternative of a schema."""
    schema = resolve(schema)
    own = {name: part for name, part in schema.get("properties", {}).items() if part and not part.get("readOnly")}
    required = set(required_of(schema))
    shown = own if depth < _DEEPEST else {name: part for name, part in own.items() if name in required}
    base = {name: whole(part, depth + 1) for name, part in shown.items()}
    if "custom_sip_headers" in base:
        base["custom_sip_headers"] = {f"X-{name}": value for name, value in base["custom_sip_headers"].items()}
    found: list[Any] = [base] if base else []
    for part in schema.get("allOf", ()):
        found = _joined(found, variants(part, depth))
    if "oneOf" in schema:
        values = (value for part in schema["oneOf"] for value in variants(part, depth))
        found = _joined(found, [value for value in values if not (isinstance(value, dict) and value.get("type") in _OLDER)])
    return found or ([{}] if schema.keys() <= {"type", "required"} and "required" in schema else [_plain(schema, depth)])


def _joined(ones: list[Any], others: list[Any]) -> list[Any]:
    if not ones or not others:
        return ones or others
    return [{**one, **other} if isinstance(one, dict) and isinstance(other, dict) else one for one in ones for other in others]


def properties(schema: Json) -> Iterator[tuple[str, Json]]:
    """All properties of an object, also those that it takes from others."""
    schema = resolve(schema)
    for part in schema.get("allOf", ()):
        yield from properties(part)
    yield from schema.get("properties", {}).items()


def required_of(schema: Json) -> Iterator[str]:
    schema = resolve(schema)
    for part in schema.get("allOf", ()):
        yield from required_of(part)
    yield from schema.get("required", ())


def _plain(schema: Json, depth: int) -> Any:
    if "enum" in schema:
        return next(value for value in schema["enum"] if value is not None)
    match schema.get("type"):
        case "array":
            items = [] if depth > _DEEPEST else variants(schema["items"], depth + 1)[: schema.get("maxItems", 100)]
            return items * max(1, schema.get("minItems", 1) // max(1, len(items)))
        case "integer" | "number":
            return cast("float", schema.get("default", schema.get("minimum", 1)))
        case "boolean":
            return True
        case "string":
            text = _MATCHES[schema["pattern"]] if "pattern" in schema else "text"
            return text.ljust(schema.get("minLength", 0), "x")
        case _:
            extra = schema.get("additionalProperties")
            return {"name": whole(extra, depth + 1)} if isinstance(extra, dict) else {"name": "value"}
