"""How a campaign goes on, at a terminal and in a log: functions from values to what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from .._core.masking import mask, mask_text
from ..campaigns.report import GOING_ON, plain

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

    from ..campaigns.durable.campaign import Progress, State
    from ..campaigns.report import Record

__all__ = ["counts", "line", "refusals", "screen", "span", "status"]

_ORDER = ("live", "analyzing", "waiting", "reached", "voicemail", "exhausted", "do_not_call", "dead", "refused", "expired", "unknown")
_STYLES: Mapping[str, str] = {"live": "cyan", "analyzing": "cyan", "reached": "green", "unknown": "yellow"}
_DAY = 86400.0
_REASONS = 3


def counts(found: Mapping[str, int]) -> str:
    """How many contacts wait, are being called, or ended how."""
    return ", ".join(f"{what} {count:,}" for what, count in _counts(found)) or "no contacts"


def status(state: State, *, stopping: bool = False) -> str:
    """How it stands in a word, and why, if that is said.

    :param stopping: this process places no more calls.
    """
    word = "stopping" if stopping and state.status == "running" else state.status
    return f"{word} ({plain(mask_text(state.note))})" if state.note else word


def refusals(found: Sequence[tuple[str, int]]) -> list[str]:
    """What the API said of contacts that it refused, in lines: what it said most, and of how many more it said something else."""
    told = [f"Refused {count:,}: {plain(mask_text(text))}" for text, count in found[:_REASONS]]
    if rest := sum(count for _, count in found[_REASONS:]):
        told.append(f"Refused {rest:,} with other words, which the report has")
    return told


def line(progress: Progress, ends_at: float | None, now: float, *, zone: tzinfo | None = None, stopping: bool = False) -> str:
    """How it goes on, as one line of a log.

    :param stopping: see `status`.
    :param zone: by whose clock; ``None`` for that of this machine.
    """
    state = progress.state
    told = [
        f"{state.name}: {status(state, stopping=stopping)}: {counts(state.counts)}",
        f"{progress.per_second:.2g} calls/s",
        _next(progress, now, zone),
    ]
    if ends_at is not None:
        told.append(f"ends about {_when(ends_at, now, zone)}")
    return f"{datetime.fromtimestamp(now, zone).strftime('%Y-%m-%d %H:%M:%S')} " + "; ".join(part for part in told if part)


def screen(
    progress: Progress, ends_at: float | None, now: float, *, zone: tzinfo | None = None, foot: str = "", stopping: bool = False
) -> Group:
    """How it goes on, for a terminal.

    :param foot: what stands below it.
    :param stopping: see `status`.
    """
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    state = progress.state
    done = state.contacts - sum(state.counts.get(what, 0) for what in GOING_ON)
    bar = Table.grid(expand=True)
    bar.add_row(ProgressBar(total=max(state.contacts, 1), completed=done))
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    share = f" ({done / state.contacts:.0%})" if state.contacts else ""
    head.add_row(
        Text.assemble((plain(state.name), "bold"), "  ", status(state, stopping=stopping)), f"{done:,} of {state.contacts:,} done{share}"
    )
    pace = [
        f"{progress.per_second:.2g} calls/s",
        _next(progress, now, zone),
        "" if ends_at is None else f"ends about {_when(ends_at, now, zone)}",
    ]
    last = Table.grid(padding=(0, 2, 0, 0))
    for right in (False, False, False, True, True):
        last.add_column(justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for record in progress.last:
        last.add_row(*_ended(record, zone))
    parts: list[RenderableType] = [
        head,
        bar,
        _joined([Text(f"{what} {count:,}", _STYLES.get(what, "")) for what, count in _counts(state.counts)]),
        _joined([Text(part) for part in pace if part]),
    ]
    if progress.last:
        parts += ["", last]
    if foot:
        parts += ["", Text(foot, "dim")]
    return Group(*parts)


def _counts(found: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(what, found[what]) for what in (*_ORDER, *sorted(found.keys() - set(_ORDER))) if found.get(what)]


def _joined(parts: list[Text]) -> Text:
    from rich.text import Text

    return Text(" · ", "dim").join(parts) if parts else Text("no contacts")


def _next(progress: Progress, now: float, zone: tzinfo | None) -> str:
    """When the next contact may be called, where that is not now."""
    at = progress.next_at
    if at is None or at <= now + 1:
        return ""
    return f"next due {_when(at, now, zone)}, in {span(at - now)}"


def _when(moment: float, now: float, zone: tzinfo | None) -> str:
    local, today = datetime.fromtimestamp(moment, zone), datetime.fromtimestamp(now, zone)
    if local.date() == today.date():
        return local.strftime("%H:%M")
    return local.strftime("%a %H:%M" if 0 < moment - now < 6 * _DAY else "%Y-%m-%d %H:%M")


def span(seconds: float) -> str:
    """So many seconds, for people."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (
        f"{days} d {hours} h"
        if days
        else f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min"
        if minutes > 9
        else f"{minutes} min {left} s"
        if minutes
        else f"{left} s"
    )


def _ended(record: Record, zone: tzinfo | None) -> tuple[str, str, str, str, str]:
    return (
        datetime.fromtimestamp(record.at, zone).strftime("%H:%M:%S"),
        mask(plain(record.number)),
        plain(mask_text(record.result or "")),
        "" if record.duration_ms is None else f"{record.duration_ms / 1000:,.0f} s",
        "" if record.cents is None else f"${record.cents / 100:,.2f}",
    )
