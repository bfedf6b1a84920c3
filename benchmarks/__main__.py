"""`python -m benchmarks [NAME ...]` runs the benchmarks of these names, or all of them, and prints their tables."""

from __future__ import annotations

import argparse
import os
import platform
import re
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

_ALL = ("startup", "decode", "webhooks", "throughput", "cost", "threads", "pages", "limits", "faults", "telemetry")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure against the official SDK.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(_ALL)} (default: all)")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put each table into this page too, where it has a place for it")
    given = parser.parse_args()
    names: list[str] = given.names or [*_ALL]
    page: Path | None = given.into
    if unknown := set(names) - set(_ALL):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}: there are {', '.join(_ALL)}")
    if page is not None and not page.is_file():
        parser.error(f"there is no {page}")
    for name in names:
        table = str(import_module(f"{__package__}.{name}").run())
        print(table, end="\n\n", flush=True)
        if page is not None:
            page.write_text(placed(page.read_text("utf-8"), name, f"{table}\n\n{_here()}"), "utf-8")


def placed(page: str, name: str, text: str) -> str:
    """A page with a text in the block below ``% make bench: NAME``, if it has one."""
    there = re.compile(rf"(?<=^% make bench: {name}\n```text\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
    return there.sub(lambda _: f"{text}\n", page, count=1)  # an empty block would be found twice


def _here() -> str:
    day = datetime.now(UTC).date()
    return (
        f"retell-async {version('retell-async')}, {platform.python_implementation()} {platform.python_version()}, {platform.system()},"
        f" {os.cpu_count()} processors, {day:%-d %B %Y}"
    )


if __name__ == "__main__":
    main()
