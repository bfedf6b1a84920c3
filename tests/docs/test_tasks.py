"""The programs of the task pages do what the pages say: as they stand, against the sandbox, with nothing installed but what is said."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import httpx
import pytest

from retell_async import Retell, webhooks
from retell_async.sandbox import Fixtures, RunningClock, SteppedClock
from retell_async.testing import LocalRetell

from .blocks import ROOT, blocks
from .installed import environment, requirements

FOLDER = ROOT / "docs" / "tasks"
KEY = "key_of_the_docs"
OVER = {"ended", "not_connected", "error"}

pytestmark = [pytest.mark.soak, pytest.mark.parallel]


@attrs.frozen
class Account:
    """A sandbox that listens, with what ``--examples`` makes, and a folder for the programs of a page."""

    local: LocalRetell
    url: str
    fixtures: Fixtures
    folder: Path

    @property
    def client(self) -> Retell:
        return Retell(KEY, base_url=self.url)

    def environment(self, text: str) -> dict[str, str]:
        installed = requirements(text) or ["retell-async"]
        return environment(self.folder / "clean", installed, RETELL_API_KEY=KEY, RETELL_BASE_URL=self.url)

    def write(self, page: str, number: int = 0) -> str:
        """Copy a program of a page into a file, whose name is that of the page's command for it."""
        source = programs(page)[number]
        commands = [block.source for block in blocks("sh") if block.path.stem == page and block.source.startswith("python ")]
        name = shlex.split(commands[number])[1] if commands else "program.py"
        (self.folder / name).write_text(source)
        return name

    @contextmanager
    def serve(self, arguments: list[str], text: str, port: int) -> Iterator[list[str]]:
        """Run a program that listens. What it has written is there at the end."""
        written: list[str] = []
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment(text),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                until = time.monotonic() + 60
                while process.poll() is None and time.monotonic() < until:
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.1)
                yield written
            finally:
                process.terminate()
                assert process.stdout is not None
                written.append(process.stdout.read())
                print(written)

    def run(self, page: str, *arguments: str, number: int = 0) -> str:
        """What a program of a page prints."""
        result = subprocess.run(
            [sys.executable, self.write(page, number), *arguments],
            cwd=self.folder,
            env=self.environment((FOLDER / f"{page}.md").read_text()),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    def run_tests(self, page: str) -> str:
        """What pytest says of a page's files, all of which are copied."""
        for block in blocks("python"):
            if block.path == FOLDER / f"{page}.md" and block.file is not None:
                (self.folder / block.file).write_text(block.source)
        return self.run_without_account(page, "-m", "pytest", "-p", "no:cacheprovider")

    def run_without_account(self, page: str, *arguments: str) -> str:
        """What Python writes, among the files of a page."""
        env = self.environment((FOLDER / f"{page}.md").read_text())
        del env["RETELL_API_KEY"], env["RETELL_BASE_URL"]
        env["PYTHONPATH"] = os.pathsep.join([str(self.folder), env["PYTHONPATH"]])
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.folder, env=env, stdout=subprocess.PIPE, text=True, check=False).stdout


def programs(page: str) -> list[str]:
    return [block.source for block in blocks("python") if block.path == FOLDER / f"{page}.md"]


@contextmanager
def account(folder: Path, clock: RunningClock | SteppedClock | None = None) -> Iterator[Account]:
    local = LocalRetell(clock=clock or RunningClock(speed=1000))
    fixtures = local.create_fixtures()
    with local.serving() as url:
        yield Account(local, url, fixtures, folder)


@pytest.fixture(name="account")
def listening(tmp_path: Path) -> Iterator[Account]:
    with account(tmp_path) as made:
        yield made


def test_every_page_is_in_the_index() -> None:
    listed = (FOLDER / "index.md").read_text().partition("{toctree}")[2]
    pages = {page.stem for page in FOLDER.glob("*.md")} - {"index"}
    assert pages == set(re.findall(r"^[a-z-]+$", listed, re.MULTILINE))
    for page in pages:
        text = (FOLDER / f"{page}.md").read_text()
        assert "## What to know" in text
        assert "## Errors" in text or page == "verify"


def test_a_call_with_variables(account: Account) -> None:
    call_id, status = account.run("place-a-call").split()
    assert status == "registered"
    with account.client as client:
        call = client.call.retrieve(call_id)
    assert call.retell_llm_dynamic_variables == {"customer_name": "Ann", "time": "nine"}
    assert call.metadata == {"appointment": 4711}


def test_yesterday(tmp_path: Path) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=1)
    clock = SteppedClock(int(noon.timestamp() * 1000))
    with account(tmp_path, clock) as made, made.client as client:
        other = client.agent.create(voice_id="retell-Cimo", response_engine={"type": "retell-llm", "llm_id": made.fixtures.llm_id}).agent_id
        placed: list[str] = []
        for agent in (made.fixtures.agent_id, other):
            call = client.call.create_phone_call(from_number="+14155550100", to_number="+14155550108", override_agent_id=agent)
            placed.append(call.call_id)
        httpx.post(f"{made.url}/sandbox/clock", json={"advance": 24 * 3600}).raise_for_status()
        client.call.create_phone_call(from_number="+14155550100", to_number="+14155550108")
        httpx.post(f"{made.url}/sandbox/clock", json={"advance": 600}).raise_for_status()

        yesterday, today = (made.run("list-calls", made.fixtures.agent_id, days_ago) for days_ago in "10")

    assert re.fullmatch(rf"{placed[0]} ended \d+ ms\n", yesterday)
    assert re.fullmatch(r"call_\w+ ended \d+ ms\n", today)
    assert placed[0] not in today


def test_a_transcript_and_a_recording(account: Account) -> None:
    with account.client as client:
        call_id = client.call.create_phone_call(from_number="+14155550100", to_number="+14155550108").call_id
        shown = account.run("transcript", call_id)
        assert re.search(r"^agent: Hello.*\n(.*\n)*^Summary: \w", shown, re.MULTILINE)
        account.run("transcript", call_id, "recording.wav", number=1)
        content = (account.folder / "recording.wav").read_bytes()
        assert content[:4] == b"RIFF"


FRAMEWORKS = ["FastAPI", "Starlette", "Flask", "Django", "aiohttp"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_webhooks(framework: str, account: Account) -> None:
    text = (FOLDER / "webhooks.md").read_text()
    section = text.partition(f"## {framework}\n")[2].partition("\n## ")[0]
    (source,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    *_, command = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    (name,) = re.findall(r"(\w+_events)", command)
    port = free_port()
    (account.folder / f"{name}.py").write_text(source.replace("port=8000", f"port={port}"))
    program, *arguments = shlex.split(command.replace("8000", str(port)))
    call = {"call_id": "call_1", "call_type": "web_call", "disconnection_reason": "user_hangup"}
    body = json.dumps({"event": "call_ended", "call": call}).encode()

    with account.serve(arguments if program == "python" else ["-m", program, *arguments], section, port) as log:
        answers = [
            httpx.post(
                f"http://127.0.0.1:{port}/retell/events", content=body, headers={webhooks.HEADER: webhooks.sign(body, key)}
            ).status_code
            for key in (KEY, "another key")
        ]

    assert answers == [204, 401]
    assert "INFO:calls:call_1 ended: user_hangup" in log[0]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def test_verifying(account: Account) -> None:
    assert re.fullmatch(r"genuine\nanswer 401: .+\n", account.run("verify"))


def test_rotating_keys_and_the_scheme_that_is_told() -> None:
    text = (FOLDER / "verify.md").read_text()
    assert "`webhooks.verify(body, [new_key, old_key], signature)`" in text
    assert webhooks.verify(b"{}", ["new", "old"], webhooks.sign(b"{}", "old"))
    assert re.fullmatch(r"v=\d{13},d=[0-9a-f]{64}", webhooks.sign(b"{}", "key"))


def test_an_upload(account: Account) -> None:
    (account.folder / "prices.txt").write_text("A check-up is 50 dollars.")
    shown = account.run("knowledge-base", "prices.txt", account.fixtures.llm_id)
    knowledge_base_id, status, *sources = shown.split()
    assert (status, sorted(sources)) == ("complete", ["document", "text"])
    with account.client as client:
        assert client.llm.retrieve(account.fixtures.llm_id).knowledge_base_ids == [knowledge_base_id]


def test_a_batch(account: Account) -> None:
    (people,) = (block.source for block in blocks("text") if block.path == FOLDER / "batch.md")
    (account.folder / "people.csv").write_text(people)
    first, *calls = account.run("batch", "people.csv").splitlines()
    assert re.fullmatch(r"batch_call_\w+ 2 calls", first)
    shown = [re.fullmatch(r"\{'customer': '(\w+)'\} (\w+) \w+", line) for line in calls]
    assert {(line[1], line[2] in OVER) for line in shown if line} == {("Ann", True), ("Bob", True)}


def test_publishing(account: Account) -> None:
    agent_id = account.fixtures.agent_id
    assert account.run("agents", agent_id) == "0 True 1.1\n"
    assert account.run("agents", agent_id) == "1 True 1.1\n"


def test_tests_with_pytest(account: Account) -> None:
    said = account.run_tests("pytest")
    assert re.search(r"=+ 3 passed in ", said), said


def test_a_service(account: Account) -> None:
    (source,) = programs("service")
    (account.folder / "service.py").write_text(source)
    text = (FOLDER / "service.md").read_text()
    port = free_port()
    arguments = ["-m", "uvicorn", "service:app", "--port", str(port)]
    assert f"{' '.join(arguments[1:-1])} 8000" in text
    url = f"http://127.0.0.1:{port}/calls"
    order = {"to_number": "+14155550108", "job_id": "appointment-4711"}

    with account.serve(arguments, text, port) as log:
        first, again = (httpx.post(url, json=order) for _ in range(2))
        call = httpx.get(f"{url}/{first.json()['call_id']}").json()
        refused = httpx.post(url, json={"to_number": "0176", "job_id": "another"})
        wrong = httpx.post(url, json={**order, "job_id": "no key"})
        unknown = httpx.get(f"{url}/call_1")
        account.local.fault("reset", operation="call.retrieve")
        unreached = httpx.get(f"{url}/{first.json()['call_id']}")

    answers = (first, again, refused, wrong, unknown, unreached)
    assert [answer.status_code for answer in answers] == [202, 202, 502, 422, 404, 502]
    assert "Connection error" in unreached.json()["detail"]
    assert first.json() == again.json()
    assert (call["to_number"], call["metadata"]) == ("+14155550108", {"job": "appointment-4711"})
    account.local.assert_placed("+14155550108", times=1)
    assert "Traceback" not in log[0]


def test_tenants(account: Account) -> None:
    assert account.run("tenants") == "acme 1 agents\nglobex 1 agents\n"


def test_a_sweep(account: Account) -> None:
    with account.client as client:
        call_id = client.call.create_phone_call(from_number="+14155550100", to_number="+14155550108").call_id
        client.call.wait(call_id)
    assert re.fullmatch(rf"{call_id} (ended|not_connected|error) \w+\n", account.run("lost-webhooks", "6"))
    assert account.run("lost-webhooks", "6") == ""


def test_a_job_is_placed_once(account: Account) -> None:
    first, again = (account.run("job-ids", "appointment-4711", "+14155550108") for _ in range(2))
    assert first == again
    assert first.startswith("call_")
    account.local.assert_placed("+14155550108", times=1)


def test_an_unknown_outcome(account: Account) -> None:
    fault, _ = (block.source for block in blocks("sh") if block.path.stem == "unknown-outcomes")
    _, _, content, url = shlex.split(fault)
    httpx.post(url.replace("$RETELL_BASE_URL", account.url), content=content).raise_for_status()
    said, call_id = account.run("unknown-outcomes", "reminder-4711", "+14155550108").splitlines()
    assert re.fullmatch(r"nobody knows: \S+ of \S+", said)
    assert call_id.startswith("call_")
    account.local.assert_placed("+14155550108", times=1)


def test_engines(account: Account) -> None:
    said = account.run_tests("engines")
    assert re.search(r"=+ 3 passed", said), said

    replayed = account.run_without_account("engines", str(Path(__file__).with_name("replay.py")))
    fits = re.findall(r"^([a-z, ]+): (fits|does not fit)$", replayed, re.MULTILINE)  # between what the core logs
    assert fits == [("place, follow", "fits"), ("follow, place", "does not fit"), ("place", "does not fit")]
