"""What it costs to make typed models of the bytes of an answer, and to read something of them."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .bodies import call_body, page_body
from .frame import Side, Table, interleaved

REPEATS = 21
REPEATS_OF_PAGES = 7
CALLS = 1000
LEAST = 5
READ = (("call", "each word", 0.0), ("call", "the first word", 1.5), ("page", "three fields of each", 1.3))
"""What is read of which body, and how much longer than parsing alone it may take."""


def run() -> Table:
    """Each side makes its models of the same bytes by its own way from a response to a model, and reads the same of them."""
    bodies = {"call": call_body(), "page": page_body(CALLS)}
    table = Table(
        f"a get_call body of {len(bodies['call']):,} bytes, a page of {CALLS:,} calls of {len(bodies['page']):,} bytes,"
        f" and what is read of them: medians of {REPEATS} batches, of pages {REPEATS_OF_PAGES}",
        ("", "ms", "times as fast", "at least", "of parsing alone", "at most"),
    )
    with TemporaryDirectory() as folder:
        for name, body in bodies.items():
            Path(folder, name).write_bytes(body)
        for name, reading, most in READ:
            path = f"{Path(folder, name)} {reading}"
            sides = [
                Side("retell-sdk", "peer", "decode_peer", path),
                Side("retell-async", "ours", "decode_ours", path),
                Side("msgspec.json.decode, untyped", "limits", "decode_limit", path),
            ]
            times = [median(answers) for answers in interleaved(sides, REPEATS if name == "call" else REPEATS_OF_PAGES)]
            for side, seconds in zip(sides, times, strict=True):
                ours = side.environment == "ours"
                table.rows.append(
                    (
                        f"{name}, {reading}: {side.name}",
                        f"{seconds * 1000:,.2f}",
                        f"{times[0] / seconds:.1f}",
                        f"{LEAST:.1f}" if ours and name == "call" else "",
                        f"{seconds / times[2]:.2f}",
                        f"{most:.1f}" if ours and most else "",
                    )
                )
    return table
