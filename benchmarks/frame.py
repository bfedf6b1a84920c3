"""How things are compared: each side in a process of its own environment, turn by turn, and only medians and ratios said."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

__all__ = ["Side", "Table", "fresh", "interleaved", "medians", "running"]

_HERE = Path(__file__).parent
_ENVIRONMENTS = _HERE.parent / os.environ.get("BENCH", "build/bench")


@dataclass(frozen=True)
class Side:
    """One of the things compared: a module in `sides/`, the argument that it is given, and the environment that it runs in.

    `make bench` makes the environments: ``ours`` holds this package with its core dependencies and nothing else, ``peer`` the official SDK,
    ``trio`` the same with trio, ``limits`` libraries that show how fast a thing could be, ``telemetry`` this package with that extra and
    OpenTelemetry's SDK.
    """

    name: str
    environment: Literal["ours", "peer", "limits", "telemetry", "trio"]
    module: str
    argument: str = ""

    def command(self, *arguments: str) -> list[str]:
        # By way of a shell, since on Linux a process begins with the peak memory of the one that started it.
        python = str(_ENVIRONMENTS / self.environment / "bin" / "python")
        return ["/bin/sh", "-c", '"$@"; exit $?', "sh", python, "-E", "-s", *arguments]


def fresh(side: Side) -> dict[str, float]:
    """Run a side as a script in a new interpreter; it prints its figures as one JSON object."""
    command = side.command(str(_HERE / "sides" / f"{side.module}.py"), side.argument)
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=_environment()).stdout)
    return figures


@contextmanager
def running(side: Side) -> Generator[Callable[[], Any]]:
    """Keep a process of this side, in which `prepare(argument)` of its module has given what is called each time that one asks."""
    command = side.command(str(_HERE / "worker.py"), side.module, side.argument)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask() -> Any:
            print(file=stdin, flush=True)
            line = stdout.readline()
            if not line:
                raise RuntimeError(f"{side.name} ended with status {process.wait()}")
            return json.loads(line)

        yield ask


def interleaved(sides: Sequence[Side], repeats: int) -> list[list[Any]]:
    """Ask each side in turn, so many times over, and give back what each answered, in the order of the sides.

    Turn by turn, whatever else the machine does meanwhile falls on all of them alike. The first round warms up and is not counted.
    """
    with ExitStack() as stack:
        asked = [stack.enter_context(running(side)) for side in sides]
        rounds = [[ask() for ask in asked] for _ in range(repeats + 1)]
    return [list(answers) for answers in zip(*rounds[1:], strict=True)]


def medians(answers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: median(answer[name] for answer in answers) for name in answers[0]}


@dataclass
class Table:
    """A plain table under a title."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list[Sequence[str]])

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        shown = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
        return "\n".join([self.title, "", shown[0], "-" * (sum(widths) + 2 * len(widths) - 2), *shown[1:]])


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RETELL_"))}
