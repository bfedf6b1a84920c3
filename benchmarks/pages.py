"""What it takes to go through a long list: time, with the next page fetched meanwhile and without, and memory."""

from __future__ import annotations

import json
from typing import Literal

from .frame import Side, Table, interleaved, medians
from .loopback.serving import serving

REPEATS = 3
LATENCY = 0.02  # seconds that a page takes to come
WORK = 0.02  # seconds that a page is used for
TIMED = 100
LONG = 1000
ITEMS = 100


def run() -> Table:
    """The official SDK has no iteration over pages: the loop that its users write stands for it."""
    table = Table(
        f"lists of {ITEMS} items a page: {TIMED} pages that take {LATENCY * 1000:.0f} ms to come and are used for {WORK * 1000:.0f} ms,"
        f" medians of {REPEATS}; memory allocated between page 50 and page {LONG:,} of a list without latency",
        ("", "seconds", "of retell-async", "least possible", "memory kept, KB", "at most, KB"),
    )
    least = {
        "loop": TIMED * (LATENCY + WORK),
        "iterate": TIMED * (LATENCY + WORK),
        "ahead": TIMED * max(LATENCY, WORK) + min(LATENCY, WORK),
    }
    ways: tuple[tuple[str, Literal["ours", "peer"], str, str], ...] = (
        ("retell-sdk, by hand", "peer", "load_peer", "loop"),
        ("retell-async", "ours", "load_ours", "iterate"),
        ("retell-async, prefetch()", "ours", "load_ours", "ahead"),
    )
    with serving(pages=TIMED, items=ITEMS, latency=LATENCY) as slow, serving(pages=LONG, items=ITEMS) as long:
        timed = [Side(name, place, module, json.dumps({"url": slow, "pages": way, "work": WORK})) for name, place, module, way in ways]
        times = [medians(answers)["seconds"] for answers in interleaved(timed, REPEATS)]
        kept = [Side(name, place, module, json.dumps({"url": long, "pages": way, "memory": True})) for name, place, module, way in ways]
        memory = [medians(answers) for answers in interleaved(kept, 1)]
    for (name, _, _, way), seconds, figures in zip(ways, times, memory, strict=True):
        assert figures["items"] == LONG * ITEMS
        table.rows.append(
            (name, f"{seconds:.2f}", f"{seconds / times[1]:.2f}", f"{least[way]:.2f}", f"{figures['kept']:,.0f}", f"{figures['peak']:,.0f}")
        )
    return table
