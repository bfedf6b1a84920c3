"""The ``filter_criteria`` of lists, which were checked against the document before.

What has no value for a field (yet) passes no filter of that field but ``np`` (not present).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any, TypeVar, cast

from ..common.messages import Json
from ..simulation.analysis import custom_analysis
from ..simulation.lifecycle import call_cost, status
from . import listing
from .calls import Call, Calls, IndexKey
from .listing import Entries

__all__ = ["Field", "KeyedField", "Predicate", "agent_test", "call_test", "candidates", "field_tests"]

T = TypeVar("T")
Predicate = Callable[[T], bool]
Field = Callable[[T, int], Any]
"""Gives the value of a field at a time; ``None`` for no value."""
KeyedField = Callable[[T, int], Mapping[str, Any]]
"""The same for a field that is filtered by keys, such as metadata."""

_TEXT_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "eq": eq,
    "ne": ne,
    "sw": str.startswith,
    "ew": str.endswith,
    "co": lambda text, part: part in text,
}
# In the sandbox, the only tool call to filter by is the one that ends a call: it takes no time and succeeds.
_END_CALL: Json = {"name": "end_call", "type": "end_call", "latency_ms": 0, "success": True}
_NUMBER_TESTS: Mapping[str, Callable[[float, float], bool]] = {"eq": eq, "ne": ne, "gt": gt, "ge": ge, "lt": lt, "le": le}


def call_test(criteria: Json, now: int) -> Predicate[Call]:
    """A test that a call passes when it meets all criteria."""
    tests = list(field_tests(criteria, now, _FIELDS, _KEYED_FIELDS))
    if "agent" in criteria:
        tests.append(agent_test(criteria["agent"], lambda call: (call.params.agent_id, call.params.agent_version)))
    tests += [_tool_call_test(condition, now) for condition in criteria.get("tool_calls", ())]
    return tests[0] if len(tests) == 1 else lambda call: all(test(call) for test in tests)


def candidates(criteria: Json, calls: Calls, now: int) -> Entries[Call]:
    """The shortest index that holds all calls that can pass."""
    found = [calls.indexed_by(index_key) for index_key in _index_keys(criteria)]
    if criteria.get("call_status", {}).get("value") == ["ongoing"]:
        found.append(sorted((call.position, call) for call in calls.active(now)))
    ids = criteria.get("call_id", {})
    if ids.get("op") in {"eq", "in"}:
        wanted = set(ids["value"]) if ids["op"] == "in" else {ids["value"]}
        found.append(sorted((call.position, call) for call in map(calls.get, wanted) if call is not None))
    shortest = min(found, key=len, default=calls.entries)
    return listing.between(shortest, *_bounds(criteria["start_timestamp"])) if "start_timestamp" in criteria else shortest


def _index_keys(criteria: Json) -> Iterator[IndexKey]:
    for name in ("from_number", "to_number", "batch_call_id"):
        if name in criteria and criteria[name]["op"] == "eq":
            yield (name, criteria[name]["value"])
    for name in ("call_type", "disconnection_reason"):
        if name in criteria and len(criteria[name]["value"]) == 1:
            yield (name, criteria[name]["value"][0])
    if len(criteria.get("agent", ())) == 1:
        yield ("agent_id", criteria["agent"][0]["agent_id"])
    for condition in criteria.get("metadata", ()):
        if condition["op"] == "eq":
            yield ("metadata", condition["key"], condition["value"])


def _bounds(condition: Json) -> tuple[float, float]:
    value = condition["value"]
    match condition["op"]:
        case "bt":
            return value[0], value[1]
        case "eq":
            return value, value
        case "gt" | "ge":
            return value, float("inf")
        case "lt" | "le":
            return float("-inf"), value
        case _:
            return float("-inf"), float("inf")


def field_tests(criteria: Json, now: int, fields: Mapping[str, Field[T]], keyed: Mapping[str, KeyedField[T]]) -> Iterator[Predicate[T]]:
    """One test for each criterion on a field."""
    for name, field in fields.items():
        if name in criteria:
            yield _test(field, criteria[name], now)
    for name, parts in keyed.items():
        for condition in criteria.get(name, ()):
            yield _test(_member(parts, condition["key"]), condition, now)


def _test(field: Field[T], condition: Json, now: int) -> Predicate[T]:
    passes = _matcher(condition)
    return lambda item: passes(field(item, now))


def _matcher(condition: Json) -> Callable[[Any], bool]:
    op: str = condition["op"]
    wanted: Any = condition.get("value")
    match condition["type"]:
        case "string":
            compare = _TEXT_TESTS[op]
            return lambda value: isinstance(value, str) and compare(value, wanted)
        case "number":
            measure = _NUMBER_TESTS[op]
            return lambda value: _is_number(value) and measure(value, wanted)
        case "range":
            lowest, highest = wanted
            return lambda value: _is_number(value) and lowest <= value <= highest
        case "enum":
            return lambda value: isinstance(value, str) and value in wanted
        case "boolean":
            return lambda value: value is wanted
        case _:
            return lambda value: (value is not None) is (op == "pr")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def agent_test(choices: list[Json], agent: Callable[[T], tuple[str, int]]) -> Predicate[T]:
    """A test for calls or chats of one of several agents, in one of the given versions."""
    wanted = [(choice["agent_id"], choice.get("version")) for choice in choices]

    def test(item: T) -> bool:
        agent_id, version = agent(item)
        return any(agent_id == wanted_id and (not versions or version in versions) for wanted_id, versions in wanted)

    return test


def _tool_call_test(condition: Json, now: int) -> Predicate[Call]:
    fits = all(_fits(value, condition[name]) for name, value in _END_CALL.items() if name in condition)
    return lambda call: fits and call.plan.reason == "agent_hangup" and now >= call.plan.end


def _fits(value: Any, wanted: Any) -> bool:
    return bool(_matcher(cast("Json", wanted))(value) if isinstance(wanted, dict) else value == wanted)


def _when_ended(field: Callable[[Call], Any]) -> Field[Call]:
    return lambda call, now: field(call) if now >= call.plan.end else None


def _when_analyzed(field: Callable[[Call], Any]) -> Field[Call]:
    return lambda call, now: field(call) if now >= call.plan.analyzed else None


def _started(call: Call, now: int) -> int | None:
    start = call.plan.start
    return start if start is not None and start <= now else None


def _member(field: KeyedField[T], key: str) -> Field[T]:
    return lambda item, now: field(item, now).get(key)


def _custom_analysis(call: Call, now: int) -> Mapping[str, Any]:
    plan = call.plan
    return {} if plan.start is None or now < plan.analyzed else custom_analysis(call.params.asked_analysis, plan.seed)


_FIELDS: Mapping[str, Field[Call]] = {
    "call_id": lambda call, _: call.id,
    "call_status": lambda call, now: status(call.plan, now),
    "call_type": lambda call, _: call.params.kind,
    "direction": lambda call, _: call.params.direction if call.params.kind == "phone_call" else None,
    "from_number": lambda call, _: call.params.from_number,
    "to_number": lambda call, _: call.params.to_number,
    "agent_tag": lambda call, _: call.params.agent_tag,
    "batch_call_id": lambda call, _: call.params.batch_call_id,
    "data_storage_setting": lambda call, _: call.params.echoed.get("data_storage_setting"),
    "start_timestamp": _started,
    "end_timestamp": _when_ended(lambda call: call.plan.end),
    "duration_ms": _when_ended(lambda call: call.plan.duration_ms),
    "disconnection_reason": _when_ended(lambda call: call.plan.reason),
    "combined_cost": _when_ended(lambda call: call_cost(call.plan)["combined_cost"]),
    "e2e_latency_p50": _when_ended(lambda call: None if call.plan.start is None else call.plan.latency_ms),
    "in_voicemail": _when_analyzed(lambda call: call.plan.in_voicemail),
    "call_successful": _when_analyzed(lambda call: call.plan.successful),
    "user_sentiment": _when_analyzed(lambda call: call.plan.sentiment),
}

_KEYED_FIELDS: Mapping[str, KeyedField[Call]] = {
    "metadata": lambda call, _: call.params.echoed.get("metadata", {}),
    "dynamic_variables": lambda call, _: call.params.echoed.get("retell_llm_dynamic_variables", {}),
    "custom_analysis_data": _custom_analysis,
    "custom_attributes": lambda call, _: call.attributes,
}
