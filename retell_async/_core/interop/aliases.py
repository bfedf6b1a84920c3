"""Fields of a body under other names than the API's, and the API's names for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from ..encode import json_bytes
from ..masking import mask_name
from ..model import Keyed, Many, Mapped, Model, One, Spec, Tagged, choose, lookup

__all__ = ["replaced"]


def replaced(spec: Spec, content: bytes) -> bytes:
    """A body with the API's names where its fields are, and nowhere that a caller chooses the names.

    :raises ValueError: one field is there under both names.
    """
    return json_bytes(_value(spec, json.loads(content), ""))


def _value(spec: Spec, value: Any, place: str) -> Any:
    match spec:
        case One(name):
            found = lookup(name)
            if not isinstance(found, type):
                return _value(found, value, place)
            return dict(_object(found, cast("dict[str, Any]", value), place)) if isinstance(value, dict) else value
        case Many(item) if isinstance(value, list):
            return [_value(item, entry, f"{place}[{index}]") for index, entry in enumerate(cast("list[Any]", value))]  # type: ignore[redundant-cast]
        case Mapped(item) if isinstance(value, dict):
            return {key: _value(item, entry, f"{place}.{key}") for key, entry in cast("dict[str, Any]", value).items()}
        case Tagged() | Keyed() if isinstance(value, dict):
            return _value(One(choose(spec, cast("dict[str, Any]", value))), value, place)
        case Tagged() | Keyed() if spec.array is not None:
            return _value(spec.array, value, place)
        case _:
            return value


def _object(cls: type[Model], fields: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    wires = {name: wire for name, wire in cls.__wire__.items() if name != f"{wire}_"}
    for name, value in fields.items():
        wire = wires.get(name, name)
        inside = f"{place}.{name}" if place else name
        if wire != name and wire in fields:
            raise ValueError(f"{mask_name(inside)}: {name} and {wire} are one field, send it once")
        spec = cls.__nested__.get(wire)
        yield wire, value if spec is None else _value(spec, value, inside)
