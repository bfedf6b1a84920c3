"""What operations are to those who call them by name at run time: a table of data, `raw/operations.json`.

The command line makes commands of it, and `retell_async.mcp` its tools. Which operation is a tool, and what a human is asked before, stands
in `openapi/surface.yaml`; what it takes, in the document. The schemas are plain JSON Schema, those of objects by name, with our words in
them.
"""

from __future__ import annotations

from collections.abc import Mapping

from .. import marks
from ..document import Json, component, ref_name, values
from ..operation import body
from ..words import about
from .operations import Operation
from .views import Views

_KEPT = (
    *("type", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "required"),
)


def table(views: Views, resources: Mapping[str, str]) -> Json:
    """The table, from a document with words in it.

    :param resources: what there is to say of resources.
    """
    document = views.prepared
    operations = dict(sorted((one.entry.methods[0], _operation(document, one)) for one in views.operations))
    schemas: dict[str, Json] = {}
    new = _refs(operations)
    while new:
        schemas |= {name: _plain(document, meant, about(meant)) for name in new for meant in [component(document, name)]}
        new = _refs(schemas) - schemas.keys()
    return {"resources": dict(sorted(resources.items())), "operations": operations, "schemas": dict(sorted(schemas.items()))}


def _operation(document: Json, operation: Operation) -> Json:
    entry = operation.entry
    said: dict[str, Json] = {parameter["name"]: parameter["schema"] for parameter in operation.said["parameters"]}
    said |= body(document, operation.said).get("properties", {})
    return {
        "methods": [*entry.methods],
        **{name: getattr(entry, name) for name in ("tool", "effect", "repeat", "asks", "open_world")},
        "lists": "pages" if operation.paging else "array" if operation.returns.startswith("list[") else None,
        "answers": operation.item or operation.returns,
        "about": about(operation.said),
        "positional": [field.name for field in operation.positional],
        "files": [field.name for field in operation.taken if field.wire in operation.files],
        "required": [field.name for field in operation.taken if field.required],
        "arguments": {field.name: _plain(document, said[field.wire], field.doc) for field in operation.taken},
    }


def _refs(value: Json) -> set[str]:
    """The names of the schemas that plain ones refer to."""
    return {said.rpartition("/")[2] for place, said in values(value) if place.endswith("/$ref") and isinstance(said, str)}


def _plain(document: Json, schema: Json, words: str = "") -> Json:
    """A schema of a prepared document as plain JSON Schema, with our words."""
    plain = _kind(document, schema)
    if schema.get("nullable") and isinstance(plain.get("type"), str):
        plain |= {"type": [plain["type"], "null"], **({"enum": [*plain["enum"], None]} if "enum" in plain else {})}
    elif schema.get("nullable"):
        plain = {"oneOf": [plain, {"type": "null"}]}
    return plain | ({"description": words} if words else {})


def _kind(document: Json, schema: Json) -> Json:
    if (name := ref_name(schema)) is not None:
        meant = component(document, name)
        return _kind(document, meant) if "enum" in meant else {"$ref": f"#/schemas/{name}"}
    plain: Json = {key: schema[key] for key in _KEPT if key in schema}
    for bound in ("minimum", "maximum"):  # which OpenAPI 3.0 has exclude itself by a mark beside it
        exclusive = f"exclusive{bound.capitalize()}"
        if plain.pop(exclusive, False) and bound in plain:
            plain[exclusive] = plain.pop(bound)
    if "properties" in schema:
        taken = {name: field for name, field in schema["properties"].items() if not field.get("readOnly")}
        plain["properties"] = {name: _plain(document, field, about(field)) for name, field in taken.items()}
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            plain[keyword] = _plain(document, schema[keyword])
    if "oneOf" in schema:
        plain["oneOf"] = [_plain(document, member) for member in schema["oneOf"]]
    if marks.TAG in schema:
        members = [(name, member) for member in schema["oneOf"] if (name := ref_name(member))]
        mapping = {value: name for name, member in members for value in member.get(marks.VALUES, ())}
        plain["discriminator"] = {"propertyName": schema[marks.TAG], "mapping": mapping}
    return plain
