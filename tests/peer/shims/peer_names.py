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
    """Whether its first part is to be looked at: a name for a type has what it names, and a class that is a union its members."""
    return typing.get_origin(kind) is typing.Annotated or isinstance(kind, typing.ForwardRef) or _is_class_of_union(kind)


def _is_class_of_union(kind: Any) -> bool:
    return isinstance(kind, type) and isinstance(getattr(kind, "__args__", None), tuple)


def is_type_alias_type(kind: Any) -> bool:
    return isinstance(kind, TypeAliasType)


def extract_type_arg(kind: Any, index: int) -> Any:
    if isinstance(kind, typing.ForwardRef):
        kind = getattr(package.types, kind.__forward_arg__)
        return typing.Union[kind.__args__] if _is_class_of_union(kind) else kind  # noqa: UP007
    return typing.Union[kind.__args__] if _is_class_of_union(kind) else typing.get_args(kind)[index]  # noqa: UP007


def get_model_fields(model: Any) -> dict[str, Any]:
    """The fields of a model of pydantic, or of attrs, or of a page, with what makes their types."""
    if "Page" in {base.__name__ for base in model.__mro__}:
        return {"items": list[object], "has_more": bool, "pagination_key": str | None}
    if not attrs.has(model):
        return dict(model.model_fields)
    hints = typing.get_type_hints(model)
    return {name: hints[name] for name in (field.name for field in attrs.fields(model)) if name in hints}


def field_outer_type(field: Any) -> Any:
    """The type of a field."""
    return getattr(field, "annotation", field)
