"""What it costs to verify a webhook and make a typed event of it."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .bodies import call_body
from .frame import Side, Table, interleaved

REPEATS = 21
MOST = 3


def run() -> Table:
    """Each side gets the raw bytes of one `call_analyzed`, and what it gives is read down to each word of the transcript."""
    body = b'{"event":"call_analyzed","call":' + call_body() + b"}"
    with TemporaryDirectory() as folder:
        path = Path(folder, "body.json")
        path.write_bytes(body)
        sides = [
            Side("retell-async: unwrap to a typed event", "ours", "webhook_ours", str(path)),
            Side("retell-sdk: verify, and json.loads, untyped", "peer", "webhook_peer", str(path)),
            Side("HMAC and json.loads, untyped", "limits", "webhook_limit", f"json:{path}"),
            Side("HMAC and msgspec.json.decode, untyped", "limits", "webhook_limit", f"msgspec:{path}"),
        ]
        times = [median(answers) for answers in interleaved(sides, REPEATS)]
    table = Table(
        f"a call_analyzed webhook of {len(body):,} bytes, verified and parsed: medians of {REPEATS} batches each",
        ("", "ms", "unwrap takes of it", "target"),
    )
    for side, seconds, target in zip(sides, times, ("", "", f"<= {MOST:.1f}", f"<= {MOST:.1f}"), strict=True):
        table.rows.append((side.name, f"{seconds * 1000:.2f}", f"{times[0] / seconds:.2f}", target))
    return table
