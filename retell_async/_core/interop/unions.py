"""Unions that have a name, as they are at run time: `isinstance` knows their members, and pydantic takes them as types."""

from __future__ import annotations

from types import UnionType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

from ..hints import Hints

__all__ = ["NamedUnion", "union"]


class NamedUnion(type):
    """The class of a union, which has no instances of its own: those of its members are its. A member loads when it is asked for."""

    __written__: tuple[str, ...]
    """The types of the members as text."""

    @property
    def __args__(cls) -> tuple[Any, ...]:
        """The types of the members."""
        return tuple(Hints({str(number): text for number, text in enumerate(cls.__written__)}, cls.__module__).values())

    def __instancecheck__(cls, value: object) -> bool:
        return any(_is(value, member) for member in cls.__args__)

    def __subclasscheck__(cls, other: type) -> bool:
        return type.__subclasscheck__(cls, other) or any(isinstance(member, type) and issubclass(other, member) for member in cls.__args__)

    def __call__(cls, *_arguments: Any, **_fields: Any) -> Any:
        raise TypeError(f"{cls.__name__} is one of several: {', '.join(cls.__written__)}")

    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from .schema import of_union

        return of_union(cls, handler)


def union(alias: Any, module: str, name: str) -> NamedUnion:
    """The union of a type alias, whose members are written as text."""
    members = get_args(alias) or (alias,)
    written = tuple(member.__forward_arg__ for member in members if isinstance(member, ForwardRef))
    return NamedUnion(name, (), {"__module__": module, "__written__": written, "__doc__": f"One of {', '.join(written)}."})


def _is(value: object, member: Any) -> bool:
    origin = get_origin(member)
    if member is Any:
        return True
    if origin is Literal:
        return value in get_args(member)
    if origin in {Union, UnionType}:
        return any(_is(value, one) for one in get_args(member))
    return isinstance(value, origin or member)
