"""A named schema that is no class of its own (a string with a pattern, an array, a map) is put where it is referred to."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Any

from ..document import Json, Refused, is_object, pointer, ref_name, resolved, rewrite, roots


def run(document: Json) -> None:
    schemas = document["components"]["schemas"]
    unnamed = [name for name, schema in schemas.items() if not is_named(document, schema)]
    aliases = {name: schemas.pop(name) for name in unnamed}
    for _, holder, key in list(roots(document)):
        holder[key] = _without(holder[key], aliases)


def is_named(document: Json, schema: Json) -> bool:
    """Whether a schema is worth a name in Python: an object with fields, a union that holds one, an enum that is a literal."""
    if "oneOf" in schema:
        return any(is_object(resolved(document, member)) for member in schema["oneOf"])
    return is_object(schema) or is_literal(schema.get("enum", ()))


def is_literal(values: Collection[Any]) -> bool:
    """Whether an enum has a type of its own: it is of words alone, or of whole numbers alone, none too long for type checkers."""
    kinds = {type(value) for value in values}
    return kinds == {str} or (kinds == {int} and all(-(2**63) < value < 2**63 for value in values))


def _without(schema: Json, aliases: Json, inside: tuple[str, ...] = ()) -> Json:
    while (name := ref_name(schema)) in aliases:
        if name in inside:
            raise Refused(pointer("components", "schemas", name), "holds itself and is no object with fields: it cannot be written out")
        inside = (*inside, name)
        schema = deepcopy(aliases[name]) | {key: value for key, value in schema.items() if key != "$ref"}
    rewrite(schema, lambda _, child: _without(child, aliases, inside))
    return schema
