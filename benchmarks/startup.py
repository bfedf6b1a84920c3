"""What it costs to import the package and make a client, in time and in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from .bodies import call_body
from .frame import Side, Table, fresh, medians

REPEATS = 15
MOST_TIME = 0.15
MOST_MEMORY = 0.4


def run() -> Table:
    """Alternate between the two, each time in a fresh interpreter; the first of each fills the file cache and is not counted.

    What a client leaves for later it loads with its first request, so the time to the first answer stands beside the rest.
    """
    with _server() as url:
        sides = (Side("retell-async", "ours", "startup_ours", url), Side("retell-sdk", "peer", "startup_peer", url))
        rounds = [[fresh(side) for side in sides] for _ in range(REPEATS + 1)]
    ours, peer = (medians(answers) for answers in zip(*rounds[1:], strict=True))
    table = Table(
        f"import and one client: medians of {REPEATS} fresh interpreters each",
        ("", *(side.name for side in sides), "ratio", "target"),
    )
    for label, figure, target in (
        ("time, ms", "made", f"<= {MOST_TIME:.2f}"),
        ("peak memory, MB", "peak", f"<= {MOST_MEMORY:.2f}"),
        ("time to the first answer, ms", "answered", ""),
    ):
        table.rows.append((label, f"{ours[figure]:.0f}", f"{peer[figure]:.0f}", f"{ours[figure] / peer[figure]:.2f}", target))
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
