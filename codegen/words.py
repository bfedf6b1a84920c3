"""What docstrings say: our own words of `openapi/docs/`, and behind them what the facts say: unit, range, default.

`docs/guides/regenerating.md` says what is in these files; ``""`` stands there for the class itself, and ``parameters`` beside the ``text``
of an operation. Where there are no words yet, the note beside the document (`openapi/notes.yaml`) stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import marks
from .document import Json, Refused, by_key, load_file, pointer, unversioned, visible

_BOUNDS = (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items"))

_VERSION = re.compile(r"(?<= )/v[\d.]+(?=/)")

EVERYWHERE = "*"

OPERATIONS, REQUESTS, ANSWERS = (f"{what} without words" for what in ("operations", "request properties", "answer properties"))
STALE = "words for what is not there"


def load(folder: Path) -> Json:
    """All words below a folder: ``operations`` by key, ``classes`` by name."""
    classes: dict[str, Json] = {}
    of_operations = folder / "operations.yaml"
    for path in sorted({*folder.glob("*.yaml")} - {of_operations}):
        for name, said in load_file(path).items():
            known = classes.setdefault(name, {})
            if twice := known.keys() & said.keys():
                raise Refused(pointer(name), f"{path.name} says {', '.join(sorted(twice))} again")
            known.update(said)
    return {"operations": load_file(of_operations, there=False), "classes": classes}


def lay(prepared: Json, words: Json) -> dict[str, list[str]]:
    """Put the words beside what they are about, in a prepared document, and say what is missing: operations by key, ``Class.property``."""
    missing: dict[str, list[str]] = {title: [] for title in (OPERATIONS, REQUESTS, ANSWERS, STALE)}
    classes: dict[str, Json] = words["classes"]
    common = {**classes.get(EVERYWHERE, {}), "": None}
    schemas: dict[str, Json] = prepared["components"]["schemas"]
    there = {f"{name}.{wire}" for name, schema in schemas.items() for wire in ("", *schema.get("properties", ()))}
    said_of = (f"{name}.{wire}" for name, own in classes.items() if name != EVERYWHERE for wire in own)
    missing[STALE] = [place for place in said_of if place not in there]
    siblings: dict[str, Json] = {}
    for name, said in sorted(classes.items()):
        siblings.setdefault(unversioned(name), {}).update(said)
    for name, schema in schemas.items():
        own = {**common, **siblings.get(unversioned(name), {}), **classes.get(name, {})}
        schema[marks.WORDS] = own[""]
        for wire, field in schema.get("properties", {}).items():
            field[marks.WORDS] = own.get(wire)
            if own.get(wire) is None:
                missing[REQUESTS].extend([f"{name}.{wire}"] if marks.REQUEST in schema else ())
                missing[ANSWERS].extend([f"{name}.{wire}"] if marks.RESPONSE in schema else ())
    versions = {_VERSION.sub("", key): key for key in words["operations"]}  # what is said of one is so of the others
    unused = {*words["operations"]}
    for path, operation in by_key(prepared).items():
        known = str(operation.get(marks.KNOWN_AS, path))
        some = (path, known, versions.get(_VERSION.sub("", known), known))
        key = next((one for one in some if one in words["operations"]), known)
        said = words["operations"].get(key, {})
        unused.discard(key)
        operation[marks.WORDS] = said.get("text")
        missing[OPERATIONS].extend([] if said.get("text") else [key])
        for parameter in operation["parameters"]:
            own = said.get("parameters", {}).get(parameter["name"], common.get(parameter["name"]))
            parameter["schema"][marks.WORDS] = own
            missing[REQUESTS].extend([f"{key} {parameter['name']}"] if own is None else ())
    missing[STALE].extend(sorted(unused))
    return missing


def about(schema: Json) -> str:
    """Sentences about a field; empty where the name and type say all there is."""
    return " ".join(_sentence(part) for part in _parts(schema, schema.get(marks.NOTE) or {}) if part)


def _parts(schema: Json, note: Json) -> Iterator[str]:
    words = schema.get(marks.WORDS)
    noted: Any = note.get("range")
    yield " ".join(str(words or "").split())
    yield note.get("unit", "")
    yield "" if words else note.get("note", "")
    yield "" if noted is None or _is_range(noted) else _value(noted)
    low, high = noted if noted is not None and _is_range(noted) else (None, None)
    yield _range(schema.get("minimum", low), schema.get("maximum", high))
    for lower, upper, what in _BOUNDS:
        low, high = schema.get(lower), schema.get(upper, note.get("max_items") if what == "items" else None)
        if high is not None:
            yield f"{_value(low)} {what}" if low == high else f"{_value(low or 0)} to {_value(high)} {what}"
    if "default" in note or "default" in schema:
        yield f"default: {_value(note.get('default', schema.get('default')))}"
    if schema.get("deprecated"):
        yield f"deprecated: use {note['deprecated_for']}" if note.get("deprecated_for") else "deprecated"


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
