# pyright: reportDeprecated=false
"""``retell-async webhooks``: events of an account for a program that Retell cannot reach, or did not reach."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

import anyio
import attrs
import click

from ..._core.errors import ConfigurationError, RetellError
from ..._core.masking import mask_text
from ..operations.command import Group, profile_of, profile_options
from ..operations.sending import Failed, retrieved
from ..times import Seconds, counted, moment
from .events import CALL, CHAT, SAMPLES, Event, Kind, Seen, events_of, happened, sample

if TYPE_CHECKING:
    import httpx

    from ..._client import AsyncRetell
    from ..profiles import Profile

__all__ = ["webhooks"]

_KINDS: tuple[Kind, ...] = ("call", "chat")
_ATTEMPTS = 3  # as Retell has it
_PAUSE = 1.0
_TIMEOUT = 10.0
_ANALYSED_WITHIN = timedelta(minutes=30)
_PAGE = 1000
_NEVER_HEARD = ("error", "not_connected")  # what may have no time of its end

_forward = click.option(
    "--forward-to", "url", metavar="URL", help="Where events are posted: http://127.0.0.1:8000/webhook. Else they are printed."
)
_events = click.option("--events", "names", metavar="NAMES", help="Only these, with commas between: call_ended,call_analyzed.")


@click.group(cls=Group)
def webhooks() -> None:
    """Bring webhook events to a program on this machine, or bring them again.

    No tunnel is needed: the API is asked what happened, and the events are made and signed here as Retell does, with the API key of the
    profile. If another key of the workspace has the webhook badge, RETELL_WEBHOOK_KEY is that one.
    """


@webhooks.command()
@_forward
@_events
@click.option("--every", default=3.0, show_default=True, type=Seconds(min=0.5), metavar="SECONDS", help="From one look to the next.")
@profile_options
def listen(url: str | None, names: str | None, every: float, profile: str | None, sandbox: bool) -> None:
    """Post the events of what happens from now on, until Ctrl-C: that calls and chats began, ended and were analysed.

    They come some seconds later than Retell's own. What happens within a call (transcript_updated, transfers) cannot be asked for and does
    not come.
    """
    known = profile_of(profile, sandbox)
    wanted = _wanted(names, (*CALL, *CHAT))
    with suppress(KeyboardInterrupt):
        anyio.run(_listen, known, _Delivery.to(url, known), wanted, every)


async def _listen(profile: Profile, delivery: _Delivery, wanted: frozenset[str], every: float) -> None:
    seen = {kind: Seen(kind) for kind in _KINDS}
    begun = datetime.now(UTC)
    async with profile.client() as client, delivery:
        for kind in _KINDS:
            async for item in _recent(client, kind, begun):
                seen[kind].take(item)
        click.echo(f"Listening to the workspace {profile.name}. Ctrl-C stops.", err=True)
        while True:
            await anyio.sleep(every)
            for kind in _KINDS:
                try:
                    since = max(begun, datetime.now(UTC) - _ANALYSED_WITHIN)
                    found = [item async for item in _recent(client, kind, since) if seen[kind].due(item)]
                    for item in sorted(found, key=lambda one: one.get("start_timestamp") or 0):
                        names = [name for name in seen[kind].due(item) if name in wanted]
                        if names:
                            await delivery.post(
                                events_of(kind, (await getattr(client, kind).retrieve(item[f"{kind}_id"])).to_dict(), names)
                            )
                        seen[kind].take(item)
                except RetellError as error:
                    click.echo(f"The API did not say what happened: {mask_text(str(error))}; it is asked again", err=True)


async def _recent(client: AsyncRetell, kind: Kind, since: datetime) -> AsyncGenerator[dict[str, Any]]:
    """Calls or chats that go on, that ended since, or that never began: of these the last thousand."""
    resource: Any = getattr(client, kind)
    status = f"{kind}_status"
    ended = {"end_timestamp": {"type": "number", "op": "ge", "value": _ms(since)}}
    for criteria in (ended, {status: {"type": "enum", "op": "in", "value": ["ongoing"]}}):
        async for item in resource.list(filter_criteria=criteria, limit=_PAGE):
            yield item.to_dict()
    never = _NEVER_HEARD if kind == "call" else ("error",)
    page = await resource.list(filter_criteria={status: {"type": "enum", "op": "in", "value": list(never)}}, limit=_PAGE)
    for item in page.items:
        if item.end_timestamp is None:
            yield item.to_dict()


@webhooks.command()
@click.argument("event", metavar="EVENT", type=click.Choice(SAMPLES))
@_forward
@click.option("--call", "call_id", metavar="ID", help="Of this call of the account, in place of a sample.")
@profile_options
def trigger(event: str, url: str | None, call_id: str | None, profile: str | None, sandbox: bool) -> None:
    """Post one EVENT, signed, about a call or chat that never was: for the first steps of a handler."""
    known = profile_of(profile, sandbox)
    if call_id is not None and event not in CALL:
        raise click.UsageError(f"--call is for {', '.join(CALL)}")
    anyio.run(_trigger, known, _Delivery.to(url, known), event, call_id)


async def _trigger(profile: Profile, delivery: _Delivery, event: str, call_id: str | None) -> None:
    found = [sample(event)]
    if call_id is not None:
        async with profile.client() as client:
            call = await retrieved(client, "call", call_id, profile)
        if event not in happened("call", call):
            raise ConfigurationError(f"{call_id} has had no {event}: it is {call['call_status']}")
        found = events_of("call", call, [event])
    async with delivery:
        await delivery.post(found)
    delivery.check()


@webhooks.command()
@click.option("--since", required=True, metavar="TIME", help="What ended from then on: yesterday, 6h, 2026-11-26T09:00.")
@click.option("--until", metavar="TIME", help="And before then.")
@_forward
@_events
@click.option("--never-connected", is_flag=True, help="And of all calls that never connected and have no time, whenever they were placed.")
@profile_options
def resend(
    since: str, until: str | None, url: str | None, names: str | None, never_connected: bool, profile: str | None, sandbox: bool
) -> None:
    """Post the events of calls and chats that ended in a period once more: what an outage of your own has missed.

    They are made of the calls themselves. A handler must be able to take an event twice. Calls that never connected may have no time, and
    then nobody can say whether they belong to the period: they are left out, and counted.
    """
    known = profile_of(profile, sandbox)
    first, last = moment(since), None if until is None else moment(until)
    if last is not None and first >= last:
        raise click.UsageError(f"the period ends ({last:%Y-%m-%d %H:%M}) before it begins ({first:%Y-%m-%d %H:%M})")
    anyio.run(_resend, known, _Delivery.to(url, known), _wanted(names, (*CALL, *CHAT)), first, last, never_connected)


async def _resend(
    profile: Profile, delivery: _Delivery, wanted: frozenset[str], first: datetime, last: datetime | None, never_connected: bool
) -> None:
    async with profile.client() as client, delivery:

        async def post(kind: Kind, id: str) -> None:
            whole: dict[str, Any] = (await getattr(client, kind).retrieve(id)).to_dict()
            await delivery.post(events_of(kind, whole, [name for name in happened(kind, whole) if name in wanted]))

        period: Any = {"type": "number", "op": "ge", "value": _ms(first)}
        if last is not None:
            period = {"type": "range", "op": "bt", "value": [_ms(first), _ms(last)]}
        kinds: tuple[Kind, ...] = ("call", "chat")
        for kind in kinds:
            async for item in getattr(client, kind).list(filter_criteria={"end_timestamp": period}, limit=_PAGE, sort_order="ascending"):
                await post(kind, getattr(item, f"{kind}_id"))
        never: Any = {"call_status": {"type": "enum", "op": "in", "value": list(_NEVER_HEARD)}}
        untimed = [call.call_id async for call in client.call.list(filter_criteria=never, limit=_PAGE) if call.end_timestamp is None]
        for call_id in untimed if never_connected else ():
            await post("call", call_id)
    if untimed and not never_connected:
        left_out = counted(
            len(untimed),
            "call that never connected has no time and was left out",
            "calls that never connected have no time and were left out",
        )
        click.echo(f"{left_out}: --never-connected takes them too", err=True)
    delivery.check()


def _is_address(url: str) -> bool:
    import httpx

    try:
        host, _ = httpx.URL(url).host, urlsplit(url).port
    except (ValueError, httpx.InvalidURL):
        return False
    return bool(host) and url.startswith(("http://", "https://"))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _wanted(names: str | None, there: Sequence[str]) -> frozenset[str]:
    wanted = frozenset(there if names is None else (name.strip() for name in names.split(",") if name.strip()))
    if unknown := sorted(wanted - {*there}):
        raise click.UsageError(f"--events {unknown[0]} is none that can be asked for: {', '.join(there)}")
    return wanted


@attrs.define
class _Delivery:
    """Where events go: to a URL, each up to three times, or to the standard output."""

    url: str | None
    profile: Profile
    printed: int = 0
    accepted: int = 0
    refused: int = 0
    _http: httpx.AsyncClient | None = None

    @classmethod
    def to(cls, url: str | None, profile: Profile) -> _Delivery:
        """:raises click.UsageError: the URL is none."""
        if url is not None and not _is_address(url):
            raise click.UsageError(f"--forward-to takes a URL such as http://127.0.0.1:8000/webhook, not {mask_text(url)!r}")
        return cls(url, profile)

    async def __aenter__(self) -> Self:
        if self.url is not None:
            import httpx

            self._http = await httpx.AsyncClient(timeout=_TIMEOUT).__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def post(self, events: Iterable[Event]) -> None:
        """Deliver events in their order."""
        for event in events:
            if self._http is None:
                click.echo(json.dumps(event.body, ensure_ascii=False))
                self.printed += 1
                continue
            said, is_fine = await self._attempts(self._http, event)
            self.accepted += is_fine
            self.refused += not is_fine
            click.echo(f"{datetime.now().astimezone():%H:%M:%S}  {event.name:<18}  {event.about}  {said}")

    async def _attempts(self, http: httpx.AsyncClient, event: Event) -> tuple[str, bool]:
        import httpx

        body = json.dumps(event.body, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
        said = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await anyio.sleep(_PAUSE)
            headers = {"content-type": "application/json", "x-retell-signature": self.profile.sign(body)}
            begun = time.monotonic()
            try:
                with anyio.fail_after(_TIMEOUT):  # in all; and of the answer nothing is read but its status
                    async with http.stream("POST", cast("str", self.url), content=body, headers=headers) as answer:
                        pass
            except TimeoutError:
                said = f"no answer within {_TIMEOUT:.0f} seconds"
                continue
            except httpx.HTTPError as error:
                said = mask_text(str(error) or type(error).__name__)
                continue
            said = f"{answer.status_code} in {(time.monotonic() - begun) * 1000:,.0f} ms"
            if answer.is_success:
                return said, True
        return f"{said}, {_ATTEMPTS} times", False

    def check(self) -> None:
        """:raises Failed: something was not taken."""
        if self.url is not None:
            click.echo(f"{counted(self.accepted, 'event', 'events')} taken, {self.refused:,} not", err=True)
        elif not self.printed:
            click.echo("No events: nothing of that is known to have happened then", err=True)
        if self.refused:
            events = counted(self.refused, "event was not taken", "events were not taken")
            raise Failed(f"{events} by the handler: it has to listen there and to answer with 2xx within {_TIMEOUT:.0f} seconds.")
