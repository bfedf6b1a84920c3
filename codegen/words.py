"""What docstrings say: our own words of `openapi/docs/`, and behind them the facts: unit, range, default, of the document or of ours.

`docs/guides/regenerating.md` says what is in these files. What is said there of a thing is a text alone, or an object that has the ``text``
and facts that the document lacks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import marks
from .document import Json, Refused, by_key, load_file, pointer, unversioned, visible

EVERYWHERE = "*"

OPERATIONS, REQUESTS, ANSWERS = (f"{what} without words" for what in ("operations", "request properties", "answer properties"))
STALE = "words for what is not there"


def load(folder: Path) -> Json:
    """All that is said below a folder: text and facts, by class or operation, and by field or parameter; ``""`` is the thing itself."""
    found: Json = {}
    files: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix != ".yaml":
            raise Refused(f"/docs/{path.name}", "is not read: words are in openapi/docs/*.yaml", "")
        for name, said in load_file(path).items():
            own = {"": said["text"], **said.get("parameters", {})} if path.name == "operations.yaml" else said
            for wire, it in own.items():
                if (other := files.setdefault((name, wire), path.name)) != path.name:
                    both = f"openapi/docs/{other} and openapi/docs/{path.name}"
                    raise Refused(pointer(name), f"{both} have words for {wire or 'it'}: take them out of one", "")
                found.setdefault(name, {})[wire] = {"text": it} if isinstance(it, str) else it
    return found


def lay(prepared: Json, words: Json) -> dict[str, list[str]]:
    """Put what is said beside what it is about, in a prepared document; say what has no words, and which words are about nothing.

    Text and each fact are what the class or operation says itself, else what another version of it does, else what is so everywhere.
    """
    missing: dict[str, list[str]] = {title: [] for title in (OPERATIONS, REQUESTS, ANSWERS, STALE)}
    versions: dict[str, list[Json]] = defaultdict(list)
    for name, said in sorted(words.items()):
        versions[unversioned(name)].append(said)
    there: dict[str, set[str]] = defaultdict(set)
    for names, parts in _things(prepared):
        layers = [said for name in (EVERYWHERE, *names) for said in versions[unversioned(name)]]
        layers += [words.get(name, {}) for name in names]
        for wire, holder, titles in parts:
            holder[marks.WORDS] = own = {key: value for said in layers for key, value in said.get(wire, {}).items()}
            for title in titles if "text" not in own else ():
                missing[title].append(f"{names[0]}: {wire}" if wire else names[0])
        for name in (EVERYWHERE, *names):
            there[unversioned(name)].update(wire for wire, *_ in parts)
    for name, said in words.items():
        if gone := sorted(said.keys() - there[unversioned(name)]):
            missing[STALE].append(name if "" in gone else f"{name}: {', '.join(gone)}")
    return missing


def _things(prepared: Json) -> Iterator[tuple[list[str], list[tuple[str, Json, list[str]]]]]:
    """Of each class and operation its names, the best one last, and itself and its parts: name, holder, and titles if without words."""
    for name, schema in prepared["components"]["schemas"].items():
        titles = [title for mark, title in ((marks.REQUEST, REQUESTS), (marks.RESPONSE, ANSWERS)) if mark in schema]
        yield [name], [("", schema, []), *((wire, field, titles) for wire, field in schema.get("properties", {}).items())]
    for key, operation in by_key(prepared).items():
        parameters = [(parameter["name"], parameter["schema"], [REQUESTS]) for parameter in operation["parameters"]]
        yield [operation.get(marks.KNOWN_AS, key), key], [("", operation, [OPERATIONS]), *parameters]


def about(schema: Json) -> str:
    """Sentences about a field; empty where the name and type say all there is."""
    return " ".join(_sentence(part) for part in _parts(schema, schema.get(marks.WORDS, {})) if part)


def _parts(schema: Json, said: Json) -> Iterator[str]:
    within: Any = said.get("range")
    yield " ".join(said.get("text", "").split())
    yield said.get("unit", "")
    yield "" if within is None or _is_range(within) else _value(within)
    low, high = within if within is not None and _is_range(within) else (None, None)
    yield _range(schema.get("minimum", low), schema.get("maximum", high))
    for lower, upper, what in (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items")):
        low, high = schema.get(lower), schema.get(upper, said.get("max_items") if what == "items" else None)
        if high is not None:
            yield f"{_value(low)} {what}" if low == high else f"{_value(low or 0)} to {_value(high)} {what}"
    if "default" in said or "default" in schema:
        yield f"default: {_value(said.get('default', schema.get('default')))}"
    if schema.get("deprecated"):
        yield f"deprecated: use {said['deprecated_for']}" if "deprecated_for" in said else "deprecated"


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(end, (int, float, type(None))) for end in value)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f"at most {_value(high)}"
    return f"at least {_value(low)}" if high is None else f"from {_value(low)} to {_value(high)}"


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
