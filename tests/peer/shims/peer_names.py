"""What the official tests' `conftest.py` and `utils.py` import of private names, for the official package and for ours alike.

Written anew from what those two files do with them, and on public things alone, so that both clients are judged by the same.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import attrs
from typing_extensions import TypeAliasType



package = import_module(os.environ["PEER_PACKAGE"])
Omit = package.Omit
BaseModel = package.BaseModel
NoneType = type(None)
PYDANTIC_V1 = False


def is_dict(value: object) -> bool:
    return isinstance(value, dict)


def is_list(value: object) -> bool:
    return isinstance(value, list)


def is_list_type(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) is list


def is_sequence_type(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) is Sequence


def is_union_type(kind: Any) -> bool:
    return typing.get_origin(kind) in {typing.Union, types.UnionType}


def is_annotated_type(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Annotated


def is_type_alias_type(kind: Any) -> bool:
    """Whether its `__value__` is to be looked at: a name for a type is one."""
    return isinstance(kind, (TypeAliasType, _Named))


def extract_type_arg(kind: Any, index: int) -> Any:
    return typing.get_args(kind)[index]


class _Named:
    """A type that is written as a name, in `retell_async.types`."""

    def __init__(self, name: str) -> None:
        self.__value__ = getattr(package.types, name)


def get_model_fields(model: Any) -> dict[str, Any]:
    """The fields of a model of pydantic, or of attrs, with what makes their types."""
    if not attrs.has(model):
        return dict(model.model_fields)
    hints = typing.get_type_hints(model)
    return {name: hints[name] for name in (field.name for field in attrs.fields(model)) if name in hints}


def field_outer_type(field: Any) -> Any:
    """The type of a field."""
    return _looked_up(getattr(field, "annotation", field))


def _looked_up(kind: Any) -> Any:
    if isinstance(kind, typing.ForwardRef):
        return _Named(kind.__forward_arg__)
    if is_union_type(kind):
        return typing.Union[tuple(_looked_up(member) for member in typing.get_args(kind))]
    return kind


