"""Models, the dicts that requests take for them, and unions: what ``raw/models`` and ``raw/params`` hold.

The generator's parser found what they have; the names in Python are ours, and the tables that tell the members of a union apart.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .. import marks
from ..document import Json, Refused, pointer
from ..operation import Fields, properties
from ..parser import ListProperty, ModelProperty, Parsed, Property, fields, mark, nameless, wire, words
from ..passes.members import may_be_unknown, objects, unknown_name
from ..passes.names import module_name, python_name
from ..reserved import KEYED_FIELDS, aside, is_name
from .types import alternatives, literal, received, sent, spec, types, values


@attrs.frozen
class Field:
    """A field of a model or a parameter of a method."""

    wire: str
    type: str
    required: bool
    doc: str = ""
    spec: str | None = None
    name: str = attrs.field(default=attrs.Factory(lambda self: python_name(self.wire), takes_self=True))

    @property
    def renamed(self) -> bool:
        return self.name != self.wire


@attrs.frozen
class Class:
    """A model, or the dict of it that a request takes."""

    name: str
    module: str
    fields: list[Field]
    doc: str
    base: str = "Model"
    common: list[str] | None = None
    """The class, and its module, that has the fields which type checkers have to see declared once for a whole union."""
    of_api: bool = True

    @property
    def aliases(self) -> list[tuple[str, Field]]:
        """The names that the official SDK gives the attributes which pydantic would not have: ``model_`` is its own."""
        taken = {field.name for field in self.fields}
        named = [(f"api_{field.name}", field) for field in self.fields if field.name.startswith("model_")]
        return [(name, field) for name, field in named if name not in taken]

    @property
    def functional(self) -> bool:
        """Whether a field's name in JSON cannot be written as one in a class body, which gives those with two underscores its own."""
        return any(not is_name(field.wire) or field.wire.startswith("__") for field in self.fields)

    @property
    def types(self) -> list[str]:
        return [field.type for field in self.fields]


@attrs.frozen
class Union:
    """Members of a union, and the table that tells them apart; or the values of an enum."""

    name: str
    module: str
    types: list[str]
    spec: str = ""
    by: str = ""


@attrs.frozen
class Classes:
    """All of them, of one document."""

    models: list[Class]
    unions: list[Union]
    enums: list[Union]
    params: list[Class]
    param_unions: list[Union]


def classes(document: Json, read: Parsed, keyed: set[str]) -> Classes:
    """Every class of a prepared document; the models with an idempotency key are named."""
    enums = [Union(name, module_name(name), [values(enum)]) for name, enum in read.enums.items() if not nameless(enum)]
    made = Classes([], [], enums, [], [])
    for name, schema in document["components"]["schemas"].items():
        if "oneOf" in schema:
            (value,) = fields(read.model(name))
            made.unions.append(_union(document, name, schema, value))
            if schema.get(marks.REQUEST):
                made.param_unions.append(Union(f"{name}Param", module_name(name), types(value, sending=True)))
        elif "enum" not in schema:
            made.models.append(_model(name, read.model(name), "KeyedModel" if name in keyed else "Model"))
            if schema.get(marks.REQUEST):
                made.params.append(_param(name, read.model(name), properties(document, schema, sent=True)))
    for name, model in read.models.items():
        if mark(model, marks.UNKNOWN):
            made.models.append(_model(name, model, "UnknownObject"))
        elif module := mark(model, marks.FIELDS_OF):
            made.models.append(attrs.evolve(_model(name, model, "Model"), module=module, of_api=False))
    return made


def _model(name: str, model: ModelProperty, base: str) -> Class:
    taken = KEYED_FIELDS if base == "KeyedModel" else frozenset()
    found = [
        Field(wire(one), received(one), one.required, words(model, one), spec(one), aside(python_name(wire(one)), taken))
        for one in fields(model)
    ]
    check_names(found, pointer("components", "schemas", name))
    return Class(name, module_name(name), found, words(model), base, mark(model, marks.COMMON), of_api=base != "UnknownObject")


def _param(name: str, model: ModelProperty, taken: Fields) -> Class:
    found = [Field(wire(one), sent(one), one.required, words(model, one)) for one in fields(model) if wire(one) in taken]
    others = [(other, field) for field in found if (other := alias(field.wire)) is not None]
    found += [
        attrs.evolve(field, wire=other, required=False, doc=f"`{field.wire}`, as the official SDK calls it.") for other, field in others
    ]
    return Class(f"{name}Param", module_name(name), found, words(model))


def check_names(fields: Iterable[Field], where: str) -> None:
    """Refuse a name that cannot be one in Python, and two that are the same."""
    names: dict[str, str] = {}
    for field in fields:
        if not is_name(field.name):
            raise Refused(where, f"{field.wire!r} cannot be made a name in Python")
        if field.name in names:
            raise Refused(where, f"{field.wire!r} and {names[field.name]!r} are both {field.name} in Python")
        names[field.name] = field.wire


def alias(wire: str) -> str | None:
    """What the official SDK calls a field whose name is not written as Python writes names."""
    name = python_name(wire)
    return None if name in {wire, f"{wire}_"} or not wire[:1].isalpha() else name


def _union(document: Json, name: str, schema: Json, value: Property) -> Union:
    arrays = {spec(one) for one in alternatives(value) if isinstance(one, ListProperty)} - {None}
    if len(arrays) > 1:
        raise Refused(pointer("components", "schemas", name), "a union with two kinds of arrays of objects cannot be told apart")
    members = objects(document, schema)
    tag: str | None = schema.get(marks.TAG)
    if tag is not None:
        rows = [(value, member) for member, said in members.items() for value in said[marks.VALUES]]
    else:
        rows = [(said[marks.KEY], member) for member, said in members.items() if said.get(marks.KEY)]
    if may_be_unknown(document, schema):
        other = unknown_name(document, name)
    else:
        other = next(member for member, said in members.items() if not said.get(marks.KEY))
    table = ", ".join(f"{literal(value)}: {literal(member)}" for value, member in rows)
    parts = [*([literal(tag)] if tag else ()), f"{{{table}}}", f"other={literal(other)}", *(f"array={array}" for array in arrays)]
    by = f"by `{tag}`" if tag else "by the fields that are there" if schema.get(marks.KEYED) else "by kind"
    return Union(name, module_name(name), types(value, sending=False), f"{'Tagged' if tag else 'Keyed'}({', '.join(parts)})", by)
