"""What docstrings say: our own words of `openapi/docs/`, and behind them what the facts say: unit, range, default.

`openapi/docs/operations.yaml` has an entry an operation (``METHOD /path``): ``text``, and ``parameters`` by name. The other
files there map the class of a schema to its properties; ``""`` stands for the class itself, and the class ``"*"`` for properties
that mean the same wherever they stand. Where there are no words yet, the note beside the document (`openapi/notes.yaml`) stands in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from . import marks
from .document import Json, Refused, by_key, load_file, pointer, visible

_UNITS = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "seconds": "Seconds",
    "minutes": "Minutes",
    "days": "Days",
    "cents": "Cents",
    "USD cents": "Cents (USD)",
    "ms since epoch": "Milliseconds since the epoch",
    "Unix timestamp": "Unix timestamp",
    "local minutes": "Minutes since midnight, local time",
    "count": "",
}
_BOUNDS = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
)


EVERYWHERE = "*"


@attrs.frozen
class Missing:
    """What has no words: operations by key, properties as ``Class.property``, and words for what is not there."""

    operations: list[str]
    requests: list[str]
    responses: list[str]
    stale: list[str]
    response_properties: int


def load(folder: Path) -> Json:
    """All words below a folder: ``operations`` by key, ``classes`` by name.

    :raises Refused: something is said twice.
    """
    classes: dict[str, Json] = {}
    operations: Json = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name == "operations.yaml":
            operations = load_file(path)
            continue
        for name, said in load_file(path).items():
            known = classes.setdefault(name, {})
            if twice := known.keys() & said.keys():
                raise Refused(pointer(name), f"{path.name} says {', '.join(sorted(twice))} again")
            known.update(said)
    return {"operations": operations, "classes": classes}


def lay(prepared: Json, words: Json) -> Missing:
    """Put the words beside what they are about, in a prepared document, and say what has none."""
    missing = Missing([], [], [], [], response_properties=0)
    classes: dict[str, Json] = words["classes"]
    common = classes.get(EVERYWHERE, {})
    schemas: dict[str, Json] = prepared["components"]["schemas"]
    count = 0
    for name, schema in schemas.items():
        own = classes.get(name, {})
        _lay_one(schema, own.get(""))
        for wire, field in schema.get("properties", {}).items():
            said = own.get(wire, common.get(wire))
            _lay_one(field, said)
            count += bool(schema.get(marks.RESPONSE))
            if said is None and schema.get(marks.REQUEST):
                missing.requests.append(f"{name}.{wire}")
            if said is None and schema.get(marks.RESPONSE):
                missing.responses.append(f"{name}.{wire}")
    known = [(operation.get(marks.KNOWN_AS, key), operation) for key, operation in by_key(prepared).items()]  # versions share a key
    for key, operation in known:
        said = words["operations"].get(key, {})
        _lay_one(operation, said.get("text"))
        if not said.get("text"):
            missing.operations.append(key)
        for parameter in operation["parameters"]:
            text = said.get("parameters", {}).get(parameter["name"], common.get(parameter["name"]))
            _lay_one(parameter, text)
            if text is None:
                missing.requests.append(f"{key} {parameter['name']}")
    missing.stale.extend(
        f"{name}.{wire}" for name, own in classes.items() if name != EVERYWHERE for wire in own if not _is_there(schemas, name, wire)
    )
    missing.stale.extend(sorted(words["operations"].keys() - dict(known).keys()))
    return attrs.evolve(missing, response_properties=count)


def _lay_one(schema: Json, said: str | None) -> None:
    if said:
        schema[marks.WORDS] = said


def _is_there(schemas: dict[str, Json], name: str, wire: str) -> bool:
    return name in schemas and (not wire or wire in schemas[name].get("properties", {}))


def about(schema: Json) -> str:
    """Sentences about a field; empty where the name and type say all there is."""
    note: Json = schema.get(marks.NOTE) or {}
    said = [_sentence(part) for part in _parts(schema, note)]
    return " ".join(said)


def _parts(schema: Json, note: Json) -> list[str]:
    parts: list[str] = []
    if words := schema.get(marks.WORDS):
        parts.append(" ".join(str(words).split()))
    if unit := _UNITS.get(note.get("unit", ""), note.get("unit")):
        parts.append(str(unit))
    if not words and (text := note.get("note")):
        parts.append(text)
    noted = note.get("range")
    low = high = None
    if isinstance(noted, list) and _is_range(noted):
        low, high = noted
    elif noted is not None:
        parts.append(_value(noted))
    low, high = schema.get("minimum", low), schema.get("maximum", high)
    if bounds := _range(low, high):
        parts.append(bounds)
    for lower, upper, what in _BOUNDS:
        low, high = schema.get(lower), schema.get(upper, note.get("max_items") if what == "items" else None)
        if high is not None and "responses" not in schema:  # what is said of an operation itself is no length
            parts.append(f"{_value(low)} {what}" if low == high else f"{_value(low or 0)} to {_value(high)} {what}")
    if "default" in note or "default" in schema:
        parts.append(f"default: {_value(note.get('default', schema.get('default')))}")
    if schema.get("deprecated"):
        parts.append(f"deprecated: use {note['deprecated_for']}" if note.get("deprecated_for") else "deprecated")
    return parts


def _is_range(noted: Any) -> bool:
    return isinstance(noted, list) and len(noted) == 2 and all(isinstance(end, (int, float, type(None))) for end in noted)


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"from {_value(low)} to {_value(high)}"
    if low is not None:
        return f"at least {_value(low)}"
    return f"at most {_value(high)}" if high is not None else ""


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "; ".join(f"{visible(name)}: {_value(item)}" for name, item in value.items())
    if isinstance(value, list):
        return _range(*value) if _is_range(value) else ", ".join(_value(item) for item in value)
    return f"{value:_}" if isinstance(value, int) else visible(str(value))


def _sentence(text: str) -> str:
    text = text.strip()
    first = text.split(" ", 1)[0]
    start = text[:1] if "_" in first or "-" in first else text[:1].upper()  # a name, or a range of characters
    return f"{start}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
