"""The examples as somebody runs them: by their commands, against a sandbox that listens."""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from retell_async import Retell
from retell_async.sandbox import RunningClock, Settings
from retell_async.testing import LocalRetell

pytestmark = [pytest.mark.soak, pytest.mark.parallel]

ROOT = Path(__file__).parents[2]
PEOPLE = 20


@pytest.fixture(name="local")
def sandbox() -> LocalRetell:
    made = LocalRetell(Settings(concurrency_limit=40), RunningClock(speed=200))
    made.create_fixtures()
    return made


@pytest.fixture(name="environ")
def environment_of_a_program(local: LocalRetell) -> Iterator[dict[str, str]]:
    with local.serving() as url:
        yield {**os.environ, "PYTHONPATH": str(ROOT), "RETELL_API_KEY": "key_1", "RETELL_BASE_URL": url}


def start(*command: str, environ: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def states(journal: Path) -> dict[str, int]:
    if not journal.exists():
        return {}
    with closing(sqlite3.connect(journal)) as table:
        try:
            return dict(table.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        except sqlite3.OperationalError:  # it has no table yet
            return {}


@pytest.mark.needs("signals")
def test_a_dialler_that_is_killed_calls_everybody_once(local: LocalRetell, environ: dict[str, str], tmp_path: Path) -> None:
    numbers = [f"+1415555{number:04}" for number in range(1000, 1000 + PEOPLE)]
    with (tmp_path / "people.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([("job_id", "to_number", "name"), *((f"job-{number[-4:]}", number, "Ann") for number in numbers)])
    # Some answers are lost, after the call was placed.
    local.fault("reset", operation="call.create_phone_call", acted=True, probability=0.2, seed=1)
    command = ("examples.dialler", "people.csv", "--from-number", "+14155550100", "--concurrency", "5")

    for enough in (1, 8):
        with start(*command, environ=environ, cwd=tmp_path) as process:
            until = time.monotonic() + 60
            while states(tmp_path / "people.csv.sqlite").get("over", 0) < enough and process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        assert enough <= states(tmp_path / "people.csv.sqlite")["over"] < PEOPLE
    with start(*command, environ=environ, cwd=tmp_path) as process:
        said, log = process.communicate()

    assert said == f"{PEOPLE} over\n", log
    assert "INFO dialler: job-1019: " in log
    local.assert_none_placed_twice()
    assert {*local.placed} == {*numbers}


def test_whom_the_api_refused_a_dialler_calls_with_the_next_start(local: LocalRetell, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("job_id,to_number,name\njob-10001,+14155551001,Ann\njob-10002,+14155551002,Bob\n")
    command = ("examples.dialler", "people.csv", "--concurrency", "1", "--from-number")
    with start(*command, "+14155550199", environ=environ, cwd=tmp_path) as process:  # none of the account's
        said, log = process.communicate()
    assert (said, process.returncode) == ("2 refused\n", 1)
    assert log.count("WARNING dialler: job-1000") == 2
    local.fault("error", operation="call.create_phone_call", status=402, times=1)
    with start(*command, "+14155550100", environ=environ, cwd=tmp_path) as process:
        said, log = process.communicate()
    assert log.count("WARNING dialler: job-1000") == 1  # the other one was not tried
    with start(*command, "+14155550100", environ=environ, cwd=tmp_path) as process:
        said, log = process.communicate()
    assert (said, process.returncode) == ("2 over\n", 0), log


def test_a_dialler_says_which_columns_a_file_lacks(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("to_number,customer_name\n+14155551001,Ann\n")
    with start("examples.dialler", "people.csv", "--from-number", "+14155550100", environ=environ, cwd=tmp_path) as process:
        _, log = process.communicate()
    assert log.splitlines()[-1].endswith("error: people.csv has no column job_id, name in its first line")


def test_a_dialler_calls_nobody_if_a_job_id_is_no_key(local: LocalRetell, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("job_id,to_number,name\njob-10001,+14155551001,Ann\n2,+14155551002,Bob\n", encoding="utf-8-sig")
    with start("examples.dialler", "people.csv", "--from-number", "+14155550100", environ=environ, cwd=tmp_path) as process:
        _, log = process.communicate()
    assert process.returncode == 2
    assert "error: people.csv, line 3: the job_id has to be 5 to 255 letters" in log
    assert not local.placed
    assert not (tmp_path / "people.csv.sqlite").exists()


def test_a_report(environ: dict[str, str], tmp_path: Path) -> None:
    with Retell("key_1", base_url=environ["RETELL_BASE_URL"]) as client:
        calls = [client.call.create_phone_call(from_number="+14155550100", to_number=f"+1415555010{digit}") for digit in (7, 8)]
        ended = {call.call_id: client.call.wait(call.call_id) for call in calls}

    with start("examples.sync_report", "calls.csv", environ=environ, cwd=tmp_path) as process:
        said, log = process.communicate()

    assert log == ""
    assert said.startswith("2 calls\n")
    with (tmp_path / "calls.csv").open(newline="") as file:
        written = {row["call_id"]: row for row in csv.DictReader(file)}
    assert written.keys() == ended.keys()
    for call_id, call in ended.items():
        assert (written[call_id]["status"], written[call_id]["reason"]) == (call.call_status, call.disconnection_reason)
        assert float(written[call_id]["cents"]) > 0


def test_a_service_with_its_sandbox(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RETELL_")} | {"PYTHONPATH": str(ROOT)}
    with (
        start("examples.fastapi_service", "--sandbox", "--port", str(port), environ=environ, cwd=tmp_path) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as service,
    ):
        try:
            placed = _when_it_listens(service)
            again = service.post("/calls", json={"order_id": "A7", "to_number": "+14155550108"})
            assert (placed.status_code, again.status_code) == (202, 202)
            assert placed.json()["call_id"] == again.json()["call_id"]
            assert service.post("/calls", json={"order_id": "not a key!", "to_number": "+14155550108"}).status_code == 422
            assert service.post("/calls", json={"order_id": "B1", "to_number": "0176"}).status_code == 502
            assert service.get("/calls/call_1/transcript").status_code == 404
            until = time.monotonic() + 60
            while not (followed := service.get("/calls").json())[0]["summary"] and time.monotonic() < until:
                time.sleep(0.1)
            assert len(followed) == 1
            assert followed[0]["status"] == "ended"
            transcript = service.get(f"/calls/{followed[0]['call_id']}/transcript").json()
            assert transcript.startswith("Agent: Hello")
        finally:
            process.terminate()
            _, log = process.communicate()
    assert re.search(r"INFO service: call call_\w+ placed for order A7\n", log)
    assert re.search(r"INFO service: call call_\w+ ended: \w+\n", log)
    assert "Traceback" not in log


def _when_it_listens(service: httpx.Client) -> httpx.Response:
    until = time.monotonic() + 60
    while True:
        try:
            return service.post("/calls", json={"order_id": "A7", "to_number": "+14155550108"})
        except httpx.ConnectError:
            assert time.monotonic() < until
            time.sleep(0.1)
