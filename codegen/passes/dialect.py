"""One dialect out of OpenAPI 3.0 and 3.1: ``nullable``, ``enum`` and ``oneOf`` say what ``type`` lists, ``const`` and ``anyOf`` said."""

from __future__ import annotations

from ..document import Json, Refused, all_schemas

_UNSUPPORTED = (
    "patternProperties",
    "prefixItems",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
)

_OF_TYPE = {
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "string": ("minLength", "maxLength", "pattern", "format"),
}
"""What is said of the values of one type only."""


def run(document: Json) -> None:
    for where, schema in list(all_schemas(document)):
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                raise Refused(f"{where}/{keyword}", f"{keyword} cannot be expressed")
        if _is_null(schema):  # outside a union it may become anything
            for keyword in ("type", "enum", "const"):
                schema.pop(keyword, None)
            schema["nullable"] = True
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        if isinstance(schema.get("type"), list):
            _one_type(schema)
        if "anyOf" in schema:
            if "oneOf" in schema:
                raise Refused(f"{where}/anyOf", "anyOf beside oneOf cannot be expressed")
            schema["oneOf"] = schema.pop("anyOf")
        if "oneOf" in schema:
            members = [member for member in schema["oneOf"] if not _is_null(member)]
            if len(members) < len(schema["oneOf"]):
                schema["nullable"] = True
            schema["oneOf"] = members
        if "enum" in schema and None in schema["enum"]:
            schema["enum"] = [value for value in schema["enum"] if value is not None]
            schema["nullable"] = True


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
