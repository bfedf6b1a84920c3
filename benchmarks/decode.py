"""What it costs to make a whole typed model of the bytes of a `get_call` answer."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .bodies import call_body
from .frame import Side, Table, interleaved

REPEATS = 21
LEAST = 5


def run() -> Table:
    """Each side decodes the same body through its own way from a response to a model, and reads something of each word in it."""
    body = call_body()
    with TemporaryDirectory() as folder:
        path = Path(folder, "body.json")
        path.write_bytes(body)
        sides = [
            Side("retell-sdk", "peer", "decode_peer", str(path)),
            Side("retell-async", "ours", "decode_ours", str(path)),
            Side("msgspec.json.decode, untyped", "limits", "decode_limit", str(path)),
        ]
        times = [median(answers) for answers in interleaved(sides, REPEATS)]
    table = Table(
        f"a get_call body of {len(body):,} bytes to a model: medians of {REPEATS} batches each",
        ("", "ms", "times as fast", "target"),
    )
    for side, seconds, target in zip(sides, times, ("", f">= {LEAST:.1f}", ""), strict=True):
        table.rows.append((side.name, f"{seconds * 1000:.2f}", f"{times[0] / seconds:.1f}", target))
    return table
