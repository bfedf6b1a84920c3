"""A script without await: the calls that ended in the last day as a CSV file, one line each.

Calls that never connected have no time: all of them are in it, and nothing stands under `started`.

export RETELL_API_KEY=...
python -m examples.sync_report calls.csv --hours 24
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from retell_async import AuthenticationError, Retell

COLUMNS = ("call_id", "agent_name", "started", "seconds", "status", "reason", "cents")


def report(path: Path, since: datetime) -> Counter[str]:
    """Write the calls that ended since then to a file; gives how many ended for which reason."""
    reasons: Counter[str] = Counter()
    with Retell() as client, path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for call in client.call.ended_since(since):
            started = call.start_timestamp and datetime.fromtimestamp(call.start_timestamp / 1000, UTC).isoformat(timespec="seconds")
            table.writerow(
                (
                    call.call_id,
                    call.agent_name,
                    started,
                    round((call.duration_ms or 0) / 1000),
                    call.call_status,
                    call.disconnection_reason,
                    call.call_cost.combined_cost if call.call_cost is not None else None,
                )
            )
            reasons[call.disconnection_reason or "no reason"] += 1
    return reasons


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the calls of the last hours to a CSV file.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--hours", type=float, default=24)
    asked = parser.parse_args()
    try:
        reasons = report(asked.path, datetime.now(UTC) - timedelta(hours=asked.hours))
    except AuthenticationError:
        sys.exit("RETELL_API_KEY is not a key of this account.")
    print(f"{reasons.total()} calls")
    for reason, count in reasons.most_common():
        print(f"{count:6} {reason}")


if __name__ == "__main__":
    main()
