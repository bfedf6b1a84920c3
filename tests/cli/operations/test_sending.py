"""Operations carried out on a sandbox: what is asked before, what is printed, and what is said when it goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
import pytest

from retell_async import AsyncRetell
from retell_async.cli.operations.sending import UNKNOWN, UNTOLD
from retell_async.cli.profiles import Profile

from ..account import Account

NUMBER = "+14155550123"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    return Account(monkeypatch)


def test_a_call_is_placed_found_and_shown(account: Account) -> None:
    placed = account.place(NUMBER, "--json", "--metadata.order", "4711")
    assert placed.exit_code == 0, placed.output
    call = json.loads(placed.stdout)
    assert (call["to_number"], call["metadata"]) == (NUMBER, {"order": 4711})
    for filters in (["--metadata", "order=4711"], ["--to-number", NUMBER], ["--since", "1d"], ["--agent", account.made.agent_id]):
        found = account.run("call", "list", "--jsonl", "--fields", "call_id", *filters)
        assert [json.loads(line)["call_id"] for line in found.stdout.splitlines()] == [call["call_id"]], (filters, found.output)
    listed = account.run("call", "list").stdout
    assert call["call_id"] in listed
    assert NUMBER not in listed
    assert NUMBER in account.run("call", "list", "--show-numbers").stdout
    assert NUMBER not in account.run("call", "retrieve", call["call_id"]).stdout
    assert account.run("call", "delete", call["call_id"], "--yes").stderr == "Done.\n"


def test_all_pages_or_one(account: Account) -> None:
    for digit in range(5):
        assert account.place(f"+1415555013{digit}").exit_code == 0
    one = account.run("call", "list", "--limit", "2", "--jsonl", "--include-total")
    assert len(one.stdout.splitlines()) == 2
    assert "5 in all." in one.stderr
    key = re.search(r"--all, or --pagination-key (\S+)", one.stderr)
    assert key is not None
    more = account.run("call", "list", "--limit", "2", "--jsonl", "--pagination-key", key[1])
    assert {*one.stdout.splitlines()}.isdisjoint(more.stdout.splitlines())
    for kind in ("--jsonl", "--json"):
        everything = account.run("call", "list", "--limit", "2", "--all", kind)
        assert everything.stdout.count('"call_id"') == 5
        assert everything.stderr == ""
    assert account.run("voice", "list", "--json").stdout.startswith("[")
    assert account.run("call", "list", "--call-status", "error").output == "Nothing.\n"


def test_what_costs_money_is_not_done_where_nobody_can_be_asked(account: Account) -> None:
    numbers = ["--from-number", account.made.phone_number, "--to-number", NUMBER]
    done = account.run("call", "create-phone-call", *numbers, stdin="y\n")
    assert done.exit_code == 1
    assert "may cost money or reach people" in done.stderr
    assert "Nothing was sent" in done.stderr
    gone = account.run("agent", "delete", account.made.agent_id)
    assert "cannot be undone" in gone.stderr
    kept = account.run("agent", "update", account.made.agent_id, "--data-storage-retention-days", "3")
    assert "cannot be undone" in kept.stderr
    account.local.assert_none_placed_twice()
    assert account.local.placed == {}
    assert account.run("agent", "update", account.made.agent_id, "--agent-name", "New").exit_code == 0


@pytest.mark.parametrize(("answer", "placed"), [("y", 1), ("n", 0), ("", 0)])
def test_a_human_is_asked(account: Account, monkeypatch: pytest.MonkeyPatch, answer: str, placed: int) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    numbers = ["--from-number", account.made.phone_number, "--to-number", NUMBER, "--metadata.api_token", "hush"]
    done = account.run("call", "create-phone-call", *numbers, stdin=f"{answer}\n")
    assert "call create-phone-call in the workspace default.\nThis may cost money or reach people." in done.stderr
    assert f'to-number: "{NUMBER}"' in done.stderr  # whom it rings is not hidden from who decides
    assert "hush" not in done.output
    assert done.exit_code == (0 if placed else 1)
    assert sum(account.local.placed.values()) == placed


def test_a_dry_run_sends_nothing_and_needs_no_key(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in [name for name in os.environ if name.startswith("RETELL_")]:
        monkeypatch.delenv(name)
    from click.testing import CliRunner

    from retell_async.cli.group import retell_async

    numbers = ["--from-number", "+14155550100", "--to-number", NUMBER]
    done = CliRunner().invoke(retell_async, ["call", "create-phone-call", *numbers, "--dry-run", "--metadata.secret", "hush"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("POST https://api.retellai.com/v2/create-phone-call\n")
    assert f'"to_number": "{NUMBER}"' in done.stdout
    assert "hush" not in done.output
    assert "key_" not in done.stdout.replace("idempotency_key", "")
    assert account.local.requests() == []


def test_a_dry_run_has_no_keys_in_texts_either(account: Account) -> None:
    url = "https://u:hush@crm.example/h?api_key=hush5678"
    tools = (
        f'[{{"type": "custom", "name": "t", "description": "d", "parameters": {{"type": "object", "properties": {{}}}}, "url": "{url}"}}]'
    )
    done = account.run("llm", "create", "--general-tools", tools, "--general-prompt", f"Look at {url} for +14155550100", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "hush" not in done.output
    assert done.stdout.count("https://***@crm.example/h?api_key=***") == 2
    assert "+14155550100" in done.stdout


def test_an_unknown_outcome_is_its_own_status_and_says_what_to_do(account: Account) -> None:
    account.local.fault("timeout", operation="createPhoneCall", acted=True)
    done = account.place(NUMBER)
    assert done.exit_code == UNKNOWN, done.output
    assert "may have been carried out" in done.stderr
    key = re.search(r"--idempotency-key (\S+)", done.stderr)
    assert key is not None
    account.local.clear_faults()
    assert account.place(NUMBER, "--idempotency-key", key[1]).exit_code == 0
    account.local.assert_placed(NUMBER)
    account.local.fault("timeout", operation="createWebCall", acted=True)
    web = account.run("call", "create-web-call", "--agent-id", account.made.agent_id, "--yes")
    assert web.exit_code == UNKNOWN
    assert "retell-async call list" in web.stderr
    account.local.fault("timeout", operation="createRetellLLM", acted=True)
    llm = account.run("llm", "create", "--general-prompt", "Hi")
    assert llm.exit_code == UNKNOWN
    assert "retell-async llm list" in llm.stderr


def test_errors_say_what_to_do(account: Account) -> None:
    missing = account.run("agent", "retrieve", "agent_nope")
    assert missing.exit_code == 1
    assert "What there is: retell-async agent list" in missing.stderr
    wrong = account.run("call", "create-phone-call", "--from-number", NUMBER, "--to-number", "nobody", "--yes")
    assert (wrong.exit_code, "It was not carried out" in wrong.stderr) == (1, True)
    assert NUMBER not in wrong.stderr
    account.local.fault("error", status=402)
    assert "has to be paid for" in account.run("call", "list").stderr
    account.local.clear_faults()
    account.local.fault("error", status=401)
    assert "retell-async doctor" in account.run("call", "list").stderr


@pytest.mark.parametrize(
    ("message", "there_is"),
    [
        ("the agent was not found", "agent list"),
        ("body.from_number was not found", "phone-number list"),
        ("response_engine.llm_id was not found", "llm list"),
        ("Not found", "call list"),
        ("the requested thing was not found", "call list"),
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_is_not_there_is_listed_where_there_are_some(
    account: Account, monkeypatch: pytest.MonkeyPatch, message: str, there_is: str, status: int
) -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status, json={"message": message})))
    monkeypatch.setattr(Profile, "client", lambda _: AsyncRetell("key_of_the_test", http_client=http))
    done = account.place(NUMBER)
    assert (done.exit_code, done.stderr.strip().rpartition(" (")[2]) == (1, f"{status}). What there is: retell-async {there_is}")


@pytest.mark.parametrize(("status", "again"), [(408, True), (500, True), (405, False), (412, False), (413, False)])
def test_what_stays_refused_is_not_to_be_tried_again(account: Account, status: int, again: bool) -> None:
    account.local.fault("error", status=status)
    done = account.run("agent", "update", account.made.agent_id, "--language", "de-DE")
    assert (done.exit_code, "Try again" in done.stderr, "not carried out" in done.stderr) == (1, again, not again)


def test_a_published_version_that_cannot_be_changed_is_told_with_how_a_draft_is_made(account: Account) -> None:
    assert account.run("agent", "publish", account.made.agent_id, "--version", "0").exit_code == 0
    for command in (["agent", "update", account.made.agent_id], ["llm", "update", account.made.llm_id]):
        done = account.run(
            *command, "--version", "0", "--body", '{"language": "de-DE"}' if "agent" in command else '{"begin_message": "Hi"}'
        )
        assert done.exit_code == 1
        assert "(412). It was not carried out. retell-async agent create-version makes a draft" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["call", "lst"], "No such command 'lst'. Is it list"),
        (["cal", "list"], "Is it call"),
        (["call", "list", "--limt", "3"], "--limit"),
        (["call", "list", "--limit", "many"], "--limit must be a whole number, not 'many'"),
        (["call", "retrieve"], "CALL_ID"),
        (["call", "list", "--since", "soon"], "'soon' is no time"),
        (["logs", "--since", "soon"], "'soon' is no time"),
        (["webhooks", "resend", "--since", "soon"], "'soon' is no time"),
        (["call", "update", "c", "--metadata.a.b", "1", "--metadata.a", '{"c":2}'], "--metadata.a would undo --metadata.a.b"),
        (["call", "list", "--profile", "nowhere"], "set RETELL_API_KEY_NOWHERE"),
        (["agent", "create", "--explain", "nothing"], "has no --nothing"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_sent(account: Account, arguments: list[str], said: str) -> None:
    before = len(account.local.requests())
    done = account.run(*arguments)
    assert done.exit_code == (1 if "RETELL_API_KEY" in said else 2)
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert len(account.local.requests()) == before


def test_names_may_be_as_in_python_and_explained(account: Account) -> None:
    assert account.run("phone_number", "list", "--json").exit_code == 0
    done = account.run("call", "list", "--sort_order", "ascending", "--json")
    assert (done.exit_code, done.stdout) == (0, "[]\n")
    explained = account.run("agent", "create", "--explain", "response_engine")
    assert "llm_websocket_url" in explained.stdout
    assert "af-ZA" in account.run("agent", "create", "--explain", "language").stdout
    tools = account.run("llm", "create", "--explain", "general_tools").stdout
    (transfer,) = [part for part in tools.split("\n\n") if part.startswith("Fields where type is transfer_call")]
    assert "transfer_destination" in transfer
    assert "agent_version" not in transfer
    assert "transfer_call" in account.run("llm", "create", "--explain", "general_tools.type").stdout
    assert "warm_transfer" in account.run("llm", "create", "--explain", "general_tools.transfer_option.type").stdout


@contextmanager
def usual_signals() -> Generator[None]:
    """A block in which signals do what they do to a command at a terminal, also where the tests run in the background."""
    usual: dict[int, Any] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.needs("signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("command", ["create-phone-call", "place"])
def test_a_signal_on_the_way_leaves_it_unknown_too(account: Account, monkeypatch: pytest.MonkeyPatch, command: str, number: str) -> None:
    async def answer(*_: object, **__: object) -> None:
        os.kill(os.getpid(), getattr(signal, number))
        await anyio.sleep(5)

    monkeypatch.setattr("retell_async.resources.call.AsyncCallResource.create_phone_call", answer)
    numbers = [NUMBER] if command == "place" else ["--from-number", account.made.phone_number, "--to-number", NUMBER]
    with usual_signals():
        done = account.run("call", command, *numbers, "--yes")
        assert (done.exit_code, "--idempotency-key ra-" in done.stderr) == (UNKNOWN, True), done.output
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.needs("signals")
def test_what_is_ignored_stays_so(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""

    async def answer(*_: object, **__: object) -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.sleep(0.01)
        return "done"

    monkeypatch.setattr("retell_async.resources.call.AsyncCallResource.create_phone_call", answer)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert account.place(NUMBER).exit_code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ValueError, ModuleNotFoundError("No module named 'rich'")])
def test_what_comes_after_it_was_done_does_not_undo_it(account: Account, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr("retell_async.cli.operations.sending.print_one", interrupted)
    done = account.place(NUMBER)
    assert (done.exit_code, "was carried out: call_id call_" in done.stderr) == (UNTOLD, True), done.output


@pytest.mark.parametrize("kind", ["malformed", "truncated"])
def test_an_answer_that_cannot_be_read_leaves_it_unknown(account: Account, kind: Any) -> None:
    account.local.fault(kind, operation="createPhoneCall")
    done = account.place(NUMBER)
    account.local.assert_placed(NUMBER)
    assert (done.exit_code, "--idempotency-key ra-" in done.stderr) == (UNKNOWN, True), done.output
    account.local.fault(kind, operation="createRetellLLM")
    assert account.run("llm", "create", "--general-prompt", "Hi").exit_code == UNKNOWN


def test_a_call_is_placed_once_under_its_key(account: Account) -> None:
    account.local.fault("timeout", operation="createPhoneCall", acted=True)
    lost = account.run("call", "place", NUMBER, "--yes")
    key = re.search(r"The same command with (--idempotency-key \S+) places", lost.stderr)
    assert key is not None
    account.local.clear_faults()
    assert account.run("call", "place", NUMBER, "--yes", *key[1].split()).exit_code == 0
    account.local.assert_placed(NUMBER)


@pytest.mark.parametrize(
    "words",
    [
        ("agent", "update", "x", "--data-storage-retention-days", "1"),
        ("chat-agent", "update", "x", "--data-storage-retention-days", "1"),
        ("call", "update", "x", "--data-storage-setting", "basic_attributes_only"),
        ("chat", "update", "x", "--data-storage-setting", "basic_attributes_only"),
        ("call", "stop", "x"),
        ("chat", "end", "x"),
        ("call", "take-over-live", "x", "--participant-id", "y"),
    ],
    ids=" ".join,
)
def test_what_is_gone_or_reaches_people_asks(account: Account, words: tuple[str, ...]) -> None:
    done = account.run(*words)
    assert (done.exit_code, "There is nobody to ask here" in done.stderr) == (1, True), done.output
    assert not account.local.requests()


@pytest.mark.parametrize(("command", "status"), [("call create-phone-call", UNKNOWN), ("llm create", UNKNOWN), ("call list", 1)])
def test_ctrl_c_on_the_way_leaves_it_unknown(account: Account, monkeypatch: pytest.MonkeyPatch, command: str, status: int) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("retell_async.cli.operations.sending.anyio.run", interrupted)
    done = account.place() if command.startswith("call create") else account.run(*command.split())
    assert done.exit_code == status
    assert ("--idempotency-key ra-" in done.stderr) == command.startswith("call create")
    assert ("may have been carried out" in done.stderr) == (status == UNKNOWN)
