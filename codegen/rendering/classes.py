"""Models, the dicts that requests take for them, unions and enums: what ``raw/models`` and ``raw/params`` hold.

The generator's parser found what they have; the names in Python are ours, and the tables that tell the members of a union apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from .. import marks
from ..document import Json, Refused, pointer
from ..operation import properties
from ..parser import ListProperty, ModelProperty, Parsed, Property, fields, mark, nameless, wire, words
from ..passes.members import objects
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


@attrs.frozen(kw_only=True)
class Class:
    """One module of ``raw/models`` or ``raw/params``."""

    kind: Literal["model", "union", "enum", "param", "param_union"]
    """The template for it."""
    name: str
    module: str = attrs.field(default=attrs.Factory(lambda self: module_name(self.name.removesuffix("Param")), takes_self=True))
    fields: list[Field] = attrs.field(factory=list)
    doc: str = ""
    base: str = "Model"
    common: list[str] | None = None
    """The class, and its module, that has the fields which type checkers have to see declared once for a whole union."""
    of_api: bool = True
    members: list[str] = attrs.field(factory=list)
    """Types of a union, or the one of an enum."""
    spec: str = ""
    """The table that tells members apart."""
    by: str = ""

    @property
    def folder(self) -> str:
        return "params" if self.kind.startswith("param") else "models"

    @property
    def types(self) -> list[str]:
        return [*self.members, *(field.type for field in self.fields)]

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


def classes(document: Json, read: Parsed, keyed: set[str]) -> list[Class]:
    """Every class of a prepared document; the models with an idempotency key are named."""
    found: list[Class] = []
    for name, schema in document["components"]["schemas"].items():
        if "oneOf" in schema:
            (value,) = fields(read.model(name))
            found.append(_union(document, name, schema, value))
            if schema.get(marks.REQUEST):
                found.append(Class(kind="param_union", name=f"{name}Param", members=types(value, sending=True)))
        elif "enum" not in schema:
            found.append(_model(read, name, "KeyedModel" if name in keyed else "Model"))
            if schema.get(marks.REQUEST):
                found.append(_param(document, read, name, schema))
    found += [Class(kind="enum", name=name, members=[values(enum)]) for name, enum in read.enums.items() if not nameless(enum)]
    for name, model in read.models.items():
        if mark(model, marks.UNKNOWN):
            found.append(attrs.evolve(_model(read, name, "UnknownObject"), of_api=False))
        elif module := mark(model, marks.FIELDS_OF):
            found.append(attrs.evolve(_model(read, name, "Model"), module=module, of_api=False))
    return found


def _model(read: Parsed, name: str, base: str) -> Class:
    model, taken = read.model(name), KEYED_FIELDS if base == "KeyedModel" else frozenset()
    common: list[str] | None = mark(model, marks.COMMON)
    elsewhere = {wire(one) for one in fields(read.model(common[0]))} if common else set()
    props = {wire(one): one for one in fields(model)}
    own = {name for name in props if python_name(name) == name}  # `agent_name` has that name, and not `agentName`
    here = [(name, one, aside(python_name(name), taken | own - {name})) for name, one in props.items() if name not in elsewhere]
    found = [Field(name, received(one), one.required, words(model, one), spec(one), called) for name, one, called in here]
    check_names(found, pointer("components", "schemas", name))
    return Class(kind="model", name=name, fields=found, doc=words(model), base=base, common=common)


def _param(document: Json, read: Parsed, name: str, schema: Json) -> Class:
    model, taken = read.model(name), properties(document, schema, sent=True)
    found = [Field(wire(one), sent(one), one.required, words(model, one)) for one in fields(model) if wire(one) in taken]
    others = [(other, field) for field in found if (other := alias(field.wire)) is not None and other not in taken]
    found += [Field(other, field.type, required=False, doc=f"`{field.wire}`, as the official SDK calls it.") for other, field in others]
    return Class(kind="param", name=f"{name}Param", fields=found, doc=words(model))


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


def _union(document: Json, name: str, schema: Json, value: Property) -> Class:
    members, tag = objects(document, schema), schema.get(marks.TAG)
    rows = {value: member for member, said in members.items() for value in (said[marks.VALUES] if tag else [said.get(marks.KEY)])}
    unknown = [str(one.class_info.name) for one in alternatives(value) if isinstance(one, ModelProperty) and mark(one, marks.UNKNOWN)]
    others = unknown or [member for key, member in rows.items() if key is None]
    known = ", ".join(f"{literal(value)}: {literal(member)}" for value, member in rows.items() if value is not None)
    arrays = [array for one in alternatives(value) if isinstance(one, ListProperty) and (array := spec(one))]
    parts = [literal(tag)] if tag else []
    parts += [f"{{{known}}}", *(f"other={literal(other)}" for other in others), *(f"array={array}" for array in arrays[:1])]
    table = f"{'Tagged' if tag else 'Keyed'}({', '.join(parts)})"
    by = f"by `{tag}`" if tag else "by the fields that are there" if known else "by kind"
    return Class(kind="union", name=name, members=types(value, sending=False), spec=table, by=by)
