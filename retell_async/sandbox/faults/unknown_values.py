"""Answers with values and fields that the document does not know, as a later version of the API may give them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from random import Random
from typing import Any, cast

from ..common.messages import Json

__all__ = ["FIELD", "VALUE", "with_unknown_field", "with_unknown_value"]

VALUE = "new_value"
FIELD = "new_field"

_USERS_OWN = frozenset(
    {
        "metadata",
        "retell_llm_dynamic_variables",
        "collected_dynamic_variables",
        "default_dynamic_variables",
        "custom_analysis_data",
        "custom_attributes",
        "custom_sip_headers",
    }
)
"""Objects whose fields are not the API's."""


def with_unknown_value(body: Any, number: int) -> Any:
    """The answer with a new value in one of its enums; unchanged when it has none.

    :param number: decides which enum.
    """
    body = copy.deepcopy(body)
    places = [(holder, name) for holder in _objects(body) for name in holder if _is_enum(name, holder[name])]
    if places:
        holder, name = Random(number).choice(places)
        holder[name] = VALUE
    return body


def with_unknown_field(body: Any) -> Any:
    """The answer with a new field in its object, or in each object of its list."""
    if isinstance(body, list):
        return [with_unknown_field(item) for item in cast("list[object]", body)]
    if not isinstance(body, dict):
        return body
    whole = {**cast("Json", body), FIELD: {"is": "new"}}
    return whole | {"items": with_unknown_field(whole["items"])} if isinstance(whole.get("items"), list) else whole


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _objects(item)
    elif isinstance(value, dict):
        holder = cast("Json", value)
        yield holder
        for name, item in holder.items():
            if name not in _USERS_OWN:
                yield from _objects(item)


def _is_enum(name: str, value: Any) -> bool:
    return isinstance(value, str) and value in _enums().get(name, ())


@lru_cache(maxsize=1)
def _enums() -> dict[str, set[str]]:
    """All enum values of the document, by the name of the property."""
    document = json.loads(resources.files("retell_async.raw").joinpath("openapi.json").read_bytes())
    found: dict[str, set[str]] = {}
    for schema in _objects(document):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            for name, described in cast("Json", properties).items():
                if isinstance(described, dict) and isinstance(enum := cast("Json", described).get("enum"), list):
                    found.setdefault(name, set()).update(value for value in cast("list[object]", enum) if isinstance(value, str))
    return found
