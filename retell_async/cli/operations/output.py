"""What came back, as people and programs read it. Numbers of people are masked in tables unless they are asked for; secrets always."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

import attrs
import click

from ..._core.json import field_at
from ..._core.masking import is_secret, mask_keys, masked
from ..._core.model import Keyed, Many, Mapped, One, Spec, Tagged, declared, lookup
from ..times import plain
from .table import Json

__all__ = ["Style", "astray", "columns", "picked", "print_items", "print_one", "print_table", "rows", "shown", "without_secrets"]

_MOST_COLUMNS = 9
_WIDEST = 26  # of a column that is cut; ids are not
_LONGEST = 300
_TRANSCRIPT = re.compile(r"transcript(_object|_with_tool_calls)?$|scrubbed")
_RANKS = tuple(
    map(
        re.compile,
        (
            r"^name$|nickname$|title$",
            r"status$|^result",
            r"(to|phone)_number$",
            r"^(start|created|last_modification|user_modified)\w*(timestamp|_at)\w*$",
            r"^duration_ms$",
            r"reason$",
            r"^from_number$",
            r"^direction$|_type$|^type$|^role$|_name$",
            r"(count|_cost|version)$|^is_",
        ),
    )
)
_TOLD_BY_OTHERS = 6  # from this rank on, what is the same for all says little
_TIME = re.compile(r"(timestamp(_ms)?|_at)$")


@attrs.frozen
class Style:
    """How it is printed."""

    kind: str = "table"
    """``table``, ``json``, or ``jsonl``."""
    fields: tuple[str, ...] = ()
    """The only fields that are wanted, with dots; empty for what is usual."""
    numbers: bool = False
    """Whether numbers of people stand in tables as they are."""


def picked(item: Mapping[str, Any], fields: Sequence[str]) -> Json:
    """The fields that were asked for; what is not there is ``None``."""
    return {name: field_at(item, name) for name in fields}


def astray(answers: str, field: str) -> list[str]:
    """The fields there are where a name of a field leads nowhere; none where it leads to something, or anything may be there.

    :param answers: the type of what has the field.
    """
    kinds = [name for name in answers.split(" | ") if name != "None"]
    if not kinds or any(not name.isidentifier() or name in {"Any", "bool", "bytes", "float", "int", "str"} for name in kinds):
        return []
    return _lacking([One(name) for name in kinds], field.split("."))


def _lacking(kinds: Iterable[Spec], steps: Sequence[str]) -> list[str]:
    """The same, of what may be of several kinds: what one of them has is there."""
    found: list[str] = []
    for kind in kinds:
        there: list[str] = []
        match kind:
            case Mapped(item):
                there = _lacking([item], steps[1:]) if len(steps) > 1 else []
            case Tagged(table=members) | Keyed(keys=members):
                there = _lacking([One(name) for name in dict.fromkeys(members.values())], steps)
            case One(name) if isinstance(meant := lookup(name), type):
                fields = [meant.__wire__.get(field.name, field.name) for field in declared(meant)]
                inner = meant.__nested__.get(steps[0])
                there = fields if steps[0] not in fields else [] if inner is None or not steps[1:] else _lacking([inner], steps[1:])
            case One(name):
                there = _lacking([cast("Spec", lookup(name))], steps)
            case Many():
                pass
        if not there:
            return []
        found += there
    return list(dict.fromkeys(found))


def columns(items: Sequence[Mapping[str, Any]], resource: str) -> list[str]:
    """The fields that make the columns of a table, the most telling first: those that are short in all items."""
    names = list(dict.fromkeys(name for item in items for name in item))
    short = [name for name in names if not any(isinstance(item.get(name), dict | list) for item in items) and not _TRANSCRIPT.search(name)]
    told = [name for name in short if any(item.get(name) not in (None, "") for item in items)]
    ids = [f"{resource}_id", "phone_number", *(name for name in told if name.endswith("_id"))]
    own = [name for name in (next((name for name in ids if name in told), None), f"{resource}_name") if name in told]
    ranked = sorted((rank, name) for name in told if (rank := _rank(name)) is not None and name not in own)
    same = {name for name in told if len(items) > 1 and len({str(item.get(name)) for item in items}) == 1}
    found = [*own, *(name for rank, name in ranked if rank < _TOLD_BY_OTHERS or name not in same)]
    return (found if len(found) > 2 else [*found, *(name for name in told if name not in found)])[:_MOST_COLUMNS]


def heading(name: str, resource: str) -> str:
    """A field's name above its column: without what stands there anyway."""
    short = re.sub(r"_(timestamp|ms)$", "", name)
    return short if short.endswith("_id") else short.removeprefix(f"{resource}_")


def _rank(name: str) -> int | None:
    return next((rank for rank, pattern in enumerate(_RANKS) if pattern.search(name)), None)


def shown(name: str, value: Any, style: Style) -> str:
    """A value on one line."""
    if value is None or value == "":
        return ""
    value = (without_secrets if style.numbers else masked)(value, name.rpartition(".")[2])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if _TIME.search(name) and value > 1e9:
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value).astimezone().strftime("%Y-%m-%d %H:%M")
        if name.endswith("duration_ms"):
            return f"{value / 1000:,.0f} s"
        return f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def without_secrets(value: Any, name: str = "") -> Any:
    """Parsed JSON with its secrets masked, and numbers of people as they are."""
    if is_secret(name):
        return "***"
    if isinstance(value, dict):
        fields = cast("Json", value)
        return {key: "***" if is_secret(key, name) else without_secrets(field, key) for key, field in fields.items()}
    if isinstance(value, list):
        return list(map(partial(without_secrets, name=name), value))  # pyright: ignore[reportUnknownArgumentType]
    return mask_keys(value) if isinstance(value, str) else value


def rows(item: Mapping[str, Any], style: Style, before: str = "") -> Iterable[tuple[str, str]]:
    """One thing as names with dots and values; what is long is cut, and said to be."""
    for name, value in item.items():
        whole = f"{before}{name}"
        if isinstance(value, dict) and value and whole not in style.fields:
            yield from rows(cast("Json", value), style, f"{whole}.")
        elif style.fields or not _TRANSCRIPT.search(name):
            text = shown(whole, value, style)
            yield whole, text if len(text) <= _LONGEST or style.fields else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def print_items(items: Sequence[Json], resource: str, style: Style) -> None:
    """Print a list."""
    found = [picked(item, style.fields) for item in items] if style.fields else items
    if style.kind == "jsonl":
        for item in found:
            click.echo(json.dumps(item, ensure_ascii=False))
    elif style.kind == "json":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif found:
        names = list(style.fields) or columns(found, resource)
        heads = list(style.fields) or [heading(name, resource) for name in names]
        print_table(heads, [[shown(name, item.get(name), style) for name in names] for item in found], whole=bool(style.fields))


def print_one(item: Json, style: Style) -> None:
    """Print one thing."""
    found = picked(item, style.fields) if style.fields else item
    if style.kind != "table":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2 if style.kind == "json" else None))
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text in rows(found, style):
        grid.add_row(Text(name), Text(text))
    _print(grid)


def print_table(names: Sequence[str], found: Sequence[Sequence[str]], *, whole: bool = False) -> None:
    """Print rows below names. At a terminal those columns that have room, from the left; what is piped is not cut.

    :param whole: with all columns, of which the last is folded where it has no room.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    is_terminal, width = sys.stdout.isatty(), _width()
    widths = [max(cell_len(name), *(cell_len(row[index]) for row in found)) for index, name in enumerate(names)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(names))
    taken, room = 0, width
    for name, wide in zip(names, widths, strict=True):
        is_cut = taken and is_terminal and not whole
        wide = min(wide, max(_WIDEST, cell_len(name))) if is_cut else wide  # noqa: PLW2901 - what is left of it
        room -= wide + (2 if taken else 0)
        if is_cut and room < 0:
            break
        taken += 1
        is_folded = whole and is_terminal and taken == len(names) and room < 0 and room + wide > _WIDEST
        table.add_column(
            Text(name), no_wrap=not is_folded, overflow="fold" if is_folded else "ellipsis", width=room + wide if is_folded else wide
        )
        room = max(room, 0) if is_folded else room
    for row in found:
        table.add_row(*(Text(cell) for cell in row[:taken]))
    _print(table, width - min(room, 0))


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _print(table: Any, width: int | None = None) -> None:
    """At a terminal in its colours; else whole, and plain."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False, width=width).print(table)
        return
    console = Console(file=sys.stdout, highlight=False, width=100_000, color_system=None)
    with console.capture() as taken:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in taken.get().splitlines()))
