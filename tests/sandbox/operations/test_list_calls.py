"""Lists of calls: order, pages and filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from retell_async.sandbox import Settings

from ..checked import Api, Json

AGENTS = ("Alpha", "Beta")


@pytest.fixture(scope="module")
def api() -> Api:
    """300 calls in all stages of their lives, two a second."""
    api = Api(Settings(seed=4))
    option = {"action": {"type": "hangup"}}
    agents = [api.agent(agent_name=name, voicemail_option=option) for name in AGENTS]
    from_number = api.number()
    for number in range(300):
        api.clock.advance(0.5)
        agent_id = agents[number % 3 % 2]
        api.call(
            from_number,
            f"+1201555{number % 250:04}",
            override_agent_id=agent_id,
            metadata={"n": number, "even": number % 2 == 0, "job": f"job-{number % 10}", **({"rare": "x"} if number == 77 else {})},
            retell_llm_dynamic_variables={"name": f"name-{number}"},
        )
        if number % 25 == 0:
            api.post("/v3/create-web-call", {"agent_id": agent_id})
    return api


@pytest.fixture(scope="module")
def everything(api: Api) -> list[Json]:
    return api.calls(limit=1000)


def in_pages(api: Api, **asked: Any) -> list[Json]:
    found: list[Json] = []
    answer = api.post("/v3/list-calls", asked)
    while True:
        found += answer["items"]
        if not answer["has_more"]:
            return found
        answer = api.post("/v3/list-calls", asked | {"pagination_key": answer["pagination_key"]})


def test_all_stages_are_there(everything: list[Json]) -> None:
    assert len(everything) == 312
    assert {call["call_status"] for call in everything} == {"registered", "ongoing", "ended", "not_connected", "error"}


def test_calls_come_newest_first_and_in_pages(api: Api, everything: list[Json]) -> None:
    starts = [call["start_timestamp"] for call in everything if "start_timestamp" in call]
    assert starts == sorted(starts, reverse=True)
    assert len(api.calls()) == 50
    assert in_pages(api, limit=7) == everything
    assert in_pages(api, limit=104, sort_order="ascending") == everything[::-1]
    assert api.calls(skip=300) == everything[300:]
    assert api.calls(skip=10**30) == []
    assert api.post("/v3/list-calls", {"limit": 1, "skip": 5, "include_total": True})["total"] == 312


def test_calls_that_come_in_between_neither_repeat_nor_skip_others() -> None:
    api = Api()
    from_number = api.number()
    for _ in range(20):
        api.clock.advance(30)
        api.call(from_number)
    first = api.post("/v3/list-calls", {"limit": 10})
    before = api.calls(skip=10)
    for _ in range(5):
        api.clock.advance(30)
        api.call(from_number)
    assert api.calls(pagination_key=first["pagination_key"]) == before


def text(op: str, value: str) -> Json:
    return {"type": "string", "op": op, "value": value}


def number(op: str, value: float) -> Json:
    return {"type": "number", "op": op, "value": value}


def between(low: float, high: float) -> Json:
    return {"type": "range", "op": "bt", "value": [low, high]}


def one_of(*values: str) -> Json:
    return {"type": "enum", "op": "in", "value": list(values)}


def boolean(value: bool) -> Json:
    return {"type": "boolean", "op": "eq", "value": value}


PRESENT, ABSENT = {"type": "present", "op": "pr"}, {"type": "present", "op": "np"}


def analysis(name: str, value: object) -> Callable[[Json], bool]:
    return lambda call: call.get("call_analysis", {}).get(name) == value


FILTERS: list[tuple[Json, Callable[[Json], bool]]] = [
    ({}, lambda _: True),
    ({"to_number": text("eq", "+12015550007")}, lambda call: call.get("to_number") == "+12015550007"),
    ({"to_number": text("eq", "+12025550007")}, lambda _: False),
    ({"to_number": text("ne", "+12015550007")}, lambda call: call.get("to_number", "+12015550007") != "+12015550007"),
    ({"to_number": text("sw", "+1201555000")}, lambda call: call.get("to_number", "").startswith("+1201555000")),
    ({"to_number": text("ew", "42")}, lambda call: call.get("to_number", "").endswith("42")),
    ({"from_number": text("co", "415555")}, lambda call: "415555" in call.get("from_number", "")),
    ({"call_status": one_of("ongoing")}, lambda call: call["call_status"] == "ongoing"),
    ({"call_status": one_of("error", "not_connected")}, lambda call: call["call_status"] in {"error", "not_connected"}),
    ({"call_status": one_of()}, lambda _: False),
    ({"call_type": one_of("web_call")}, lambda call: call["call_type"] == "web_call"),
    ({"direction": one_of("outbound")}, lambda call: call["call_type"] == "phone_call"),
    ({"direction": one_of("inbound")}, lambda _: False),
    ({"disconnection_reason": one_of("dial_busy")}, lambda call: call.get("disconnection_reason") == "dial_busy"),
    (
        {"disconnection_reason": one_of("dial_busy", "inactivity")},
        lambda call: call.get("disconnection_reason") in {"dial_busy", "inactivity"},
    ),
    ({"in_voicemail": boolean(True)}, analysis("in_voicemail", True)),
    ({"call_successful": boolean(False)}, analysis("call_successful", False)),
    ({"user_sentiment": one_of("Positive")}, analysis("user_sentiment", "Positive")),
    ({"data_storage_setting": one_of("everything")}, lambda _: True),
    ({"data_storage_setting": one_of("basic_attributes_only")}, lambda _: False),
    ({"duration_ms": between(20_000, 40_000)}, lambda call: 20_000 <= call.get("duration_ms", 0) <= 40_000),
    ({"duration_ms": number("eq", 0)}, lambda call: call.get("duration_ms") == 0),
    ({"combined_cost": number("gt", 5)}, lambda call: call.get("call_cost", {}).get("combined_cost", 0) > 5),
    ({"e2e_latency_p50": number("le", 800)}, lambda call: call.get("latency", {}).get("e2e", {}).get("p50", 9e9) <= 800),
    ({"tool_calls": [{"name": "end_call", "success": boolean(True)}]}, lambda call: call.get("disconnection_reason") == "agent_hangup"),
    ({"tool_calls": [{"name": "end_call"}, {"latency_ms": number("gt", 10)}]}, lambda _: False),
    ({"metadata": [{"key": "job", **text("eq", "job-3")}]}, lambda call: call.get("metadata", {}).get("job") == "job-3"),
    ({"metadata": [{"key": "n", **number("lt", 20)}]}, lambda call: call.get("metadata", {"n": 99})["n"] < 20),
    ({"metadata": [{"key": "n", **number("eq", 1)}]}, lambda call: call.get("metadata", {}).get("n") == 1),
    ({"metadata": [{"key": "even", **boolean(True)}]}, lambda call: call.get("metadata", {}).get("even") is True),
    ({"metadata": [{"key": "even", **number("eq", 1)}]}, lambda _: False),
    ({"metadata": [{"key": "rare", **PRESENT}]}, lambda call: "rare" in call.get("metadata", {})),
    ({"metadata": [{"key": "rare", **ABSENT}]}, lambda call: "rare" not in call.get("metadata", {})),
    (
        {"dynamic_variables": [{"key": "name", **text("ew", "-7")}]},
        lambda call: call.get("retell_llm_dynamic_variables", {}).get("name") == "name-7",
    ),
    ({"custom_analysis_data": [{"key": "any", **PRESENT}]}, lambda _: False),
    ({"agent_tag": one_of("prod")}, lambda _: False),
    ({"batch_call_id": text("eq", "batch")}, lambda _: False),
    (
        {"call_status": one_of("ended"), "metadata": [{"key": "job", **text("eq", "job-3")}], "call_successful": boolean(True)},
        lambda call: (
            call["call_status"] == "ended" and call.get("metadata", {}).get("job") == "job-3" and analysis("call_successful", True)(call)
        ),
    ),
]


@pytest.mark.parametrize(("criteria", "expected"), FILTERS)
def test_filters_find_just_what_they_say(api: Api, everything: list[Json], criteria: Json, expected: Callable[[Json], bool]) -> None:
    wanted = [call for call in everything if expected(call)]
    assert in_pages(api, filter_criteria=criteria, limit=9) == wanted
    assert api.post("/v3/list-calls", {"filter_criteria": criteria, "include_total": True, "limit": 1})["total"] == len(wanted)


@pytest.mark.parametrize("op", ["eq", "ne", "gt", "ge", "lt", "le"])
@pytest.mark.parametrize("name", ["start_timestamp", "end_timestamp", "duration_ms"])
def test_numbers_compare_as_their_operator_says(api: Api, everything: list[Json], name: str, op: str) -> None:
    compare: Callable[[int, int], bool] = {
        "eq": int.__eq__,
        "ne": int.__ne__,
        "gt": int.__gt__,
        "ge": int.__ge__,
        "lt": int.__lt__,
        "le": int.__le__,
    }[op]
    values = sorted(call[name] for call in everything if name in call)
    value = values[len(values) // 2]
    wanted = [call for call in everything if name in call and compare(call[name], value)]
    assert api.calls(filter_criteria={name: number(op, value)}, limit=1000) == wanted


def test_by_start_and_by_end(api: Api, everything: list[Json]) -> None:
    starts = sorted(call["start_timestamp"] for call in everything if "start_timestamp" in call)
    wanted = [call for call in everything if starts[50] <= call.get("start_timestamp", 0) <= starts[60]]
    assert api.calls(filter_criteria={"start_timestamp": between(starts[50], starts[60])}) == wanted
    assert api.calls(filter_criteria={"start_timestamp": between(starts[60], starts[50])}) == []


def test_by_agent_and_by_id(api: Api, everything: list[Json]) -> None:
    agents = sorted({call["agent_id"] for call in everything})
    one = [call for call in everything if call["agent_id"] == agents[0]]
    assert api.calls(filter_criteria={"agent": [{"agent_id": agents[0]}]}, limit=1000) == one
    assert api.calls(filter_criteria={"agent": [{"agent_id": agents[0], "version": [0, 1]}]}, limit=1000) == one
    assert api.calls(filter_criteria={"agent": [{"agent_id": agents[0], "version": [1]}]}) == []
    assert api.calls(filter_criteria={"agent": [{"agent_id": agent_id} for agent_id in agents]}, limit=1000) == everything
    ids = [call["call_id"] for call in everything[3:6]]
    assert api.calls(filter_criteria={"call_id": one_of(*ids, "call_none")}) == everything[3:6]
    assert api.calls(filter_criteria={"call_id": text("eq", ids[0])}) == everything[3:4]
    assert api.calls(filter_criteria={"call_id": text("ew", ids[0][-12:])}) == everything[3:4]


@pytest.mark.parametrize(
    "asked",
    [
        {"skip": 0, "pagination_key": "1.1"},
        {"skip": -1},
        {"limit": 1001},
        {"limit": 0},
        {"sort_order": "newest"},
        {"pagination_key": "nonsense"},
        {"filter_criteria": {"to_number": {"type": "string", "op": "like", "value": "x"}}},
        {"filter_criteria": {"call_status": one_of("registered")}},
        {"filter_criteria": {"duration_ms": {"type": "range", "op": "bt", "value": [1]}}},
        {"filter_criteria": {"metadata": [text("eq", "no key")]}},
        {"filter_criteria": {"tool_calls": [{}]}},
        {"filter_criteria": []},
        [],
    ],
)
def test_lists_refuse_what_they_do_not_understand(api: Api, asked: object) -> None:
    assert api.refusal("POST", "/v3/list-calls", asked)[0] == 400
