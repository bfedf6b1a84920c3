"""Models of a program's own: subclasses of ours, with fields and defaults of their own, written as for the official SDK."""

from __future__ import annotations

import builtins
import inspect
import sys
import types
from collections import ChainMap
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
    Self,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from ..hints import Hints, names_for_type_checkers
from ..model import Many, Mapped, Model, One, Spec, declared, model
from .methods import PydanticMethods
from .unions import NamedUnion

__all__ = ["made_own", "refuse_fields", "type_in"]

_ARRAYS = (list, Iterable, Sequence)
_OBJECTS = (dict, Mapping)
_JSON: tuple[Any, ...] = (Any, object, str, int, float, bool, None, types.NoneType, *_ARRAYS, *_OBJECTS)
_HELD = {"annotation", "default", "default_factory", "title", "description", "examples", "deprecated", "json_schema_extra"}
"""What is said with pydantic's `Field` and holds, or is only shown."""
_SETTINGS = {"extra", "title", "arbitrary_types_allowed", "protected_namespaces", "json_schema_extra"}
_OF_CREATE_MODEL = {"__pydantic_reset_parent_namespace__", "_create_model_module"}
"""What pydantic's `create_model` gives to each class that it makes."""
_NOT_THERE = (NameError, AttributeError)
"""What is raised by the text of an annotation that names what is not defined, here or in another module."""
_HERE = __name__.partition(".")[0]
_SELF = "Self"
"""The name of the class that has the field, or is made of one that has it."""
_METHODS = ("Config", "model_post_init", "__attrs_pre_init__", "__attrs_post_init__")
_PYDANTICS = ("pydantic", "annotated_types")
_ATTRS_FIELD: type[Any] = type(cast("object", attrs.field()))


def made_own(cls: type[Model], settings: Mapping[str, Any]) -> None:
    """Make a subclass a model that has its own fields and their defaults.

    :param settings: the keywords of the class.
    :raises TypeError: it has what would not hold, such as a validator.
    """
    said = _said(cls)
    scope_of = {said_in: _Scope(cls, said_in) for said_in in {*said.values()}}
    scopes = {name: scope_of[said_in] for name, said_in in said.items()}
    written = {name: scope.read_if_there(_written(scope.said_in)[name]) for name, scope in scopes.items()}
    fields = {name: hint for name, hint in written.items() if not _is_of_the_class(hint)}
    _check(cls, fields, settings)
    for name, hint in fields.items():
        if name in vars(said[name]):
            setattr(cls, name, vars(said[name])[name])
        _set_default(cls, name, hint)
    cls.__annotations__ = written
    cls.__wire__ = dict(ChainMap(*(dict(vars(base).get("__wire__", {})) for base in cls.__mro__)))
    cls.__nested__ = _Nested(cls, fields, scopes)
    model(cls)
    for field in declared(cls):
        default: Any = field.default
        if default in (None, attrs.NOTHING):
            continue
        if field.name in cls.__wire__:
            _refuse(cls, f"a default of {field.name}, which has another name in JSON,")
        setattr(cls, field.name, _Made(field.name, default.factory) if isinstance(default, attrs.Factory) else default)  # type: ignore[arg-type]


def refuse_fields(cls: type) -> None:
    """Let a subclass of a page have no fields: those of a page are in the model that it holds.

    :raises TypeError: it has one.
    """
    for name, said_in in _said(cls).items():
        if not _is_of_the_class(_written(said_in)[name]):
            raise TypeError(
                f"{cls.__name__}: {name}: a class made of a page has no fields of its own; make it a model of the answer, "
                f"which cast_to takes: class {cls.__name__}(BaseModel): items: list[...], with this and the other fields that are read"
            )


class _Made:
    """A default that each model has one of its own of: it is there as soon as somebody reads it, and may change it."""

    def __init__(self, name: str, factory: Any) -> None:
        self._name, self._factory = name, factory

    def __get__(self, instance: Model | None, owner: type) -> Any:
        return None if instance is None else vars(instance).setdefault(self._name, self._factory())


class _Nested(Mapping[str, Spec]):
    """Which fields hold models. What their types name may be defined later than the class."""

    def __init__(self, cls: type[Model], fields: Mapping[str, Any], scopes: Mapping[str, _Scope]) -> None:
        self._cls = cls
        self._read: dict[str, Spec | None] = {}
        self._late: dict[str, _Scope] = {}
        for name, hint in fields.items():
            try:
                self._read[name] = _spec(cls, name, hint, scopes[name])
            except _NOT_THERE:
                self._late[name] = scopes[name]

    @cached_property
    def own(self) -> dict[str, Spec | None]:
        """Of the fields that the class itself declares, by their names in JSON."""
        self._read |= {name: self._read_late(name, scope) for name, scope in self._late.items()}
        self._late = {}  # after what it is for: another thread may be here too
        return {self._cls.__wire__.get(name, name): spec for name, spec in self._read.items()}

    @cached_property
    def _found(self) -> dict[str, Spec]:
        found: dict[str, Spec | None] = {}
        for base in reversed(self._cls.__mro__):
            nested = vars(base).get("__nested__", {})
            found |= nested.own if isinstance(nested, _Nested) else nested
        return {name: _with_self(spec, self._cls) for name, spec in found.items() if spec is not None}

    def _read_late(self, name: str, scope: _Scope) -> Spec | None:
        cls = self._cls
        written: Any = cast("Hints", cls.__annotations__).written(name)
        scope.unseen = names_for_type_checkers(scope.said_in.__module__)
        try:
            hint = cls.__annotations__[name] = scope.read(written)
            return _spec(cls, name, hint, scope)
        except _NOT_THERE as error:
            raise TypeError(
                f"{cls.__name__}: {name}: {getattr(written, '__forward_arg__', written)}: {error}; "
                f"define or import it where {cls.__name__} is made, before {cls.__name__} is used"
            ) from error

    def __getitem__(self, name: str) -> Spec:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _Scope:
    """What the names in the annotations of a class are looked up in, when it is made or when it is used first.

    :param said_in: the class that has the annotations: itself, or a plain one among its bases.
    """

    def __init__(self, cls: type[Model], said_in: type) -> None:
        maker = _made_in(cls)
        frame: types.FrameType | None = maker
        self._cls, self.said_in, self._globals = cls, said_in, maker.f_globals
        if said_in.__module__ != cls.__module__ and said_in.__module__ in sys.modules:
            self._globals = vars(sys.modules[said_in.__module__])
        self.unseen: dict[str, Any] = {}
        self._around: list[types.FrameType] = []  # what a function defines after the class is to be found too, even when it has returned
        while frame is not None and frame.f_locals is not frame.f_globals is self._globals:
            self._around.append(frame)
            frame = None if frame.f_code.co_flags & inspect.CO_OPTIMIZED else frame.f_back  # from the body of a class to what is around it

    def read_if_there(self, hint: Any) -> Any:
        """An annotation as what it means, or as it is written if what it names is not there yet."""
        try:
            return self.read(hint)
        except _NOT_THERE:
            return hint

    def read(self, hint: Any) -> Any:
        """An annotation as what it means.

        :raises NameError: it names what is not there.
        :raises AttributeError: the same, in another module.
        """
        if not _is_text(hint):
            return hint
        said = ForwardRef(hint, is_argument=False, is_class=True) if isinstance(hint, str) else hint
        cls = self._cls
        known = ChainMap[str, Any](
            {cls.__name__: cls},
            *(frame.f_locals for frame in self._around),
            self._globals,
            dict(vars(builtins)),
            dict(vars(self.said_in)),
            self.unseen,
        )
        return get_type_hints(SimpleNamespace(__annotations__={"it": said}), self._globals, known, include_extras=True)["it"]


def _said(cls: type) -> dict[str, type]:
    """Which class says the type of each field that a class has newly: itself, or a plain one that it is made of, as pydantic has it."""
    of_models = {one for base in cls.__bases__ if issubclass(base, PydanticMethods) for one in base.__mro__}
    known = {field.name for base in of_models if issubclass(base, Model) for field in declared(base)}
    said: dict[str, type] = {}
    for base in reversed([one for one in cls.__mro__[1:] if one not in of_models]):
        said |= {name: base for name in _written(base) if name[0] != "_" and (name in vars(base) or name not in known)}
    return said | dict.fromkeys(_written(cls), cls)


def _written(cls: type) -> dict[str, Any]:
    """The annotations of the class alone."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    found: dict[str, Any] = vars(cls).get("__annotations__", {})
    return found


def _made_in(cls: type[Model]) -> types.FrameType:
    """The function, module or body of a class that a class is made in."""
    first = cast("types.FrameType", inspect.currentframe())
    while first.f_back is not None and first.f_globals.get("__name__", "").partition(".")[0] == _HERE:
        first = first.f_back
    frame: types.FrameType | None = first
    while frame is not None and frame.f_globals.get("__name__") != cls.__module__:
        frame = frame.f_back
    return frame or first


def _is_text(hint: Any) -> bool:
    """Whether an annotation is text, or some of it is."""
    return isinstance(hint, (str, ForwardRef)) or (get_origin(hint) is not Literal and any(map(_is_text, get_args(hint))))


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


def _spec(cls: type[Model], name: str, written: object, scope: _Scope) -> Spec | None:
    """What the models in a field are, if it holds any.

    :raises TypeError: it holds what JSON does not have, and would have to be made of it.
    :raises NameError: it names what is not there yet.
    :raises AttributeError: the same, in another module.
    """
    within: list[object] = []  # the names of types that are being read
    holds_itself = False

    def find(hint: Any) -> Spec | None:
        nonlocal holds_itself
        origin: Any = get_origin(hint)
        arguments = get_args(hint)
        alias: Any = hint if hasattr(hint, "__value__") else origin
        if isinstance(hint, (str, ForwardRef)) or hasattr(alias, "__value__"):
            if hint in within:
                holds_itself = True
                return None
            within.append(hint)
            meant = scope.read(hint) if isinstance(hint, (str, ForwardRef)) else alias.__value__
            found = find(meant[arguments] if arguments else meant)
            within.pop()
            return found
        if origin is Annotated:
            return find(arguments[0])
        if origin in (Union, types.UnionType):
            several = [spec for one in arguments if (spec := find(one)) is not None]
            if len(several) > 1:
                _refuse(cls, f"{name}, which is one of several models,")
            return several[0] if several else None
        if origin in _ARRAYS or origin in _OBJECTS:
            inside = find(arguments[-1])
            return None if inside is None else Many(inside) if origin in _ARRAYS else Mapped(inside)
        if hasattr(hint, "__supertype__"):
            return find(hint.__supertype__)
        if hint is Self:
            return One(_SELF)
        if isinstance(hint, NamedUnion):
            return One(hint.__name__)
        if isinstance(hint, type) and issubclass(hint, Model):
            return One(hint)
        said = cast("object", hint)
        is_json = hint in _JSON or origin is Literal or hasattr(said, "__required_keys__")
        if not is_json and not isinstance(hint, TypeVar):
            _refuse(cls, f"{name}: {getattr(said, '__name__', said)}, which JSON does not have,")
        return None

    found = find(written)
    if found is not None and holds_itself:
        _refuse(cls, f"{name}, whose type holds itself and models,")
    return found


def _with_self(spec: Spec, cls: type[Model]) -> Spec:
    """What a field holds in this class, which is made of the one that says `Self` or is it."""
    match spec:
        case One(name):
            return One(cls) if name == _SELF else spec
        case Many(item):
            return Many(_with_self(item, cls))
        case Mapped(item):
            return Mapped(_with_self(item, cls))
        case _:
            return spec


def type_in(cls: type[Model], hint: Any) -> Any:
    """An annotation of a class, in which `Self` is the class."""
    if hint is Self:
        return cls
    origin: Any = get_origin(hint)
    meant = tuple(type_in(cls, one) for one in get_args(hint))
    return hint if meant == get_args(hint) else (Union if origin is types.UnionType else origin)[meant]


def _refuse(cls: type[Model], what: str) -> NoReturn:
    raise TypeError(
        f"{cls.__name__}: {what} does not hold in a model of this package, which keeps JSON as it came; "
        f"make {cls.__name__} a pydantic.BaseModel: cast_to takes one as well"
    )
