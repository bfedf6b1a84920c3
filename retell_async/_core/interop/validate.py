"""Models made as pydantic makes them: of an object in which the required fields are there and that is of no other kind, or of any."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from ..masking import mask_text
from ..model import Model, Tagged, fields_of, unions
from .dump import names
from .kept import kept_by_class
from .methods import PydanticMethods

__all__ = ["MissingFieldsError", "check_required", "copied", "missing", "of_other_kind", "validate"]

T = TypeVar("T", bound=PydanticMethods)
Place = tuple[str | int, ...]


class MissingFieldsError(TypeError, ValueError):
    """A field that must be there is not."""


def validate(cls: type[T], value: Any, *, from_attributes: bool = False) -> T:
    """A model of an object, which has all that is required of it and of what is inside.

    :raises ValueError: it is no object, or one of another kind.
    :raises MissingFieldsError: a field that must be there is not.
    """
    if isinstance(value, cls):
        return value
    if isinstance(value, Mapping):
        made = cls.from_dict(cast("Mapping[str, Any]", value))
    elif from_attributes:
        own = {wire: name.own for wire, name in names(cls.__declaring__()).items()}
        made = cls.from_dict({wire: getattr(value, name) for wire, name in own.items() if hasattr(value, name)})
    else:
        raise ValueError(f"{cls.__name__} is made of a JSON object, not of {type(value).__name__}")
    if places := [".".join(map(str, place)) for place in missing(made.__content__)]:
        raise MissingFieldsError(f"{cls.__name__} needs {', '.join(places)}")
    for tag, found in of_other_kind(made.__content__):
        raise ValueError(f"no {cls.__name__} has the {tag} {mask_text(repr(found))}")
    return made


def of_other_kind(model: Model) -> Iterator[tuple[str, Any]]:
    """The tags by which an object says that it is of another class of the same union. One that is not known says nothing."""
    fields = fields_of(model)
    for tag, others in _tags_of_others(type(model)).items():
        value = fields.get(tag)
        if isinstance(value, (str, int)) and value in others:
            yield tag, value


@kept_by_class
def _tags_of_others(cls: type[Model]) -> Mapping[str, set[Any]]:
    """The values of each tag that stand for other classes of the unions that a class, or what it is made of, is in."""
    own = {base.__name__ for base in cls.__mro__}
    found: dict[str, set[Any]] = {}
    for union in unions():
        if isinstance(union, Tagged) and not own.isdisjoint(union.table.values()):
            found.setdefault(union.tag, set()).update(value for value, name in union.table.items() if name not in own)
    return found


def check_required(cls: type[PydanticMethods], fields: Mapping[str, Any]) -> None:
    """Refuse keywords among which a field of a page is missing.

    :raises MissingFieldsError: one is.
    """
    required = {"items": True, **{wire: name.required for wire, name in names(cls.__declaring__()).items()}}
    if absent := [wire for wire, needed in required.items() if needed and wire not in fields]:
        raise MissingFieldsError(f"{cls.__name__} needs {', '.join(absent)}")


def missing(value: Any, place: Place = ()) -> Iterator[Place]:
    """The places in a value where a model lacks a required field."""
    if isinstance(value, Model):
        there = vars(value)
        yield from ((*place, wire) for wire, name in names(type(value)).items() if name.required and wire not in there)
        value = there
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from missing(item, (*place, name))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):  # type: ignore[redundant-cast]
            yield from missing(item, (*place, index))


def copied(model: T, update: Mapping[str, Any], *, deep: bool) -> T:
    """A copy of a model with some fields changed, by the names of their attributes or those in JSON."""
    made = copy.deepcopy(model) if deep else copy.copy(model)
    wires = {spelling: wire for wire, name in names(model.__declaring__()).items() for spelling in (name.own, name.official)}
    vars(made).update({wires.get(name, name): value for name, value in update.items()})
    return made
