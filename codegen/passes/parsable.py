"""The prepared document as openapi-python-client's parser reads it without losing anything: the last pass, in front of it alone.

What is said here in another way is said so because of that parser; `codegen/README.md` lists it.
"""

from __future__ import annotations

import re
from itertools import count

from .. import marks
from ..document import SCALARS, Json, Refused, all_schemas, by_key, is_object, operations, ref_name
from ..parser import NAMELESS, identifier
from .aliases import is_literal


def run(document: Json) -> None:
    document["openapi"] = "3.1.0"
    schemas: dict[str, Json] = document["components"]["schemas"]
    named = {id(schema) for schema in schemas.values()}
    nullable = {name for name, schema in schemas.items() if schema.pop("nullable", False)}
    for number, (where, schema) in enumerate(list(all_schemas(document))):
        kind = "Tag" if marks.IS_TAG in schema else "Open" if marks.ANY_TEXT in schema else "Enum"
        title = "" if id(schema) in named else f"{NAMELESS}{kind}{number}"
        may_be_null = schema.pop("nullable", False) or ref_name(schema) in nullable
        _say(schema, where, title)
        if may_be_null:
            inner = dict(schema)
            schema.clear()
            schema.update({"oneOf": [inner, {"type": "null"}], marks.ABOUT: inner.get(marks.ABOUT, "")})
    for name, schema in list(schemas.items()):
        if "oneOf" in schema:  # with a name, which it would lose wherever it is used
            schemas[name] = {"type": "object", "properties": {"value": schema}, "required": ["value"], marks.UNION: True}
    _number_places(document)


def _say(schema: Json, where: str, title: str) -> None:
    """Say one schema, in place. By its title the class is called that the parser may make of what has no name."""
    kind = schema.get("type")
    if kind not in {None, "array", "object", *SCALARS}:
        raise Refused(where, f"a schema of type {kind!r} cannot be expressed")
    if schema.get("format") != "binary":  # a date is text here
        schema.pop("format", None)
    if schema.get("enum") == []:
        raise Refused(f"{where}/enum", "nothing is one of no values")
    if "enum" in schema and not is_literal(schema["enum"]):
        first, *others = schema.pop("enum")
        if isinstance(first, bool) and not others:
            schema.pop("type", None)
            schema["const"] = first
    value = schema.get("default")
    is_value = type(value).__name__ in (SCALARS.get(str(kind)), "int" if kind == "number" else None)
    if not is_value or value not in schema.get("enum", [value]):
        schema.pop("default", None)
    if is_object(schema):
        alike: dict[tuple[str, str], str] = {}
        for name in schema["properties"]:
            own = identifier(name, "field_"), identifier(name, "field_", plain=True)  # as the parser tries one after the other
            if (other := alike.setdefault(own, name)) != name:
                raise Refused(where, f"{other!r} and {name!r} are too alike to be told apart as names in Python: remove one by the overlay")
        schema.update({"type": "object", "properties": dict(sorted(schema["properties"].items()))})
    elif kind == "array":
        schema.setdefault("items", {})
    elif schema.get("additionalProperties") is False:  # it is a map all the same
        del schema["additionalProperties"]
    schema["title"] = title


def _number_places(document: Json) -> None:
    """Call parameters of paths by number, since not every name passes there, and an operation by its key, in its summary."""
    for key, operation in by_key(document).items():
        operation["summary"] = key
    numbers, paths = count(), document["paths"].items()
    document["paths"] = {re.sub(r"{[^}]*}", lambda _: f"{{place_{next(numbers)}}}", path): item for path, item in paths}
    for _, path, operation in operations(document):
        others = [parameter for parameter in operation["parameters"] if parameter["in"] != "path"]
        for parameter in others:  # the parser has no lists in headers, and this package no cookies
            if parameter["in"] == "header" and parameter["schema"].get("type") not in SCALARS:
                parameter["in"] = "cookie"
        places = [{"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", path)]
        operation["parameters"] = [*places, *others]
