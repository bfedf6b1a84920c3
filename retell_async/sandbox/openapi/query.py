"""Queries, each parameter in the style that the document says, and as the official SDK writes it (``name[]=1``, ``name[key]=1``)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import parse_qsl

import jsonschema_rs

from ..common.messages import Json, Refused
from .schema_values import properties

__all__ = ["QueryReader"]

Pairs = list[tuple[str, str]]

_BETWEEN = {"spaceDelimited": " ", "pipeDelimited": "|"}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?(e[-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False}
_KEY = re.compile(r"\[([^\[\]]*)\]")
_DEEPEST = 20
_ANYTHING: Json = {}


class QueryReader:
    """Reads the query of one operation.

    :param parameters: its parameters in the query.
    :param resolve: gives the schema that a ``$ref`` leads to.
    :param validator: makes the check of a schema.
    """

    def __init__(
        self, parameters: list[Json], resolve: Callable[[Json], Json], validator: Callable[[Json], jsonschema_rs.Draft4Validator]
    ) -> None:
        self._parameters = parameters
        self._names = frozenset(parameter["name"] for parameter in parameters)
        self._resolve = resolve
        self._validator = validator
        self._checks: dict[int, jsonschema_rs.Draft4Validator] = {}  # by the identity of their schemas, which are the document's

    def read(self, text: str, *, strict: bool) -> Json:
        """The parameters that the document knows, converted to their types.

        :param strict: refuse what is of a wrong type; else it is left out.
        :raises Refused: one is missing or of a wrong type.
        """
        sent = parse_qsl(text, keep_blank_values=True)
        values: Json = {}
        for parameter in self._parameters:
            schema, name = parameter["schema"], parameter["name"]
            found = [self._typed(value, schema) for value in self._meant(parameter, sent)]
            if not found:
                if parameter.get("required"):
                    raise Refused(400, f"query parameter {name} is missing")
                continue
            check = self._check(schema)
            valid = [value for value in found if check.is_valid(value)]
            if valid:
                values[name] = valid[0]
            elif strict:
                raise Refused(400, f"query parameter {name}: {next(iter(check.iter_errors(found[0]))).message}")
        return values

    def _meant(self, parameter: Json, sent: Pairs) -> Iterator[Any]:
        """What may be meant by what was sent, the likeliest first: a text, or lists and objects of texts."""
        name, style = parameter["name"], parameter.get("style", "form")
        is_spread = parameter.get("explode", style == "form")
        arrays, objects = (self._of_type(parameter["schema"], kind) for kind in ("array", "object"))
        texts = [text for key, text in sent if key == name]
        inside = [(_KEY.findall(key[len(name) :])[:_DEEPEST], text) for key, text in sent if key.startswith(f"{name}[")]
        if inside:
            yield _nested(inside)
        elif texts:
            parts = texts if is_spread else [part for part in texts[-1].split(_BETWEEN.get(style, ",")) if part or not objects]
            found: list[Any] = [parts] if arrays else []
            found += [dict(zip(parts[::2], parts[1::2], strict=False))] if objects and not is_spread else []
            yield from [*found, texts[-1]] if len(parts) > 1 else [texts[-1], *found]
        elif objects and style == "form" and is_spread:
            known = properties(parameter["schema"], self._resolve)
            is_open = any(one.get("additionalProperties", False) is not False for one in objects)
            fields = {key: text for key, text in sent if key in known or (is_open and key not in self._names)}
            yield from [fields] if fields else []

    def _of_type(self, schema: Json, kind: str) -> list[Json]:
        """The alternatives of a schema that are of a type."""
        schema = self._resolve(schema)
        said = schema.get("type", "object" if "properties" in schema else None)
        own = [schema] if kind == said or (isinstance(said, list) and kind in said) else []
        parts = [*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())]
        return [*own, *(one for part in parts for one in self._of_type(part, kind))]

    def _typed(self, value: Any, schema: Json) -> Any:
        if isinstance(value, str):
            return next((one for one in _readings(value) if self._check(schema).is_valid(one)), value)
        if isinstance(value, list):
            items = next((one.get("items", _ANYTHING) for one in self._of_type(schema, "array")), _ANYTHING)
            return [self._typed(item, items) for item in cast("list[object]", value)]
        known = properties(schema, self._resolve)
        others: list[Any] = [one.get("additionalProperties") for one in self._of_type(schema, "object")]
        other = next((cast("Json", one) for one in others if isinstance(one, dict)), _ANYTHING)
        return {key: self._typed(item, known.get(key, other)) for key, item in cast("Json", value).items()}

    def _check(self, schema: Json) -> jsonschema_rs.Draft4Validator:
        return self._checks.get(id(schema)) or self._checks.setdefault(id(schema), self._validator(schema))


def _readings(text: str) -> Iterator[Any]:
    """What a text may be where it is a value of another type, and itself."""
    if text in _WORDS:
        yield _WORDS[text]
    if _INTEGER.fullmatch(text):
        yield int(text)
    elif _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        yield float(text)
    yield text


def _nested(pairs: list[tuple[list[str], str]]) -> Any:
    """The value of ``[key][]=...`` and the like: a list where there is no key, or a number; a key that comes again is of its next item."""
    whole: Any = _container(pairs[0][0])
    for keys, text in pairs:
        _put(whole, keys, text)
    return whole


def _container(keys: list[str]) -> Any:
    return [] if not keys or keys[0] == "" or keys[0].isdecimal() else {}


def _put(into: Any, keys: list[str], text: str) -> None:
    key, further = (keys or [""])[0], keys[1:]
    if isinstance(into, dict):
        held = cast("Json", into)
        if further and not isinstance(held.get(key), (dict, list)):
            held[key] = _container(further)
    else:
        items = cast("list[Any]", into)
        last: Any = items[-1] if items else None
        if further and (not isinstance(last, (dict, list)) or (len(further) == 1 and further[0] in last)):
            items.append(_container(further))
    if further:
        _put(into[key] if isinstance(into, dict) else into[-1], further, text)
    elif isinstance(into, dict):
        into[key] = text
    else:
        into.append(text)
