"""What one request costs: processor time with 20, 200 and 1,000 under way at all times, and memory while 1,000 wait."""

from __future__ import annotations

import json
from statistics import median
from typing import Any, Literal

from .frame import Side, Table, interleaved, running
from .loopback.serving import serving

REPEATS = 3
CONCURRENCY = (20, 200, 1000)
WAITING = 1000
MOST = {"retell-async": 0.9, "retell-async, uvloop": 0.9, "retell-async, trio": 1.6}

_SIDES: tuple[tuple[str, Literal["ours", "peer", "limits", "trio"], str, int, dict[str, Any]], ...] = (
    ("bare aiohttp", "limits", "load_limit", 3000, {}),
    ("bare aiohttp, uvloop", "limits", "load_limit", 3000, {"loop": "uvloop"}),
    ("retell-async", "ours", "load_ours", 3000, {}),
    ("retell-async, uvloop", "ours", "load_ours", 3000, {"loop": "uvloop"}),
    ("retell-async, trio", "trio", "load_ours", 3000, {"loop": "trio"}),
    ("retell-async, phone calls", "ours", "load_ours", 3000, {"phone": True}),
    ("retell-async[aiohttp]", "ours", "load_ours", 1500, {"aiohttp": True}),
    ("Retell, in threads", "ours", "threads_ours", 1500, {}),
    ("httpx", "limits", "load_limit", 1000, {"by": "httpx"}),
    ("httpx2", "limits", "load_limit", 1000, {"by": "httpx2"}),
    ("retell-sdk", "peer", "load_peer", 500, {}),
    ("retell-sdk[aiohttp]", "peer", "load_peer", 1000, {"aiohttp": True}),
)


def run() -> Table:
    """Each side in a process of its own, turn by turn, against a server in another.

    The ratios are medians of those of the rounds: to bare aiohttp on the same kind of event loop.
    """
    table = Table(
        f"processor time of one small request over loopback, us, and of bare aiohttp's: medians of {REPEATS} rounds",
        ("", *(f"{number:,} at once" if not ratio else "ratio" for number in CONCURRENCY for ratio in (0, 1)), "target", "KB, waiting"),
    )
    rows: dict[str, list[str]] = {name: [name] for name, *_ in _SIDES}
    with serving() as url:
        for concurrency in CONCURRENCY:
            answers = interleaved([_side(one, url, throughput=concurrency) for one in _SIDES], REPEATS)
            used = {one[0]: [answer["processor"] for answer in each] for one, each in zip(_SIDES, answers, strict=True)}
            for name, each in used.items():
                bare = used["bare aiohttp, uvloop" if name.endswith("uvloop") else "bare aiohttp"]
                ratio = median(mine / other for mine, other in zip(each, bare, strict=True))
                rows[name] += [f"{median(each):,.0f}", f"{ratio:.2f}"]
    with serving(latency=3.0) as url:
        for one in _SIDES:
            memory = ""
            if one[2] != "threads_ours":
                with running(_side(one, url, open=WAITING)) as ask:  # once: the peak of a process never sinks
                    memory = f"{ask()['open']:.0f}"
            rows[one[0]] += [f"<= {MOST[one[0]]:.1f}" if one[0] in MOST else "", memory]
    table.rows.extend(rows.values())
    return table


def _side(one: tuple[str, Literal["ours", "peer", "limits", "trio"], str, int, dict[str, Any]], url: str, **order: int) -> Side:
    name, environment, module, number, more = one
    concurrency = order.get("throughput", 0)
    whole: dict[str, Any] = {"url": url, "number": max(number, 2 * concurrency), **order, **more}
    if "open" in order:
        whole |= {"connections": order["open"], "settings": {"max_connections": order["open"]} if environment in {"ours", "trio"} else {}}
    return Side(name, environment, module, json.dumps(whole))
