"""How a campaign that goes on is shown, at a terminal and in a log."""

from __future__ import annotations

import io
from datetime import UTC
from typing import Any

import anyio
import attrs
import pytest
from rich.console import Console

from retell_async import ConfigurationError
from retell_async.campaigns import Progress, State
from retell_async.campaigns.report import Record
from retell_async.cli import campaign as module
from retell_async.cli.display import counts, line, screen

NOW = 1_796_061_600.0  # 2026-11-30 at 18:00 UTC, a Monday


def record(**more: Any) -> Record:
    usual: dict[str, Any] = {
        "key": "spring-1",
        "number": "+12125550111",
        "zones": ("America/New_York",),
        "from_number": "+14155550100",
        "at": NOW - 90,
        "result": "user_hangup",
        "duration_ms": 62_400.0,
        "cents": 12.0,
    }
    return Record(**{**usual, **more})


def progress(
    found: dict[str, int] | None = None, *, note: str = "", next_at: float | None = None, last: list[Record] | None = None
) -> Progress:
    found = {"waiting": 1570, "live": 18, "reached": 412} if found is None else found
    return Progress(State("spring", "paused" if note else "running", note, found), 1.25, next_at, last or [])


def drawn(given: Progress, width: int = 80, ends_at: float | None = None, foot: str = "") -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(screen(given, ends_at, NOW, zone=UTC, foot=foot))
    return [each.rstrip() for each in out.getvalue().splitlines()]


def test_a_screen_of_eighty_columns() -> None:
    last = [record(), record(result="dial_no_answer", duration_ms=None, cents=None, at=NOW - 3600)]
    lines = drawn(progress(last=last, next_at=NOW + 3 * 3600 + 720), ends_at=NOW + 2 * 86400, foot="Ctrl-C stops.")
    assert lines == [
        "spring  running".ljust(57) + "412 of 2,000 done (21%)",
        "━" * 16,  # where there are no colours
        "live 18 · waiting 1,570 · reached 412",
        "1.2 calls/s · next due 21:12, in 3 h 12 min · ends about Wed 18:00",
        "",
        "17:58:30  +121******11  user_hangup     62 s  $0.12",
        "17:00:00  +121******11  dial_no_answer",
        "",
        "Ctrl-C stops.",
    ]


def test_a_narrow_one_cuts_nothing_into_pieces() -> None:
    lines = drawn(progress(last=[record(result="error_llm_websocket_lost_connection")]), width=40)
    assert all(len(each) <= 40 for each in lines)
    assert "412 of 2,000 done (21%)" in lines[0]
    assert len([each for each in lines if "+12" in each]) == 1


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (NOW - 5, ""),
        (NOW + 0.5, ""),
        (NOW + 45, "next due 18:00, in 45 s"),
        (NOW + 150, "next due 18:02, in 2 min 30 s"),
        (NOW + 86400 + 7200, "next due Tue 20:00, in 1 d 2 h"),
        (NOW + 30 * 86400, "next due 2026-12-30 18:00, in 30 d 0 h"),
    ],
)
def test_when_the_next_contact_is_due_is_said_where_it_is_not_now(at: float, said: str) -> None:
    assert drawn(progress(next_at=at))[3] == " · ".join(["1.2 calls/s", said] if said else ["1.2 calls/s"])


def test_a_line_of_a_log() -> None:
    told = line(progress(next_at=NOW), NOW + 3600, NOW, zone=UTC)
    assert told == "2026-11-30 18:00:00 spring: running: live 18, waiting 1,570, reached 412; 1.2 calls/s; ends about 19:00"


def test_a_line_after_ctrl_c_says_that_it_stops() -> None:
    assert " spring: stopping: live 18" in line(progress(), None, NOW, zone=UTC, stopping=True)
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(screen(progress(), None, NOW, zone=UTC, stopping=True))
    assert out.getvalue().startswith("spring  stopping ")
    assert " spring: paused (why): " in line(progress(note="why"), None, NOW, zone=UTC, stopping=True)


def test_counts_are_in_an_order_that_stays() -> None:
    assert counts({"reached": 1, "waiting": 2, "live": 3, "else": 4}) == "live 3, waiting 2, reached 1, else 4"
    assert counts({}) == "no contacts"
    assert drawn(progress({}))[:3] == [
        "spring  running".ljust(69) + "0 of 0 done",
        "",
        "no contacts",
    ]


def test_nothing_from_outside_moves_the_cursor_or_is_markup_and_numbers_are_masked() -> None:
    nasty = "\x1b[2J[red]call +12125550111\r\u202e"
    given = progress(note=nasty, last=[record(result=nasty)])
    for told in ("\n".join(drawn(given, width=120)), line(given, None, NOW, zone=UTC)):
        assert "\x1b" not in told
        assert "\r" not in told
        assert "\u202e" not in told
        assert "[red]call +121******11" in told


@pytest.mark.asyncio
@pytest.mark.parametrize(("held", "shown"), [(False, ["running", "running"]), (True, ["paused", "paused", "running", "running"])])
async def test_what_a_run_takes_back_is_not_shown(monkeypatch: pytest.MonkeyPatch, held: bool, shown: list[str]) -> None:
    monkeypatch.setattr(module, "_OFTEN", 0.01)
    over, asked = anyio.Event(), []

    class New:
        def progress(self) -> Progress:
            asked.append(1)
            given = progress({"waiting": 3})
            is_paused = len(asked) <= 2
            return attrs.evolve(
                given, state=attrs.evolve(given.state, status="paused" if is_paused else "running", held=is_paused and held)
            )

    statuses: list[str] = []
    async for looked, _ in module._progress(New(), 0.01, anyio.Event(), over):  # type: ignore[arg-type]
        statuses.append(looked.state.status)
        if looked.state.status == "running":
            over.set()
    assert statuses == shown


@pytest.mark.asyncio
async def test_who_watches_waits_for_the_database_as_the_campaign_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OFTEN", 0.01)
    over, asked = anyio.Event(), []

    class Away:
        def progress(self) -> Progress:
            asked.append(1)
            if len(asked) == 1:
                raise ConfigurationError("the database cannot be reached")
            return progress({"waiting": 3})

    async for shown, _ in module._progress(Away(), 0.01, anyio.Event(), over):  # type: ignore[arg-type]
        assert shown.state.counts == {"waiting": 3}
        over.set()
    assert len(asked) == 3
