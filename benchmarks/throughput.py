"""How many requests a second go through one client, with 20, 200 and 1,000 under way at all times."""

from __future__ import annotations

import json
from typing import Any

from .frame import Side, Table, interleaved, medians
from .loopback.serving import serving

REPEATS = 2
CONCURRENCY = (20, 200, 1000)
LEAST = {20: 3.0, 200: 4.0, 1000: 12.0}


def run() -> Table:
    """Each side in a process of its own, turn by turn, against a server in another.

    "new" is a client that was just made and is given so many requests at once; "steady" is what it goes on at with so many always under
    way.
    """
    table = Table(
        f"requests a second through one client on loopback: medians of {REPEATS} runs each",
        ("at once", "retell-sdk", "retell-async", "ratio", "target", "[aiohttp]", "ratio", "bare aiohttp", "of it"),
    )
    with serving() as url:
        for concurrency in CONCURRENCY:
            answers = interleaved(_sides(url, concurrency), REPEATS)
            for phase in ("new", "steady"):
                peer, ours, aio, bare = (medians(rates)[phase] for rates in answers)
                table.rows.append(
                    (
                        f"{concurrency:,} {phase}",
                        *(f"{peer:,.0f}", f"{ours:,.0f}", f"{ours / peer:.1f}", f">= {LEAST[concurrency]:.0f}"),
                        *(f"{aio:,.0f}", f"{aio / peer:.1f}", f"{bare:,.0f}", f"{aio / bare:.0%}"),
                    )
                )
    return table


def _sides(url: str, concurrency: int) -> list[Side]:
    def order(number: int, **more: Any) -> str:
        return json.dumps({"url": url, "throughput": concurrency, "number": max(number, 2 * concurrency), **more})

    return [
        Side("retell-sdk", "peer", "load_peer", order(500)),
        Side("retell-async", "ours", "load_ours", order(3000)),
        Side("retell-async[aiohttp]", "ours", "load_ours", order(4000, aiohttp=True)),
        Side("bare aiohttp", "limits", "load_limit", order(6000)),
    ]
