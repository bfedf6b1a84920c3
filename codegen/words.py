"""What a docstring says of a field from the facts alone: unit, range, default, and the note beside the document."""

from __future__ import annotations

from typing import Any

from .document import Json

_UNITS = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "seconds": "Seconds",
    "minutes": "Minutes",
    "days": "Days",
    "cents": "Cents",
    "USD cents": "Cents (USD)",
}
_BOUNDS = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
)


def about(schema: Json) -> str:
    """Sentences about a field; empty where the name and type say all there is."""
    note: Json = schema.get("x-note") or {}
    said = [_sentence(part) for part in _parts(schema, note)]
    return " ".join(said)


def _parts(schema: Json, note: Json) -> list[str]:
    parts: list[str] = []
    if unit := note.get("unit"):
        parts.append(_UNITS.get(unit) or str(unit))
    if text := note.get("note"):
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
        if high is not None:
            parts.append(f"{low or 0} to {high} {what}")
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
        return "; ".join(f"{name}: {_value(item)}" for name, item in value.items())
    if isinstance(value, list):
        return _range(*value) if _is_range(value) else ", ".join(_value(item) for item in value)
    return f"{value:_}" if isinstance(value, int) else str(value)


def _sentence(text: str) -> str:
    text = text.strip().replace("\\", "\\\\").replace('"""', "'''")
    first = text.split(" ", 1)[0]
    start = text[:1] if "_" in first else text[:1].upper()
    return f"{start}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
