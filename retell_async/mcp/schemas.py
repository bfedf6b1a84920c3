"""Schemas for small contexts: what the list of tools says of arguments, what `describe_schema` opens, and what is wrong with arguments."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

from .catalog import Json, Tool, named, near, schemas
from .policy import calls, rings

__all__ = ["describe", "input_schema", "problem"]

_WORDS_FOR = 13
"""Arguments of a tool of which a word is said in the list; those of one that has more are described when they are asked for."""
_LONGEST_ENUM = 200
_BOUNDS = ("enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength")


def input_schema(tool: Tool) -> Json:
    """The schema of what a tool takes, one level deep: names, types, what is required, a sentence where there are few."""
    said = len(tool.arguments) <= _WORDS_FOR
    return {
        "type": "object",
        "properties": {name: _short(schema, said=said) for name, schema in tool.arguments.items()},
        **({"required": list(tool.required)} if tool.required else {}),
        "additionalProperties": False,
    }


def _short(schema: Json, *, said: bool) -> Json:
    short: Json = {"type": kinds[0] if len(kinds := _kinds(schema)) == 1 else kinds} if _kinds(schema) else {}
    short |= {key: schema[key] for key in _BOUNDS if key in schema and len(json.dumps(schema[key])) <= _LONGEST_ENUM}
    if schema.get("items", {}).get("type") == "string":
        short["items"] = {"type": "string"}
    if said and "description" in schema:
        short["description"] = _sentence(schema["description"])
    return short


def _sentence(text: str) -> str:
    """The first sentence; a dot within a name or a number ends none."""
    return text.partition(". ")[0].rstrip(".") + "."


def _kinds(schema: Json) -> list[str]:
    """The types that a value may have; none where it may have any."""
    if "$ref" in schema:
        return _kinds(_meant(schema))
    found: list[str] = []
    for member in schema.get("oneOf", ()):
        found += _kinds(member)
    said = schema.get("type", [])
    return list(dict.fromkeys([*found, *([said] if isinstance(said, str) else said)]))


def _meant(schema: Json) -> Json:
    """Follow a reference; what stands beside it goes before what it leads to."""
    if "$ref" not in schema:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_meant(schemas()[schema["$ref"].rpartition("/")[2]]), **beside}


def describe(path: str) -> Json:
    """What stands at a path: a tool with all its arguments, or a field with all that is in it, one level deep.

    A list and a map are passed through to what they hold. Of several kinds one is named by the value of its tag.

    :raises ValueError: there is no such tool or field; the message says what there is.
    """
    name, *way = path.strip().split(".")
    tool = named(name)
    if not way:
        return {
            "tool": tool.name,
            "about": tool.about,
            "required": list(tool.required),
            "arguments": {key: _line(schema) for key, schema in tool.arguments.items()},
        }
    here: Json = {"type": "object", "properties": dict(tool.arguments)}
    gone = name
    for step in way:
        found = _within(here, step)
        if found is None:
            raise ValueError(f"{gone} has no {step!r}{near(step, _names(here))}")
        here, gone = found, f"{gone}.{step}"
    return {"path": gone, **_level(here)}


def _inner(schema: Json) -> Json:
    """What a reference, a list, a map or a value that may be null comes to."""
    schema = _meant(schema)
    if "items" in schema:
        return _inner(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict) and "properties" not in schema:
        return _inner(cast("Json", schema["additionalProperties"]))
    objects = [member for member in schema.get("oneOf", ()) if member != {"type": "null"}]
    return _inner(objects[0]) if len(objects) == 1 else schema


def _within(schema: Json, step: str) -> Json | None:
    schema = _inner(schema)
    kinds: Mapping[str, str] = schema.get("discriminator", {}).get("mapping", {})
    if step in kinds:
        return schemas()[kinds[step]]
    found: Json | None = schema.get("properties", {}).get(step)
    return found


def _names(schema: Json) -> list[str]:
    schema = _inner(schema)
    return [*schema.get("discriminator", {}).get("mapping", {}), *schema.get("properties", {})]


def _level(schema: Json) -> Json:
    """A schema with what is directly in it."""
    meant, inner = _meant(schema), _inner(schema)
    about = meant.get("description") or inner.get("description")
    level: Json = {"type": _type(meant), **({"about": about} if about else {}), **_bounds(inner)}
    tag = inner.get("discriminator")
    if tag is not None:
        level["kinds"] = {
            value: _sentence(schemas()[name].get("description", name)) for value, name in cast("Mapping[str, str]", tag["mapping"]).items()
        }
        level["told_apart_by"] = tag["propertyName"]
    if "properties" in inner:
        level["required"] = inner.get("required", [])
        level["fields"] = {name: _line(field) for name, field in inner["properties"].items()}
    return level


def _line(schema: Json) -> Json:
    """A field on one line: what it is, and whether it opens further."""
    meant, inner = _meant(schema), _inner(schema)
    about = meant.get("description", "")
    opens = "properties" in inner or "discriminator" in inner
    return {"type": _type(meant), **({"about": about} if about else {}), **_bounds(inner), **({"opens": True} if opens else {})}


def _type(schema: Json) -> str:
    schema = _meant(schema)
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict) and "properties" not in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    if "oneOf" in schema:
        return " or ".join(dict.fromkeys(_type(member) for member in schema["oneOf"]))
    return " or ".join(_kinds(schema)) or "any"


def _bounds(schema: Json) -> Json:
    names = {"enum": "one_of", "pattern": "pattern"}
    return {names.get(key, key): schema[key] for key in (*_BOUNDS, "pattern", "minItems", "maxItems") if key in schema}


_PYTHON: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


_ENDS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("minimum", "at least", operator.ge),
    ("maximum", "at most", operator.le),
    ("exclusiveMinimum", "above", operator.gt),
    ("exclusiveMaximum", "below", operator.lt),
)


def problem(tool: Tool, arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with arguments at the first level, and what to do about it; ``None`` if nothing is. What is in them the API checks."""
    for name in arguments:
        if name not in tool.arguments:
            return f"{tool.name} takes no {name!r}{near(name, tool.arguments)}"
    if missing := [name for name in tool.required if name not in arguments]:
        return f"{tool.name} needs {' and '.join(missing)}: describe_schema('{tool.name}') says what is meant"
    for name, value in arguments.items():
        schema = tool.arguments[name]
        if (wrong := _wrong(schema, value)) is not None:
            return f"{tool.name}: {name} {wrong}: describe_schema('{tool.name}.{name}') says what is meant"
    if rings(tool) and not calls(tool, arguments):
        return f"{tool.name}: there is no call in it: describe_schema('{tool.name}') says what is meant"
    return None


def _wrong(schema: Json, value: Any) -> str | None:
    kinds = _kinds(schema)
    if kinds and not any(isinstance(value, _PYTHON[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds):
        return f"must be {_type(schema)}"
    if isinstance(value, list) and schema.get("items", {}).get("type") == "string":
        return None if all(isinstance(item, str) for item in cast("list[object]", value)) else "must be list of string"
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        return "is too short" if value else "is empty"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return next((f"must be {said} {schema[key]}" for key, said, fits in _ENDS if key in schema and not fits(value, schema[key])), None)
    return None
