"""The sandbox over HTTP."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from retell_async.sandbox import RunningClock, Sandbox, SteppedClock, create_app, serve
from retell_async.sandbox.__main__ import main
from retell_async.sandbox.http.server import listen
from retell_async.sandbox.operations import HANDLERS

from ...needed import path_of

pytestmark = pytest.mark.parallel

HEADERS = {"Authorization": "Bearer key_of_nobody"}


@pytest.mark.soak
@pytest.mark.anyio
async def test_it_listens_on_a_free_port_and_stops() -> None:
    async with serve() as first, serve() as second, httpx.AsyncClient(headers=HEADERS) as http:
        assert first.url != second.url
        made = await http.post(f"{first.url}/create-retell-llm", json={})
        assert made.status_code == 201
        assert made.headers["content-type"] == "application/json"
        assert (await http.get(f"{first.url}/v2/list-retell-llms")).json()["items"] == [made.json()]
        assert (await http.get(f"{second.url}/v2/list-retell-llms")).json()["items"] == []
        deleted = await http.delete(f"{first.url}/delete-retell-llm/{made.json()['llm_id']}")
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert len(first.sandbox.store.llms.entries) == 0
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(first.url)


@pytest.mark.soak
@pytest.mark.anyio
async def test_errors_and_cancellation_pass_through_as_they_are() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serve():
            raise KeyError("mine")
    with anyio.move_on_after(0.05) as scope:
        async with serve():
            await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.soak
@pytest.mark.anyio
async def test_a_port_that_is_taken() -> None:
    async with serve() as served:
        port = int(served.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with serve(port=port):
                pass


@pytest.mark.soak
def test_no_answer_waits_for_nagles_algorithm() -> None:
    listener, _ = listen("127.0.0.1", 0)
    with listener:
        assert listener.proto == socket.IPPROTO_TCP, "asyncio sets TCP_NODELAY on such sockets only"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Sandbox(clock=SteppedClock()))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://sandbox", headers=HEADERS
    ) as client:
        yield client


@pytest.mark.anyio
async def test_it_answers_without_a_socket(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v3/list-calls", json={"limit": "many"})
    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert (await http.get("/get-agent/a%2Fb?version=1")).status_code == 422
    assert (await http.get("/get-agent/a%0Ab")).status_code == 422
    assert (await http.get("/get-agent/a/b")).status_code == 404
    assert (await http.head("/get-concurrency")).status_code == 404


@pytest.mark.anyio
@pytest.mark.soak
async def test_a_fault_of_the_sandbox_shows_no_stack_trace(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, problems: list[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setitem(HANDLERS, "getConcurrency", broken)
    answer = await http.get("/get-concurrency")
    assert (answer.status_code, answer.json()) == (500, {"status": "error", "message": "the sandbox failed on this request"})
    assert problems
    problems.clear()


def test_the_clock_runs_at_its_speed() -> None:
    with pytest.raises(ValueError, match="speed"):
        RunningClock(0)
    clock = RunningClock(1000)
    begun = clock.now()
    assert abs(begun / 1000 - time.time()) < 5
    time.sleep(0.01)
    assert clock.now() - begun >= 10_000
    with pytest.raises(ValueError, match="back"):
        SteppedClock().advance(-1)


@pytest.mark.soak
def test_logging_stays_as_it_was() -> None:
    handlers = logging.getLogger("uvicorn").handlers[:]

    async def once() -> None:
        async with serve():
            pass

    anyio.run(once)
    assert logging.getLogger("uvicorn").handlers == handlers


@pytest.mark.soak
@pytest.mark.needs("signals")
def test_the_command_says_where_it_listens_and_stops_on_a_signal() -> None:
    command = [sys.executable, "-m", "retell_async.sandbox", "--port", "0", "--speed", "60", "--seed", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Retell sandbox on http://127.0.0.1:")
    assert "60 times real time, seed 3" in line
    assert httpx.get(f"{line.split()[3]}/get-concurrency", headers=HEADERS).status_code == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.soak
@pytest.mark.parametrize("arguments", [["--speed", "0"], ["--concurrency", "0"], ["--port", "70000"], ["--host", "256.0.0.1"]])
def test_the_command_says_why_it_cannot_start(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("The sandbox cannot start: ")


@pytest.mark.soak
def test_the_command_names_the_port_that_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    listener, url = listen("127.0.0.1", 0)
    port = url.rpartition(":")[2]
    assert main(["--port", port]) == 1
    listener.close()
    said = f"The sandbox cannot start: port {port} of 127.0.0.1 is in use: --port names another one, 0 a free one\n"
    assert capsys.readouterr().err == said


@pytest.mark.soak
def test_a_taken_port_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.soak
def test_answers_are_compact_json() -> None:
    async def fetch() -> bytes:
        async with serve() as served, httpx.AsyncClient(headers=HEADERS) as client:
            return (await client.get(f"{served.url}{path_of('listVoices')}")).content

    content = anyio.run(fetch)
    assert content == json.dumps(json.loads(content), separators=(",", ":")).encode()


@pytest.mark.soak
def test_what_a_start_need_not_wait_for_is_not_loaded() -> None:
    lines = [
        "import sys",
        "from retell_async.sandbox import Sandbox, create_app, create_fixtures",
        "from retell_async.sandbox.outgoing.sender import Sender",
        "sandbox = Sandbox()",
        "create_app(sandbox), Sender(sandbox), create_fixtures(sandbox)",
        "assert not {'httpx', 'httpcore', 'trio', 'rich', 'retell_async.webhooks', 'retell_async.llm'} & {*sys.modules}",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=60)
