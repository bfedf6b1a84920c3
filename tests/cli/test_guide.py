"""What the guide types is a command, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from retell_async.cli.group import retell_async

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
OWN = ("sandbox", "simulate", "archive", "campaign", "mcp")  # options of their own, or tests of their own
LINES = sorted(
    {
        line
        for page in PAGES
        for block in BLOCK.findall(page.read_text("utf-8"))
        for line in block.splitlines()
        if line.startswith("retell-async ")
    }
)


@pytest.mark.parametrize("line", [line for line in LINES if not {*OWN} & {*line.split()[1:3]}])
def test_a_line_of_the_guide_is_a_command(line: str) -> None:
    _, *arguments = shlex.split(line, comments=True)
    command: click.Command = retell_async
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, arguments, _ = command.make_parser(context).parse_args(arguments)
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=found.name)
    if any(isinstance(param, click.Argument) and isinstance(param.type, click.Path) for param in command.params):
        arguments = [str(ROOT / "tests") if argument == "tests" else argument for argument in arguments]
    command.make_context(command.name, arguments, parent=context.parent)


def test_there_are_lines() -> None:
    assert sum("call list" in line for line in LINES) > 3
