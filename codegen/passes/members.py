"""What stands for an object of a union that is none of its members, and what all members have, as objects of their own.

Neither is of the API: this runs in front of the generator's parser, for which every object and every field also gets its words here.
"""

from __future__ import annotations

from copy import deepcopy

from .. import marks
from ..document import SCALARS, Json, Refused, all_schemas, is_object, pruned, ref_name, resolved, to_ref, walk
from ..words import about
from .names import module_name

_SHAPE = ("$ref", "type", "format", "enum", "items", "additionalProperties", "oneOf", "nullable")


def run(document: Json) -> None:
    schemas: dict[str, Json] = document["components"]["schemas"]
    for where, schema in all_schemas(document):
        schema[marks.ABOUT] = about(schema)
        held = [_shape(one) for one in schema.get("oneOf", ()) if "$ref" not in one and _holds_objects(document, one)]
        if any(one != held[0] for one in held):
            raise Refused(where, "a union with two kinds of arrays of objects cannot be told apart")
    unions = {name: schema for name, schema in schemas.items() if "oneOf" in schema}
    members = {name: [schemas[member] for member in objects(document, schema)] for name, schema in unions.items()}
    for name, schema in unions.items():
        for member in members[name] if marks.TAG in schema else ():
            member["properties"][schema[marks.TAG]][marks.IS_TAG] = True
        if may_be_unknown(document, schema):
            own = unknown_name(document, name)
            schemas[own] = _unknown(document, name, schema, members[name])
            schema["oneOf"].append(to_ref(own))
            members[name].append(schemas[own])
    for name, some in members.items():
        shared = {wire: field for wire, field in some[0]["properties"].items() if _is_shared(document, wire, field, some)}
        if len(some) > 1 and shared and not any(marks.COMMON in member for member in some):
            own, module = _free(document, f"{name}Fields"), f"_{module_name(name)}"
            said = {marks.ABOUT: f"What every member of `{name}` has.", marks.FIELDS_OF: module}
            schemas[own] = {"type": "object", "properties": deepcopy(shared), "required": [*shared], **said}
            for member in some:
                member[marks.COMMON] = [own, module]


def objects(document: Json, union: Json) -> dict[str, Json]:
    """The objects among the members of a union, by name."""
    return {str(ref_name(member)): member for member in union["oneOf"] if is_object(resolved(document, member))}


def may_be_unknown(document: Json, union: Json) -> bool:
    """Whether an object can be none of a union's members: not where one member is whatever the others are not."""
    keys = [member.get(marks.KEY) for member in objects(document, union).values()]
    return marks.TAG in union or (bool(keys) and all(keys))


def unknown_name(document: Json, name: str) -> str:
    """The name of the class for a union's unknown members, which no schema has."""
    return _free(document, f"Unknown{name}")


def _free(document: Json, name: str) -> str:
    taken = {module_name(other) for other in document["components"]["schemas"]}
    while module_name(name) in taken:
        name += "Object"
    return name


def _unknown(document: Json, name: str, union: Json, members: list[Json]) -> Json:
    """It has what all members have, of the same types."""
    common = set.intersection(*(set(member["properties"]) for member in members))
    fields = {wire: _shared(document, [member["properties"][wire] for member in members]) for wire in sorted(common)}
    required = [wire for wire in fields if all(wire in member.get("required", ()) for member in members)]
    if tag := union.get(marks.TAG):
        values = [value for member in union["oneOf"] for value in member.get(marks.VALUES, ())]
        kinds = [{"type": kind} for kind, python in SCALARS.items() if any(type(value).__name__ == python for value in values)]
        fields[tag] = {"oneOf": kinds, marks.ABOUT: "Which kind it is, if it says so."}
        required = [wire for wire in required if wire != tag]
    words = f"A member of `{name}` that this version does not know, or one that does not say which it is: what all members have in common."
    return {"type": "object", "properties": fields, "required": required, marks.ABOUT: words, marks.UNKNOWN: True}


def _shared(document: Json, fields: list[Json]) -> Json:
    """One field for what several members have under one name; what cannot be decoded the same in all of them stays plain JSON."""
    words = {marks.ABOUT: fields[0][marks.ABOUT] if len({field[marks.ABOUT] for field in fields}) == 1 else ""}
    shapes = [_shape(field) for field in fields]
    nulls = [shape.pop("nullable", False) for shape in shapes]
    nullable = {"nullable": True} if any(nulls) else {}
    if all(shape == shapes[0] for shape in shapes):
        return {**shapes[0], **nullable, **words}
    if any(not shape or _holds_objects(document, shape) for shape in shapes):
        return words
    return {"oneOf": shapes, **nullable, **words}


def _holds_objects(document: Json, schema: Json) -> bool:
    return any("enum" not in resolved(document, inner) for _, inner in walk(schema) if "$ref" in inner)


def _shape(schema: Json) -> Json:
    """What decides the type of a schema."""
    shape: Json = pruned(schema, lambda key, _: key in _SHAPE)
    return shape


def _is_shared(document: Json, wire: str, field: Json, members: list[Json]) -> bool:
    """Whether a type checker would make a mere `str` of it, as a field of the union: an open enum that all members have.

    Pyright keeps the values of an enum beside `str`, for an editor to offer, only where all that it finds is one and the same declaration.
    """
    kinds = [resolved(document, one) for one in field.get("oneOf", [field])]
    is_open = any("enum" in kind and kind.get("type") == "string" for kind in kinds) and marks.IS_TAG not in field
    others = [member["properties"][wire] for member in members if wire in member.get("required", ())]
    alike = all(_shape(one) == _shape(field) and one[marks.ABOUT] == field[marks.ABOUT] for one in others)
    return is_open and alike and len(others) == len(members)
