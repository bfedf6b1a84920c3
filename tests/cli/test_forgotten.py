"""A value that was forgotten: the option that stands there is taken for none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from retell_async.cli.group import retell_async
from retell_async.cli.operations import table
from retell_async.cli.operations.command import Command

from .account import Account

NUMBER = "+14155550123"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(retell_async, arguments, env={"RETELL_API_KEY": "key_of_the_test"})


@pytest.mark.parametrize(
    "words",
    [
        ["--metadata.order", "--dry-run", "--yes"],
        ["--metadata.order", "--metadata.name", "x", "--yes"],
        ["--metadata", "--dry-run", "--yes"],
        ["--override-agent-id", "--dry_run", "--yes"],
        ["--override_agent_id", "--fields=call_id", "--yes"],
        ["--override-agent-id", "--metadata.name=x", "--yes"],
        ["--yes", "--override-agent-id", "--", "--dry-run"],
        ["--yes", "--profile", "-h"],
    ],
    ids=" ".join,
)
def test_no_call_is_placed_by_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    done = account.run("call", "create-phone-call", "--from-number", account.made.phone_number, "--to-number", NUMBER, *words)
    assert (done.exit_code, " needs a value, and " in done.stderr) == (2, True), done.output
    assert not account.local.placed


def commands(command: click.Command, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands but those with options of their own, and of the operations, which are made in one place, that of creating an agent."""
    yield way, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        resource = next((name for name in table.methods() if way == (table.group(name),)), "")
        operations = {table.command(resource, name) for name in table.methods().get(resource, ())} - (
            {"create"} if way == ("agent",) else set()
        )
        for name in command.list_commands(context):
            if name in operations or (*way, name) in {("sandbox",), ("llm", "simulate"), ("completion",)}:
                continue
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*way, name))


COMMANDS = [*commands(retell_async)]
VALUED = [
    (way, option)
    for way, command in COMMANDS
    if way != ("agent", "create")  # of which some may be left without a value
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag
]


@pytest.mark.parametrize(("way", "option"), VALUED, ids=lambda one: " ".join(one) if isinstance(one, tuple) else one.opts[0])
def test_every_option_that_takes_a_value(way: tuple[str, ...], option: click.Option) -> None:
    done = run(*way, option.opts[0], "--help")
    status = 1 if way[0] == "config" else 2  # to which 2 means that there are changes
    assert (done.exit_code, f"{option.opts[0]} needs a value, and --help is an option" in done.stderr) == (status, True), done.output


def test_every_command_looks() -> None:
    assert [way for way, command in COMMANDS if not isinstance(command, Command)] == []
    assert {("agent", "create"), ("call", "place"), ("campaign", "run"), ("mcp",)} <= {way for way, _ in COMMANDS}
    assert len(VALUED) > 50


@pytest.mark.parametrize(
    "words",
    [
        ["llm", "create", "--general-prompt=--dry-run", "--dry-run"],
        ["llm", "create", "--general-prompt", "--not-an-option", "--dry-run"],
        ["call", "list", "--include-total", "--dry-run"],  # a switch needs no value
        ["agent", "retrieve", "--dry-run", "--", "--yes"],
    ],
    ids=" ".join,
)
def test_what_is_meant_is_taken(words: list[str]) -> None:
    done = run(*words)
    assert done.exit_code == 0, done.output
