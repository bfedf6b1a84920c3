"""The demo in small: everything goes wrong that can, and every call is found once."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from retell_async.sandbox import demo

pytestmark = pytest.mark.parallel


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_campaign_survives_its_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CALLS", 80)
    monkeypatch.setattr(demo, "SPEED", 400)
    monkeypatch.setattr(demo, "FAULTS", tuple(text.replace("requests=100", "requests=60") for text in demo.FAULTS))
    out = io.StringIO()
    report, deliveries, table = await demo.run(Console(file=out, width=100))
    assert (report.placed, report.duplicates, report.lost, report.errors) == (80, 0, 0, [])
    assert sorted(report.listed.values()) == sorted(report.wanted)
    assert report.answered + report.voicemail + report.failures.total() == 80
    assert min(report.answered, report.voicemail, report.failures.total()) > 0
    assert report.dollars > 1
    assert 0 < deliveries.repeated == deliveries.dropped < deliveries.handled
    assert deliveries.right
    Console(file=out, width=100).print(table)
    text = out.getvalue()
    for line in (
        "  80 of 80 calls placed",
        "  80 of 80 calls ended",
        "called twice │",
        "0 refused for their signature",
        "rate_limit ",
        "timeout ",
        "real time",
        "simulated",
    ):
        assert line in text
    assert "+1" not in text


@pytest.mark.parametrize(
    ("changes", "right"),
    [({}, True), ({"handled": 11}, False), ({"delivered": 11}, False), ({"undelivered": 1}, False), ({"refused": 1}, False)],
)
def test_each_webhook_is_handled_once_or_the_demo_says_so(changes: dict[str, int], right: bool) -> None:
    deliveries = demo.Deliveries(**{"repeated": 2, "delivered": 12, "undelivered": 0, "handled": 10, "refused": 0} | changes)
    assert deliveries.right is right
    out = io.StringIO()
    Console(file=out, width=100).print(demo.table_of(demo.Report([], {}, {}, []), deliveries))
    assert ("handlers saw each event once" in out.getvalue()) is right


def test_outside_a_terminal_progress_is_told_in_plain_lines() -> None:
    out = io.StringIO()
    with demo._watched(Console(file=out, width=90)) as notify:
        for _ in range(demo.CALLS):
            notify("placed")
    assert out.getvalue().split("\n") == [*(f"{number:>4} of 500 calls placed" for number in (125, 250, 375, 500)), ""]


def test_what_is_lost_and_what_is_twice() -> None:
    report = demo.Report(["+12015550100", "+12015550101"], {}, {"call_1": "+12015550100", "call_2": "+12015550100"}, [])
    assert (report.duplicates, report.lost, report.placed) == (1, 3, 2)
