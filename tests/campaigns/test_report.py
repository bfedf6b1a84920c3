"""The report of a campaign as a page: what it says, and that it can do no harm."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, strategies as st

from retell_async.campaigns.report import Record, _steps, page

NOON = 1_796_061_600.0  # 2026-11-30 at 18:00 UTC, 13:00 in New York
VOID = {"meta", "br", "link"}


class Page(HTMLParser):
    """The texts of a page by the tags in which they stand, all its attributes, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def bars(self, *tones: str) -> list[dict[str, str | None]]:
        return [said for tag, said in self.elements if tag == "rect" and said["class"] in tones]


def record(at: float = NOON, result: str | None = "user_hangup", **more: Any) -> Record:
    usual: dict[str, Any] = {"key": "spring-1", "number": "+12125550111", "zones": ("America/New_York",), "from_number": "+14155550100"}
    return Record(at=at, result=result, **{**usual, **more})


def shown(counts: dict[str, int], records: Any, **more: Any) -> Page:
    return Page(page("spring", "done", counts, records, NOON + 3600, **more))


def test_it_says_how_a_campaign_went() -> None:
    records = [
        record(duration_ms=60_000.0, cents=12.0),
        record(NOON + 60, "dial_no_answer", cents=0.0),
        record(NOON + 3600, "user_requested_dnc", duration_ms=30_000.0, cents=6.0),
        record(NOON + 86400, "dial_busy"),
        record(result="not_placed"),
        record(result=None),
    ]
    found = shown({"reached": 1, "do_not_call": 1, "waiting": 1, "live": 1}, records)
    assert found.of("h1") == ["spring"]
    assert found.of("time") == ["2026-11-30 19:00 UTC"]
    assert found.of("dt") == ["contacts", "reached", "calls", "talk time", "cost"]
    assert found.of("dd") == [
        *("4", "50% done"),
        *("1", "50% of those done"),
        *("4", "50% answered"),
        *("1 min 30 s", "22 s a call"),
        *("at least $0.18", "$0.18 a contact reached"),
    ]
    texts = found.of("text")
    assert texts[:8] == [
        *("reached", "1 (25%)"),
        *("wants no calls", "1 (25%)"),
        *("being called", "1 (25%)"),
        *("waiting", "1 (25%)"),
    ]
    assert {"user_hangup", "dial_no_answer", "not_placed", "being called"} <= set(texts)
    assert found.of("td") == [
        *("13 to 14 h", "3", "33.3%", "$0.12"),
        *("14 to 15 h", "1", "100%", "$0.06"),
        *("2026-11-30", "3", "66.7%", "$0.18"),
        *("2026-12-01", "1", "0%", "$0.00"),
        *("+141******00", "4", "50%", "$0.18"),
    ]
    assert "The cost of 1 call is not known." in " ".join(found.of("p"))


def test_hours_are_those_of_whoever_is_called_and_costs_those_of_the_campaigns_days() -> None:
    midnight = 1_796_016_600.0  # 05:30 UTC: 00:30 in New York, 21:30 of the day before in Los Angeles
    records = [record(midnight, cents=1.0), record(midnight, zones=("America/Los_Angeles", "America/New_York"), cents=1.0)]
    found = shown({"reached": 2}, records, zone="America/Los_Angeles")
    assert found.of("td")[:8] == ["00 to 01 h", "1", "100%", "$0.01", "21 to 22 h", "1", "100%", "$0.01"]
    assert found.of("td")[8] == "2026-11-29"
    assert "1 call went to numbers that may be in several time zones" in " ".join(found.of("p"))


def test_few_calls_are_pale_and_the_columns_stand_on_their_hours() -> None:
    records = [record(NOON, cents=1.0)] * 10 + [record(NOON + 3600, cents=1.0)] * 9 + [record(NOON + 7200, "dial_busy", cents=1.0)] * 10
    found = shown({"reached": 29}, records)
    (pale,) = found.bars("few")
    hours = [bar for bar in found.bars("bar") if bar["width"] == "3.000%"]
    assert [bar["x"] for bar in hours] == [f"{(13.14) / 24 * 100:.3f}%", f"{15.14 / 24 * 100:.3f}%"]
    assert (pale["x"], pale["height"]) == (f"{14.14 / 24 * 100:.3f}%", "160.0")
    assert [bar["height"] for bar in hours] == ["160.0", "1.5"]  # no answer at all is seen too
    assert "Pale: fewer than 10 calls." in " ".join(found.of("p"))


@pytest.mark.parametrize(
    ("counts", "records", "text"),
    [
        ({}, [], "There are no contacts."),
        ({"waiting": 3}, [], "Nobody was called yet."),
        ({"reached": 1}, [record()], "The API did not say what these calls cost."),
    ],
)
def test_what_is_not_there_is_said_so(counts: dict[str, int], records: list[Record], text: str) -> None:
    found = shown(counts, records)
    assert text in found.of("p")
    assert found.of("dd")[-1] == "unknown"


def test_calls_that_may_have_rung_are_named_and_the_number_is_masked() -> None:
    found = shown({"unknown": 25}, [record(key=f"spring-{number}", result="unknown") for number in range(25)])
    assert found.of("td")[:3] == ["2026-11-30 18:00", "+121******11", "spring-0"]
    assert found.of("td")[-1] == "spring-19"
    assert "And 5 more." in found.of("p")
    assert found.of("dd")[4:6] == ["0", "0 s"]  # calls, talk time


def test_numbers_and_ends_beyond_the_first_are_summed_up() -> None:
    records = [record(from_number=f"+1415555{number:04}", result=f"end_{number}", cents=1.0) for number in range(30)]
    found = shown({"exhausted": 30}, records)
    assert "20 others" in found.of("text")
    assert "And 10 more." in found.of("p")


@pytest.mark.parametrize(
    ("days", "columns", "by"),
    [(1, 1, "day"), (31, 31, "day"), (32, 5, "7 days"), (217, 31, "7 days"), (10_000, 31, "323 days")],
)
def test_days_are_taken_together_so_that_they_can_be_shown(days: int, columns: int, by: str) -> None:
    found = shown({"reached": 2}, [record(cents=100.0), record(NOON + (days - 1) * 86400, cents=100.0)])
    assert f"By {by}, UTC." in " ".join(found.of("p"))
    costs = [said["aria-label"] for tag, said in found.elements if tag == "svg" and "$" in str(said.get("aria-label"))]
    assert len(str(costs[0]).split(", ")) == columns
    assert str(costs[0]).startswith("2026-11-30 $")


HOSTILE = '</text></title></style><script>alert("1")</script><img src=//evil.example onerror=x>&amp;\x00\u202e\ud800'


def test_no_text_from_outside_is_markup_and_nothing_is_fetched() -> None:
    records = [
        record(result=HOSTILE, cents=1.0),
        record(result="unknown", key=HOSTILE, number=HOSTILE),
        record(from_number=HOSTILE, cents=1.0),
        record(result="call +12125550111 back"),
    ]
    text = page(HOSTILE, f"paused ({HOSTILE} +12125550111)", {HOSTILE: 1}, records, NOON)
    text.encode()
    found = Page(text)
    assert {tag for tag, _ in found.elements} & {"script", "img", "link", "iframe", "object", "a"} == set()
    assert all(not {"src", "href", "onerror"} & said.keys() for _, said in found.elements)
    assert "url(" not in text
    assert "@import" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    policy = next(said["content"] for tag, said in found.elements if said.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert found.of("h1")[0].startswith("</text></title>")
    assert found.of("td")[-1].startswith("</text></title>")


def test_no_number_is_readable() -> None:
    records = [record(result=result) for result in ("unknown", "user_hangup", "call +12125550111 back")]
    text = page("spring", "paused (+12125550111)", {"reached": 1, "+12125550111": 1}, records, NOON)
    assert "2125550111" not in text
    assert "4155550100" not in text


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_an_axis_has_few_round_steps_and_room_for_all(most: float) -> None:
    step, count = _steps(most)
    assert step * count >= most * (1 - 1e-6)
    assert step * (count - 1) < most
    assert 1 <= count <= 4
    assert f"{step:.0e}"[0] in "125"


@pytest.mark.soak
def test_a_hundred_thousand_attempts_are_a_small_page() -> None:
    def attempts() -> Iterator[Record]:
        for number in range(100_000):
            yield record(NOON + number * 60, "user_hangup" if number % 3 else "dial_no_answer", duration_ms=9000.0, cents=number % 50 / 10)

    tracemalloc.start()
    began = time.perf_counter()
    text = page("spring", "done", {"reached": 66_000, "exhausted": 34_000}, attempts(), NOON)
    took = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(text) < 50_000
    assert took < 60, took
    assert peak < 10 * 2**20, peak
