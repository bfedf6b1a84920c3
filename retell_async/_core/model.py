"""What every model is: a typed view of one JSON object.

The instance dictionary of a model *is* the JSON object that the server sent. That one decision gives all the rest: a field that was
left out is not in it and reads as ``None`` (a class attribute), a field sent as ``null`` is in it as ``None``, an unknown field
is an attribute like any other, key order is kept, and reading 68 KB of call costs little more than parsing the JSON.

What a model holds of other models is made of JSON when it is first looked at: of a page of calls, whose transcripts nobody reads, the words
are never made. `__unread__` names the fields that are still JSON; whatever looks at the whole dictionary has them read first.
"""

from __future__ import annotations

import inspect
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat, takewhile
from reprlib import recursive_repr
from threading import RLock
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, NoReturn, TypeVar, cast, dataclass_transform, overload

import attrs

from .hints import Hints, generated
from .interop.kept import kept_by_class
from .interop.methods import PydanticMethods
from .masking import mask_text, masked_fields, masked_repr

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Alias", "KeyedModel", "Model", "UnknownObject", "carry_key", "copied", "declared", "model"]

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound="Model")
Decode = Callable[[Any], Any]
"""Takes parsed JSON that nobody else holds, gives models; what is not of the expected kind is passed through as it is."""


_HERE = __name__.partition(".")[0]
_FIELD_BY_FIELD = "models are not taken apart or put together field by field: to_dict() and from_dict() lose nothing and add nothing"


class _NoType:
    """Is in the type of `__whole__`. cattrs, which looks up the type of every field before it goes to work, goes no further."""

    def __hash__(self) -> int:
        raise TypeError(_FIELD_BY_FIELD)


_WholeType: Any = Annotated[Any, _NoType()]


class _NoFields(type):
    """The metaclass of `_Whole`. It refuses `attrs.asdict`, which asks every value for the fields of its class."""

    @property
    def __attrs_attrs__(cls) -> NoReturn:
        raise TypeError(_FIELD_BY_FIELD)


class _Whole(metaclass=_NoFields):
    """A whole model, as `attrs.evolve` hands it to the copy."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __rich_repr__(self) -> Iterator[Model]:
        """What rich shows, which would ask for the fields of an attrs class else."""
        yield self.model


@attrs.define(
    these={"__whole__": attrs.field(default=None, alias="__whole__", type=_WholeType)},
    slots=False,
    init=False,
    eq=False,
    repr=False,
)
class Model(PydanticMethods):
    """Base of all models: build one from keywords, or from JSON with `from_dict`.

    Attributes are the API's own field names. `name in model` tells whether a field is there at all: an optional field that was left out
    reads as ``None`` just as one that is ``null`` does. Models are mutable; ``del model.name`` takes a field out again. Keywords may be any
    fields, those that this version does not know among them, and dicts in them become models; what is required must be there.

    Every model is an attrs class. `attrs.evolve` (and `copy.replace`, from Python 3.13) copies one with changes: what was left out stays
    out, and what this version does not know is kept. `attrs.asdict` and cattrs, which would write a ``null`` for each field that was left
    out, and msgspec's decoders, which would drop what is not known, are refused with a `TypeError`: use `to_dict` and `from_dict`.
    """

    if TYPE_CHECKING:
        __attrs_attrs__: ClassVar[tuple[attrs.Attribute[Any], ...]]
    __slots__ = ("__unread__",)  # beside the instance dictionary, which holds the object's fields and nothing else
    __test__ = False  # `TestCaseJob` and the like are no tests, whatever pytest finds imported
    __nested__: ClassVar[Mapping[str, Spec]] = {}
    __wire__: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__()
        if cls.__module__.partition(".")[0] != _HERE:
            from .interop.own import made_own

            made_own(cls, settings)

    def __init__(self, **fields: Any) -> None:
        whole = fields.get("__whole__")
        if whole is not None:  # `attrs.evolve` gives what is to be changed, then the model, then all that it has as if it had been given
            fields = dict(takewhile(lambda item: item[1] is not whole, fields.items()))
            self.__dict__.update(whole.model.__dict__)
            carry_key(whole.model, self)
        wire = self.__wire__
        given = {wire.get(name, name): value for name, value in fields.items()}
        self._check(fields, evolves=whole is not None)
        for name, decode in _nested(type(self)).items():
            if name in given:
                given[name] = decode(copied(given[name]))
        self.__dict__.update(given)

    def _check(self, fields: Mapping[str, Any], *, evolves: bool) -> None:
        known = declared(type(self))
        if evolves:
            for name in fields.keys() - {field.name for field in known} - self.__dict__.keys():
                raise TypeError(f"{type(self).__name__} has no field {mask_text(repr(name))}")
            return
        required = [field.name for field in known if field.default is attrs.NOTHING]
        missing = [name for name in required if name not in fields and self.__wire__.get(name) not in fields]
        if missing:
            from .interop.validate import MissingFieldsError

            raise MissingFieldsError(f"{type(self).__name__} needs {', '.join(missing)}")

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            read(self)
            return fields_of(self)

        @__dict__.setter
        def __dict__(self, fields: dict[str, Any]) -> None:
            with _reading:
                set_fields(self, fields)
                _leave_unread(self, _NOTHING)

        def _become(self, cls: type) -> None:
            read(self)  # what it holds stays what it is, as if somebody had looked at it before
            _set_class(self, cls)

        __class__ = property(type, _become)

    def __getstate__(self) -> object:
        """For pickle and copy, which look past `__dict__`."""
        read(self)
        return super().__getstate__()

    def __setstate__(self, state: Any) -> None:
        both: Any = cast("object", state) if isinstance(state, tuple) else (state, {})  # and slots
        fields_of(self).update(both[0] or {})
        for name, value in both[1].items():
            object.__setattr__(self, name, value)

    @property
    def __content__(self) -> Self:
        return self

    @classmethod
    def __declaring__(cls) -> type[Self]:
        return cls

    @property
    def __whole__(self) -> Any:
        """A field only for attrs, before all others."""
        return _Whole(self)

    def __attrs_pre_init__(self) -> NoReturn:
        """What msgspec calls on the object that it is about to put together, without what this version does not know."""
        raise TypeError(_FIELD_BY_FIELD)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make a model of a JSON object. Nothing is refused: unknown, missing and mistyped fields are kept as they are."""
        return adopter(cls)(copied(data))

    def __contains__(self, name: object) -> bool:
        return self.__wire__.get(cast("str", name), name) in fields_of(self)

    def __getitem__(self, name: str) -> Any:
        """A field by its name in JSON, also one that this version does not know."""
        if name in unread(self):
            read(self, name)
        return fields_of(self)[name]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Names in JSON and values of all fields, those that were left out last: what ``dict(model)`` and FastAPI ask for."""
        from .interop.dump import whole

        return iter(whole(self).items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model) or other.__class__ is not self.__class__:
            return NotImplemented
        mine, theirs = self.__dict__, other.__dict__
        if mine.keys() != theirs.keys():  # one that was left out is as good as ``null``: what was written with all of them is the same
            from .interop.dump import whole

            mine, theirs = whole(self), whole(other)
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # mutable, as dicts are

    @recursive_repr("…")  # one may hold itself: a child that knows its parent
    def __repr__(self) -> str:
        return masked_repr(type(self).__name__, self.__dict__)

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        """What rich shows; left to itself it would show the fields of an attrs class, secrets and all."""
        return masked_fields(self.__dict__)

    def __replace__(self, **changes: Any) -> Self:
        """For `copy.replace` (Python 3.13): a copy with some fields changed, those left out still left out."""
        new = object.__new__(self.__class__)
        new.__dict__.update(self.__dict__)
        for name, value in changes.items():
            setattr(new, name, value)
        carry_key(self, new)
        return new


Model.__annotations__["__whole__"] = _WholeType  # msgspec and Litestar look there for the type of each field of an attrs class


def carry_key(old: Model, new: Model) -> None:
    """Let a copy have the idempotency key of what it is a copy of."""
    if isinstance(old, KeyedModel) and isinstance(new, KeyedModel) and old.idempotency_key is not None:
        set_key(new, old.idempotency_key)


fields_of: Callable[[PydanticMethods], dict[str, Any]] = vars(PydanticMethods)["__dict__"].__get__
"""The instance dictionary of a model as it is: its unread fields are JSON."""
set_fields: Callable[[PydanticMethods, dict[str, Any]], None] = vars(PydanticMethods)["__dict__"].__set__
_set_class: Callable[[Model, type], None] = vars(object)["__class__"].__set__

# Past a program's own `__setattr__`, which is asked for fields alone.
_set_unread: Callable[[Model, frozenset[str]], None] = vars(Model)["__unread__"].__set__
_delete_unread: Callable[[Model], None] = vars(Model)["__unread__"].__delete__

_NOTHING = frozenset[str]()
_reading = RLock()
"""Held while fields are read: two threads that read one at once have the same model of it, and none comes between the two steps of it."""


if hasattr(os, "register_at_fork"):
    # A child that is forked while another thread holds it would wait for that thread, which it does not have.
    os.register_at_fork(before=_reading.acquire, after_in_parent=_reading.release, after_in_child=_reading.release)


def unread(model: Model) -> frozenset[str]:
    """The fields that are still JSON, if they are there at all."""
    return getattr(model, "__unread__", _NOTHING)


def read(model: Model, name: str | None = None) -> None:
    """Make models of the JSON in a field, or in all."""
    if not unread(model):
        return
    with _reading:
        left = unread(model)
        fields, decoders = fields_of(model), _nested(type(model))
        for each in left if name is None else left & {name}:
            value = fields.get(each)
            if value is not None:
                fields[each] = decoders[each](value)
        _leave_unread(model, _NOTHING if name is None else left - {name})


def _leave_unread(model: Model, left: frozenset[str]) -> None:
    if left:
        _set_unread(model, left)
    elif hasattr(model, "__unread__"):
        _delete_unread(model)


class KeyedModel(Model):
    """A model of what the API creates once for each idempotency key."""

    __slots__ = ("__key__",)  # beside the instance dictionary, which holds what the server sent and nothing else
    __key__: str

    @property
    def idempotency_key(self) -> str | None:
        """The key under which this client asked for it, ``None`` if it did not. It is no field: the server did not send it."""
        return getattr(self, "__key__", None)


set_key: Callable[[KeyedModel, str], None] = vars(KeyedModel)["__key__"].__set__
"""Let a model have this idempotency key."""


class Nested:
    """A field that holds models, which are made when it is first looked at."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Model | None, owner: type) -> Any:
        if instance is None:
            return None
        if self.name in getattr(instance, "__unread__", _NOTHING):
            read(instance, self.name)
        return fields_of(instance).get(self.name)

    def __set__(self, instance: Model, value: Any) -> None:
        with _reading:
            fields_of(instance)[self.name] = value
            _leave_unread(instance, unread(instance) - {self.name})

    def __delete__(self, instance: Model) -> None:
        with _reading:
            if self.name not in fields_of(instance):
                raise AttributeError(self.name, name=self.name, obj=instance)
            del fields_of(instance)[self.name]
            _leave_unread(instance, unread(instance) - {self.name})


class Alias(Generic[T]):
    """A field under another name than its own in JSON."""

    def __init__(self, wire: str) -> None:
        self.wire = wire

    @overload
    def __get__(self, instance: None, owner: type) -> None: ...
    @overload
    def __get__(self, instance: Model, owner: type) -> T: ...
    def __get__(self, instance: Model | None, owner: type) -> T | None:
        return None if instance is None else instance.__dict__.get(self.wire)

    def __set__(self, instance: Model, value: T) -> None:
        instance.__dict__[self.wire] = value

    def __delete__(self, instance: Model) -> None:
        del instance.__dict__[self.wire]


@dataclass_transform(kw_only_default=True)
def model(cls: type[ModelT]) -> type[ModelT]:
    """Make a class with annotated fields a model, which is an attrs class whose fields read as ``None`` until they are there."""
    made: Any = attrs.define(cls, slots=False, init=False, eq=False, repr=False, kw_only=True)
    nested = cls.__nested__ if isinstance(cls.__nested__, dict) else {}  # what a program's own class holds is not known yet
    for field in cast("tuple[Any, ...]", declared(cls)):  # of which attrs' types lack `inherited`
        wire = made.__wire__.get(field.name)
        if wire is not None or field.name in nested or not field.inherited:
            setattr(made, field.name, Alias[Any](wire) if wire is not None else Nested(field.name) if field.name in nested else None)
    made.__annotations__ = Hints(made.__annotations__, made.__module__)
    del made.__attrs_init__
    return cls


def declared(cls: type[Model]) -> tuple[attrs.Attribute[Any], ...]:
    """The fields that a model declares."""
    return cls.__attrs_attrs__[1:]


@attrs.define(slots=False, init=False, eq=False, repr=False)
class UnknownObject(Model):
    """A member of a union that this version of the package does not know, or that does not say which it is.

    Every field of it is an attribute. What all members of its union have in common is declared in a subclass for each union (such as
    `UnknownCallResponse`), typed as in them and ``None`` where it was left out.
    """

    def _check(self, fields: Mapping[str, Any], *, evolves: bool) -> None:
        """Nothing is wrong: it may have any fields."""

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...


def plain(value: Any) -> Any:
    """A value as `json.dumps` takes it, with dicts in place of models. Its containers are new: changing them changes no model."""
    if isinstance(value, Model):
        return {name: plain(item) for name, item in fields_of(value).items()}
    kind = value.__class__  # models apart, JSON holds exact dicts and lists
    if kind is list:
        return [plain(item) for item in value]
    if kind is dict:
        return {name: plain(item) for name, item in value.items()}
    return value


def copied(value: Any) -> Any:
    """JSON as plain dicts and lists that nobody else holds; models in it stay as they are."""
    if isinstance(value, Model):
        return value
    if isinstance(value, Mapping):
        return {name: copied(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [copied(item) for item in cast("list[Any]", value)]
    return value


# How the fields of a model that hold models are written down in generated code. A name stands for a class or a union in
# `retell_async.raw.models`; it is looked up when the first object of its kind arrives, so that a model loads when it is needed.


@attrs.frozen
class One:
    """An object (or a union's member) of this name, or of a class of a program's own."""

    name: str | type[Model]


@attrs.frozen
class Many:
    """An array of these."""

    item: Spec


@attrs.frozen
class Mapped:
    """An object whose values are these, under keys that the caller chose."""

    item: Spec


@attrs.frozen
class Tagged:
    """A union told apart by the value of one field: the table says which class stands for which value."""

    tag: str
    table: Mapping[Any, str]
    other: str = "UnknownObject"
    array: Spec | None = None


@attrs.frozen
class Keyed:
    """A union told apart by which field is there: the first of these keys that the object has decides."""

    keys: Mapping[str, str]
    other: str = "UnknownObject"
    array: Spec | None = None


Spec = One | Many | Mapped | Tagged | Keyed


@kept_by_class
def _nested(cls: type[Model]) -> dict[str, Decode]:
    """What decodes the fields of a model that hold models."""
    return {name: decoder(spec) for name, spec in cls.__nested__.items()}


def adopter(cls: type[ModelT]) -> Callable[[dict[str, Any]], ModelT]:
    """The function that turns a parsed JSON object into a model of this class, in place: the object belongs to the model from then on."""
    return cast("Callable[[dict[str, Any]], ModelT]", _adopter(cls))


@kept_by_class
def _adopter(cls: type[Model]) -> Callable[[dict[str, Any]], Model]:
    new = object.__new__
    if not cls.__nested__:

        def adopt(data: dict[str, Any]) -> Model:
            self = new(cls)
            set_fields(self, data)
            return self

        return adopt

    late = frozenset(name for name in cls.__nested__ if isinstance(inspect.getattr_static(cls, name, None), Nested))
    if len(late) == len(cls.__nested__):

        def adopt_late(data: dict[str, Any]) -> Model:
            self = new(cls)
            set_fields(self, data)
            _set_unread(self, late)
            return self

        return adopt_late

    fields: list[tuple[str, Decode]] = []

    def adopt_nested(data: dict[str, Any]) -> Model:
        nonlocal fields
        if not fields:  # at the first object, not before: a model may hold itself. Whole at once: another thread may be here too
            fields = [(name, decode) for name, decode in _nested(cls).items() if name not in late]
        for name, decode in fields:
            value = data.get(name)
            if value is not None:
                data[name] = decode(value)
        self = new(cls)
        set_fields(self, data)
        _leave_unread(self, late)
        return self

    return adopt_nested


def decoder(spec: Spec) -> Decode:
    """The function that decodes what a `Spec` describes."""
    match spec:
        case One(name):
            found = lookup(name)
            return decode_object(found) if isinstance(found, type) else decoder(found)
        case Many(item):
            leaf = lookup(item.name) if isinstance(item, One) else None
            return _decode_leaves(leaf) if isinstance(leaf, type) and not leaf.__nested__ else _decode_array(decoder(item))
        case Mapped(item):
            return _decode_mapping(decoder(item))
        case Tagged() | Keyed():
            return _decode_union(spec)


def lookup(name: str | type[Model]) -> type[Model] | Spec:
    """The class of an object, or the table of a union, by what a `Spec` has for it."""
    if not isinstance(name, str):
        return name
    if name == "UnknownObject":
        return UnknownObject
    found: type[Model] | Spec = generated("models").lookup(name)
    return found


def unions() -> list[Spec]:
    """The tables of all unions."""
    models = generated("models")
    return [models.lookup(name) for name in models.__unions__]


def required_ids(spec: Spec) -> set[str]:
    """The fields of an object, or of each member of a union, that must be there and are ids, by their names in JSON."""
    match spec:
        case One(name):
            found = lookup(name)
            if not isinstance(found, type):
                return required_ids(found)
            required = (field for field in declared(found) if field.default is attrs.NOTHING and "None" not in str(field.type))
            return {name for field in required if (name := found.__wire__.get(field.name, field.name)).endswith("_id")}
        case Tagged(table=members) | Keyed(keys=members):
            known = {*members.values(), spec.other} if isinstance(spec, Keyed) else {*members.values()}
            return set[str].intersection(*(required_ids(One(name)) for name in known if name != "UnknownObject"))
        case Many() | Mapped():
            return set()


def decode_object(cls: type[Model]) -> Decode:
    """The function that decodes what should be an object of this class."""
    adopt = adopter(cls)

    def decode(value: Any) -> Any:
        kind = value.__class__
        return adopt(value) if kind is dict else value

    return decode


def _decode_array(item: Decode) -> Decode:
    def decode(value: Any) -> Any:
        kind = value.__class__
        return [item(entry) for entry in value] if kind is list else value

    return decode


def _decode_leaves(cls: type[Model]) -> Decode:
    """As `_decode_array`, for objects with no models inside: the words of a call, hundreds at a time, where decoding spends its time."""
    new = object.__new__

    def decode(value: Any) -> Any:
        kind = value.__class__
        if kind is not list:
            return value
        leaves = list(map(new, repeat(cls, len(value))))
        try:
            deque(map(set_fields, leaves, value), 0)
        except TypeError:  # what is no dict cannot be one's fields: it passes through
            return [one(entry) for entry in value]
        return leaves

    one = decode_object(cls)
    return decode


def _decode_mapping(item: Decode) -> Decode:
    def decode(value: Any) -> Any:
        kind = value.__class__
        return {name: item(entry) for name, entry in value.items()} if kind is dict else value

    return decode


def _decode_union(spec: Tagged | Keyed) -> Decode:
    by_name: dict[str, Decode] = {}
    by_tag: dict[str, Decode] = {}
    tag = spec.tag if isinstance(spec, Tagged) else ""
    array = decoder(spec.array) if spec.array is not None else None

    def found(value: dict[str, Any]) -> Decode:
        name = choose(spec, value)
        if name not in by_name:
            meant = lookup(name)
            by_name[name] = adopter(meant) if isinstance(meant, type) else decoder(meant)
        if isinstance(spec, Tagged) and name != spec.other:
            by_tag[value[tag]] = by_name[name]
        return by_name[name]

    def decode(value: Any) -> Any:
        kind = value.__class__
        if kind is dict:
            tagged = value.get(tag)
            kind = tagged.__class__
            adopt = by_tag.get(tagged) if kind is str else None
            return (adopt or found(value))(value)
        return array(value) if array is not None else value

    return decode


def choose(union: Tagged | Keyed, data: Mapping[str, Any]) -> str:
    """The name of the class that an object of this union belongs to."""
    if isinstance(union, Keyed):
        return next((name for key, name in union.keys.items() if key in data), union.other)
    tag = data.get(union.tag)
    return union.table.get(tag, union.other) if isinstance(tag, (str, int)) else union.other
