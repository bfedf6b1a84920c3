"""Calls as they are placed, followed and logged."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from click.testing import CliRunner

from retell_async.cli.by_hand.calls import log_line, summary
from retell_async.cli.by_hand.transcript import Growing, line, transcript, wrapped
from retell_async.cli.group import retell_async
from retell_async.cli.operations.sending import UNKNOWN

from ..account import Account

NUMBER = "+14155550123"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr("retell_async.cli.by_hand.calls._EVERY", 0.02)
    return Account(monkeypatch)


def item(id: str, role: str, content: str = "", **more: Any) -> dict[str, Any]:
    return {"id": id, "role": role, "content": content, "time_sec": 65.2, **more}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (item("1", "user", "My number is +14155550123.\x1b[2J"), "  1:05  user    My number is +141******23. [2J"),
        (item("1", "tool_call_invocation", name="book", arguments='{"day": "Tue"}'), '  1:05  calls   book({"day": "Tue"})'),
        (item("1", "tool_call_result", "done"), "  1:05  result  done"),
        (item("1", "node_transition", former_node_name="A", new_node_name="B"), "  1:05  node    A -> B"),
        (item("1", "user", "  "), None),
        ({"role": "agent", "content": "Hello", "words": [{"start": 2.5}]}, "  0:02  agent   Hello"),
        ({"role": "agent", "content": "Hello", "words": []}, "        agent   Hello"),
        ({"id": "1", "role": "brand_new", "digit": "5"}, '        brand_new  {"digit": "5"}'),
    ],
)
def test_one_line(said: dict[str, Any], told: str | None) -> None:
    assert line(said) == told


def test_a_line_is_done_once_another_begins() -> None:
    growing = Growing()
    assert growing.take(item("1", "agent", "Hel")) == []
    assert growing.take(item("1", "agent", "Hello")) == []
    assert growing.current.endswith("Hello")
    assert growing.take(item("2", "user", "Hi")) == ["  1:05  agent   Hello"]
    assert growing.take(item("1", "agent", "Hello!")) == []  # told already
    assert growing.end() == ["  1:05  user    Hi"]
    assert growing.end() == []


def test_what_is_said_stands_below_itself() -> None:
    told = "  1:05  agent   " + "word " * 20
    assert wrapped(told, None) == told
    first, *rest = wrapped(told, 80).splitlines()
    assert first.startswith("  1:05  agent   word")
    assert rest
    assert all(line.startswith(" " * 16 + "word") and len(line) <= 80 for line in rest)


def test_how_a_call_ended() -> None:
    call = {
        "call_id": "call_1",
        "call_status": "ended",
        "disconnection_reason": "user_hangup",
        "duration_ms": 61_000,
        "call_cost": {"combined_cost": 31},
        "call_analysis": {"call_successful": False},
        "direction": "inbound",
        "from_number": NUMBER,
        "end_timestamp": 1_790_000_000_000,
    }
    assert summary(call) == "ended, user_hangup, 61 s, $0.31, not successful"
    assert log_line(call).endswith("  call_1  from +141******23  ended, user_hangup, 61 s, $0.31, not successful")
    assert log_line({"call_id": "call_2", "call_status": "error"}).endswith("call_2  web  error")
    assert list(transcript({"transcript_object": [{"role": "user", "content": "Hi"}]})) == ["        user    Hi"]


def test_a_call_is_placed_and_followed_to_its_end(account: Account) -> None:
    done = account.run("call", "place", NUMBER, "--yes", "--var", "name=Ann=a")
    assert done.exit_code == 0, done.output
    call_id = done.stdout.strip()
    account.local.assert_placed(NUMBER)
    assert account.local.requests("createPhoneCall")[0].body["retell_llm_dynamic_variables"] == {"name": "Ann=a"}
    followed = account.run("call", "follow", call_id, "--poll")
    assert followed.exit_code == 0, followed.output
    assert "agent" in followed.stdout or "not_connected" in followed.stderr or "error" in followed.stderr
    assert call_id in account.run("logs").stdout
    assert account.run("logs", "--agent", "agent_other").stdout == ""
    assert NUMBER not in account.run("logs").output


@pytest.mark.parametrize(
    ("command", "there_is"),
    [
        (["call", "follow", "call_nope"], "call list"),
        (["logs", "call_nope"], "call list"),
        (["webhooks", "trigger", "call_ended", "--forward-to", "http://localhost:9", "--call", "call_nope"], "call list"),
        (["test", "run", "--agent", "agent_nope"], "agent list"),
        (["test", "run", "--llm", "llm_nope"], "llm list"),
        (["test", "run", "--flow", "flow_nope"], "conversation-flow list"),
    ],
)
def test_an_id_that_is_none_is_told_with_where_there_are_some(account: Account, command: list[str], there_is: str) -> None:
    done = account.run(*command)
    assert done.exit_code == 1
    assert re.search(rf"_id was not found \((404|422)\)\. What there is: retell-async {there_is}\n", done.stderr)


def test_the_request_of_place_is_shown_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RETELL_")]:
        monkeypatch.delenv(name)
    done = CliRunner().invoke(retell_async, ["call", "place", NUMBER, "--from", "+14155550100", "--var", "name=Ann", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("POST https://api.retellai.com/v2/create-phone-call")
    assert '"name": "Ann"' in done.stdout
    assert "--from has to say" in CliRunner().invoke(retell_async, ["call", "place", NUMBER, "--dry-run"]).stderr


def test_what_place_refuses(account: Account) -> None:
    asked = account.run("call", "place", NUMBER)
    assert (asked.exit_code, "--yes" in asked.stderr) == (1, True)
    assert "--var takes NAME=VALUE" in account.run("call", "place", NUMBER, "--yes", "--var", "name").stderr
    assert account.run("phone-number", "create", "--area-code", "415", "--yes").exit_code == 0
    assert "--from says which calls" in account.run("call", "place", NUMBER, "--yes").stderr
    assert not account.local.placed
    account.local.fault("timeout", operation="createPhoneCall", acted=True)
    lost = account.run("call", "place", NUMBER, "--yes", "--from", account.made.phone_number)
    assert lost.exit_code == UNKNOWN
    assert "--idempotency-key" in lost.stderr
    account.local.assert_placed(NUMBER)
