"""From texts to arguments."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from retell_async.cli.operations import arguments, table
from retell_async.cli.operations.arguments import conditions, criteria, gathered, left_out, period, pulled, value
from retell_async.cli.operations.command import command
from retell_async.cli.times import moment, plain
from retell_async.sandbox.simulation.outcomes import STATUSES

CALL = table.operation("call", "create_phone_call")
CALLS = table.operation("call", "list")
AGENT = table.operation("agent", "create")
BATCH = table.operation("batch_call", "create_batch_call")


TESTS = table.operation("tests", "create_batch_test")


def nested(operation: table.Operation, *pairs: tuple[str, str]) -> Any:
    """What ways into arguments make, beside what an operation needs."""
    empty = {"object": "{}", "array": "[]"}
    needed = {name: [empty.get((table.kinds(operation.arguments[name]) or ["string"])[0], "x")] for name in operation.required}
    found = gathered(operation, needed, pairs, None, {})
    ways = {table.named(way.split(".")[0]) for way, _ in pairs}
    return {name: value for name, value in found.items() if table.named(name) in ways}


@pytest.mark.parametrize(
    ("given", "never"),
    [
        ({"disconnection_reason": ["user_hangup, dial_busy", "dial_no_answer"]}, "dial_busy, dial_no_answer"),
        ({"call_status": ["not_connected"]}, "not_connected"),
        ({"call_status": ["ended"], "disconnection_reason": ["inactivity"]}, None),
        ({}, None),
    ],
)
def test_what_a_time_leaves_out_is_said(given: Any, never: str | None) -> None:
    said = left_out(CALLS, given)
    assert (said is None) == (never is None)
    assert never is None or f"never connected ({never})" in str(said)


def test_what_has_a_dot_is_taken_out_of_a_command_line() -> None:
    line = ["id", "--metadata.a_b", "1", "--agent-override.agent.voice_id=v", "--json", "--other.x", "2", "--", "--metadata.c", "3"]
    assert pulled(line, ["metadata", "agent_override"]) == (
        ["id", "--json", "--other.x", "2", "--", "--metadata.c", "3"],
        [("metadata.a_b", "1"), ("agent-override.agent.voice_id", "v")],
    )
    with pytest.raises(click.UsageError, match=r"--metadata\.a needs a value"):
        pulled(["--metadata.a"], ["metadata"])


def test_ways_into_arguments() -> None:
    assert nested(CALL, ("metadata.order", "4711"), ("metadata.note", "hi"), ("metadata.deep.er", "true")) == {
        "metadata": {"order": 4711, "note": "hi", "deep": {"er": True}}
    }
    assert nested(CALL, ("retell-llm-dynamic-variables.name", "5")) == {"retell_llm_dynamic_variables": {"name": "5"}}  # which are texts
    assert nested(AGENT, ("response_engine.type", "retell-llm"), ("response-engine.version", "3")) == {
        "response_engine": {"type": "retell-llm", "version": 3}
    }
    tasks = [("tasks.0.to_number", "+14155550123"), ("tasks.0.retell_llm_dynamic_variables.a", "1"), ("tasks.1.to_number", "+14155550124")]
    assert nested(BATCH, *tasks) == {
        "tasks": [{"to_number": "+14155550123", "retell_llm_dynamic_variables": {"a": "1"}}, {"to_number": "+14155550124"}]
    }
    assert nested(AGENT, ("webhook-events.0", "call_ended")) == {"webhook_events": ["call_ended"]}


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("agent-override.agnet.voice_id", "there is no field 'agnet': agent"),
        ("agent-override.agent.voice_speed.x", "there is no field 'x'"),
        ("tasks.3.to_number", "places in a list are 0 to 0, not 3"),
    ],
)
def test_a_way_that_leads_nowhere_is_said_before_anything_is_sent(way: str, said: str) -> None:
    operation = BATCH if way.startswith("tasks") else CALL
    with pytest.raises(click.UsageError, match=said):
        nested(operation, (way, "1"))


@pytest.mark.parametrize(
    ("kind", "text", "meant"),
    [
        ("string", "5", "5"),
        ("string", "null", "null"),
        (["string", "null"], "null", None),
        ("integer", "5", 5),
        (["integer", "null"], "null", None),
        ("number", "1.5", 1.5),
        ("boolean", "true", True),
        (["string", "integer"], "3", 3),
        (["string", "integer"], "latest", "latest"),
        ("object", '{"a": [1]}', {"a": [1]}),
        ([], "4711", 4711),
        ([], "4 711", "4 711"),
        ([], "NaN", "NaN"),
        ([], "-Infinity", "-Infinity"),
        ([], "1e999", "1e999"),
        ([], "1e9", 1e9),
    ],
)
def test_a_text_is_what_the_schema_says(kind: Any, text: str, meant: object) -> None:
    found = value({"type": kind}, text, "--x")
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("integer", "five", "--x must be a whole number, not 'five'"),
        ("integer", "true", "must be a whole number"),
        ("number", "NaN", "must be a number"),
        ("object", '{"a": NaN}', "must be an object in JSON"),
        ("boolean", "yes", "must be true or false"),
        ("object", "[1]", "must be an object in JSON"),
        ("number", "1" * 60 + "x", r"not '1{39}…'"),
    ],
)
def test_a_text_that_cannot_be_it_is_refused(kind: str, text: str, said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        value({"type": kind}, text, "--x")


def test_texts_come_from_files_and_the_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = tmp_path / "prompt.md"
    prompt.write_text("Be kind.\nBe brief.\n", encoding="utf-8")
    llm = table.operation("llm", "create")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"begin_message": "Hello", "general_prompt": "old"}'))
    assert gathered(llm, {"general_prompt": [f"@{prompt}"]}, [], "-", {}) == {
        "begin_message": "Hello",
        "general_prompt": "Be kind.\nBe brief.\n",
    }
    prompt.write_text("Hello.\r\n", encoding="utf-8")
    for text, meant in (("agent_1\n", "agent_1"), ("agent_1", "agent_1"), ("\n", ""), ("a\n\n", "a\n\n"), (" a \n", " a ")):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        got = gathered(table.operation("agent", "update"), {"agent_id": ["-"], "agent_name": [f"@{prompt}"]}, [], None, {})
        assert got == {"agent_id": meant, "agent_name": "Hello."}
    assert gathered(llm, {"begin_message": ["@@home"]}, [], None, {}) == {"begin_message": "@home"}
    monkeypatch.setattr("sys.stdin", io.StringIO("{}"))
    with pytest.raises(click.UsageError, match="can be read once"):
        gathered(llm, {"begin_message": ["-"]}, [], "-", {})
    with pytest.raises(click.UsageError, match=r"missing\.md cannot be read: No such file"):
        gathered(llm, {"begin_message": ["@missing.md"]}, [], None, {})
    with pytest.raises(click.UsageError, match="--body: llm create takes no 'begin_massage': begin_message"):
        gathered(llm, {}, [], '{"begin_massage": "x"}', {})
    with pytest.raises(click.UsageError, match="--body: this is no JSON"):
        gathered(llm, {}, [], "{", {})
    with pytest.raises(click.UsageError, match="--begin-message is given 2 times"):
        gathered(llm, {"begin_message": ["a", "b"]}, [], None, {})
    with pytest.raises(click.UsageError, match="needs --from-number and --to-number"):
        gathered(CALL, {}, [], None, {})
    with pytest.raises(click.UsageError, match=r"--file: there is no file gone\.png"):
        gathered(table.operation("asset", "create"), {"file": ["gone.png"]}, [], None, {})


def test_lists_are_given_one_by_one_or_as_json() -> None:
    found = gathered(TESTS, {"test_case_definition_ids": ["a", '["b", "c"]'], "response_engine": ["{}"]}, [], None, {})
    assert found["test_case_definition_ids"] == ["a", "b", "c"]


def test_conditions_of_lists() -> None:
    assert {"agent", "call_status", "direction", "duration_ms", "metadata", "to_number"} <= {*conditions(CALLS)}
    assert "start_timestamp" not in conditions(CALLS)  # which --since and --until say
    given = {
        "agent": ["agent_1", "agent_2"],
        "call_status": ["ended,error"],
        "in_voicemail": ["true"],
        "duration_ms": [">=60000"],
        "to_number": ["+14155550123"],
        "call_id": ["call_1", "call_2"],
        "metadata": ["order=4711", 'zip="02134"', "vip=true", "age=>30", "name=x=y"],
    }
    assert criteria(CALLS, given, None, None) == {
        "agent": [{"agent_id": "agent_1"}, {"agent_id": "agent_2"}],
        "call_status": {"type": "enum", "op": "in", "value": ["ended", "error"]},
        "in_voicemail": {"type": "boolean", "op": "eq", "value": True},
        "duration_ms": {"type": "number", "op": "ge", "value": 60000},
        "to_number": {"type": "string", "op": "eq", "value": "+14155550123"},
        "call_id": {"type": "enum", "op": "in", "value": ["call_1", "call_2"]},
        "metadata": [
            {"key": "order", "type": "number", "op": "eq", "value": 4711},
            {"key": "zip", "type": "string", "op": "eq", "value": "02134"},
            {"key": "vip", "type": "boolean", "op": "eq", "value": True},
            {"key": "age", "type": "number", "op": "gt", "value": 30},
            {"key": "name", "type": "string", "op": "eq", "value": "x=y"},
        ],
    }
    for wrong, said in (
        ({"metadata": ["order"]}, "KEY=VALUE"),
        ({"duration_ms": ["long"]}, "a number"),
        ({"to_number": ["a", "b"]}, "2 times"),
    ):
        with pytest.raises(click.UsageError, match=said):
            criteria(CALLS, wrong, None, None)


def test_periods() -> None:
    assert period(table.operation("contact", "list")) == "last_conversation_timestamp"
    assert period(table.operation("agent", "list")) is None
    at = 1_790_000_000_000
    since, until = "2026-09-21T14:13:20+00:00", "2026-09-21T14:13:21+00:00"
    assert criteria(CALLS, {}, since, None) == {"start_timestamp": {"type": "number", "op": "ge", "value": at}}
    assert criteria(CALLS, {}, None, until) == {"start_timestamp": {"type": "number", "op": "le", "value": at + 1000}}
    assert criteria(CALLS, {}, since, until) == {"start_timestamp": {"type": "range", "op": "bt", "value": [at, at + 1000]}}
    given = {"filter_criteria": [json.dumps({"direction": {"type": "enum", "op": "in", "value": ["inbound"]}})]}
    both = gathered(CALLS, given, [], None, criteria(CALLS, {}, since, None))
    assert both["filter_criteria"].keys() == {"direction", "start_timestamp"}


def test_times_as_people_write_them() -> None:
    now = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
    assert moment("90m", now) == datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
    assert moment("1w", now) == datetime(2026, 11, 19, 9, 30, tzinfo=UTC)
    assert moment("now", now) == now
    day = moment("today", now)
    assert (day.hour, day.minute) == (0, 0)
    assert moment("yesterday", now).date().toordinal() == day.date().toordinal() - 1
    assert moment("2026-11-26T09:00:00+00:00", now) == datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
    for wrong in ("soon", "", "99999999999999d", "d"):
        with pytest.raises(click.UsageError, match="is no time"):
            moment(wrong, now)
    assert plain("a\x1b[2Jb\nc") == "a [2Jb c"


def test_what_the_api_calls_as_we_call_an_option_stands_apart() -> None:
    fields = {"properties": {"day": {"type": "string"}}, "type": "object"}
    made = attrs.evolve(CALLS, arguments={"profile": fields, "since": {"type": "string"}}, lists=None)
    assert pulled(["--api-profile.day", "x", "--profile", "y"], made.arguments) == (["--profile", "y"], [("api-profile.day", "x")])
    assert gathered(made, {"since": ["1"]}, [("api-profile.day", "x")], None, {}) == {"since": "1", "profile": {"day": "x"}}
    options = [option for param in command(made).params for option in param.opts]
    assert len(options) == len({*options})
    assert {"--api-since", "--api-profile", "--profile"} <= {*options}


def test_the_reasons_are_those_of_calls_that_were_not_connected() -> None:
    assert {*arguments._NEVER_CONNECTED} == {"not_connected"} | {reason for reason, status in STATUSES.items() if status == "not_connected"}
