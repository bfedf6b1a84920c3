"""Custom functions: the request to the user's endpoint during a call, and the use of its answer. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..common.messages import Json
from ..common.untrusted import parse_json
from ..simulation.variables import fill_variables
from .outbox import AttemptResult, OutgoingRequest

__all__ = ["arguments", "request", "tool_result", "variables_in"]

TIMEOUT_MS = 120_000
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_RESULT_LENGTH = 15_000
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")
_SAMPLES: Mapping[str, Any] = {"integer": 1, "number": 1, "boolean": True, "array": []}


def arguments(tool: Json, variables: Mapping[str, str]) -> Json:
    """The agent's arguments: a constant, the variable of the same name, an enum value, an example, or any value of the type."""
    properties: Mapping[str, Json] = tool.get("parameters", {}).get("properties", {})
    return {name: _sample(name, schema, variables) for name, schema in properties.items()}


def request(tool: Json, args: Json, call: Json, variables: Mapping[str, str]) -> OutgoingRequest:
    """The request of a custom function.

    :param call: the call object at present.
    """
    method: str = tool.get("method", "POST")
    headers = _fill_all(tool.get("headers"), variables)
    content = b""
    if method in _WITH_BODY:
        body = args if tool.get("args_at_root") else {"name": tool["name"], "args": args, "call": call}
        content = json.dumps(body, separators=(",", ":")).encode()
        headers["content-type"] = "application/json"
    return OutgoingRequest(method, fill_variables(tool["url"], variables), content, headers, _fill_all(tool.get("query_params"), variables))


def tool_result(result: AttemptResult) -> str:
    """The result that the agent gets to read."""
    if result.status is None:
        return f"the function could not be reached: {result.problem}"
    text = result.content.decode(errors="replace")[:_RESULT_LENGTH]
    return text if result.good else f"HTTP status {result.status}: {text}"


def variables_in(tool: Json, result: AttemptResult) -> dict[str, str]:
    """The ``response_variables`` that are found in an answer."""
    paths: Mapping[str, str] = tool.get("response_variables") or {}
    if not (paths and result.good):
        return {}
    try:
        answer = parse_json(result.content)
    except ValueError:
        return {}
    if not isinstance(answer, dict):
        return {}
    found = {name: _at(cast("Json", answer), path) for name, path in paths.items()}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items() if value is not None}


def _fill_all(texts: Mapping[str, str] | None, variables: Mapping[str, str]) -> dict[str, str]:
    return {name: fill_variables(text, variables) for name, text in (texts or {}).items()}


def _at(value: object, path: str) -> object:
    for name, index in _STEP.findall(path):
        if isinstance(value, list) and index:
            items = cast("Sequence[object]", value)
            value = items[int(index)] if int(index) < len(items) else None
        else:
            value = cast("Json", value).get(name) if isinstance(value, dict) and name else None
    return value


def _sample(name: str, schema: Any, variables: Mapping[str, str]) -> Any:
    """A value for a schema, which the document does not check."""
    if not isinstance(schema, dict):
        return name
    said = cast("Json", schema)
    if "const" in said:
        return fill_variables(said["const"], variables) if isinstance(said["const"], str) else said["const"]
    kind = said.get("type", "string")
    if kind == "string" and name in variables:
        return variables[name]
    for choices in (said.get("enum"), said.get("examples"), [said[key] for key in ("default", "example") if key in said]):
        if isinstance(choices, list) and choices:
            return cast("Sequence[object]", choices)[0]
    properties = said.get("properties")
    if kind == "object" and isinstance(properties, dict):
        return {below: _sample(below, inner, variables) for below, inner in cast("Json", properties).items()}
    return _SAMPLES.get(kind, name) if isinstance(kind, str) else name
