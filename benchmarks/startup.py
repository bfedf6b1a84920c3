"""What it costs to import a package and make a client, in time and in memory, and to have the first answer."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Literal

from .bodies import call_body
from .frame import Side, Table, fresh, medians

REPEATS = 15
MOST = {"made": 0.15, "peak": 0.4}

_SIDES: tuple[tuple[str, Literal["ours", "peer", "limits"], str], ...] = (
    ("retell-sdk", "peer", "retell"),
    ("retell-sdk[aiohttp]", "peer", "retell[aiohttp]"),
    ("retell-async", "ours", "retell_async"),
    ("retell-async[aiohttp]", "ours", "retell_async[aiohttp]"),
    ("httpx", "limits", "httpx"),
    ("httpx2", "limits", "httpx2"),
    ("bare aiohttp", "limits", "aiohttp"),
)


def run() -> Table:
    """Each in turn, each time in a fresh interpreter; the first of each fills the file cache and is not counted.

    What a client leaves for later it loads with its first request, so the time to the first answer stands beside the rest. The ratios are
    to the official SDK.
    """
    with _server() as url:
        rounds = [
            [fresh(Side(name, environment, "startup", f"{by} {url}")) for name, environment, by in _SIDES] for _ in range(REPEATS + 1)
        ]
    answers = [medians(each) for each in zip(*rounds[1:], strict=True)]
    table = Table(
        f"import and one client, and the first answer: medians of {REPEATS} fresh interpreters each",
        ("", "made, ms", "ratio", "target", "peak, MB", "ratio", "target", "first answer, ms"),
    )
    for (name, _, by), each in zip(_SIDES, answers, strict=True):
        row = [name]
        for figure, most in MOST.items():
            made = by != "aiohttp"  # whose client is made with the first request
            row += [f"{each[figure]:.0f}", f"{each[figure] / answers[0][figure]:.2f}"] if made else ["", ""]
            row.append(f"<= {most:.2f}" if by == "retell_async" else "")
        table.rows.append((*row, f"{each['answered']:.0f}"))
    return table


class _Answer(BaseHTTPRequestHandler):
    body = call_body()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tables free of a line for each request."""


@contextmanager
def _server() -> Generator[str]:
    """A server on a free loopback port that gives the same call as the answer to whatever is asked."""
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
