# pyright: reportDeprecated=false
"""``retell-async call follow``, ``retell-async call place`` and ``retell-async logs``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
import click

from ..._client import AsyncRetell
from ..._core.errors import ConfigurationError, RetellError
from ..._core.masking import mask, mask_text
from ..operations import table
from ..operations.command import Command, profile_of, profile_options
from ..operations.output import Style, shown
from ..operations.sending import Sending, ask, carried_out, dry_run, fail, keyed, retrieved, run
from ..times import moment, plain
from .transcript import Growing, transcript, wrapped

if TYPE_CHECKING:
    from ..profiles import Profile

__all__ = ["follow", "logs", "place"]

_EVERY = 2.0
_OVER = ("ended", "error", "not_connected")
_PAGE = 1000
_LOG_WITHIN = 300.0


@click.command(cls=Command)
@click.argument("call_id")
@click.option("--poll", is_flag=True, help="Ask again and again in place of watching it: the transcript comes when the call is over.")
@profile_options
def follow(call_id: str, poll: bool, profile: str | None, sandbox: bool) -> None:
    """Show a call as it goes on: what is said as it is said, then how it ended.

    Watching needs the extra [llm]; without it, or with --poll, the call is asked for every two seconds, and its transcript is shown when it
    is over. Ctrl-C stops watching; the call goes on.
    """
    with suppress(KeyboardInterrupt):
        anyio.run(_follow_alone, profile_of(profile, sandbox), call_id, poll)


async def _follow_alone(profile: Profile, call_id: str, poll: bool) -> None:
    async with profile.client() as client:
        await _follow_call(client, call_id, profile, poll=poll)


async def _follow_call(client: AsyncRetell, call_id: str, profile: Profile, *, poll: bool) -> None:
    """Show a call until it is over, and then how it ended."""
    call: dict[str, Any] = {}
    status, watched = "", False
    while status not in _OVER:
        call = await retrieved(client, "call", call_id, profile)
        if call["call_status"] != status:
            status = call["call_status"]
            click.echo(f"{call_id} is {plain(status)}", err=True)
        if status == "ongoing" and not poll and not watched:
            watched = await _watch(client, call_id)
            poll = not watched
        elif status not in _OVER:
            await anyio.sleep(_EVERY)
    if not watched:
        for line in transcript(call):
            click.echo(line)
    click.echo(summary(call), err=True)


async def _watch(client: AsyncRetell, call_id: str) -> bool:
    """Show what is said as it is said; whether that could be done."""
    growing = Growing()
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(highlight=False)
        width = console.width if console.is_terminal else None
        with Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else _Nothing() as live:
            async with aclosing(client.call.monitor(call_id)) as items:
                async for item in items:
                    for line in growing.take(item.to_dict()):
                        console.print(Text(wrapped(line, width)), soft_wrap=True)
                    live.update(Text(wrapped(growing.current, width), "dim"), refresh=True)
            live.update(Text(""), refresh=True)
        for line in growing.end():
            console.print(Text(wrapped(line, width)), soft_wrap=True)
    except ModuleNotFoundError as error:
        if "pip install" not in str(error):
            raise
        click.echo(f"{error}; the transcript comes when the call is over", err=True)
        return False
    except RetellError as error:
        click.echo(f"The call cannot be watched: {mask_text(str(error))}", err=True)
        return False
    return True


class _Nothing:
    """Where nothing is redrawn."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, *_: object, **__: object) -> None:
        """Draw nothing."""


def summary(call: Mapping[str, Any]) -> str:
    """How a call ended, on one line."""
    cost = cast("Mapping[str, Any]", call.get("call_cost") or {}).get("combined_cost")
    analysis = cast("Mapping[str, Any]", call.get("call_analysis") or {})
    successful = analysis.get("call_successful")
    told = [
        str(call.get("call_status")),
        str(call.get("disconnection_reason") or ""),
        "" if call.get("duration_ms") is None else shown("duration_ms", call["duration_ms"], Style()),
        "" if cost is None else f"${cost / 100:,.2f}",
        "" if successful is None else "successful" if successful else "not successful",
    ]
    return plain(", ".join(part for part in told if part))


@click.command(cls=Command)
@click.argument("to_number")
@click.option("--from", "from_number", metavar="NUMBER", help="The number that calls; needed if the account has several.")
@click.option("--agent", "agent_id", metavar="ID", help="The agent that speaks, in place of the number's own.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="What replaces {{NAME}} in prompts; may be repeated.")
@click.option("--follow", "followed", is_flag=True, help="Show how it goes on, to its end.")
@click.option("--idempotency-key", metavar="KEY", help="That of a call whose outcome is unknown: within an hour no second one is placed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", "dry", is_flag=True, help="Print the request, and send nothing; needs --from.")
@profile_options
def place(
    to_number: str,
    from_number: str | None,
    agent_id: str | None,
    variables: tuple[str, ...],
    followed: bool,
    idempotency_key: str | None,
    yes: bool,
    dry: bool,
    profile: str | None,
    sandbox: bool,
) -> None:
    """Call somebody. TO_NUMBER is in E.164 form: +14155550101.

    call create-phone-call has all that the API takes.
    """
    arguments: dict[str, Any] = {"to_number": to_number}
    if agent_id is not None:
        arguments["override_agent_id"] = agent_id
    if variables:
        pairs = [variable.partition("=") for variable in variables]
        if wrong := [name for name, equals, _ in pairs if not equals or not name]:
            raise click.UsageError(f"--var takes NAME=VALUE, not {wrong[0]!r}")
        arguments["retell_llm_dynamic_variables"] = {name: value for name, _, value in pairs}
    if idempotency_key is not None:
        arguments["idempotency_key"] = idempotency_key
    if dry and from_number is None:
        raise click.UsageError("--dry-run asks the account for nothing, so --from has to say which number calls")
    known = profile_of(profile, sandbox, dry=dry)
    arguments["from_number"] = from_number or anyio.run(_only_number, known)
    operation = table.operation("call", "create_phone_call")
    if dry:
        anyio.run(dry_run, Sending(operation, keyed(operation, arguments), known, Style()))
        return
    ask("call place", known, operation.asked(arguments), arguments, yes=yes)
    arguments = keyed(operation, arguments)
    call_id = run(operation, arguments, _place, known, operation, arguments)
    click.echo(call_id)
    if followed:
        with suppress(KeyboardInterrupt):
            anyio.run(_follow_alone, known, call_id, False)


async def _only_number(profile: Profile) -> str:
    """The number of an account that has one.

    :raises ConfigurationError: it has none, or several.
    """
    async with profile.client() as client:
        page = await client.phone_number.list(limit=2)
        if len(page.items) != 1:
            raise ConfigurationError(f"the account has {'several' if page.items else 'no'} numbers: --from says which calls")
        return page.items[0].phone_number


async def _place(profile: Profile, operation: table.Operation, arguments: dict[str, Any]) -> str:
    async with profile.client() as client:
        try:
            placed = await client.call.create_phone_call(**arguments)
        except (RetellError, ValueError, TypeError) as error:
            fail(operation, error, profile)
        carried_out(f"The call was placed: call_id {placed.call_id}.")
        return placed.call_id


@click.command(cls=Command)
@click.argument("call_id", required=False)
@click.option("--since", default="1h", show_default=True, metavar="TIME", help="From then on: yesterday, 7d, 12h, 2026-11-26T09:00.")
@click.option("--agent", "agent_id", metavar="ID", help="Only calls of this agent.")
@click.option("--failed", is_flag=True, help="Only calls that never connected or broke off.")
@click.option("--follow", "-f", "followed", is_flag=True, help="Go on: show calls as they end, until Ctrl-C.")
@profile_options
def logs(call_id: str | None, since: str, agent_id: str | None, failed: bool, followed: bool, profile: str | None, sandbox: bool) -> None:
    """Show calls that are over, one on each line, the latest last; or with a CALL_ID the log of that call."""
    known = profile_of(profile, sandbox)
    if call_id is not None:
        anyio.run(_log_of, known, call_id)
        return
    criteria: dict[str, Any] = {"call_status": {"type": "enum", "op": "in", "value": list(_OVER[1:] if failed else _OVER)}}
    if agent_id is not None:
        criteria["agent"] = [{"agent_id": agent_id}]
    with suppress(KeyboardInterrupt):
        anyio.run(_logs, known, criteria, moment(since), followed)


async def _logs(profile: Profile, criteria: dict[str, Any], since: datetime, followed: bool) -> None:
    seen: set[str] = set()
    async with profile.client() as client:
        while True:
            begun = datetime.now(UTC)
            at_least = {"type": "number", "op": "ge", "value": int(since.timestamp() * 1000)}
            found: dict[str, dict[str, Any]] = {}
            for time in ("end_timestamp", "start_timestamp"):  # what never connected may have no end
                asked: Any = {**criteria, time: at_least}
                found |= {call.call_id: call.to_dict() async for call in client.call.list(filter_criteria=asked, limit=_PAGE)}
            for call_id, call in sorted(found.items(), key=lambda one: _ended(one[1])):
                if call_id not in seen:
                    seen.add(call_id)
                    click.echo(log_line(call))
            if not followed:
                return
            sys.stdout.flush()
            since = max(since, datetime.fromtimestamp(begun.timestamp() - 60, UTC))
            await anyio.sleep(_EVERY)


def _ended(call: Mapping[str, Any]) -> float:
    return call.get("end_timestamp") or call.get("start_timestamp") or 0


def log_line(call: Mapping[str, Any]) -> str:
    """A call on one line of a log. Numbers of people are masked."""
    at = shown("end_timestamp", _ended(call) or None, Style()) or " " * 16
    inbound = call.get("direction") == "inbound"
    other = call.get("from_number" if inbound else "to_number")
    who = f"{'from' if inbound else 'to'} {mask(str(other))}" if other else "web"
    return f"{at}  {call['call_id']}  {who}  {summary(call)}"


async def _log_of(profile: Profile, call_id: str) -> None:
    import httpx

    async with profile.client() as client:
        call = await retrieved(client, "call", call_id, profile)
    url = call.get("public_log_url")
    if not url:
        raise ConfigurationError(f"{call_id} has no log: it is there some time after the call is over")
    try:
        with anyio.fail_after(_LOG_WITHIN):
            async with (
                httpx.AsyncClient(follow_redirects=True) as http,  # where logs are, no key goes
                http.stream("GET", url) as answer,
            ):
                async for line in answer.raise_for_status().aiter_lines():
                    click.echo(plain(mask_text(line)))
    except TimeoutError:
        raise ConfigurationError(f"the log of {call_id} did not arrive within {_LOG_WITHIN:.0f} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigurationError(f"the log of {call_id} cannot be fetched: {mask_text(str(error))}") from None
