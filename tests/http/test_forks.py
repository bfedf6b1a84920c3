"""Forked processes: parent and child have connections of their own, and neither touches those of the other."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

pytestmark = [pytest.mark.soak, pytest.mark.needs("fork"), pytest.mark.parallel]


@contextmanager
def echoing(context: ssl.SSLContext | None = None) -> Generator[tuple[str, dict[int, set[str | None]]]]:
    """A server that answers with the last part of the path, and the processes that each connection carried requests of."""
    used_by: dict[int, set[str | None]] = defaultdict(set)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            used_by[self.client_address[1]].add(self.headers["x-process"])
            body = json.dumps({"thing_id": self.path.rpartition("/")[2]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.path == "/slow":
                time.sleep(3)
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 500  # connections that come at once; beyond that the system makes them wait for seconds

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://localhost:{server.server_port}", used_by
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fork(url: str, *arguments: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.http.forking", url, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize("does", ["close", "use and close", "drop"])
@pytest.mark.parametrize("kind", ["own", "default", "http2"])
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_parent_and_child_leave_each_other_alone(backend: str, kind: str, does: str) -> None:
    leave_each_other_alone(backend, kind, does)


@pytest.mark.parametrize("does", ["close", "use and close", "drop"])
@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_the_same_over_aiohttp(backend: str, does: str) -> None:
    leave_each_other_alone(backend, "aiohttp", does)


def leave_each_other_alone(backend: str, kind: str, does: str) -> None:
    with echoing() as (url, used_by):
        seen = fork(url, backend, kind, does, "")
    assert seen["child"] == "fine"
    assert seen["seconds"] < 2
    assert used_by
    assert all(len(processes) == 1 for processes in used_by.values())


@pytest.mark.parametrize("does", ["use and close", "drop"])
@pytest.mark.parametrize("kind", ["default", "http2"])
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_the_same_over_tls(backend: str, kind: str, does: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with echoing(context) as (url, used_by):
        seen = fork(url, backend, kind, does, str(tmp_path / "trusted.pem"))
    assert seen["child"] == "fine"
    assert seen["seconds"] < 2
    assert all(len(processes) == 1 for processes in used_by.values())


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_a_stream_that_is_closed_in_the_child_goes_on_in_the_parent(backend: str) -> None:
    with echoing() as (url, _):
        seen = fork(url, backend, "own", "close a stream", "")
    assert seen["child"] == "fine"
    assert seen["seconds"] < 4


@pytest.mark.parametrize("kind", ["httpx", "mounted"])
def test_an_http_client_that_cannot_be_told_is_refused_in_the_child(kind: str) -> None:
    with echoing() as (url, used_by):
        seen = fork(url, "asyncio", kind, "use", "")
    assert seen["child"] == "ConfigurationError"
    assert seen["seconds"] < 2
    assert all(len(processes) == 1 for processes in used_by.values())


IMPORTING = """
import os, signal, sys, threading
from retell_async import AsyncRetell, Retell
from retell_async.telemetry.figures import Figures

begun, go = threading.Event(), threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.endswith(".call") and threading.current_thread() is not threading.main_thread():
            begun.set()
            go.wait()

sys.meta_path.insert(0, Slow())
kind = {"AsyncRetell": AsyncRetell, "Retell": Retell}[sys.argv[1]]
client, figures = kind("key_1"), Figures()
thread = threading.Thread(target=lambda: client.call)
thread.start()
begun.wait()
threading.Timer(0.2, go.set).start()
with client._shared._lock(), figures._lock():
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        with client._shared._lock(), figures._lock():
            client.call, client.agent, kind("key_2").call
        os._exit(0)
thread.join()
client.agent
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("kind", ["AsyncRetell", "Retell"])
def test_a_fork_waits_until_another_thread_has_its_resource(kind: str) -> None:
    quiet = ["-W", "ignore::DeprecationWarning", "-W", "ignore::ResourceWarning"]
    ended = subprocess.run([sys.executable, *quiet, "-c", IMPORTING, kind], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
