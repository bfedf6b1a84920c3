"""What operations are to those who call them by name at run time: a table of data, `raw/operations.json`.

The command line makes commands of it, and `retell_async.mcp` its tools. Which operation is a tool, and what a human is asked before, stands
in `openapi/surface.yaml`; what it takes, in the document. The schemas are plain JSON Schema, those of objects by name, with our words in
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import marks
from ..document import Json, component, ref_name
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
    schemas = _Schemas(views.prepared)
    some = sorted(views.operations, key=lambda one: str(one.entry.methods[0]))
    operations = {str(one.entry.methods[0]): _operation(one, schemas.arguments(one)) for one in some}
    return {"resources": dict(sorted(resources.items())), "operations": operations, "schemas": schemas.reached()}


def _operation(operation: Operation, arguments: Json) -> Json:
    entry = operation.entry
    return {
        "methods": [str(method) for method in entry.methods],
        **{name: getattr(entry, name) for name in ("tool", "effect", "repeat", "asks", "open_world")},
        "lists": "pages" if operation.paging else "array" if operation.returns.startswith("list[") else None,
        "answers": operation.item or operation.returns,
        "about": about(operation.said),
        "positional": [field.name for field in operation.positional],
        "files": [field.name for field in operation.taken if field.wire in operation.files],
        "required": [field.name for field in operation.taken if field.required and field.name in arguments],
        "arguments": arguments,
    }


class _Schemas:
    """Schemas of a prepared document as plain JSON Schema, and those that they refer to."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._found: dict[str, Json] = {}
        self._waiting: list[str] = []

    def arguments(self, operation: Operation) -> dict[str, Json]:
        """What an operation takes, by name."""
        said: dict[str, Json] = {parameter["name"]: parameter["schema"] for parameter in operation.said["parameters"]}
        if operation.body is not None:
            said |= component(self._document, operation.body).get("properties", {})
        taken = [field for field in operation.taken if field.wire in said]
        return {field.name: {**self._plain(said[field.wire]), **_described(field.doc)} for field in taken}

    def reached(self) -> dict[str, Json]:
        """All that was referred to, and all that this refers to."""
        while self._waiting:
            if (name := self._waiting.pop()) not in self._found:
                schema = component(self._document, name)
                self._found[name] = {**self._plain(schema), **_described(about(schema))}
        return dict(sorted(self._found.items()))

    def _plain(self, schema: Json) -> Json:
        plain = self._kind(schema)
        if not schema.get("nullable"):
            return plain
        if isinstance(plain.get("type"), str):
            plain["type"] = [plain["type"], "null"]
            return plain | ({"enum": [*plain["enum"], None]} if "enum" in plain else {})
        return {"oneOf": [plain, {"type": "null"}]}

    def _kind(self, schema: Json) -> Json:
        if (name := ref_name(schema)) is not None:
            meant = component(self._document, name)
            if "enum" in meant:
                return self._kind(meant)
            self._waiting.append(name)
            return {"$ref": f"#/schemas/{name}"}
        plain: Json = {key: schema[key] for key in _KEPT if key in schema}
        for bound in ("minimum", "maximum"):  # which OpenAPI 3.0 has exclude itself by a mark beside it
            exclusive = f"exclusive{bound.capitalize()}"
            if plain.pop(exclusive, False) and bound in plain:
                plain[exclusive] = plain.pop(bound)
        if "properties" in schema:
            taken = {name: field for name, field in schema["properties"].items() if not field.get("readOnly")}
            plain["properties"] = {name: {**self._plain(field), **_described(about(field))} for name, field in taken.items()}
        for keyword in ("items", "additionalProperties"):
            if isinstance(schema.get(keyword), dict):
                plain[keyword] = self._plain(schema[keyword])
        if "oneOf" in schema:
            plain["oneOf"] = [self._plain(member) for member in schema["oneOf"]]
        if marks.TAG in schema:
            values: dict[str, Any] = {
                value: name for member in schema["oneOf"] if (name := ref_name(member)) for value in member.get(marks.VALUES, ())
            }
            plain["discriminator"] = {"propertyName": schema[marks.TAG], "mapping": values}
        return plain


def _described(words: str) -> Json:
    return {"description": words} if words else {}
