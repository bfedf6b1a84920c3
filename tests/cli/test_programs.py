"""Programs of Python modules as commands, and completion."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from retell_async.cli.group import retell_async


@pytest.mark.parametrize(("command", "option"), [(["sandbox"], "--allow-host"), (["llm", "simulate"], "--junit")])
def test_programs_have_their_own_options(command: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(retell_async, [*command, "--help"])
    assert done.exit_code == 0
    assert f"usage: retell-async {' '.join(command)}" in done.output
    assert option in done.output


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
        ("retell-async webhooks trigger", "chat_a", {"chat_analyzed"}),
    ],
)
def test_what_is_completed(words: str, incomplete: str, some: set[str]) -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(retell_async, {}, "retell-async", "_RETELL_ASYNC_COMPLETE")
    assert {item.value for item in complete.get_completions(words.split()[1:], incomplete)} == some
