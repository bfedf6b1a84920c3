# pyright: reportDeprecated=false
"""``retell-async campaign``."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import shlex
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import anyio
import click
from anyio import to_thread

from .._core.errors import APIError, ConfigurationError, NotFoundError, UnprocessableEntityError
from .._core.masking import mask, mask_address, mask_text
from .._files import check_apart, of_database
from ..campaigns.contact import Contact
from ..campaigns.contacts import Table, numbers_of, read_contacts
from ..campaigns.plan import Plan, estimate, local, plan as make_plan
from ..campaigns.settings import Settings, moment as moment_of, read_settings
from . import display
from .files import WRITTEN, written
from .operations.command import Group, profile_of, profile_options
from .operations.sending import carried_out
from .times import counted, plain

if TYPE_CHECKING:
    from .._client import AsyncRetell
    from ..campaigns.durable.campaign import Campaign, Progress, State
    from ..campaigns.forecast import Planned
    from .profiles import Profile

__all__ = ["campaign"]

F = TypeVar("F", bound=Callable[..., Any])

_CALLS_LOOKED_AT = 200
_NUMBERS_LOOKED_AT = 10
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OFTEN = 1.0  # seconds from one look at a campaign to the next, at a terminal
_SELDOM = 30.0  # the same in a log
_SHARE = 50.0  # it is asked so seldom when it ends that this takes a fiftieth of the time
_ASKED = 0.3  # seconds for which the database is asked how many calls go on, before it is said without that
_STATE_WITHIN = 1.0  # seconds in which the database says how a campaign stands that somebody leaves
_THREADS_END = 1.0  # seconds that threads have to end
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_RUNNING = "Ctrl-C stops: no more calls, and those that go on are followed to their end."
_STOPPING = "Stopping: no more calls are placed, {} go on. Ctrl-C again leaves at once."
_ANY_HOUR = "People are called at any hour, of their night too, unless --hours or --legal say less."
_BY = "By the clock of the campaign's zone, UTC if none is set, unless it has an offset."
_ONLY_THERE = "Only there: zone, per_day, calls_per_day, retries, callback, opt_out, honor_internal_dnc, and what is said of a number."
_PAUSED = 3  # the exit status of a run that paused by itself
_NOT_THERE = (NotFoundError, UnprocessableEntityError)  # of an id that the API does not know
_LIVE = 20  # calls at once that an account may have, where nobody said anything else


def _address(database: str) -> Path | str:
    """A file of SQLite, or the address of a database of Postgres."""
    return database if "://" in database else Path(database)


@click.group(cls=Group)
def campaign() -> None:
    """Plan calls to many people by rules, place them, and follow them to their end.

    plan shows who would be called when, and who not; run calls them. Rules are in a file of TOML (--rules), and what is said beside it goes
    before what stands there.
    """


def _rules(command: F) -> F:
    """The options that say what a campaign is."""
    options = [
        click.option("--rules", "rules_file", type=_FILE, help=f"The rules of the campaign, as TOML. {_ONLY_THERE}"),
        click.option("--from", "numbers", multiple=True, metavar="NUMBER", help="A number that calls; several take turns."),
        click.option("--agent", metavar="ID", help="The agent that speaks, in place of the number's own."),
        click.option("--hours", multiple=True, metavar="WINDOW", help='When people may be called, by their own clocks: "mon-fri 9-17:30".'),
        click.option("--legal", metavar="PRESET", help="Hours of a law that hold too: us. Data with a date, no advice."),
        click.option("--attempts", type=int, metavar="N", help="Calls for each contact at most."),
        click.option("--live", type=int, metavar="N", help="Calls at once at most; by default what the account may have."),
        click.option("--region", metavar="CODE", help="The country of numbers without a country code: US."),
        click.option("--require", "required", multiple=True, metavar="COLUMN", help="A column that must not be empty."),
        click.option("--until", metavar="TIME", help=f"Nobody is called after it: 2026-12-24 (its end), 2026-12-24T18:00. {_BY}"),
        click.option(
            "--do-not-call",
            type=_FILE,
            multiple=True,
            help="A list of numbers that are not called, beside those of the rules; several may be.",
        ),
        click.option("--opt-outs", type=click.Path(dir_okay=False), help="A list to which those who want no more calls are added too."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _settings(rules_file: Path | None, said: dict[str, Any]) -> Settings:
    return read_settings(rules_file, {name: value for name, value in said.items() if value not in {None, ()}})


def _lists(settings: Settings, do_not_call: Sequence[Path]) -> list[Path]:
    """The lists that are named of those who are not called, as far as they are there."""
    opt_outs = None if settings.opt_outs is None else Path(settings.opt_outs)
    return [*do_not_call, *map(Path, settings.do_not_call), *([opt_outs] if opt_outs is not None and opt_outs.exists() else [])]


def _never(settings: Settings, do_not_call: Sequence[Path]) -> frozenset[str]:
    """The numbers that are not called, by the lists that are named."""
    return frozenset[str]().union(*(numbers_of(each, settings.region) for each in _lists(settings, do_not_call)))


@campaign.command()
@click.argument("contacts", type=_FILE)
@_rules
@click.option("--at", "moment", metavar="TIME", help=f"Plan as if it began then: 2026-11-26T09:00. Now by default. {_BY}")
@click.option("--out", type=WRITTEN, help="Write the plan of every contact there, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary and all that is refused as JSON.")
@click.option("--show", default=10, show_default=True, metavar="N", help="Print so many calls and refused lines.")
@profile_options
def plan(
    contacts: Path,
    rules_file: Path | None,
    do_not_call: tuple[Path, ...],
    moment: str | None,
    out: Path | None,
    as_json: bool,
    show: int,
    profile: str | None,
    sandbox: bool,
    **said: Any,
) -> None:
    """Show what a campaign would do. Nobody is called.

    CONTACTS is a CSV file with a header. A column number (or phone, to_number) is needed; id, zone, place, priority and metadata.NAME mean
    what they say, and every other column is a dynamic variable of the call.

    Shown is when each contact would be called for the first time, by their own clock; which lines are refused, and why; when the last of
    these calls would be over; and what they would cost, by the last calls of the agent, if an API key is set and the agent has had calls.
    """
    settings = _settings(rules_file, said)
    if out is not None:
        check_apart(out, [contacts, *([] if rules_file is None else [rules_file]), *_lists(settings, do_not_call)])
    now = time.time() if moment is None else moment_of(moment, settings.rules.zone, "--at", begins=True)
    is_asked = sandbox or profile is not None or os.environ.get("RETELL_API_KEY")
    known, why, wrong = (
        anyio.run(_account, settings, profile_of(profile, sandbox))
        if is_asked
        else (dict[str, Any](), "RETELL_API_KEY is not set", list[str]())
    )
    found = make_plan(
        contacts,
        settings.rules,
        now,
        live=settings.live or known.get("live", _LIVE),
        region=settings.region,
        required=settings.required,
        do_not_call=_never(settings, do_not_call),
        estimate=known.get("estimate"),
    )
    if out is not None:
        _write(found, out)
    if as_json:
        rest = {"caps": found.caps(settings.rules), "at_any_hour": settings.rules.at_any_hour, "warnings": wrong}
        click.echo(json.dumps(_summary(found, why) | rest, indent=2))
    else:
        _print(found, why, show)
        for cap in found.caps(settings.rules):
            click.echo(f"Held back by {cap}")
        for warning in wrong:
            click.echo(f"Warning: {warning}")
        if settings.rules.at_any_hour:
            click.echo(_ANY_HOUR)
        if out is not None:
            click.echo(f"\nEvery contact: {out}")


@campaign.command()
@click.argument("database", type=_address)
@click.argument("contacts", type=_FILE, required=False)
@_rules
@click.option("--name", help="What the campaign is called, by default as its file.")
@click.option("--resume", "resumes", is_flag=True, help="Take a pause back before.")
@profile_options
def run(
    database: Path | str,
    contacts: Path | None,
    rules_file: Path | None,
    do_not_call: tuple[Path, ...],
    name: str | None,
    resumes: bool,
    profile: str | None,
    sandbox: bool,
    **said: Any,
) -> None:
    """Call people, until every contact has come to an end.

    DATABASE is the file of the campaign, or postgresql://user@host/name, which several machines may share: run it on each. With CONTACTS it
    is made: lines that a plan refuses are refused here too. Without them the campaign that is there goes on, with the rules and the
    lists of those who are not called that it was made with, unless somebody paused it: that stays so until it is resumed, whoever starts
    this again.

    Ctrl-C places no more calls, and ends when those that go on are over, or at once on Postgres, where others or the next run follow
    them; the second one ends at once, and so does SIGTERM. Neither these nor a kill end the campaign: run it again.

    The exit status is 0 if it is done, or somebody paused or cancelled it; 3 if it paused by itself, since the API refuses all requests of
    all numbers, the key, or the account; 130 and 143 after Ctrl-C and SIGTERM; and 1 after an error.
    """
    client = profile_of(profile, sandbox).client()  # first, so that nothing is made where there is no key
    if contacts is not None:
        _make(database, contacts, rules_file, do_not_call, name, said)
    elif rules_file is not None or do_not_call or name is not None or any(value not in {None, ()} for value in said.values()):
        raise ConfigurationError("the rules of a campaign are said once, with its CONTACTS: leave them out to go on with it")
    opened = _opened(database)
    if resumes:
        opened.resume()
    try:
        by = anyio.run(_run, opened, client)
    except KeyboardInterrupt:
        by = signal.SIGINT
    try:
        state = opened.state() if by is None else anyio.run(_state_soon, opened)
    except ConfigurationError as error:
        if by is None:
            raise
        click.echo(f"How it stands is not known: {error}", err=True)
        click.echo(f"Go on with: {_again(database)}", err=True)
        _leave(128 + by)
    _show(state)
    if by is None:
        _tell_of_refusals(opened, state)
    paused_itself = state.status == "paused" and bool(state.note) and not state.held
    if state.status in {"running", "paused"}:
        first = "It paused by itself. Mend what is said above, then go on" if paused_itself else "Go on"
        click.echo(f"{first} with: {_again(database, state)}", err=True)
    if by is not None:
        _leave(128 + by)  # as shells have it
    if paused_itself:
        sys.exit(_PAUSED)


def _again(database: Path | str, state: State | None = None) -> str:
    """The command that goes on with a campaign."""
    return f"retell-async campaign run {'--resume ' if state is not None and state.held else ''}{shlex.quote(mask_address(database))}"


def _tell_of_refusals(campaign: Campaign, state: State) -> None:
    if state.counts.get("refused"):
        for line in display.refusals(campaign.refusals()):
            click.echo(line)


def _is_run(heard_ago: float | None) -> bool:
    """Whether a process runs a campaign, as far as that is known: its lease may be longer than usual."""
    from ..campaigns.durable.campaign import LEASE

    return heard_ago is not None and heard_ago < LEASE


def _tell_of_process(campaign: Campaign, state: State, database: Path | str) -> None:
    """Say it where no process runs a campaign that is not over."""
    goes_on = sum(state.counts.get(name, 0) for name in ("live", "analyzing"))
    if not (state.status in {"running", "paused"} or (state.status == "cancelled" and goes_on)) or _is_run(ago := campaign.heard_ago()):
        return
    heard = "" if ago is None else f", and the last one was heard of {display.span(ago)} ago"
    what = f"Follow {counted(goes_on, 'call', 'calls')} to the end" if state.status == "cancelled" else "Go on"
    click.echo(f"No process runs it{heard}. {what} with: {_again(database, state)}")


async def _state_soon(campaign: Campaign) -> State:
    """How it stands, for one who leaves.

    :raises ConfigurationError: the database does not say so in time.
    """
    with anyio.move_on_after(_STATE_WITHIN):
        return await to_thread.run_sync(campaign.state, abandon_on_cancel=True)
    raise ConfigurationError(f"the database does not answer within {_STATE_WITHIN:g} s")


def _leave(status: int) -> NoReturn:
    """End with a status, also while threads wait for a database that is away, for which Python would wait."""
    until = time.monotonic() + _THREADS_END
    others = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.current_thread()]
    for thread in others:
        thread.join(max(until - time.monotonic(), 0.0))
    if any(thread.is_alive() for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _make(
    database: Path | str, contacts: Path, rules_file: Path | None, do_not_call: Sequence[Path], name: str | None, said: dict[str, Any]
) -> None:
    from ..campaigns.durable.campaign import Campaign

    settings = _settings(rules_file, said)
    never = _never(settings, do_not_call)
    refused = 0

    def taken() -> Iterator[Contact]:
        nonlocal refused
        table, rules = Table(contacts), settings.rules
        for read in read_contacts(table, rules, time.time(), region=settings.region, required=settings.required, do_not_call=never):
            if isinstance(read, Contact):
                yield read
            else:
                refused += 1
                click.echo(f"line {read.line}: {read.text}", err=True)

    if settings.rules.at_any_hour:
        click.echo(_ANY_HOUR, err=True)
    Campaign.make(database, name or _name_of(database), settings, taken(), do_not_call=never)
    lists = len(never) if do_not_call or settings.do_not_call or settings.opt_outs is not None else None
    listed = "no list of numbers that are not called was named"
    if lists is not None:
        listed = counted(lists, "number is on lists and not called", "numbers are on lists and not called")
    lines = counted(refused, "line was refused", "lines were refused")
    click.echo(f"{mask_address(database)}: a campaign was made; {lines}; {listed}", err=True)


def _name_of(database: Path | str) -> str:
    name = database.stem if isinstance(database, Path) else database.partition("?")[0].rpartition("/")[2]
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # of an Ü the U
    return re.sub(r"[^A-Za-z0-9_-]+", "-", letters).strip("-")[:60] or "campaign"


def _opened(database: Path | str) -> Campaign:
    from ..campaigns.durable.campaign import Campaign

    return Campaign(database)


async def _run(campaign: Campaign, client: AsyncRetell) -> int | None:
    """Run it; which signal stopped it, if one did."""
    stop, over = anyio.Event(), anyio.Event()
    is_screen = _is_screen()
    wrong: Exception | None = None
    by: list[int] = []
    async with client, anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, campaign, stop, over, is_screen)
        if not is_screen:
            tasks.start_soon(_tell_of_stop, campaign, stop, over)
        with _interruptible(stop, tasks.cancel_scope, by):
            try:
                await campaign.run(client, stop=stop)
            except Exception as error:  # noqa: BLE001 - it is raised below, where no group wraps it
                wrong = error
        over.set()
    if wrong is not None:
        if not by or not isinstance(wrong, ConfigurationError):
            raise wrong
        click.echo(f"Error: {wrong}", err=True)  # as of a database that does not answer: it stopped all the same
    return by[0] if by else None


@contextmanager
def _interruptible(stop: anyio.Event, scope: anyio.CancelScope, by: list[int]) -> Generator[None]:
    """Let Ctrl-C stop the campaign, and the second one or SIGTERM at once.

    :param by: gets which of them came.
    """
    loop = asyncio.get_running_loop()

    def signalled(number: int) -> None:
        if stop.is_set() or number == signal.SIGTERM:
            scope.cancel()
        stop.set()
        by.append(number)

    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, signalled, number)
    except (NotImplementedError, ValueError, RuntimeError):  # on Windows, or not in the main thread: there it ends at once
        yield
        return
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _is_screen() -> bool:
    """Whether somebody looks, at a terminal that can be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and find_spec("rich") is not None


async def _tell_of_stop(campaign: Campaign, stop: anyio.Event, over: anyio.Event) -> None:
    """Say at once what the first Ctrl-C does, where no screen says it."""
    async with anyio.create_task_group() as tasks:

        async def leave() -> None:
            await over.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(leave)
        await stop.wait()
        going_on = "those there are"
        with suppress(ConfigurationError), anyio.move_on_after(_ASKED):  # a database that does not answer is waited for by the campaign
            going_on = f"{(await to_thread.run_sync(campaign.state, abandon_on_cancel=True)).counts.get('live', 0):,}"
        click.echo(_STOPPING.format(going_on), err=True)
        tasks.cancel_scope.cancel()


async def _watch(campaign: Campaign, stop: anyio.Event, over: anyio.Event, is_screen: bool) -> None:
    """Show how it goes on, until it is over."""
    if not is_screen:
        async for progress, ends_at in _progress(campaign, _SELDOM, stop, over):
            if not over.is_set():  # how it stands then is printed anyway
                click.echo(display.line(progress, ends_at, time.time(), stopping=stop.is_set()), err=True)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        last: tuple[Progress, float | None] | None = None

        def draw() -> None:
            if last is None:
                return
            progress, ends_at = last
            going_on = progress.state.counts.get("live", 0)
            foot = _STOPPING.format(f"{going_on:,}") if stop.is_set() else _RUNNING
            is_stopping = stop.is_set() and not over.is_set()
            live.update(
                display.screen(progress, ends_at, time.time(), foot="" if over.is_set() else foot, stopping=is_stopping), refresh=True
            )

        async def draw_stop() -> None:
            await stop.wait()
            draw()  # at once, also while the database does not say how it stands

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(draw_stop)
            async for looked in _progress(campaign, _OFTEN, stop, over):
                last = looked
                draw()
            tasks.cancel_scope.cancel()


async def _progress(campaign: Campaign, every: float, stop: anyio.Event, over: anyio.Event) -> AsyncIterator[tuple[Progress, float | None]]:
    """How it goes on and about when it ends, now and then, and once more when it is over."""
    most, ends_at, look, last, shows = 0, None, 0.0, False, False
    with anyio.move_on_after(_OFTEN):
        await over.wait()  # as it is at once where it may not run
        return
    while not last:
        last = over.is_set()
        with suppress(ConfigurationError):  # the campaign waits for its database, and so does who watches it
            progress = None
            with anyio.move_on_after(_STATE_WITHIN if last and stop.is_set() else None):  # who leaves is not held up
                progress = await to_thread.run_sync(campaign.progress, abandon_on_cancel=True)
            if progress is None:
                return
            # What is paused is not for long: a run goes on with it, unless somebody holds it.
            shows = shows or last or progress.state.status != "paused" or progress.state.held
            going_on = progress.state.counts.get("live", 0)
            is_growing, most = going_on > most, max(most, going_on)
            began = time.monotonic()
            if most and not is_growing and began >= look and not last:  # by the few calls of a beginning it would take for ever
                ends_at = await to_thread.run_sync(campaign.ends_about, most, abandon_on_cancel=True)
                look = began + max(_OFTEN, _SHARE * (time.monotonic() - began))  # it reads all that wait
            if shows:
                yield progress, None if last else ends_at
        with anyio.move_on_after(0.0 if last else every if shows else _OFTEN):
            await over.wait()


def _show(state: State, *, changed: bool = True) -> None:
    """Say how it stands.

    :param changed: whether it was changed before.
    """
    named = {"waiting": "given up"} if state.status == "cancelled" else {}
    counts = display.counts({named.get(what, what): count for what, count in state.counts.items()})
    told = f"{state.name}: {display.status(state)}: {counts}"
    if changed:
        carried_out(f"{told}.")
    click.echo(told)


@campaign.command()
@click.argument("database", type=_address)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(database: Path | str, as_json: bool) -> None:
    """Show how a campaign stands, also while another process runs it."""
    opened = _opened(database)
    state = opened.state()
    caps = opened.caps() if state.counts.get("waiting") else []
    if as_json:
        said = {"name": state.name, "status": state.status, "note": state.note, "counts": state.counts, "caps": caps}
        refusals = [{"text": text, "contacts": count} for text, count in (opened.refusals() if state.counts.get("refused") else ())]
        click.echo(json.dumps(said | {"is_run": _is_run(opened.heard_ago()), "refusals": refusals}))
    else:
        _show(state, changed=False)
        _tell_of_refusals(opened, state)
        _tell_of_process(opened, state, database)
        for cap in caps:
            click.echo(f"Held back by {cap}")


@campaign.command()
@click.argument("database", type=_address)
def pause(database: Path | str) -> None:
    """Place no more calls until it is resumed; those that go on are followed to their end."""
    opened = _opened(database)
    opened.pause()
    _show(opened.state())


@campaign.command()
@click.argument("database", type=_address)
def resume(database: Path | str) -> None:
    """Take a pause back. If no process runs the campaign any more, run it after that; run --resume does both."""
    opened = _opened(database)
    opened.resume()
    state = opened.state()
    _show(state)
    _tell_of_process(opened, state, database)


@campaign.command()
@click.argument("database", type=_address)
def cancel(database: Path | str) -> None:
    """Place no more calls, and never again."""
    opened = _opened(database)
    opened.cancel()
    state = opened.state()
    _show(state)
    _tell_of_process(opened, state, database)


@campaign.command()
@click.argument("database", type=_address)
@click.argument("numbers", nargs=-1, required=True)
def do_not_call(database: Path | str, numbers: tuple[str, ...]) -> None:
    """Call nobody any more who has one of these NUMBERS, also while another process runs it."""
    _opened(database).do_not_call(*numbers)


@campaign.command()
@click.argument("database", type=_address)
@click.option("--end", "ends", multiple=True, metavar="END", help="Contacts that ended so; by default exhausted, refused, expired.")
def retry(database: Path | str, ends: tuple[str, ...]) -> None:
    """Begin anew with contacts that were not reached, with a new budget of attempts. Run it after that."""
    opened = _opened(database)
    count = opened.retry(cast("Any", ends)) if ends else opened.retry()
    told = counted(count, "contact begins anew", "contacts begin anew")
    carried_out(f"{told}.")
    click.echo(told)


@campaign.command()
@click.argument("database", type=_address)
@click.option("--out", type=WRITTEN, help="Where to write it; by default it is printed.")
@click.option("--format", "kind", type=click.Choice(["csv", "json"]), default="csv", show_default=True, help="What to write.")
@click.option("--html", type=WRITTEN, help="Write a page for people there, with charts and masked numbers, in place of the attempts.")
def report(database: Path | str, out: Path | None, kind: str, html: Path | None) -> None:
    """Write all attempts: who was called when from which number, what came of it, and what it cost; or a page with charts of them.

    A row is an attempt. planned_at is when it was to be sent, and sent_at when the request left (UTC), empty before that. result is how
    this attempt ended: the call's disconnection_reason, not_placed or unknown, empty as long as it goes on; text is what the API said when
    it refused it. contact_end is how the contact ended, the same on all of its rows, and empty as long as it goes on.
    """
    read = [] if isinstance(database, str) else of_database(database)
    for path in (html, out):
        if path is not None:
            check_apart(path, read)
            read.append(path)
    opened = _opened(database)
    if html is not None:
        with written(html) as file:
            file.write(opened.report())
        if out is None:
            return
    rows = [{column: _utc(row[name]) if name in _TIMES else row[name] for column, name in _COLUMNS.items()} for row in opened.attempts()]
    with written(out) as file:
        if kind == "json":
            file.write(json.dumps(rows, indent=2) + "\n")
        else:
            table = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            table.writeheader()
            is_read = out is None and sys.stdout.isatty()  # ids are the text of whoever made the table of contacts
            table.writerows(
                {name: plain(value) if is_read and isinstance(value, str) else value for name, value in row.items()} for row in rows
            )


_TIMES = {"at", "sent_at"}
_COLUMNS = {
    "contact_id": "contact_id",
    "number": "number",
    "from_number": "from_number",
    "planned_at": "at",
    "sent_at": "sent_at",
    "call_id": "call_id",
    "result": "result",
    "text": "text",
    "duration_ms": "duration_ms",
    "cents": "cents",
    "contact_end": "end",
    "key": "key",
}
"""The columns of a report, each with what `Campaign.attempts` calls it."""


def _utc(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


async def _account(settings: Settings, profile: Profile) -> tuple[dict[str, Any], str, list[str]]:
    """What the account says: how many calls it may have at once, and what the agent's cost; else why it does not; and what it lacks."""
    known: dict[str, Any] = {}
    wrong: list[str] = []
    try:
        async with profile.client() as client:
            room = await client.concurrency.retrieve()
            if room.concurrency_limit:
                known["live"] = max(room.concurrency_limit - (room.reserved_inbound_concurrency or 0), 1)
            agents = await _agents(client, settings, wrong)
            if not agents:
                return known, "neither the rules nor their numbers have an agent", wrong
            page = await client.call.list(
                filter_criteria={
                    "agent": [{"agent_id": agent} for agent in agents],
                    "direction": {"type": "enum", "op": "in", "value": ["outbound"]},
                },
                limit=_CALLS_LOOKED_AT,
            )
    except APIError as error:
        return known, f"the API did not say: {mask_text(str(error))}", wrong
    known["estimate"] = estimate(page.items)
    return known, "the agent has had too few calls" if known["estimate"] is None else "", wrong


async def _agents(client: AsyncRetell, settings: Settings, wrong: list[str]) -> list[str]:
    """Who speaks: the agent of the rules, or else those of the numbers that call.

    :param wrong: gets which of them the account does not have.
    """
    agents: set[str] = set()
    for number in settings.rules.numbers[:_NUMBERS_LOOKED_AT]:
        try:
            found = await client.phone_number.retrieve(number.number)
        except _NOT_THERE as error:
            wrong.append(f"the account has no number {mask(number.number)}: {mask_text(str(error))}")
        else:
            agents.update(agent.agent_id for agent in found.outbound_agents or [])
    if settings.agent is None:
        return sorted(agents)
    try:
        await client.agent.retrieve(settings.agent)
    except _NOT_THERE as error:
        wrong.append(f"the account has no agent {mask_text(settings.agent)}: {mask_text(str(error))}")
    return [settings.agent]


def _print(found: Plan, why: str, show: int) -> None:
    for call in found.calls[:show]:
        click.echo(_line(call))
    if len(found.calls) > show:
        click.echo(f"... and {len(found.calls) - show:,} more")
    if found.refused:
        click.echo("\nRefused:")
        for refused in found.refused[:show]:
            click.echo(f"  line {refused.line}: {refused.text}")
        if len(found.refused) > show:
            click.echo(f"  ... and {len(found.refused) - show:,} more")
    total = len(found.calls) + len(found.refused) + len(found.late)
    click.echo(f"\n{len(found.calls):,} of {total:,} contacts would be called")
    for reason, count in found.reasons.most_common():
        click.echo(f"  {count:,} refused: {reason}")
    if found.late:
        click.echo(f"  {len(found.late):,} would have to wait until after the end of the campaign")
    if found.ends_at is not None:
        until = datetime.fromtimestamp(found.ends_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        click.echo(f"First calls over: {until}, with calls of {found.duration:.0f} s{'' if found.estimate else ', which is a guess'}")
    if found.cents is None or found.estimate is None:
        click.echo(f"Cost: unknown ({why})")
    elif found.calls:
        low, middle, high = (cents / 100 for cents in found.cents)
        drawn = f"by the last {found.estimate.calls} calls of the agent that connected"
        click.echo(f"Cost of one call each: about ${middle:,.2f} (${low:,.2f} to ${high:,.2f}), {drawn}")


def _line(call: Planned) -> str:
    return f"{local(call.at, call.contact.zones):<32} {mask(call.contact.number)}  from {mask(call.from_number)}"


def _summary(found: Plan, why: str) -> dict[str, Any]:
    return {
        "calls": len(found.calls),
        "refused": len(found.refused),
        "late": len(found.late),
        "ends_at": None if found.ends_at is None else datetime.fromtimestamp(found.ends_at, UTC).isoformat(),
        "seconds_a_call": found.duration,
        "cost_in_cents": None if found.cents is None else dict(zip(("low", "middle", "high"), found.cents, strict=True)),
        "cost_unknown_because": why or None,
        "reasons": dict(found.reasons),
        "refused_lines": [{"line": one.line, "reason": one.reason, "text": one.text} for one in found.refused],
    }


def _write(found: Plan, out: Path) -> None:
    with written(out) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["id", "number", "utc", "local", "from_number", "line", "refused", "why"])
        for call in found.calls:
            utc = datetime.fromtimestamp(call.at, UTC).isoformat(timespec="seconds")
            rows.writerow([call.contact.id, call.contact.number, utc, local(call.at, call.contact.zones), call.from_number, "", "", ""])
        for contact in found.late:
            rows.writerow([contact.id, contact.number, "", "", "", "", "late", "the campaign ends before its turn comes"])
        for refused in found.refused:
            rows.writerow(["", "", "", "", "", refused.line, refused.reason, refused.text])
