"""What is shown of what came back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from retell_async.cli.operations.output import (
    Style,
    astray,
    columns,
    heading,
    picked,
    print_items,
    print_one,
    print_table,
    rows,
    shown,
    without_secrets,
)

CALL: dict[str, Any] = {
    "transcript": "Hello",
    "call_id": "call_1",
    "agent_name": "Front desk\x1b[31m",
    "to_number": "+14155550123",
    "from_number": "+14155550100",
    "start_timestamp": 1_790_000_000_000,
    "duration_ms": 61_000,
    "call_status": "ended",
    "call_cost": {"combined_cost": 12.5, "product_costs": [{"product": "voice", "cost": 1}]},
    "opt_out": False,
    "metadata": {"crm_token": "abc"},
}


def test_columns_are_the_most_telling() -> None:
    assert columns([CALL], "call")[:5] == ["call_id", "call_status", "to_number", "start_timestamp", "duration_ms"]
    assert "agent_name" in columns([CALL], "call")
    assert "agent_name" not in columns([CALL, CALL], "call")  # it tells these calls not apart
    assert columns([{"agent_id": "a", "version": 1, "agent_name": "b"}], "agent")[:2] == ["agent_id", "agent_name"]
    assert [heading(name, "call") for name in ("call_id", "call_status", "start_timestamp", "duration_ms")] == [
        "call_id",
        "status",
        "start",
        "duration",
    ]
    assert "transcript" not in columns([CALL], "call")
    number = {"phone_number": "+14155550100", "phone_number_pretty": "+1 (415) 555-0100", "nickname": "desk", "phone_number_type": "custom"}
    assert columns([number], "phone_number") == ["phone_number", "nickname", "phone_number_type"]  # not one number twice
    assert columns([{"a": 1, "b": None}], "x") == ["a"]
    assert columns([], "x") == []


def test_values_on_one_line() -> None:
    style = Style()
    assert shown("to_number", "+14155550123", style) == "+141******23"
    assert shown("to_number", "+14155550123", Style(numbers=True)) == "+14155550123"
    assert shown("agent_name", CALL["agent_name"], style) == "Front desk [31m"
    assert shown("duration_ms", 61_000, style) == "61 s"
    assert shown("start_timestamp", CALL["start_timestamp"], style).startswith("2026-09-2")
    assert shown("x", None, style) == ""
    assert shown("x", True, style) == "yes"
    assert shown("x", 2.5, style) == "2.5"
    assert shown("version", 10, style) == "10"


def test_one_thing_is_names_with_dots() -> None:
    found = dict(rows(CALL, Style()))
    assert found["call_cost.combined_cost"] == "12.5"
    assert found["metadata.crm_token"] == "***"
    assert "transcript" not in found
    assert dict(rows({"prompt": "a" * 400}, Style()))["prompt"].endswith("… (400 characters)")
    assert dict(rows(picked(CALL, ["transcript", "call_cost.none"]), Style(fields=("transcript",))))["transcript"] == "Hello"


def test_secrets_are_masked_whoever_asks() -> None:
    said = {"auth": {"password": "p", "headers": {"X-Own": "s", "Accept": "a"}}, "items": [{"api_key": "k"}], "to_number": "+14155550123"}
    assert without_secrets(said) == {
        "auth": {"password": "***", "headers": {"X-Own": "***", "Accept": "a"}},
        "items": [{"api_key": "***"}],
        "to_number": "+14155550123",
    }


def test_what_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    print_items([CALL, CALL], "call", Style("jsonl", ("call_id", "call_cost.combined_cost")))
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"call_id": "call_1", "call_cost.combined_cost": 12.5}
    ] * 2
    print_items([], "call", Style("json"))
    assert capsys.readouterr().out == "[]\n"
    print_one(CALL, Style("json"))
    assert json.loads(capsys.readouterr().out) == CALL


def test_what_is_piped_is_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "b"], [["x" * 200, "y"], ["[red]z", ""]])
    assert capsys.readouterr().out == f"{'a':<200}  b\n{'x' * 200}  y\n[red]z\n"


@pytest.mark.parametrize(
    ("answers", "field", "there"),
    [
        ("AgentResponse", "agent_id", False),
        ("AgentResponse", "agent_idd", True),
        ("AgentResponse", "response_engine.llm_id", False),
        ("AgentResponse", "response_engine.llm_idd", True),
        ("CallResponse", "call_cost.combined_cost", False),
        ("CallResponse", "call_cost.combined_cst", True),
        ("CallResponse | None", "metadata.anything.goes", False),
        ("V3CallResponse", "from_number", False),
        ("None", "x", False),
        ("dict[str, Any]", "x", False),
    ],
)
def test_a_field_that_is_not_answered_is_known_before_anything_is_sent(answers: str, field: str, there: bool) -> None:
    assert bool(astray(answers, field)) is there
