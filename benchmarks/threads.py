"""How many requests a second `Retell` carries out for so many threads, beside `AsyncRetell` for as many tasks."""

from __future__ import annotations

import json

from .frame import Side, Table, interleaved, medians
from .loopback.serving import serving

REPEATS = 3
CONCURRENCY = (1, 50)
NUMBER = 3000
LEAST = {1: 0.0, 50: 0.5}


def run() -> Table:
    """Each side in a process of its own, turn by turn, against a server in another; "new" and "steady" as in `throughput`."""
    table = Table(
        f"requests a second of Retell from threads on loopback: medians of {REPEATS} runs each",
        ("threads", "AsyncRetell", "Retell", "ratio", "target"),
    )
    with serving() as url:
        for concurrency in CONCURRENCY:
            order = json.dumps({"url": url, "throughput": concurrency, "number": NUMBER})
            sides = [Side("AsyncRetell", "ours", "load_ours", order), Side("Retell", "ours", "threads_ours", order)]
            tasks, threads = (medians(rates) for rates in interleaved(sides, REPEATS))
            for phase in ("new", "steady"):
                ratio = f"{threads[phase] / tasks[phase]:.2f}"
                target = f">= {LEAST[concurrency]:.1f}" if LEAST[concurrency] else ""
                table.rows.append((f"{concurrency} {phase}", f"{tasks[phase]:,.0f}", f"{threads[phase]:,.0f}", ratio, target))
    return table
