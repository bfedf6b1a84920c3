"""A model as plain dicts and lists, under the names and with the choices that pydantic has for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
from typing import Any, Literal, TypeAlias, TypedDict, cast

import attrs

from ..model import Model, declared
from .kept import kept_by_class
from .values import settled

__all__ = ["DumpOptions", "Name", "dump", "dump_json", "names", "whole"]

Choice: TypeAlias = AbstractSet[Any] | Mapping[Any, Any]
"""Names of fields, or indices of lists (``"__all__"`` for each); in a mapping ``True`` or what to choose inside."""


class DumpOptions(TypedDict, total=False):
    """Keywords of pydantic's `model_dump`."""

    mode: str
    include: Choice | None
    exclude: Choice | None
    by_alias: bool | None
    exclude_unset: bool
    exclude_defaults: bool
    exclude_none: bool
    fallback: Callable[[Any], Any] | None
    context: Any
    exclude_computed_fields: bool
    round_trip: bool
    warnings: bool | Literal["none", "warn", "error"]
    serialize_as_any: bool
    polymorphic_serialization: bool | None


@attrs.frozen
class Name:
    """What a declared field is called."""

    own: str
    """The attribute."""
    official: str
    """The attribute of the official SDK."""
    required: bool
    default: Any = None

    def left_out(self) -> Any:
        """What it reads as where it is left out: only models of a program's own have other defaults than ``None``."""
        return self.default.factory() if isinstance(self.default, attrs.Factory) else self.default  # type: ignore[arg-type]


@kept_by_class
def names(cls: type[Model]) -> Mapping[str, Name]:
    """The fields that a model declares, by their names in JSON."""
    return dict(_names(cls))


def _names(cls: type[Model]) -> Iterator[tuple[str, Name]]:
    for field in declared(cls):
        wire = cls.__wire__.get(field.name, field.name)
        official = wire if field.name == f"{wire}_" else field.name  # which stepped aside here and not there
        if official.startswith("model_"):
            official = f"api_{official}"
        required = field.default is attrs.NOTHING
        yield wire, Name(field.name, official, required, None if required else field.default)


def whole(model: Model) -> dict[str, Any]:
    """The fields of a model by their names in JSON, those that were left out among them."""
    there = vars(model)
    return {**there, **{wire: name.left_out() for wire, name in names(type(model)).items() if wire not in there}}


def dump(
    value: Any,
    *,
    mode: str = "python",
    include: Choice | None = None,
    exclude: Choice | None = None,
    by_alias: bool | None = None,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    fallback: Callable[[Any], Any] | None = None,
    context: Any = None,
    exclude_computed_fields: bool = False,
    round_trip: bool = False,
    warnings: bool | Literal["none", "warn", "error"] = True,
    serialize_as_any: bool = False,
    polymorphic_serialization: bool | None = None,
) -> Any:
    """A value with models in it as plain dicts and lists. Keywords below `fallback` are pydantic's, and mean nothing here."""
    del context, exclude_computed_fields, round_trip, warnings, serialize_as_any, polymorphic_serialization
    return _Dump(mode == "json", bool(by_alias), exclude_unset, exclude_defaults, exclude_none, fallback).value(value, include, exclude)


def dump_json(value: Any, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
    """The same as a text of JSON."""
    separators = (",", ":") if indent is None else (",", ": ")
    options["mode"] = "json"
    plain = dump(value, **options)
    return json.dumps(plain, indent=indent, ensure_ascii=ensure_ascii, separators=separators, allow_nan=False)


@attrs.frozen
class _Dump:
    json: bool
    by_alias: bool
    exclude_unset: bool
    exclude_defaults: bool
    exclude_none: bool
    fallback: Callable[[Any], Any] | None

    def value(self, value: Any, include: Choice | None = None, exclude: Choice | None = None) -> Any:
        if isinstance(value, Model):
            return dict(self._fields(value, include, exclude))
        if isinstance(value, dict):
            items = cast("dict[Any, Any]", value).items()  # type: ignore[redundant-cast]
            return {name: self.value(item, *inside) for name, item in items if (inside := _inside(name, include, exclude))}
        if isinstance(value, (list, tuple)):
            numbered = enumerate(cast("list[Any]", value))
            made = [self.value(item, *inside) for index, item in numbered if (inside := _inside(index, include, exclude))]
            return made if self.json or isinstance(value, list) else tuple(made)
        return self._leaf(value) if self.json else value

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None  # as pydantic writes it: JSON has no such number
        try:
            return self.value(settled(value)) if not isinstance(value, str | int | float | None) else value
        except TypeError:
            if self.fallback is None:
                raise
            return self.value(self.fallback(value))

    def _fields(self, model: Model, include: Choice | None, exclude: Choice | None) -> Iterator[tuple[str, Any]]:
        known = names(type(model))
        for wire, value in (vars(model) if self.exclude_unset else whole(model)).items():
            name = known.get(wire)
            if value is None and self.exclude_none:
                continue
            if self.exclude_defaults and name is not None and not name.required and value == name.left_out():
                continue
            official = wire if name is None else name.official
            if inside := _inside(official, include, exclude):
                yield wire if self.by_alias else official, self.value(value, *inside)


def _inside(key: Any, include: Choice | None, exclude: Choice | None) -> tuple[Choice | None, Choice | None] | None:
    """What to choose inside of a field or an item, or ``None`` where the whole of it is left out."""
    kept, dropped = _chosen(key, include), _chosen(key, exclude)
    if (include is not None and kept is None) or dropped is True:
        return None
    return (None if kept is True else kept), dropped


def _chosen(key: Any, choice: Choice | None) -> Choice | Literal[True] | None:
    """What is said of a field or an item: ``True`` for all of it, what to choose inside, or nothing."""
    for name in (key, "__all__"):
        if choice is not None and name in choice:
            said = choice[name] if isinstance(choice, Mapping) else True
            if said is not False:
                return True if said is True or said is ... else cast("Choice", said)
    return None
