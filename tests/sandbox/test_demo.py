"""The demo's campaign in small, under both event loops, each answer compared with the document by the client."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from retell_async import AsyncRetell
from retell_async.raw.models import V3PhoneCallResponse
from retell_async.sandbox import RunningClock, Sandbox, Settings, demo, serve


@pytest.mark.anyio
async def test_a_campaign_follows_every_call_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.02)
    numbers = [f"+12015550{number}" for number in range(100, 160)]
    told: Counter[str] = Counter()
    sandbox = Sandbox(Settings(seed=demo.SEED), RunningClock(2000))
    async with serve(sandbox) as served, AsyncRetell("key", base_url=served.url, strict=True) as client:
        report = await demo.campaign(client, numbers, lambda what: told.update([what]))
    assert told == {"placed": 60, "ended": 60}
    assert sorted(call.to_number for call in report.listed if isinstance(call, V3PhoneCallResponse)) == numbers
    assert (report.duplicates, report.lost) == (0, 0)
    assert report.answered + report.voicemail + report.failures.total() == 60
    assert min(report.answered, report.voicemail, report.failures.total()) > 0
    assert report.dollars > 1
    assert len(report.latencies) > 60

    out = io.StringIO()
    Console(file=out, width=90).print(demo.table_of(report, 1.25))
    assert "duplicates │       0 │" in out.getvalue()
    assert "1.2 s" in out.getvalue()


def test_outside_a_terminal_progress_is_told_in_plain_lines() -> None:
    out = io.StringIO()
    with demo._watched(Console(file=out, width=90)) as notify:
        for _ in range(demo.CALLS):
            notify("placed")
    assert out.getvalue().split("\n") == [*(f"{number:>4} of 200 calls placed" for number in (50, 100, 150, 200)), ""]
