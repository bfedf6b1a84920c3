"""One dialect out of OpenAPI 3.0 and 3.1: ``nullable``, ``enum`` and ``oneOf`` say what ``type`` lists, ``const`` and ``anyOf`` said."""

from __future__ import annotations

from copy import deepcopy
from itertools import count
from typing import Any

from .. import marks
from ..canonical import PROSE
from ..document import TIGHTER, Json, Refused, all_schemas, at, refuse_rings, rewrite, roots, to_ref

_KNOWN = frozenset(
    {"type", "enum", "const", "properties", "required", "additionalProperties", "items", "allOf", "anyOf", "oneOf", "not", "nullable"}
    | {"default", "discriminator", "deprecated", "readOnly", "writeOnly", "format", "pattern", "title", "multipleOf", *TIGHTER}
    | {"contentSchema", "$ref", "$comment", "$schema", "$id", "$anchor", "$defs", *PROSE}
)
"""Keywords that are understood, or say nothing of the values. What else there is would be lost."""

_OF_TYPE = {
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "string": ("minLength", "maxLength", "pattern", "format"),
}
"""What is said of the values of one type only."""


def run(document: Json, *, whole: bool = True) -> None:
    """:param whole: also what a reader of 3.0 knows, ``anyOf``."""
    for _, holder, key in roots(document):
        holder[key] = _without_booleans(holder[key])
    if whole:
        _heirs(document)
    for where, schema in all_schemas(document):  # what is written out is walked through then
        _written_out(document, schema, where)
    for where, schema in list(all_schemas(document)):
        _bounds(schema)
        schema.pop("propertyNames", None)  # a map takes any; the API says if a name is none of them
        if isinstance(schema.get("unevaluatedProperties"), bool):  # as with `additionalProperties`, no more is sent than is known
            del schema["unevaluatedProperties"]
        if unknown := {keyword for keyword in schema.keys() - _KNOWN if not keyword.startswith("x-")}:
            raise Refused(f"{where}/{min(unknown)}", f"{min(unknown)} is no keyword that can be expressed")
        if _is_null(schema):  # outside a union it may become anything
            for keyword in ("type", "enum", "const"):
                schema.pop(keyword, None)
            schema["nullable"] = True
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        if isinstance(schema.get("type"), list):
            _one_type(schema)
        if whole and "anyOf" in schema:
            if "oneOf" in schema:
                raise Refused(f"{where}/anyOf", "anyOf beside oneOf cannot be expressed")
            schema["oneOf"] = schema.pop("anyOf")
        if any(map(_is_null, schema.get("oneOf", ()))):
            schema |= {"oneOf": [member for member in schema["oneOf"] if not _is_null(member)], "nullable": True}
        if None in schema.get("enum", ()):
            schema |= {"enum": [value for value in schema["enum"] if value is not None], "nullable": True}
    refuse_rings(document)


def _written_out(document: Json, schema: Json, where: str) -> None:
    """A reference to what is inside a component (``#/components/schemas/Agent/properties/name``) is what is there."""
    seen: set[str] = set()
    while (ref := str(schema.get("$ref", ""))).startswith("#/components/schemas/") and ref.count("/") > 3:
        if ref in seen or where.startswith(ref.removeprefix("#")):
            raise Refused(f"{where}/$ref", f"{ref} holds itself: give it a name among the components, by the overlay")
        seen.add(ref)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema.clear()
        schema.update(deepcopy(at(document, ref.removeprefix("#"))) | beside)


def _heirs(document: Json) -> None:
    """A base whose heirs alone say that they are made of it (by ``allOf``) is the union of them, wherever it is referred to."""
    schemas: Json = document.get("components", {}).get("schemas", {})
    for name, schema in list(schemas.items()):
        found: list[str] = []
        waiting = [name] if "discriminator" in schema and not {"oneOf", "anyOf"} & schema.keys() else []
        while waiting:
            known = to_ref(waiting.pop())
            more = [other for other, said in schemas.items() if known in said.get("allOf", ()) and other not in found]
            waiting, found = waiting + more, found + more
        if not found:
            continue
        base = next(free for start in count() if (free := f"{name}Base{start or ''}") not in schemas)
        schemas[base] = {key: said for key, said in schema.items() if key not in ("discriminator", marks.NAME)}
        for heir in found:
            schemas[heir]["allOf"] = [to_ref(base) if part == to_ref(name) else part for part in schemas[heir]["allOf"]]
        whole = {key: said for key, said in schema.items() if key in ("discriminator", marks.NAME)}
        schemas[name] = {**whole, "oneOf": [*map(to_ref, found)]}


def _without_booleans(schema: Any) -> Json:
    """``true`` for a schema means anything, ``false`` nothing at all."""
    if not isinstance(schema, dict):
        return {} if schema else {"not": {}}
    if "properties" in schema:  # one that is nothing at all may not be there
        schema["properties"] = {name: field for name, field in schema["properties"].items() if field is not False}
    schema |= {keyword: _without_booleans(schema[keyword]) for keyword in ("items", "not") if isinstance(schema.get(keyword), bool)}
    rewrite(schema, lambda _, child: _without_booleans(child))
    return schema


def _bounds(schema: Json) -> None:
    """Bounds that are no part of the range are said as 3.0 says them, and files."""
    for bound, strict, tighter in (("minimum", "exclusiveMinimum", max), ("maximum", "exclusiveMaximum", min)):
        if not isinstance(value := schema.get(strict), bool | None):
            schema[bound] = tighter(value, schema.get(bound, value))
            schema[strict] = schema[bound] == value
    if schema.get("contentMediaType") == "application/octet-stream" and schema.get("type", "string") == "string":
        schema |= {"type": "string", "format": "binary"}
    for keyword in ("contentMediaType", "contentEncoding", *(keyword for keyword in TIGHTER if schema.get(keyword) is False)):
        schema.pop(keyword, None)  # a bound that is false says nothing


def _one_type(schema: Json) -> None:
    types = [name for name in schema["type"] if name != "null"]
    if len(types) < len(schema["type"]):
        schema["nullable"] = True
    if len(types) == 1:
        schema["type"] = types[0]
    else:
        del schema["type"]
        schema["oneOf"] = [{"type": name, **{key: schema.pop(key) for key in _OF_TYPE.get(name, ()) if key in schema}} for name in types]


def _is_null(schema: Json) -> bool:
    """Says nothing but null: as a type or the one value of its own, or as an object that must be no object."""
    if schema.get("type") in ("null", ["null"]) or schema.get("enum") == [None] or ("const" in schema and schema["const"] is None):
        return True
    return schema.get("nullable") is True and schema.get("not") == {"type": schema.get("type", "")}
