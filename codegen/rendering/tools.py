"""What operations are as tools for models: a table of data, `raw/tools.json`, from which `retell_async.mcp` makes its own schemas.

Which operation is a tool, and what a human is asked before, stands in `openapi/surface.yaml`; what it takes, in the document. The schemas
are plain JSON Schema, those of objects by name. Our words are in them, and speak of tools where they spoke of methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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


def tools(document: Json, views: Views) -> Json:
    """The table, from a prepared document with words in it."""
    spoken = {str(method): one.entry.tool.name for one in views.operations if one.entry.tool for method in one.entry.methods[:1]}
    schemas = _Schemas(document, spoken)
    found = dict(_tools(views, schemas))
    return {"tools": found, "schemas": schemas.reached()}


def _tools(views: Views, schemas: _Schemas) -> Iterator[tuple[str, Json]]:
    for operation in sorted(views.operations, key=lambda one: one.entry.tool.name if one.entry.tool else ""):
        if (tool := operation.entry.tool) is None:
            continue
        arguments = schemas.arguments(operation)
        yield (
            tool.name,
            {
                "method": str(operation.entry.methods[0]),
                "effect": tool.effect,
                "repeat": operation.entry.repeat,
                "asks": dict(tool.asks),
                "open_world": tool.open_world,
                "lists": "pages" if operation.paging else "array" if operation.returns.startswith("list[") else None,
                "about": schemas.words(about(operation.said)),
                "required": [field.name for field in operation.taken if field.required and field.name in arguments],
                "arguments": arguments,
            },
        )


class _Schemas:
    """Schemas of a prepared document as plain JSON Schema, and those that they refer to."""

    def __init__(self, document: Json, spoken: Mapping[str, str]) -> None:
        self._document = document
        self._spoken = spoken
        self._found: dict[str, Json] = {}
        self._waiting: list[str] = []

    def words(self, text: str) -> str:
        """Words that speak of tools where they spoke of methods."""
        return re.sub(r"`(\w+\.\w+)`", lambda match: f"`{self._spoken.get(match[1], match[1])}`", text)

    def arguments(self, operation: Operation) -> dict[str, Json]:
        """What an operation takes, by name; files aside, which a model has none of."""
        said: dict[str, Json] = {}
        for parameter in operation.said["parameters"]:
            said[parameter["name"]] = {**parameter["schema"], marks.WORDS: parameter.get(marks.WORDS)}
        if operation.body is not None:
            said |= component(self._document, operation.body).get("properties", {})
        taken = [field for field in operation.taken if field.wire in said and field.wire not in operation.files]
        return {field.name: {**self._plain(said[field.wire]), **_described(self.words(field.doc))} for field in taken}

    def reached(self) -> dict[str, Json]:
        """All that was referred to, and all that this refers to."""
        while self._waiting:
            if (name := self._waiting.pop()) not in self._found:
                schema = component(self._document, name)
                self._found[name] = {**self._plain(schema), **_described(self.words(about(schema)))}
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
            if isinstance(marked := plain.get(exclusive), bool):
                del plain[exclusive]
                if marked and bound in plain:
                    plain[exclusive] = plain.pop(bound)
        if "properties" in schema:
            plain["properties"] = {
                name: {**self._plain(field), **_described(self.words(about(field)))}
                for name, field in schema["properties"].items()
                if not field.get("readOnly")
            }
        if "items" in schema:
            plain["items"] = self._plain(schema["items"])
        if isinstance(schema.get("additionalProperties"), dict):
            plain["additionalProperties"] = self._plain(schema["additionalProperties"])
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
