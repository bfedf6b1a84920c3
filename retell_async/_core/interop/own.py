"""Models of a program's own: subclasses of ours, with fields and defaults of their own, written as for the official SDK."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import Field as DataclassField
from functools import cached_property, partial
from types import SimpleNamespace
from typing import (
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Generic,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from ..model import Many, Mapped, Model, One, Spec, declared, model
from .unions import NamedUnion

__all__ = ["made_own"]

_ARRAYS = (list, Iterable, Sequence)
_OBJECTS = (dict, Mapping)
_JSON: tuple[Any, ...] = (Any, object, str, int, float, bool, None, types.NoneType, *_ARRAYS, *_OBJECTS)
_HELD = {"annotation", "default", "default_factory", "title", "description", "examples", "deprecated", "json_schema_extra"}
"""What is said with pydantic's `Field` and holds, or is only shown."""
_SETTINGS = {"extra", "title", "arbitrary_types_allowed", "protected_namespaces", "json_schema_extra"}
_OF_CREATE_MODEL = {"__pydantic_reset_parent_namespace__", "_create_model_module"}
"""What pydantic's `create_model` gives to each class that it makes."""
_METHODS = ("Config", "model_post_init", "__attrs_pre_init__", "__attrs_post_init__")
_PYDANTICS = ("pydantic", "annotated_types")
_ATTRS_FIELD: type[Any] = type(cast("object", attrs.field()))


def made_own(cls: type[Model], settings: Mapping[str, Any]) -> None:
    """Make a subclass a model that has its own fields and their defaults.

    :param settings: the keywords of the class.
    :raises TypeError: it has what would not hold, such as a validator.
    """
    written = _annotations(cls)
    fields = {name: hint for name, hint in written.items() if not _is_of_the_class(hint)}
    _check(cls, fields, settings)
    for name, hint in fields.items():
        _set_default(cls, name, hint)
    cls.__annotations__ = written
    cls.__nested__ = _Nested(cls, cls.__nested__, fields)
    model(cls)
    for field in declared(cls):
        default: Any = field.default
        if default in (None, attrs.NOTHING):
            continue
        if field.name in cls.__wire__:
            _refuse(cls, f"a default of {field.name}, which has another name in JSON,")
        setattr(cls, field.name, _Made(field.name, default.factory) if isinstance(default, attrs.Factory) else default)  # type: ignore[arg-type]


class _Made:
    """A default that each model has one of its own of: it is there as soon as somebody reads it, and may change it."""

    def __init__(self, name: str, factory: Any) -> None:
        self._name, self._factory = name, factory

    def __get__(self, instance: Model | None, owner: type) -> Any:
        return None if instance is None else vars(instance).setdefault(self._name, self._factory())


class _Nested(Mapping[str, Spec]):
    """Which fields hold models. What their types name may be defined later than the class."""

    def __init__(self, cls: type[Model], inherited: Mapping[str, Spec], fields: Mapping[str, Any]) -> None:
        self._cls, self._inherited = cls, inherited
        self._late = [name for name, hint in fields.items() if isinstance(hint, (str, ForwardRef))]
        self._own = {name: _spec(cls, name, hint) for name, hint in fields.items() if name not in self._late}

    @cached_property
    def _found(self) -> dict[str, Spec]:
        own = self._own | {name: _spec(self._cls, name, self._cls.__annotations__[name]) for name in self._late}
        by_wire = {self._cls.__wire__.get(name, name): spec for name, spec in own.items()}
        return {name: spec for name, spec in {**self._inherited, **by_wire}.items() if spec is not None}

    def __getitem__(self, name: str) -> Spec:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _annotations(cls: type[Model]) -> dict[str, Any]:
    """The annotations of the class alone, read as far as what they name is there."""
    if sys.version_info >= (3, 14):
        import annotationlib

        written = annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    else:
        written = vars(cls).get("__annotations__", {})
    module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    around = {**_around(cls), cls.__name__: cls}
    return {name: _read(hint, module, around) for name, hint in written.items()}


def _around(cls: type[Model]) -> Mapping[str, Any]:
    """The names of the function that a class is made in."""
    frame = cast("types.FrameType", inspect.currentframe())
    while frame.f_back is not None and frame.f_globals.get("__name__") != cls.__module__:
        frame = frame.f_back
    return frame.f_locals


def _read(hint: Any, module: dict[str, Any], around: dict[str, Any]) -> Any:
    if not isinstance(hint, (str, ForwardRef)):
        return hint
    said = ForwardRef(hint, is_argument=False, is_class=True) if isinstance(hint, str) else hint
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"it": said}), module, around, include_extras=True)["it"]
    except NameError:
        return hint


def _is_of_the_class(hint: Any) -> bool:
    return hint is ClassVar or get_origin(hint) is ClassVar or (isinstance(hint, str) and "ClassVar[" in hint)


def _check(cls: type[Model], fields: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    if Generic in cls.__bases__:
        _refuse(cls, "a parameter of a type")
    configured: dict[str, Any] = {} if "model_config" in fields else vars(cls).get("model_config") or {}
    for name, value in {**settings, **configured}.items():
        if name in _OF_CREATE_MODEL:
            continue
        if name not in _SETTINGS or (name == "extra" and value != "allow"):
            _refuse(cls, f"{name}={value!r}")
    for name, value in cast("dict[str, object]", vars(cls)).items():
        if name in _METHODS:
            _refuse(cls, name)
        if name not in fields and any(field.name == name for field in declared(cls)):
            _refuse(cls, f"{name} without a type")
        if isinstance(value, cached_property):
            _refuse(cls, f"the cached_property {name}")
        kind = type(value)
        if _is_pydantics(value) and (name not in fields or kind.__name__ != "FieldInfo"):
            _refuse(cls, f"{name}, made by {kind.__module__}.{kind.__name__},")
        if isinstance(value, (_ATTRS_FIELD, DataclassField)) and (name not in fields or isinstance(value, DataclassField)):
            _refuse(cls, f"{name}, made by {kind.__module__}.{kind.__name__},")
    for name in fields:
        if name.startswith("_"):
            _refuse(cls, f"the private attribute {name}")


def _set_default(cls: type[Model], name: str, hint: Any) -> None:
    """Have the class say the default of a field as attrs has it."""
    said = [vars(cls)[name]] if name in vars(cls) else []
    if get_origin(hint) is Annotated:
        said[:0] = [one for one in get_args(hint)[1:] if _is_pydantics(one)]
    elif isinstance(hint, str) and "Annotated" in hint:
        _refuse(cls, f"{name}: {hint}, of which something is not defined yet,")
    for value in said:
        if _is_pydantics(value):
            _set_field(cls, name, value)
        elif isinstance(value, _ATTRS_FIELD):
            _check_attrs_field(cls, name, value)
        else:
            setattr(cls, name, _each_its_own(value))


def _set_field(cls: type[Model], name: str, field: Any) -> None:
    """The same, said with pydantic's `Field`."""
    if type(field).__name__ != "FieldInfo":
        _refuse(cls, f"{name}: {type(field).__name__}")
    usual = type(field)()
    for setting in field.__slots__:
        if setting[0] != "_" and setting not in _HELD and getattr(field, setting) != getattr(usual, setting):
            _refuse(cls, f"{name} = Field({setting}=...)" if setting != "metadata" else f"a condition on {name}")
    if field.default_factory is not None:
        if field.default_factory_takes_validated_data:
            _refuse(cls, f"the default_factory of {name}, which takes the other fields,")
        setattr(cls, name, attrs.field(factory=field.default_factory))
    elif field.is_required():
        if name in vars(cls) and vars(cls)[name] is field:
            delattr(cls, name)
    else:
        setattr(cls, name, _each_its_own(field.default))


def _each_its_own(default: object) -> Any:
    return attrs.field(factory=partial(deepcopy, default)) if type(default).__hash__ is None else default


def _check_attrs_field(cls: type[Model], name: str, field: Any) -> None:
    usual: Any = attrs.field()
    for setting in ("_validator", "converter", "alias", "on_setattr"):
        if getattr(field, setting) != getattr(usual, setting):
            _refuse(cls, f"{name} = field({setting.strip('_')}=...)")
    if getattr(field._default, "takes_self", False):
        _refuse(cls, f"the default of {name}, which takes the other fields,")


def _is_pydantics(value: object) -> bool:
    return type(value).__module__.partition(".")[0] in _PYDANTICS


def _spec(cls: type[Model], name: str, written: object) -> Spec | None:
    """What the models in a field are, if it holds any.

    :raises TypeError: it holds what JSON does not have, and would have to be made of it.
    """
    hint = cast("Any", written)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _spec(cls, name, arguments[0])
    if origin in (Union, types.UnionType):
        found = [spec for one in arguments if (spec := _spec(cls, name, one)) is not None]
        if len(found) > 1:
            _refuse(cls, f"{name}, which is one of several models,")
        return found[0] if found else None
    if origin in _ARRAYS or origin in _OBJECTS:
        inside = _spec(cls, name, arguments[-1])
        return None if inside is None else Many(inside) if origin in _ARRAYS else Mapped(inside)
    if isinstance(hint, NamedUnion):
        return One(hint.__name__)
    if isinstance(hint, type) and issubclass(hint, Model):
        return One(hint)
    is_json = hint in _JSON or origin is Literal or hasattr(written, "__required_keys__")
    if not is_json and not isinstance(hint, (str, ForwardRef, TypeVar)):
        _refuse(cls, f"{name}: {getattr(written, '__name__', written)}, which JSON does not have,")
    return None


def _refuse(cls: type[Model], what: str) -> NoReturn:
    raise TypeError(
        f"{cls.__name__}: {what} does not hold in a model of this package, which keeps JSON as it came; "
        f"make {cls.__name__} a pydantic.BaseModel: cast_to takes one as well"
    )
