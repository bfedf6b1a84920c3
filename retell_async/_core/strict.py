"""For tests: where an answer is not what the document says. By default none of this is looked at, and none of it breaks a client."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard, get_args

import attrs

from .hints import Hints, generated
from .interop.dump import names
from .model import Keyed, Many, Mapped, Model, One, Spec, Tagged, UnknownObject, choose, lookup
from .operation import Operation

__all__ = ["UNKNOWN_FIELD", "check", "problems"]

UNKNOWN_FIELD = ": unknown field"
"""How the line for a field ends that the document does not have."""


def check(operation: Operation[Any], data: Any, status: int = 200) -> Iterator[str]:
    """The differences between a parsed body and the document: one line each, with its path.

    Reported are fields that are missing or unknown, values that are not in an enum, objects that no member of a union stands for,
    and values of another kind.
    """
    spec, _ = operation.decode_of(status)
    if spec is not None:
        yield from _by_spec(spec, data, "$")


def problems(cls: type[Model], data: Mapping[str, Any]) -> list[str]:
    """The same for one JSON object that should be a model of this class."""
    return list(_object(cls, data, "$"))


def _by_spec(spec: Spec, data: Any, path: str) -> Iterator[str]:
    match spec:
        case One(name):
            yield from _named(name, data, path)
        case Many(item):
            if _is_array(data):
                for index, entry in enumerate(data):
                    yield from _by_spec(item, entry, f"{path}[{index}]")
            else:
                yield f"{path}: {_kind(data)} instead of an array"
        case Mapped(item):
            if _is_object(data):
                for key, entry in data.items():
                    yield from _by_spec(item, entry, f"{path}.{key}")
            else:
                yield f"{path}: {_kind(data)} instead of an object"
        case Tagged() | Keyed():
            yield from _union(spec, data, path)


def _named(name: str | type[Model], data: Any, path: str) -> Iterator[str]:
    found = lookup(name)
    if isinstance(found, type):
        if _is_object(data):
            yield from _object(found, data, path)
        else:
            yield f"{path}: {_kind(data)} instead of an object"
    else:
        yield from _by_spec(found, data, path)


def _union(spec: Tagged | Keyed, data: Any, path: str) -> Iterator[str]:
    if not _is_object(data):
        if spec.array is not None and _is_array(data):
            yield from _by_spec(spec.array, data, path)
        return
    name = choose(spec, data)
    found = lookup(name)
    if isinstance(found, type) and issubclass(found, UnknownObject):
        yield f"{path}: no member of the union has {f'{spec.tag} {data.get(spec.tag)!r}' if isinstance(spec, Tagged) else 'these fields'}"
    else:
        yield from _named(name, data, path)


@attrs.frozen
class _Field:
    required: bool
    type: ast.expr


_by_class: dict[type[Model], dict[str, _Field]] = {}


def _fields(cls: type[Model]) -> dict[str, _Field]:
    found = _by_class.get(cls)
    if found is None:
        found = _by_class[cls] = {wire: _Field(name.required, _annotation(cls, name.own)) for wire, name in names(cls).items()}
    return found


def _annotation(cls: type[Model], name: str) -> ast.expr:
    """A field's type as it is written, in the class that declares it."""
    written: str = next(hints.written(name) for base in cls.__mro__ if isinstance(hints := base.__annotations__, Hints) and name in hints)
    return ast.parse(written, mode="eval").body


def _object(cls: type[Model], data: Mapping[str, Any], path: str) -> Iterator[str]:
    fields = _fields(cls)
    for name, field in fields.items():
        if name in data:
            yield from _value(field.type, data[name], f"{path}.{name}")
        elif field.required:
            yield f"{path}.{name}: missing"
    for name in data.keys() - fields.keys():
        yield f"{path}.{name}{UNKNOWN_FIELD}"


def _value(annotation: ast.expr, value: Any, path: str) -> Iterator[str]:
    """Compare a value with the alternatives of an annotation, chosen by the value's kind."""
    options = [option for part in _alternatives(annotation) for option in _meant(part)]
    if "Any" in options:
        return
    if value is None:
        if None not in options:
            yield f"{path}: null"
    elif isinstance(value, bool):
        if "bool" not in options and not any(value in values for values in _literals(options)):
            yield f"{path}: a boolean"
    elif isinstance(value, (str, int, float)):
        yield from _scalar(options, value, path)
    else:
        fitting = [option for option in options if isinstance(option, _Container) and option.fits(value)]
        if not fitting:
            yield f"{path}: {_kind(value)} where none is expected"
        elif not any(not list(option.inside(value, path)) for option in fitting):
            yield from fitting[0].inside(value, path)


def _scalar(options: Sequence[Any], value: str | float, path: str) -> Iterator[str]:
    known = [item for values in _literals(options) for item in values if isinstance(item, type(value))]
    fitting = ("str",) if isinstance(value, str) else ("int", "float") if isinstance(value, int) else ("float",)
    if known:
        if value not in known:
            yield f"{path}: unknown value {value!r}"
    elif not any(name in options for name in fitting):
        yield f"{path}: {_kind(value)} where none is expected"


def _literals(options: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    yield from (option for option in options if isinstance(option, tuple))


@attrs.frozen
class _Container:
    """An alternative that is an array or an object."""

    name: str
    item: ast.expr | None = None

    def fits(self, value: Any) -> bool:
        if self.name in ("list", "dict"):
            return isinstance(value, list if self.name == "list" else dict)
        found = lookup(self.name)
        return isinstance(value, dict) or (isinstance(found, (Tagged, Keyed)) and found.array is not None)

    def inside(self, value: Any, path: str) -> Iterator[str]:
        if self.item is None:
            yield from _named(self.name, value, path)
        elif _is_array(value):
            for index, entry in enumerate(value):
                yield from _value(self.item, entry, f"{path}[{index}]")
        else:
            for key, entry in value.items():
                yield from _value(self.item, entry, f"{path}.{key}")


def _alternatives(annotation: ast.expr) -> Iterator[ast.expr]:
    if isinstance(annotation, ast.BinOp):
        yield from _alternatives(annotation.left)
        yield from _alternatives(annotation.right)
    else:
        yield annotation


def _meant(annotation: ast.expr) -> Iterator[Any]:
    """One alternative: ``None``, the name of a built-in type, a tuple of literal values, or a container."""
    match annotation:
        case ast.Constant(None):
            yield None
        case ast.Name("str" | "int" | "float" | "bool" | "Any" as name):
            yield name
        case ast.Name("FileTypes"):  # only ever sent
            yield "Any"
        case ast.Name(name):
            found: Any = lookup(name)
            if isinstance(found, (Tagged, Keyed)):
                yield from _scalars(name)
            yield _Container(name) if isinstance(found, (type, One, Many, Mapped, Tagged, Keyed)) else get_args(found)
        case ast.Subscript(ast.Name("Literal"), values):
            yield tuple(ast.literal_eval(value) for value in (values.elts if isinstance(values, ast.Tuple) else [values]))
        case ast.Subscript(ast.Name("list"), item):
            yield _Container("list", item)
        case ast.Subscript(ast.Name("dict"), ast.Tuple([_, item])):
            yield _Container("dict", item)
        case _:
            raise TypeError(f"{ast.unparse(annotation)} is no type that generated models have")


def _scalars(name: str) -> Iterator[Any]:
    """The members of a named union that are neither objects nor arrays."""
    for written in getattr(generated("models"), name).__written__:
        for meant in _meant(ast.parse(written, mode="eval").body):
            if not isinstance(meant, _Container):
                yield meant


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _kind(value: Any) -> str:
    names = {"dict": "an object", "list": "an array", "str": "a string", "bool": "a boolean", "int": "a number", "float": "a number"}
    return names.get(type(value).__name__, "null")
