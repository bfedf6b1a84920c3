"""``python -m retell_async.sandbox.demo``: the client places 200 calls at once on the sandbox, over HTTP, and follows each to its end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from random import uniform
from statistics import quantiles

import anyio
import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .. import AsyncRetell
from ..raw.models import CallResponse, V3CallResponse, V3PhoneCallResponse
from . import RunningClock, Sandbox, Settings, serve

__all__ = ["Report", "campaign", "main"]

CALLS = 200
SPEED = 40
SEED = 7
POLL_SECONDS = 0.5

Notify = Callable[[str], None]
"""Told ``placed`` and ``ended`` once for each call."""


@attrs.frozen
class Report:
    """What came of a campaign: each call as it was followed, and all calls as the list shows them."""

    followed: Sequence[CallResponse]
    listed: Sequence[V3CallResponse]

    @property
    def answered(self) -> int:
        return len([call for call in self.followed if call.call_status == "ended"]) - self.voicemail

    @property
    def voicemail(self) -> int:
        return len([call for call in self.followed if call.call_analysis is not None and call.call_analysis.in_voicemail])

    @property
    def failures(self) -> Counter[str]:
        """Calls that connected nobody or broke off, by their reason."""
        return Counter(str(call.disconnection_reason) for call in self.followed if call.call_status in {"not_connected", "error"})

    @property
    def duplicates(self) -> int:
        """Calls to somebody who was called already."""
        return len(self.listed) - len({call.to_number for call in self.listed if isinstance(call, V3PhoneCallResponse)})

    @property
    def lost(self) -> int:
        """Calls that were placed and that the list does not show."""
        return len({call.call_id for call in self.followed} - {call.call_id for call in self.listed})

    @property
    def minutes(self) -> float:
        return sum(call.duration_ms or 0 for call in self.listed) / 60_000

    @property
    def dollars(self) -> float:
        return sum(call.call_cost.combined_cost for call in self.listed if call.call_cost is not None) / 100

    @property
    def latencies(self) -> list[float]:
        """Milliseconds from the user's last word to the agent's answer, of every answer."""
        summaries = [call.latency.e2e for call in self.followed if call.latency is not None]
        return [value for summary in summaries if summary is not None for value in summary.values or ()]


async def campaign(client: AsyncRetell, to_numbers: Sequence[str], notify: Notify) -> Report:
    """Call everybody at once, and wait until each call is over and analysed."""
    llm = await client.llm.create(
        begin_message="Hello, this is the dental practice. Do you have a minute?",
        general_prompt="You arrange appointments. Be brief and friendly.",
    )
    agent = await client.agent.create(
        agent_name="Appointments",
        response_engine={"type": "retell-llm", "llm_id": llm.llm_id},
        voice_id="retell-Cimo",
        voicemail_option={"action": {"type": "hangup"}},
    )
    number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
    followed: list[CallResponse] = []

    async def call(to_number: str) -> None:
        placed = await client.call.create_phone_call(from_number=number.phone_number, to_number=to_number)
        notify("placed")
        followed.append(await _end_of(client, placed.call_id))
        notify("ended")

    async with anyio.create_task_group() as group:
        for to_number in to_numbers:
            group.start_soon(call, to_number)
    listed = [item async for item in client.call.list(filter_criteria={"agent": [{"agent_id": agent.agent_id}]}, limit=50)]
    return Report(followed, listed)


async def _end_of(client: AsyncRetell, call_id: str) -> CallResponse:
    while True:
        await anyio.sleep(POLL_SECONDS * uniform(0.8, 1.2))
        call = await client.call.retrieve(call_id)
        if call.call_analysis is not None:
            return call


async def run(console: Console) -> Report:
    """The whole demo: a sandbox, a client, a campaign."""
    # Numbers 555-0100 to 555-0199 of an area belong to nobody.
    to_numbers = [f"+1{201 + number // 100}55501{number % 100:02}" for number in range(CALLS)]
    async with (
        serve(Sandbox(Settings(seed=SEED), RunningClock(SPEED))) as sandbox,
        AsyncRetell("key_of_the_demo", base_url=sandbox.url) as client,
    ):
        console.print(f"Sandbox on {sandbox.url}, {SPEED} times as fast as real time: placing {CALLS} calls at once.", soft_wrap=True)
        with _watched(console) as notify:
            return await campaign(client, to_numbers, notify)


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


def table_of(report: Report, seconds: float) -> Table:
    table = Table(title="What came of it", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    failures = report.failures
    table.add_row("placed", str(len(report.followed)))
    table.add_row("answered", str(report.answered), f"{report.minutes:.0f} minutes on the line")
    table.add_row("voicemail", str(report.voicemail))
    table.add_row("failed", str(failures.total()), ", ".join(f"{reason} {count}" for reason, count in failures.most_common()))
    table.add_row("duplicates", str(report.duplicates))
    table.add_row("lost", str(report.lost))
    table.add_row("cost", f"${report.dollars:.2f}", "as the sandbox bills it: nothing was spent")
    if len(report.latencies) > 1:
        steps = quantiles(report.latencies, n=20)
        table.add_row("latency", f"{steps[9]:.0f} ms", f"median of {len(report.latencies)} answers, 95% within {steps[18]:.0f} ms")
    table.add_row("took", f"{seconds:.1f} s")
    return table


def main() -> int:
    """:return: 0 when every call was placed once and found again."""
    console = Console(highlight=False)
    begun = time.monotonic()
    try:
        report = anyio.run(run, console)
    except KeyboardInterrupt:
        return 130
    console.print(table_of(report, time.monotonic() - begun))
    return 0 if len(report.followed) == CALLS and report.duplicates == report.lost == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
