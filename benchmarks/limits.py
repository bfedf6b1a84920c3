"""What becomes of 1,000 requests at once against a server that lets 50 a second through."""

from __future__ import annotations

import json
from typing import Any

from .frame import Side, Table, running
from .loopback.serving import serving, stats

NUMBER = 1000
LIMIT = 50
MOST_REFUSED = 0.10
MOST_TIME = 1.25


def run() -> Table:
    """The server answers 429 with ``Retry-After: 1``; neither side knows the limit beforehand."""
    ideal = NUMBER / LIMIT
    table = Table(
        f"{NUMBER:,} requests at once against a limit of {LIMIT} a second; ideal: {ideal:.0f} s",
        ("", "succeeded", "seconds", "429 answers", "part of answers"),
    )
    for kind in ("phone", "web"):
        for name, module in (("retell-sdk", "load_peer"), ("retell-async", "load_ours")):
            with serving(limit=LIMIT, retry_after="1") as url:
                argument = json.dumps({"url": url, "create": kind, "number": NUMBER})
                side = Side(name, "ours", module, argument) if module == "load_ours" else Side(name, "peer", module, argument)
                with running(side) as ask:
                    figures: dict[str, Any] = ask()
                statuses = stats(url)["statuses"]
            refused = statuses.get("429", 0)
            table.rows.append(
                (
                    f"{kind}, {name}",
                    f"{figures['returned']:,}",
                    f"{figures['seconds']:.1f}",
                    f"{refused:,}",
                    f"{refused / sum(statuses.values()):.0%}",
                )
            )
    table.rows.append(("target", f"{NUMBER:,}", f"<= {MOST_TIME * ideal:.1f}", "", f"<= {MOST_REFUSED:.0%}"))
    return table
