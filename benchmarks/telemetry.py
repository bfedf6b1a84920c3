"""What telemetry costs a request: beside the same spans and metrics made by hand, and nothing when it is off."""

from __future__ import annotations

from .frame import Side, Table, interleaved, medians

REPEATS = 5
MOST = 1.3
NOISE = 0.05


def run() -> Table:
    """All is measured in one process, batch by batch: without, with, and with the same spans and metrics by hand around each request."""
    side = Side("retell-async", "telemetry", "telemetry_ours")
    (answers,) = interleaved([side], REPEATS)
    found = medians(answers)
    on = ("", ", propagated")
    ratio = medians(
        [
            {"off": answer["off"] / answer["never"], **{name: answer[f"more{name}"] / answer[f"alone{name}"] for name in on}}
            for answer in answers
        ]
    )
    table = Table(
        f"a create_phone_call without a network, in CPU time: medians of {REPEATS} runs of paired batches each",
        ("", "us", "ratio", "target"),
    )
    table.rows += [
        ("a request in a process that never had telemetry", f"{found['never'] * 1e6:.0f}", "", ""),
        ("a request while it is off", f"{found['off'] * 1e6:.0f}", f"{ratio['off']:.2f}", f"1.00 +- {NOISE:.2f}"),
    ]
    for name in on:
        table.rows += [
            (f"the same spans and metrics{name}, by hand", f"{found[f'alone{name}'] * 1e6:.0f}", "", ""),
            (f"everything on{name}: what it adds", f"{found[f'more{name}'] * 1e6:.0f}", f"{ratio[name]:.2f}", f"<= {MOST:.1f}"),
        ]
    return table
