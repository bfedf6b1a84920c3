"""Programs of Python modules as commands, and completion."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from retell_async.cli.group import retell_async
from retell_async.cli.operations import table


@pytest.mark.parametrize(("command", "option"), [(["sandbox"], "--allow-host"), (["llm", "simulate"], "--junit")])
def test_programs_have_their_own_options(command: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(retell_async, [*command, "--help"])
    assert done.exit_code == 0
    assert f"usage: retell-async {' '.join(command)}" in done.output
    assert option in done.output


def commands(command: click.Command, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The ways to all commands that are not operations."""
    if not isinstance(command, click.Group):
        yield way
        return
    context = click.Context(command)
    resource = next((name for name in table.methods() if way == (table.group(name),)), "")
    operations = {table.command(resource, name) for name in table.methods().get(resource, ())}
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and name not in operations:
            yield from commands(found, (*way, name))


BY_HAND = [way for way in commands(retell_async) if way not in {("sandbox",), ("llm", "simulate")}]


@pytest.mark.parametrize("way", BY_HAND, ids=" ".join)
def test_help_fits(way: tuple[str, ...]) -> None:
    done = CliRunner().invoke(retell_async, [*way, "--help"])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "\x1b" not in done.output


def test_all_of_them() -> None:
    assert {("call", "follow"), ("logs",), ("doctor",), ("webhooks", "listen"), ("test", "run"), ("campaign", "plan")} <= {*BY_HAND}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    done = CliRunner().invoke(retell_async, ["completion", shell])
    assert done.exit_code == 0
    assert "_RETELL_ASYNC_COMPLETE" in done.output


@pytest.mark.parametrize(
    ("words", "incomplete", "some"),
    [
        ("retell-async", "ca", {"call", "campaign"}),
        ("retell-async call", "cr", {"create-phone-call", "create-web-call"}),
        ("retell-async call", "f", {"follow"}),
        ("retell-async call list", "--call-s", {"--call-status", "--call-successful"}),
        ("retell-async call list --direction", "", {"inbound", "outbound"}),
        ("retell-async call list --sort-order", "desc", {"descending"}),
        ("retell-async call create-phone-call --metadata.order", "", set[str]()),
        ("retell-async call create-phone-call --metadata.order 1", "--idem", {"--idempotency-key"}),
        ("retell-async webhooks trigger", "chat_a", {"chat_analyzed"}),
    ],
)
def test_what_is_completed(words: str, incomplete: str, some: set[str]) -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(retell_async, {}, "retell-async", "_RETELL_ASYNC_COMPLETE")
    found = {item.value for item in complete.get_completions(words.split()[1:], incomplete)}
    assert found >= some if some else not found
    assert all(one.startswith(incomplete) for one in found)
