# pyright: reportDeprecated=false
"""``python -m retell_async.sandbox.demo``: a campaign of 500 calls on the sandbox, over HTTP, while things go wrong."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import anyio
import attrs
import uvicorn
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .. import APIError, AsyncRetell, LimitEvent, RetryEvent, webhooks
from .._engine.events import Event
from ..raw.models import CallResponse
from . import Fault, RunningClock, Sandbox, Settings, serve
from .http.server import listen

__all__ = ["Report", "campaign", "main"]

CALLS = 500
SPEED = 40
SEED = 7
KEY = "key_of_the_demo"
FAULTS = (
    "rate_limit:operation=createPhoneCall,requests=100,retry_after=1.0,form=fraction",
    "timeout:operation=createPhoneCall,probability=0.02,seed=1,acted=true",
    "reset:operation=createPhoneCall,probability=0.03,seed=2,acted=true",
    "error:operation=createPhoneCall,probability=0.03,seed=3,status=503,acted=true",
    "truncated:operation=createPhoneCall,probability=0.02,seed=4",
    "latency:operation=createPhoneCall,probability=0.05,seed=5,seconds=0.5",
    "error:operation=listCalls,probability=0.3,seed=6,status=502",
    "webhook_duplicate:probability=0.1,seed=7",
    "webhook_late:probability=0.05,seed=8,seconds=40",
)
PATIENCE = 20.0
"""Seconds that a call may take from its placing to its analysis."""

Notify = Callable[[str], None]
"""Told ``placed`` and ``ended`` once for each call."""


@attrs.frozen
class Report:
    """What came of a campaign."""

    wanted: Sequence[str]
    """Who was to be called."""
    analyzed: Mapping[str, CallResponse]
    """By their ids, the calls that webhooks told the end of."""
    listed: Mapping[str, str]
    """By their ids, whom all the calls were to that the list of calls shows."""
    errors: Sequence[APIError]
    """What was raised instead of a call."""

    @property
    def placed(self) -> int:
        return len(self.wanted) - len(self.errors)

    @property
    def answered(self) -> int:
        return len([call for call in self.analyzed.values() if call.call_status == "ended"]) - self.voicemail

    @property
    def voicemail(self) -> int:
        return len([call for call in self.analyzed.values() if call.call_analysis is not None and call.call_analysis.in_voicemail])

    @property
    def failures(self) -> Counter[str]:
        """Calls that connected nobody or broke off, by their reason."""
        return Counter(str(call.disconnection_reason) for call in self.analyzed.values() if call.call_status in {"not_connected", "error"})

    @property
    def duplicates(self) -> int:
        """Calls to somebody who was called already."""
        return len(self.listed) - len({*self.listed.values()})

    @property
    def lost(self) -> int:
        """People who were not called, and calls whose end nobody told."""
        return len({*self.wanted} - {*self.listed.values()}) + len(self.listed.keys() - self.analyzed.keys())

    @property
    def minutes(self) -> float:
        return sum(call.duration_ms or 0 for call in self.analyzed.values()) / 60_000

    @property
    def dollars(self) -> float:
        return sum(call.call_cost.combined_cost for call in self.analyzed.values() if call.call_cost is not None) / 100


@attrs.frozen
class Deliveries:
    """What became of the webhooks of a campaign, when no more are under way."""

    repeated: int
    """How many the sandbox sent a second time on purpose."""
    delivered: int
    """How many it sent that were acknowledged, repeated ones among them."""
    undelivered: int
    handled: int
    """How many handlers were given."""
    refused: int
    """How many were not signed as they should be."""

    @property
    def dropped(self) -> int:
        """How many were acknowledged and given to no handler, since they had been before."""
        return self.delivered - self.handled

    @property
    def right(self) -> bool:
        """Whether each event was handled once."""
        return self.dropped == self.repeated and self.undelivered == self.refused == 0


class Listener:
    """Takes webhooks, and keeps the calls that are over."""

    def __init__(self, api_key: str, notify: Notify) -> None:
        self.router = webhooks.Router(api_key)
        self.analyzed: dict[str, CallResponse] = {}
        self.handled = 0
        self._told: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self._notify = notify
        self.router.on()(self._count)
        self.router.on("call_analyzed")(self._keep)

    async def end_of(self, call_id: str) -> None:
        """Wait until a call is over and analysed, as long as is sensible."""
        with anyio.move_on_after(PATIENCE):
            await self._told[call_id].wait()

    async def _count(self, _: webhooks.Event) -> None:
        self.handled += 1

    async def _keep(self, event: webhooks.CallAnalyzed) -> None:
        self.analyzed[event.call.call_id] = event.call
        self._told[event.call.call_id].set()
        self._notify("ended")


async def campaign(client: AsyncRetell, to_numbers: Sequence[str], webhook_url: str, listener: Listener, notify: Notify) -> Report:
    """Call everybody at once, wait until webhooks have told the end of each call, and list all calls."""
    llm = await client.llm.create(
        begin_message="Hello, this is the dental practice. Do you have a minute?",
        general_prompt="You arrange appointments. Be brief and friendly.",
    )
    agent = await client.agent.create(
        agent_name="Appointments",
        response_engine={"type": "retell-llm", "llm_id": llm.llm_id},
        voice_id="retell-Cimo",
        voicemail_option={"action": {"type": "hangup"}},
        webhook_url=webhook_url,
    )
    number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
    errors: list[APIError] = []

    async def call(to_number: str) -> None:
        try:
            placed = await client.call.create_phone_call(from_number=number.phone_number, to_number=to_number)
        except APIError as error:
            errors.append(error)
            return
        notify("placed")
        await listener.end_of(placed.call_id)

    async with anyio.create_task_group() as group:
        for to_number in to_numbers:
            group.start_soon(call, to_number)
    listed = client.call.list(filter_criteria={"agent": [{"agent_id": agent.agent_id}]}, limit=50)
    called = {item.call_id: str(item.to_dict()["to_number"]) async for item in listed}  # whatever class a version of the list answers with
    return Report(to_numbers, listener.analyzed, called, errors)


async def run(console: Console) -> tuple[Report, Deliveries, Table]:
    """The whole demo: a sandbox, a service that takes webhooks, a client, a campaign."""
    # Numbers 555-0100 to 555-0199 of an area belong to nobody.
    to_numbers = [f"+1{201 + number // 100}55501{number % 100:02}" for number in range(CALLS)]
    sandbox = Sandbox(Settings(seed=SEED), RunningClock(SPEED))
    for text in FAULTS:
        sandbox.set_fault(Fault.parse(text))
    events: Counter[str] = Counter()

    def count(event: Event) -> None:
        events[type(event).__name__] += 1

    begun, began = time.monotonic(), sandbox.store.now()
    with _watched(console) as notify:
        listener = Listener(KEY, notify)
        async with (
            receiving(listener.router) as webhook_url,
            serve(sandbox) as served,
            AsyncRetell(KEY, base_url=served.url, timeout=1.0, max_retries=5, hooks=[count]) as client,
        ):
            console.print(f"A sandbox of the API is at {served.url}. Nobody is called.", soft_wrap=True)
            console.print(f"Its time runs {SPEED} times as fast as real time: a minute of a call takes {60 / SPEED:.2g} s.", soft_wrap=True)
            console.print(f"Placing {CALLS} calls at once, while {len(FAULTS)} faults are set.")
            report = await campaign(client, to_numbers, f"{webhook_url}/events", listener, notify)
            await _all_sent(sandbox)
    real, simulated = time.monotonic() - begun, (sandbox.store.now() - began) / 1000
    faults = Counter[str]()
    for active in sandbox.faults:
        faults[active.fault.kind] += active.count
    delivered = len([delivery for delivery in sandbox.outbox.log if delivery.state == "delivered"])
    deliveries = Deliveries(
        repeated=faults["webhook_duplicate"],
        delivered=delivered,
        undelivered=len(sandbox.outbox.log) - delivered,
        handled=listener.handled,
        refused=listener.router.stats.refused,
    )
    table = table_of(report, deliveries)
    table.add_section()
    table.add_row("faults", f"{faults.total():,}", f"made on purpose: {', '.join(f'{kind} {number}' for kind, number in faults.items())}")
    table.add_row("retries", f"{events[RetryEvent.__name__]:,}", "requests that the client sent again after an error or no answer")
    table.add_row("waits", f"{events[LimitEvent.__name__]:,}", "answers of a rate limit, which the client waited for and asked again")
    table.add_section()
    table.add_row("real time", f"{real:.0f} s", "by the clock on your wall, from the start to this table")
    table.add_row(
        "simulated", f"{simulated / 60:.0f} min", f"in the sandbox meanwhile, {SPEED} times as fast; the calls went on side by side"
    )
    return report, deliveries, table


async def _all_sent(sandbox: Sandbox) -> None:
    """Wait until no webhook is under way any more, as long as is sensible: some come late, on purpose."""
    with anyio.move_on_after(PATIENCE):
        while sandbox.outbox.pending:  # noqa: ASYNC110 - the sandbox tells nobody that it has sent everything
            await anyio.sleep(0.05)


@asynccontextmanager
async def receiving(router: webhooks.Router) -> AsyncGenerator[str, None]:
    """Serve a webhook router on a free port while the context lasts, and give its URL."""
    listener, url = listen("127.0.0.1", 0)
    server = _Guest(uvicorn.Config(router, log_config=None, access_log=False, lifespan="off"))
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        try:
            yield url
        finally:
            server.should_exit = True


class _Guest(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextmanager
def _watched(console: Console) -> Generator[Notify, None, None]:
    """Bars on a terminal, now and then a line elsewhere."""
    counts: Counter[str] = Counter()
    columns = (TextColumn("{task.description:>6}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {what: progress.add_task(what, total=CALLS) for what in ("placed", "ended")}

        def notify(what: str) -> None:
            counts[what] += 1
            progress.advance(bars[what])
            if not console.is_terminal and counts[what] % (CALLS // 4) == 0:
                console.print(f"{counts[what]:>4} of {CALLS} calls {what}")

        yield notify


def table_of(report: Report, deliveries: Deliveries) -> Table:
    table = Table(title="What came of it", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    failures = report.failures
    table.add_row("placed", f"{report.placed:,}", f"of {len(report.wanted):,} people who were to be called")
    table.add_row("answered", f"{report.answered:,}", f"by people; all calls together lasted {report.minutes:,.0f} simulated minutes")
    table.add_row("voicemail", f"{report.voicemail:,}", "answered by a mailbox")
    reasons = ", ".join(f"{reason} {count}" for reason, count in failures.most_common())
    table.add_row("failed", f"{failures.total():,}", f"as calls do: {reasons}")
    table.add_row("called twice", f"{report.duplicates:,}", "people who were called again because of an error")
    table.add_row("lost", f"{report.lost:,}", "people who were not called, and calls whose end nobody heard of")
    table.add_row("cost", f"${report.dollars:,.2f}", "as the sandbox bills it: nothing was spent")
    table.add_section()
    table.add_row("webhooks", f"{deliveries.delivered:,}", f"delivered, {deliveries.refused} refused for their signature")
    table.add_row("sent twice", f"{deliveries.repeated:,}", "of them, as a fault wants it")
    table.add_row(
        "dropped", f"{deliveries.dropped:,}", "as duplicates: handlers saw each event once" if deliveries.right else "as duplicates"
    )
    if deliveries.undelivered:
        table.add_row("undelivered", f"{deliveries.undelivered:,}", "webhooks that were not acknowledged")
    return table


def main() -> int:
    """:return: 0 when everybody was called once, the end of each call was told, and each webhook was handled once."""
    console = Console(highlight=False)
    try:
        report, deliveries, table = anyio.run(run, console)
    except KeyboardInterrupt:
        return 130
    console.print(table)
    return 0 if report.placed == CALLS and report.duplicates == report.lost == 0 and deliveries.right else 1


if __name__ == "__main__":
    sys.exit(main())
