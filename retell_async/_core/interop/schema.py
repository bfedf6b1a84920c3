"""Models, unions and pages as types of pydantic's: how it takes them, writes them, and what its JSON schema says of them.

What is taken is as lenient as an answer is: an object in which the required fields are there, with whatever values, save a tag by
which it is another kind of the same union. The JSON schema says all that the API's document says.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

try:
    from pydantic import PydanticSchemaGenerationError, TypeAdapter
    from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaSerializer, ValidationError, core_schema
except ImportError as error:
    raise ImportError("the JSON schema of a model is made by pydantic: pip install pydantic") from error

from ..model import Model, One, Tagged, UnknownObject, copied, decoder, lookup
from .dump import dump, names
from .own import type_in
from .unions import NamedUnion
from .validate import missing, of_other_kind
from .values import settled

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["adapter", "of_model", "of_page", "of_union", "serializer"]

_begun: ContextVar[set[str] | None] = ContextVar("begun", default=None)
"""What has a definition already, in the schema that is being made: models are in each other, and some in themselves."""


def adapter(kind: Any) -> TypeAdapter[Any]:
    """What pydantic has for a type that is none of its own."""
    return TypeAdapter(kind)


def of_model(cls: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
    """The schema of a model."""

    def made() -> CoreSchema:
        said = core_schema.typed_dict_schema(dict(_fields(cls, handler)), cls=cls, extra_behavior="allow")
        return _wrapped(cls, partial(_model, cls), said, {wire: field["schema"] for wire, field in said["fields"].items()})

    return _defined(cls, made)


def of_union(cls: NamedUnion, handler: GetCoreSchemaHandler) -> CoreSchema:
    """The schema of a union that has a name: told apart by its tag, if it has one."""
    spec = lookup(cls.__name__)
    tag: dict[str, CoreSchema] = {spec.tag: core_schema.literal_schema([*spec.table])} if isinstance(spec, Tagged) else {}
    return _defined(cls, lambda: _wrapped(cls, partial(_member, cls), _choices(cls, handler), tag))


def of_page(cls: type[Any], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """The schema of a page. One of a client is only ever given: JSON has no client."""
    if cls.__body__ != UnknownObject.__name__:
        said = core_schema.typed_dict_schema(dict(_fields(cls.__declaring__(), handler)), cls_name=cls.__name__, extra_behavior="allow")
        return _wrapped(cls, partial(_model, cls), said)
    items = core_schema.list_schema(handler.generate_schema((*get_args(source), Any)[0]))

    def page(value: Any, _handler: Callable[[Any], Any]) -> Any:
        if not isinstance(value, cls):
            raise PydanticCustomError("page", "Input should be a page that a client answered with")
        return value

    if list in cls.__mro__:
        return _wrapped(cls, page, items)
    optional = core_schema.nullable_schema
    fields = {
        "items": core_schema.typed_dict_field(items, required=True),
        "has_more": core_schema.typed_dict_field(core_schema.bool_schema(), required=True),
        "pagination_key": core_schema.typed_dict_field(optional(core_schema.str_schema()), required=False),
        "total": core_schema.typed_dict_field(optional(core_schema.int_schema()), required=False),
    }
    return _wrapped(cls, page, core_schema.typed_dict_schema(fields, cls_name="AsyncPage"))


def _defined(cls: type[Any], make: Callable[[], CoreSchema]) -> CoreSchema:
    ref = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
    with _all() as begun:
        if ref in begun:
            return core_schema.definition_reference_schema(ref)
        begun.add(ref)
        made: Any = make()
        made["ref"] = ref
        return cast("CoreSchema", made)


@contextmanager
def _all() -> Generator[set[str]]:
    begun = _begun.get()
    if begun is not None:
        yield begun
        return
    made: set[str] = set()
    token = _begun.set(made)
    try:
        yield made
    finally:
        _begun.reset(token)


@cache
def serializer() -> SchemaSerializer:
    """What writes a model, or a page, where the type is `Any`."""
    return SchemaSerializer(core_schema.any_schema(serialization=core_schema.plain_serializer_function_ser_schema(_write, info_arg=True)))


def _wrapped(
    cls: type[Any], take: Callable[[Any, Any], Any], said: CoreSchema, fields: Mapping[str, CoreSchema] = MappingProxyType({})
) -> CoreSchema:
    """What is taken and written by functions of ours, with a schema that is shown, and fields that count for how well something fits."""

    def taken(value: Any, handler: Callable[[Any], Any]) -> Any:
        return take(value, handler)

    taken.__qualname__ = taken.__name__ = cls.__name__  # which errors show
    counts = {name: _counted(schema) for name, schema in fields.items()}
    counted = core_schema.model_fields_schema(counts)  # which knows of `from_attributes` too
    shown = core_schema.union_schema([counted, said], mode="left_to_right", metadata={"pydantic_js_functions": [_show]})
    return core_schema.no_info_wrap_validator_function(
        taken, shown, serialization=core_schema.plain_serializer_function_ser_schema(_write, info_arg=True)
    )


def _show(schema: Any, handler: Callable[[Any], Any]) -> Any:
    return handler(schema["choices"][1])


def _counted(schema: CoreSchema) -> core_schema.ModelField:
    """A field that may be anything; of a tag pydantic is told what it is, by which it tells classes apart."""
    if schema["type"] == "literal":
        return core_schema.model_field(core_schema.with_default_schema(schema, default=None, on_error="default"))
    return core_schema.model_field(core_schema.with_default_schema(core_schema.any_schema(), default=None))


def _write(value: Any, info: core_schema.SerializationInfo) -> Any:
    return dump(
        value if isinstance(value, list) else getattr(value, "__content__", value),
        mode=info.mode,
        include=cast("Any", info.include),
        exclude=cast("Any", info.exclude),
        by_alias=info.by_alias,
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )


def _fields(cls: type[Model], handler: GetCoreSchemaHandler) -> Iterator[tuple[str, core_schema.TypedDictField]]:
    hints = get_type_hints(cls, include_extras=True)
    for wire, name in names(cls).items():
        try:
            schema = handler.generate_schema(type_in(cls, hints[name.own]))
        except PydanticSchemaGenerationError:  # files, which are only ever sent
            schema = core_schema.any_schema()
        if not name.required:
            schema = core_schema.with_default_schema(schema, default=dump(name.left_out(), mode="json"))
        yield wire, core_schema.typed_dict_field(schema, required=name.required)


def _choices(cls: NamedUnion, handler: GetCoreSchemaHandler) -> CoreSchema:
    spec = lookup(cls.__name__)
    members: list[Any] = [member for member in cls.__args__ if not _is(member, UnknownObject)]
    others = [handler.generate_schema(member) for member in members if not _is(member, Model)]
    if isinstance(spec, Tagged):
        tagged = {tag: handler.generate_schema(lookup(name)) for tag, name in spec.table.items()}
        objects: list[CoreSchema] = [core_schema.tagged_union_schema(tagged, spec.tag)]
    else:
        objects = [handler.generate_schema(member) for member in members if _is(member, Model)]
    found = [*objects, *others]
    return found[0] if len(found) == 1 else core_schema.union_schema(found)  # type: ignore[arg-type]


def _is(member: Any, kind: type[Model]) -> bool:
    return isinstance(member, type) and issubclass(member, kind)


def _model(cls: type[Any], value: Any, handler: Callable[[Any], Any]) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping) and issubclass(cls, Model) and _fits(value, handler):
        found = {wire: getattr(value, name.own, None) for wire, name in names(cls).items() if hasattr(value, name.own)}
        value = settled(value.__content__ if isinstance(value, Model) else found)
    if not isinstance(value, Mapping):
        raise PydanticCustomError("object", "Input should be a JSON object, or a {name}", {"name": cls.__name__})
    given = cast("Mapping[str, Any]", value)
    _fits(given, handler)  # of a union pydantic takes what fits best: the dict that it is, before a model made of it
    return _whole(cls, cls.from_dict(given))


def _fits(value: object, handler: Callable[[Any], Any]) -> bool:
    """Whether pydantic takes this for the fields: a mapping, or with ``from_attributes`` whatever has attributes."""
    try:
        handler(value)
    except ValidationError:
        return False
    return True


def _member(cls: type[Any], value: Any, handler: Callable[[Any], Any]) -> Any:
    if isinstance(value, cls):
        return value
    if isinstance(value, Model) and _fits(value, handler):
        value = settled(value.__content__)
    made = decoder(One(cls.__name__))(copied(value))
    if not isinstance(made, cls):
        raise PydanticCustomError("union", "Input should be a {name}", {"name": cls.__name__})
    return _whole(cls, made)


def _whole(cls: type[Any], made: Any) -> Any:
    content = getattr(made, "__content__", made)
    errors = [InitErrorDetails(type="missing", loc=place, input=made) for place in missing(content)]
    if isinstance(content, Model):
        kind = PydanticCustomError("kind", "Input should be a {name}", {"name": cls.__name__})
        errors += [InitErrorDetails(type=kind, loc=(tag,), input=value) for tag, value in of_other_kind(content)]
    if errors:
        raise ValidationError.from_exception_data(cls.__name__, errors)
    return made
