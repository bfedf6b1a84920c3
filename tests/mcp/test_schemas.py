"""Schemas for small contexts: what the list says, what opens, what is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from retell_async.mcp.catalog import named, schemas, tools
from retell_async.mcp.schemas import describe, input_schema, problem

Json = dict[str, Any]


@pytest.mark.parametrize("tool", tools().values(), ids=lambda tool: tool.name)
def test_every_argument_is_in_the_list_with_a_type_and_opens(tool: Any) -> None:
    schema = input_schema(tool)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == tool.arguments.keys()
    assert {*schema.get("required", ())} <= tool.arguments.keys()
    for name, short in schema["properties"].items():
        assert short.get("type") or "oneOf" in tool.arguments[name] or not tool.arguments[name].get("type")
        assert "$ref" not in str(short)
        assert describe(f"{tool.name}.{name}")["path"] == f"{tool.name}.{name}"
    assert describe(tool.name)["arguments"].keys() == tool.arguments.keys()


def test_all_that_is_referred_to_is_there_and_opens() -> None:
    """Every way from a tool down, as far as it goes, without going round."""
    seen: set[str] = set()
    largest = 0

    def open_all(path: str, depth: int) -> None:
        nonlocal largest
        said = describe(path)
        largest = max(largest, len(str(said)))
        inside = {**said.get("kinds", {}), **{name: "" for name, line in said.get("fields", {}).items() if line.get("opens")}}
        mark = str({key: value for key, value in said.items() if key != "path"})
        if mark in seen or depth > 12:
            return
        seen.add(mark)
        for name in inside:
            open_all(f"{path}.{name}", depth + 1)

    for tool in tools().values():
        for name in tool.arguments:
            open_all(f"{tool.name}.{name}", 0)
    assert len(seen) > 150
    assert largest < 25_000
    assert schemas()


def test_a_union_opens_by_the_value_of_its_tag() -> None:
    engine = describe("create_agent.response_engine")
    assert engine["kinds"].keys() == {"retell-llm", "custom-llm", "conversation-flow"}
    assert engine["told_apart_by"] == "type"
    assert describe("create_agent.response_engine.retell-llm")["fields"]["llm_id"]["type"] == "string"
    assert describe("create_agent.response_engine.retell-llm")["required"] == ["llm_id", "type"]


def test_lists_and_maps_are_passed_through() -> None:
    assert describe("create_batch_call.tasks")["type"] == "list of object"
    assert describe("create_batch_call.tasks.to_number")["type"] == "string"
    assert describe("create_phone_call.custom_sip_headers")["type"] == "map of string"


def test_all_schemas_are_schemas() -> None:
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)
    assert schemas()["AgentWeight"]["properties"]["weight"]["exclusiveMinimum"] == 0


def test_words_speak_of_tools() -> None:
    assert "`list_llms`" in describe("create_agent.response_engine.retell-llm")["fields"]["llm_id"]["about"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("create_agnt", "there is no tool 'create_agnt': create_agent"),
        ("create_agent.voice", "create_agent has no 'voice': .*voice_id"),
        ("create_agent.response_engine.retell", "response_engine has no 'retell': retell-llm"),
        ("create_agent.voice_id.x", "voice_id has no 'x': there is nothing"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_there_is(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        describe(path)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("get_call", {}, "get_call needs call_id"),
        ("create_web_call", {"agent_id": ""}, "agent_id is empty"),
        ("get_call", {"call_id": 7}, "call_id must be string"),
        ("get_call", {"call_id": "call_1", "version": 1}, "takes no 'version': call_id, fields"),
        ("get_concurrency", {"x": 1}, "takes no 'x'"),
        ("list_calls", {"limit": 0}, "limit must be at least 1"),
        ("list_calls", {"limit": 101}, "limit must be at most 100"),
        ("get_call", {"call_id": "call_1", "fields": ["call_id", 7]}, "fields must be list of string"),
        ("list_calls", {"limit": True}, "limit must be integer"),
        ("wait_for_call", {"call_id": "call_1", "seconds": 0}, "seconds must be above 0"),
        ("create_batch_call", {"from_number": "+14155550100", "tasks": {}}, "tasks must be list of object"),
        ("create_batch_call", {"from_number": "+14155550100", "tasks": []}, "there is no call in it"),
        ("create_agent", {"voice_id": "v", "response_engine": "llm_1"}, "describe_schema\\('create_agent.response_engine'\\)"),
    ],
)
def test_what_is_wrong_with_arguments_is_said_with_the_way_out(name: str, arguments: Json, said: str) -> None:
    told = problem(named(name), arguments)
    assert told is not None
    assert re.search(said, told)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("get_call", {"call_id": "call_1", "fields": ["call_id"]}),
        ("update_agent", {"agent_id": "agent_1", "version": 3}),
        ("update_agent", {"agent_id": "agent_1", "version": "latest", "agent_name": None}),
        ("wait_for_call", {"call_id": "call_1", "seconds": 600}),
    ],
)
def test_what_is_right_is_let_through(name: str, arguments: Json) -> None:
    assert problem(named(name), arguments) is None
