"""What becomes of thousands of creations when every fifth request suffers a fault."""

from __future__ import annotations

import json
from typing import Any

from .frame import Side, Table, running
from .loopback.serving import serving, stats

FAULTS = {"faults": 0.05, "delay": 1.0, "retry_after": "0.05"}
TIMEOUT = 0.5
CONCURRENCY = 100  # with thousands the peer takes minutes for one run
RECONCILE = {"on_unknown_outcome": "reconcile", "reconcile_within": 15.0}
RUNS: tuple[tuple[str, int, dict[str, Any] | None], ...] = (
    ("phone", 5000, {}),
    ("web", 2000, {}),
    ("web", 2000, RECONCILE),
    ("batch", 2000, {}),
    ("sms", 2000, {}),
)


def run() -> Table:
    """The same server for each side: 5% late answers, 5% resets, 5% of status 500, 5% of 429; what is lost was carried out or not.

    "twice" is what matters: so many were created more than once. An error that is not "unknown" claims that nothing was created.
    """
    table = Table(
        f"creations on loopback, {CONCURRENCY} at a time, each of four faults in 5% of requests",
        ("", "side", "returned", "unknown", "other errors", "exist", "twice", "seconds"),
    )
    for kind, number, retry in RUNS:
        for side in ("load_peer", "load_ours"):
            if side == "load_peer" and retry:
                continue
            _row(table, side, kind, number, retry)
    return table


def _row(table: Table, module: str, kind: str, number: int, retry: dict[str, Any] | None) -> None:
    with serving(**FAULTS) as url:
        settings = {"timeout": TIMEOUT, **({"retry": retry} if retry else {})}
        argument = json.dumps({"url": url, "create": kind, "number": number, "concurrency": CONCURRENCY, "settings": settings})
        ours = module == "load_ours"
        side = Side("retell-async", "ours", module, argument) if ours else Side("retell-sdk", "peer", module, argument)
        with running(side) as ask:
            figures: dict[str, Any] = ask()
        seen = stats(url)
    errors: dict[str, int] = figures["errors"]
    unknown = errors.pop("OutcomeUnknownError", 0)
    table.rows.append(
        (
            f"{number:,} {kind}{', reconcile' if retry else ''}",
            side.name,
            *(f"{count:,}" for count in (figures["returned"], unknown, sum(errors.values()), seen["made"].get(kind, 0), seen["twice"])),
            f"{figures['seconds']:.1f}",
        )
    )
