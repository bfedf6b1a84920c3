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


def run(document: Json) -> None:
    for where, schema in list(all_schemas(document)):
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                raise Refused(f"{where}/{keyword}", f"{keyword} cannot be expressed")
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        if isinstance(schema.get("type"), list):
            _one_type(schema)
        if "anyOf" in schema and "oneOf" not in schema:
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
        schema["oneOf"] = [{"type": name} for name in types]


def _is_null(schema: Json) -> bool:
    """Says nothing but null: as a type of its own, or as an object that must be no object."""
    return schema.get("type") == "null" or (schema.get("nullable") is True and schema.get("not") == {"type": schema.get("type", "")})
