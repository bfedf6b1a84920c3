"""``python -m retell_async.llm.simulate ws://127.0.0.1:8080/secret``: Retell's side against a server in any language, with a verdict."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import attrs

from .._files import check_apart, replacing
from .log import parsed
from .simulator.results import Style, as_json, as_junit, as_lines
from .simulator.scenarios import Lines, Scenario, read_scenarios, scenarios

__all__ = ["main"]

_LINES = [field.name for field in attrs.fields(Lines)]


def main(arguments: list[str] | None = None, *, program: str = "python -m retell_async.llm.simulate") -> int:
    """Play calls and say what came of them.

    :returns: 0 when no rule was broken, 1 when one was, 2 when nothing could be played.
    """
    asked = _parser(program).parse_args(arguments)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # whatever is typed or said
    try:
        lines = _lines(asked)
        found = _scenarios(asked, lines)
        if asked.list:
            said = [] if asked.script is not None else [f"--line {name + '=':11}  {text}" for name, text in attrs.asdict(lines).items()]
            return _print([("", line) for line in [*(f"{scenario.name:18}  {scenario.about}" for scenario in found), *said]], 0)
        if asked.url is None:
            raise ValueError("the server's URL is missing")
        if str(asked.json) == str(asked.junit) == "-":
            raise ValueError("--json and --junit cannot both go to the standard output")
        read = [] if asked.script is None else [asked.script]
        for path in (asked.json, asked.junit):
            if path is not None and str(path) != "-":
                check_apart(path, read)
                read.append(path)
        metadata = None if asked.metadata is None else _json("--metadata", asked.metadata)
        variables: Any = None if asked.variables is None else _json("--variables", asked.variables)
        if variables is not None and not isinstance(variables, dict):
            raise ValueError("--variables is to be a JSON object")
        stdin: Any = sys.stdin
        if asked.interactive and stdin is None:
            raise ValueError("--interactive needs a standard input, and there is none")
        from .simulator.link import Settings, check_url, play_all
        from .simulator.terminal import talk

        check_url(asked.url)
        settings = Settings(
            asked.answer_within,
            asked.slack,
            asked.call_within,
            metadata=metadata,
            variables=cast("dict[str, Any] | None", variables),
            side_effects=frozenset(asked.tool),
        )
    except (ModuleNotFoundError, ValueError, OSError) as error:
        print(f"Nothing can be played: {error}", file=sys.stderr)
        return 2
    try:
        results = (
            [asyncio.run(talk(asked.url, settings))]
            if asked.interactive
            else asyncio.run(play_all(asked.url, found, settings, concurrency=asked.concurrency))
        )
        for write, path in ((as_json, asked.json), (as_junit, asked.junit)):
            if path is not None and str(path) != "-":
                with replacing(path) as beside:
                    beside.write_text(write(results), encoding="utf-8")
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"The results cannot be written: {error}", file=sys.stderr)
        return 2
    status = 0 if all(result.passed for result in results) else 1
    if not any(result.connected for result in results):
        status = 2
    if "-" in {str(asked.json), str(asked.junit)}:
        return _print([("", as_json(results) if str(asked.json) == "-" else as_junit(results))], status)
    return _print(as_lines(results), status)


def _json(option: str, text: str) -> Any:
    """:raises ValueError: it is not JSON."""
    try:
        return parsed(text)
    except ValueError as error:
        raise ValueError(f"{option} is to be JSON: {error}") from None


def _lines(asked: argparse.Namespace) -> Lines:
    """:raises ValueError: there is no such line."""
    lines: dict[str, str] = {}
    for given in asked.line:
        name, separator, text = given.partition("=")
        if name not in _LINES or not separator or not text.strip():
            raise ValueError(f"--line is to be one of {', '.join(_LINES)}, then = and a text")
        lines[name] = text
    return Lines(**lines)


def _scenarios(asked: argparse.Namespace, lines: Lines) -> list[Scenario]:
    """:raises ValueError: there is no such scenario, or the file cannot be read."""
    found = scenarios(lines, asked.tool) if asked.script is None else _read(asked.script)
    names = {scenario.name for scenario in found}
    if unknown := [name for name in asked.scenario if name not in names]:
        raise ValueError(f"there is no scenario {unknown[0]!r}: there are {', '.join(sorted(names))}")
    chosen = [scenario for scenario in found if not asked.scenario or scenario.name in asked.scenario]
    return [scenario for scenario in chosen for _ in range(asked.calls)]


def _read(script: Path) -> list[Scenario]:
    """:raises ValueError: it cannot be read; the message names the file."""
    try:
        return read_scenarios(script.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--script {script}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--script {script}: {error}") from None


def _print(lines: Iterable[tuple[Style, str]], status: int) -> int:
    """Write to the standard output, in colour at a terminal if rich is there.

    :returns: the exit status, also when nobody reads on.
    """
    console, stdout = None, cast("Any", sys.stdout)
    if stdout is None:
        return status
    if stdout.isatty() and find_spec("rich") is not None:
        from rich.console import Console

        console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    try:
        for style, text in lines:
            if console is None:
                print(text)
            else:
                console.print(text, style=style, markup=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not fail once more when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Play Retell's side of custom-LLM calls against a server, and judge what it does by the rules of the protocol.",
        epilog="The exit status is 0 when no rule was broken, 1 when one was, and 2 when nothing could be played. "
        'A script is TOML: tables [[scenario]] with a name and steps, such as steps = ["wait", "say At ten.", "wait words", "lose", '
        '"silence", "pause 2", "hang up"]; with tools, the names of those that are to be called exactly once.',
    )
    parser.add_argument("url", nargs="?", help="the server's URL, its secret included; the id of the call is added to its path")
    parser.add_argument("--interactive", "-i", action="store_true", help="be the caller, at this terminal")
    parser.add_argument("--scenario", action="append", default=[], metavar="NAME", help="play only this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="say which scenarios and lines there are")
    parser.add_argument("--script", type=Path, metavar="FILE", help="one's own scenarios, in place of those that there are")
    parser.add_argument("--line", action="append", default=[], metavar="NAME=TEXT", help=f"what the caller says: {', '.join(_LINES)}")
    parser.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="NAME",
        help="a tool with a side effect: never called twice with the same arguments, and by the line `tool` exactly once",
    )
    parser.add_argument("--metadata", metavar="JSON", help="the metadata of the calls")
    parser.add_argument("--variables", metavar="JSON", help="the dynamic variables of the calls")
    parser.add_argument("--calls", type=_whole, default=1, metavar="N", help="play each scenario so often (default: 1)")
    parser.add_argument("--concurrency", type=_whole, default=4, metavar="N", help="how many calls go on at once (default: %(default)s)")
    parser.add_argument(
        "--answer-within",
        type=_seconds,
        default=15.0,
        metavar="SECONDS",
        help="how long the next part of an answer may take (default: %(default)g), and its end four times that",
    )
    parser.add_argument(
        "--call-within",
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="how long a call may take in all, pauses of a script included (default: %(default)g)",
    )
    parser.add_argument(
        "--slack",
        type=_seconds,
        default=0.02,
        metavar="SECONDS",
        help="how long something may still come for an answer once the server has read that a newer one is wanted (default: %(default)g)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON; - for the standard output")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit's XML; - for the standard output")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and below 3600")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
