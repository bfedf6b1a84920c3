"""``retell-async archive``."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args

import anyio
import click

from .._core.masking import mask_text
from .._files import check_ours
from ..archive import Archive, Format, Table
from ..archive.database import clearly
from ..archive.queries.views import VIEWS
from ..archive.rows import Kind
from .files import WRITTEN, named
from .operations.command import Group, profile_of, profile_options
from .operations.sending import carried_out, confirm
from .times import counted, moment, plain

__all__ = ["archive"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_KINDS: tuple[Kind, ...] = ("call", "chat")


@click.group(cls=Group)
def archive() -> None:
    """Keep calls and chats in a database of your own, and ask it.

    DATABASE is a file of SQLite, or postgresql://user@host/name.
    """


def _period(command: F) -> F:
    """The options that say of which calls and chats something is asked."""
    options = [
        click.option("--since", metavar="TIME", help="That began from then on: 2026-11-26, 2026-11-26T09:00, or 7d, 12h, 30m ago."),
        click.option("--until", metavar="TIME", help="That began before."),
        click.option("--agent", "agent_id", metavar="ID", help="Of one agent."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _run(database: str, use: Callable[[Archive], Awaitable[T]], *, make: bool = False) -> T:
    address = database if "://" in database else Path(database)

    async def run() -> T:
        async with Archive(address, make=make) as opened:
            return await use(opened)

    if isinstance(address, Path):
        check_ours(address)
    with clearly(address):
        return anyio.run(run)


@archive.command()
@click.argument("database")
@click.option("--since", metavar="TIME", help="How far back the first pass goes; all the way unless given.")
@click.option("--kind", "kinds", type=click.Choice(_KINDS), multiple=True, help="Only calls, or only chats.")
@click.option("--full", is_flag=True, help="Look at everything again, for what was changed long after its end.")
@click.option("--events", is_flag=True, help="Put what webhooks missed into the inbox, for the handlers of your service.")
@click.option("--at-once", default=8, show_default=True, metavar="N", help="Requests at a time.")
@profile_options
def sync(
    database: str,
    since: str | None,
    kinds: Sequence[Any],
    full: bool,
    events: bool,
    at_once: int,
    profile: str | None,
    sandbox: bool,
) -> None:
    """Read what the API has and the archive has not. DATABASE is made if it is not there.

    Run it as often as you like, from cron for example: each pass goes on from the last one, and one that was cut off where it was. An
    archive is of one workspace, that of its first sync: another one is refused.
    """
    known = profile_of(profile, sandbox)

    async def use(opened: Archive) -> Any:
        async with known.client() as client:
            return await opened.sync(client, kinds=kinds or _KINDS, since=_moment(since), full=full, events=events, at_once=at_once)

    done = _run(database, use, make=True)
    told = f"{done.seen:,} seen: {done.new:,} new, {done.changed:,} changed; {done.pages:,} lists and {done.read:,} calls and chats read"
    _tell(told + (f"; {done.events:,} events put into the inbox" if events else ""))


@archive.command()
@click.argument("database")
@click.argument("view", type=click.Choice(list(VIEWS)))
@_period
@click.option("--utc-offset", default=0.0, metavar="HOURS", help="By whose clock days and hours are, by default UTC: -5.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines in place of CSV.")
def query(database: str, view: str, since: str | None, until: str | None, agent_id: str | None, utc_offset: float, as_json: bool) -> None:
    r"""Ask what people ask of calls.

    \b
    cost     a day and agent
    reasons  of disconnection, a day and agent
    latency  percentiles of the calls' medians, in milliseconds, by agent
    answers  how often people answer, by the hour
    tools    that were used, how often they failed, how long they took
    """
    if not abs(utc_offset) <= 14:  # nor is what is no number
        raise click.BadParameter(f"no clock is {utc_offset:g} hours from UTC: it is 14 at most", param_hint="--utc-offset")
    asked: dict[str, Any] = {"since": _moment(since), "until": _moment(until), "agent_id": agent_id}
    _print(_run(database, lambda opened: opened.view(view, **asked, utc_offset=timedelta(hours=utc_offset))), as_json)


@archive.command()
@click.argument("database")
@click.argument("words")
@_period
@click.option("--role", metavar="ROLE", help="Who said it: user, agent.")
@click.option("--limit", default=20, show_default=True, metavar="N", help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines in place of text.")
def search(
    database: str,
    words: str,
    since: str | None,
    until: str | None,
    agent_id: str | None,
    role: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find what was said.

    WORDS are all to be there: '"a phrase" begin* this or that -without'.
    """
    asked: dict[str, Any] = {"since": _moment(since), "until": _moment(until), "agent_id": agent_id, "role": role, "limit": limit}
    for found in _run(database, lambda opened: opened.search(words, **asked)):
        if as_json:
            click.echo(
                json.dumps({name: getattr(found, name) for name in ("conversation_id", "role", "text", "second", "at_ms", "agent_id")})
            )
        else:
            at = "" if found.at_ms is None else datetime.fromtimestamp(found.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M ")
            click.echo(f"{at}{found.conversation_id} {found.role}: {plain(found.text)}")


@archive.command()
@click.argument("database")
@click.argument("table", type=click.Choice(get_args(Table)))
@_period
@click.option("--format", "kind", type=click.Choice(get_args(Format)), help="By default csv, and jsonl for records.")
@click.option("--out", type=WRITTEN, help="Where to write it; by default it is printed.")
def export(database: str, table: Any, since: str | None, until: str | None, agent_id: str | None, kind: Any, out: Path | None) -> None:
    """Write a table out. Numbers of people are in it in full."""
    asked: dict[str, Any] = {"since": _moment(since), "until": _moment(until), "agent_id": agent_id}
    format_: Format = kind or ("jsonl" if table == "records" else "csv")
    with named(out) if out is not None else nullcontext():
        count = _run(database, lambda opened: opened.export(table, out or sys.stdout, format=format_, **asked))
    if out is not None:
        click.echo(f"{counted(count, 'row', 'rows')}: {out}", err=True)


@archive.command()
@click.argument("database")
@click.argument("id")
def record(database: str, id: str) -> None:
    """Print all that is known of the call or chat of this ID, as JSON."""
    found = _run(database, lambda opened: opened.record(id))
    if found is None:
        raise click.ClickException(f"there is no call or chat {mask_text(id)}")
    click.echo(json.dumps(found, indent=2))


@archive.command()
@click.argument("database")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(database: str, as_json: bool) -> None:
    """Show how many events wait, are done, or failed."""
    counts = _run(database, lambda opened: opened.inbox.counts())
    click.echo(json.dumps(counts) if as_json else ", ".join(f"{state} {count:,}" for state, count in sorted(counts.items())) or "no events")


@archive.command()
@click.argument("database")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines in place of text.")
def failed(database: str, as_json: bool) -> None:
    """List the events that could not be handled, with the last error of each."""
    for one in _run(database, lambda opened: opened.failed()):
        if as_json:
            click.echo(json.dumps({"key": one.key, "event": one.event, "attempts": one.attempts, "error": one.error}))
        else:
            click.echo(f"{one.key}  {one.attempts} attempts: {plain(one.error or '')}")


@archive.command()
@click.argument("database")
@click.argument("keys", nargs=-1)
def retry(database: str, keys: tuple[str, ...]) -> None:
    """Let failed events be handled again by the service: those of these KEYS, or all."""
    _tell(counted(_run(database, lambda opened: opened.retry(*keys)), "event is handled again", "events are handled again"))


@archive.command()
@click.argument("database")
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(database: str, number: str, yes: bool) -> None:
    """Erase a person: all calls and chats from or to NUMBER, and the number wherever else it stands."""
    if not yes:
        confirm("All that is kept of the calls and chats of this number will be gone for good. Erase it?")
    done = _run(database, lambda opened: opened.erase(number))
    told = f"{len(done.conversations):,} calls and chats erased, the number taken out of {done.mentions:,} other rows"
    carried_out(f"{told}. The API has these still: {', '.join(done.conversations) or 'none'}.")
    click.echo(told, err=True)
    if done.mentioned:
        click.echo(
            f"The API has the number still in calls and chats of others: {', '.join(done.mentioned)}. What an event or a sync tells of one "
            "later brings it back: erase it again then.",
            err=True,
        )
    for id in done.conversations:  # the API has them still
        click.echo(id)


@archive.command()
@click.argument("database")
@click.argument("before", metavar="TIME")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(database: str, before: str, yes: bool) -> None:
    """Drop calls and chats that ended before TIME: 2026-11-26, or 90d ago. They do not come back."""
    end = moment(before)
    if not yes:
        confirm(f"All calls and chats that ended before {end:%Y-%m-%d %H:%M} will be gone for good. Forget them?")
    _tell(counted(_run(database, lambda opened: opened.forget(end)), "call or chat forgotten", "calls and chats forgotten"))


def _tell(what: str) -> None:
    """Say what was carried out."""
    carried_out(f"{what}.")
    click.echo(what)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


def _print(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    elif rows:
        table = csv.DictWriter(sys.stdout, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows({name: _shown(value) for name, value in row.items()} for row in rows)


def _shown(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else plain(value) if isinstance(value, str) else value
