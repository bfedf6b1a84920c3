"""Workers that are forked, clients that are dropped: over real sockets, with a server that loses answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loopback.serving import serving, stats

from ..docs.blocks import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork")]

PROGRAM = Path(__file__).with_name("forking.py")
PROCESSES = 1 + 5 * (3 + 1)
"""The first use, and in each generation the parent and its workers."""
CALLS = 20


@pytest.mark.parametrize(("backend", "where"), [("asyncio", "inside"), ("asyncio", "between"), ("trio", "between")])
def test_forked_workers_and_their_parent_do_not_disturb_each_other(backend: str, where: str) -> None:
    with serving(faults=0.02, delay=3.0, retry_after="0.1") as url:
        command = [sys.executable, str(PROGRAM), url, backend, where]
        result = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120
        )
        seen = stats(url)
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    assert [what for placed, what, _ in told["done"] if placed is None] == []
    calls = [call_id for placed, call_id, _ in told["done"] if placed]
    assert len(calls) == len(set(calls)) == PROCESSES * CALLS
    assert len(told["done"]) == 2 * PROCESSES * CALLS
    assert seen["twice"] == 0
    assert seen["made"]["phone"] == len(calls)
    assert max(took for _, _, took in told["done"]) < 10
    assert told["sockets"] == 0
