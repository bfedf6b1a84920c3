"""Starts `server.py` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

__all__ = ["serving", "stats"]


@contextmanager
def serving(**settings: Any) -> Generator[str]:
    """A server with these settings of `server.World`: gives its URL, and ends it with the block."""
    command = [sys.executable, str(Path(__file__).with_name("server.py")), json.dumps(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def stats(url: str) -> dict[str, Any]:
    """What the server has seen: how many things it made of each kind, how many of them twice, and its answers by status."""
    with build_opener(ProxyHandler({})).open(f"{url}/stats") as answer:
        found: dict[str, Any] = json.load(answer)
    return found
