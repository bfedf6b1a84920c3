"""Values of kinds that JSON does not have, as what is sent for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields as fields_of, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from io import IOBase
from typing import Any, cast
from uuid import UUID

import attrs

from ..encode import check_text
from ..masking import mask_name
from ..model import Model
from ..operation import Omit

__all__ = ["fields", "in_query", "settled"]

_NO_ARRAYS = (str, bytes, bytearray, memoryview, IOBase, type)
"""What can be gone through, and is no array for that."""

_DEEPEST = 200
_LONGEST_PLACE = 80


def settled(value: object, place: str = "", above: tuple[int, ...] = ()) -> Any:
    """A value as plain dicts and lists, with an error that names the first place that cannot be sent.

    Any iterable is an array, and any mapping, model (ours, pydantic's, attrs', a dataclass) an object; of an object, what was not given is
    left out. An enum is its value, a moment or a day its text in ISO 8601.

    :raises TypeError: a value is of a kind that cannot be sent.
    :raises ValueError: a value is of a right kind and cannot be sent.
    """
    where = place or "body"
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return check_text(value, where)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{mask_name(where)}: {value} cannot be sent as JSON")
        return value
    if isinstance(value, date):
        return value.isoformat()
    if id(value) in above:
        raise ValueError(f"{mask_name(where)}: holds itself")
    if len(above) > _DEEPEST:
        raise ValueError(f"{mask_name(where)[:_LONGEST_PLACE]}…: nested more than {_DEEPEST} deep, it cannot be sent as JSON")
    inside = (*above, id(value))
    found = fields(cast("object", value))  # type: ignore[redundant-cast]
    if found is not None:
        return {
            _key(name, where): settled(item, f"{place}.{name}" if place else str(name), inside)
            for name, item in found.items()
            if not isinstance(item, Omit)
        }
    if isinstance(value, Iterable) and not isinstance(value, _NO_ARRAYS):
        items = cast("Iterable[object]", value)
        return [settled(item, f"{place}[{index}]", inside) for index, item in enumerate(items)]
    raise TypeError(f"{mask_name(where)}: {type(cast('object', value)).__name__} cannot be sent as JSON")  # type: ignore[redundant-cast]


def in_query(value: object, name: str) -> Any:
    """The same for a query, which also takes values with a text of their own, such as a UUID."""
    if isinstance(value, Decimal | UUID):
        return str(value)
    try:
        return settled(value, name)
    except TypeError:
        raise TypeError(f"{mask_name(name)}: {type(value).__name__} cannot be sent as a query parameter") from None


def _key(name: object, where: str) -> Any:
    if isinstance(name, Enum):
        name = name.value
    if name is not None and not isinstance(name, (str, int, float)):
        raise TypeError(f"{mask_name(where)}: a key must be a str, not {type(name).__name__}")
    return settled(name, f"a key of {where}")


def fields(value: object) -> Mapping[Any, object] | None:
    """The fields of what is sent as an object; ``None`` for what is not."""
    if isinstance(value, Model):
        return vars(value)
    if isinstance(value, Mapping):
        return cast("Mapping[Any, object]", value)
    if isinstance(value, type):
        return None
    if callable(dump := getattr(value, "model_dump", None)):  # pydantic's, of which what was not set is not sent
        return cast("Mapping[Any, object]", dump(mode="json", by_alias=True, exclude_unset=True))
    if hasattr(value, "__fields_set__"):  # pydantic's of old
        return cast("Mapping[Any, object]", cast("Any", value).dict(by_alias=True, exclude_unset=True))
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields_of(value)}
    kind: type[Any] = type(value)
    if attrs.has(kind):
        return {field.name: getattr(value, field.name) for field in attrs.fields(kind)}
    return None
