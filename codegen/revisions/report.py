"""A difference for readers: a table in the terminal, Markdown, JSON, an exit status."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..document import visible
from .diff import Change, Impact

STATUS = {Impact.BREAKING: 4, Impact.ADDITIVE: 3, Impact.INTERNAL: 0}
"""What a robot is told: 0 also where nothing changed. 1 and 2 are for refusals and wrong usage."""

_COLOURS = {Impact.BREAKING: "red", Impact.ADDITIVE: "green", Impact.INTERNAL: "dim"}
_NAMES = 4
"""So many Python names are written out for one change."""


def counts(changes: Sequence[Change]) -> dict[Impact, int]:
    return {impact: sum(change.impact is impact for change in changes) for impact in Impact}


def summary(changes: Sequence[Change]) -> str:
    """``3 breaking, 5 additive, 1 internal``"""
    return ", ".join(f"{count} {impact}" for impact, count in counts(changes).items())


def status(changes: Sequence[Change]) -> int:
    """An exit status: 4 if anything breaks, 3 if something came, else 0."""
    return max((STATUS[change.impact] for change in changes), default=0)


def table(changes: Sequence[Change], console: Console) -> None:
    """Print the changes."""
    shown = Table(title=summary(changes), title_justify="left")
    for column in ("", "change", "what", "in Python"):
        shown.add_column(column, overflow="fold")
    for change in changes:
        colour = _COLOURS[change.impact]
        names = "\n".join(_shortened([visible(name) for name in change.names]))
        shown.add_row(f"[{colour}]{change.impact}[/]", f"{change.subject} {change.action}", escape(visible(change.what)), escape(names))
    console.print(shown)


def markdown(changes: Sequence[Change], *, most: int | None = None) -> str:
    """The changes as nested lists by impact; with ``most`` only so many of each are written out."""
    lines: list[str] = []
    for impact in Impact:
        some = [change for change in changes if change.impact is impact]
        if not some:
            continue
        lines.append(f"- {impact.capitalize()} ({len(some)}):")
        lines.extend(f"  - {_line(change)}" for change in some[:most])
        if most is not None and len(some) > most:
            lines.append(f"  - and {len(some) - most} more.")
    return "\n".join(lines)


def as_json(changes: Sequence[Change]) -> str:
    """The changes and how many there are, for programs."""
    listed = [
        {"impact": change.impact, "subject": change.subject, "action": change.action, "what": change.what, "names": change.names}
        for change in changes
    ]
    return json.dumps({"counts": counts(changes), "changes": listed}, indent=1, ensure_ascii=False)


def _line(change: Change) -> str:
    names = ", ".join(_shortened([_code(name) for name in change.names]))
    return f"{change.subject} {change.action}: {_code(change.what)}{f' ({names})' if names else ''}"


def _code(text: str) -> str:
    """A text in backticks, which nothing in it can end."""
    return f"`{visible(text).replace('`', chr(39))}`"


def _shortened(names: Sequence[str]) -> list[str]:
    return [*names[:_NAMES], *([f"and {len(names) - _NAMES} more"] if len(names) > _NAMES else [])]
