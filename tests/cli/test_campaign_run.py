"""``retell-async campaign run`` and what steers it, as people type them, on a sandbox."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from retell_async import AsyncRetell
from retell_async.sandbox import RunningClock, Sandbox, serve

pytestmark = [pytest.mark.soak, pytest.mark.asyncio, pytest.mark.parallel]

ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs the command in a folder, with an account on a sandbox."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "RETELL_API_KEY": "key_1", "RETELL_BASE_URL": url}

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "retell_async.cli", "campaign", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=stderr, text=True)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        from anyio import to_thread

        child = self.start(*arguments)
        out, err = await to_thread.run_sync(child.communicate)
        return child.returncode, out, err


@asynccontextmanager
async def account(speed: float = 60) -> AsyncGenerator[tuple[AsyncRetell, str, str]]:
    """An account with a number that calls."""
    async with serve(Sandbox(clock=RunningClock(speed=speed))) as sandbox, AsyncRetell("key_1", base_url=sandbox.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        yield client, sandbox.url, number.phone_number


async def test_a_campaign_at_a_terminal(tmp_path: Path) -> None:
    async with account() as (client, url, number):
        (tmp_path / "contacts.csv").write_text(
            "number,name\n" + "".join(f"+1212555{person:04},P{person}\n" for person in range(12)) + "none,X\n"
        )
        rules = f'numbers = [{{number = "{number}", per_second = 20}}]\nattempts = 2\n[retries]\n'
        rules += "".join(f'{reason} = "1s"\n' for reason in ("missed", "dial_busy", "voicemail", "failed"))
        (tmp_path / "rules.toml").write_text(rules)
        terminal = Terminal(tmp_path, url)
        code, out, err = await terminal.run("run", "spring.db", "contacts.csv", "--rules", "rules.toml")
        assert code == 0, err
        assert out.startswith("spring: done: ")
        assert "line 14: no telephone number" in err
        assert "1 line was refused" in err
        state = json.loads((await terminal.run("status", "spring.db", "--json"))[1])
        assert (state["status"], sum(state["counts"].values())) == ("done", 12)
        rows = list(csv.DictReader((await terminal.run("report", "spring.db"))[1].splitlines()))
        assert len({row["key"] for row in rows}) == len(rows) >= 12
        assert len([call async for call in client.call.list(limit=1000)]) == len(rows)
        await terminal.run("report", "spring.db", "--format", "json", "--out", "report.json")
        assert len(json.loads((tmp_path / "report.json").read_text())) == len(rows)
        await terminal.run("report", "spring.db", "--html", "report.html")
        assert "<h1>spring</h1>" in (tmp_path / "report.html").read_text()
        code, _, err = await terminal.run("run", "spring.db", "--attempts", "5")
        assert (code, err.startswith("Error: the rules of a campaign are said once")) == (1, True)
        assert "0 contacts begin anew" in (await terminal.run("retry", "spring.db", "--end", "refused"))[1]
        assert (await terminal.run("cancel", "spring.db"))[2].startswith("Error: the campaign spring is done")


async def test_a_campaign_is_paused_and_goes_on(tmp_path: Path) -> None:
    from anyio import sleep, to_thread

    from retell_async.campaigns import Campaign

    async with account() as (client, url, number):
        (tmp_path / "contacts.csv").write_text("number\n" + "".join(f"+1212555{person:04}\n" for person in range(40)))
        terminal = Terminal(tmp_path, url)
        child = terminal.start("run", "spring.db", "contacts.csv", "--from", number, "--attempts", "1", "--live", "2")
        while child.poll() is None and not [call async for call in client.call.list(limit=10)]:  # noqa: ASYNC110 - the sandbox tells nobody
            await sleep(0.2)
        # As the command does, which takes long to start where there is much to do.
        await to_thread.run_sync(Campaign(tmp_path / "spring.db").pause)
        assert (await terminal.run("pause", "spring.db"))[1].startswith("spring: paused")
        out, err = await to_thread.run_sync(child.communicate)
        assert out.startswith("spring: paused (until it is resumed): "), err
        state = json.loads((await terminal.run("status", "spring.db", "--json"))[1])
        assert 0 < state["counts"]["waiting"] < 40
        assert "live" not in state["counts"]
        code, out, err = await terminal.run("run", "spring.db")  # as one does who starts again whatever ends
        assert (code, out.startswith("spring: paused (until it is resumed): ")) == (0, True), err
        assert err.splitlines()[-1] == "Go on with: retell-async campaign run --resume spring.db"
        code, out, err = await terminal.run("run", "--resume", "spring.db")
        assert (code, out.startswith("spring: done: ")) == (0, True), err
        assert len([call async for call in client.call.list(limit=1000)]) == 40


async def test_who_looks_at_a_running_campaign_leaves_it_its_file(tmp_path: Path) -> None:
    from anyio import sleep, to_thread

    async with account() as (client, url, number):
        (tmp_path / "contacts.csv").write_text("number\n" + "".join(f"+1212555{person:04}\n" for person in range(60)))
        terminal = Terminal(tmp_path, url)

        async def placed(count: int) -> list[str]:
            while len(calls := [call async for call in client.call.list(limit=1000)]) < count:
                assert child.poll() is None  # it goes on
                await sleep(0.2)
            return [str(call.metadata) for call in calls]

        child = terminal.start("run", "spring.db", "contacts.csv", "--from", number, "--attempts", "1", stderr=subprocess.DEVNULL)
        await placed(3)
        log = (tmp_path / "spring.db-wal").stat().st_ino
        for command in (("status",), ("do-not-call", "+12125559999"), ("report",)):  # each by itself, which closes the file last
            assert (await terminal.run(*command[:1], "spring.db", *command[1:]))[0] == 0
            assert (tmp_path / "spring.db-wal").stat().st_ino == log
        await placed(len(await placed(0)) + 3)
        child.kill()
        await to_thread.run_sync(child.communicate)
        calls = await placed(0)
        with closing(sqlite3.connect(tmp_path / "spring.db")) as file:
            keys = {key for (key,) in file.execute("SELECT key FROM retell_attempt WHERE sent_at IS NOT NULL")}
        assert all(any(key in call for key in keys) for call in calls)


@pytest.mark.needs("signals")
async def test_ctrl_c_stops_it_and_says_how_to_go_on(tmp_path: Path) -> None:
    from anyio import sleep, to_thread

    async with account() as (client, url, number):
        (tmp_path / "contacts.csv").write_text("number\n" + "".join(f"+1212555{person:04}\n" for person in range(30)))
        terminal = Terminal(tmp_path, url)
        child = terminal.start("run", "my spring.db", "contacts.csv", "--name", "s", "--from", number, "--attempts", "1", "--live", "2")
        while child.poll() is None and not [call async for call in client.call.list(limit=10)]:  # noqa: ASYNC110 - the sandbox tells nobody
            await sleep(0.2)
        child.send_signal(signal.SIGINT)
        out, err = await to_thread.run_sync(child.communicate)
        assert child.returncode == 130, err
        assert out.startswith("s: running: waiting ")
        assert err.splitlines()[-1] == "Go on with: retell-async campaign run 'my spring.db'"
        assert any(line.startswith("Stopping: no more calls are placed, ") for line in err.splitlines())
        assert "Traceback" not in err
        state = json.loads((await terminal.run("status", "my spring.db", "--json"))[1])
        assert "live" not in state["counts"]  # those that went on were followed to their end
        assert 0 < state["counts"]["waiting"] < 30
        code, out, err = await terminal.run("run", "my spring.db")
        assert (code, out.startswith("s: done: ")) == (0, True), err
        assert "Go on with" not in err
        assert len([call async for call in client.call.list(limit=1000)]) == 30


@pytest.mark.needs("signals")
@pytest.mark.parametrize(("signals", "code"), [([signal.SIGINT, signal.SIGINT], 130), ([signal.SIGTERM], 143)])
async def test_ctrl_c_twice_and_sigterm_leave_at_once(tmp_path: Path, signals: list[int], code: int) -> None:
    from anyio import fail_after, sleep, to_thread

    async with account(speed=0.1) as (client, url, number):  # calls that last for long
        (tmp_path / "contacts.csv").write_text("number\n" + "".join(f"+1212555{person:04}\n" for person in range(30)))
        terminal = Terminal(tmp_path, url)
        child = terminal.start("run", "spring.db", "contacts.csv", "--from", number, "--attempts", "1", "--live", "2")
        while child.poll() is None and not [call async for call in client.call.list(limit=10)]:  # noqa: ASYNC110 - the sandbox tells nobody
            await sleep(0.2)
        for one in signals[:-1]:
            child.send_signal(one)
            await sleep(1)
            assert child.poll() is None
        child.send_signal(signals[-1])
        with fail_after(30):
            out, err = await to_thread.run_sync(child.communicate)
        assert child.returncode == code, err
        assert out.startswith("spring: running: live ")
        assert err.splitlines()[-1] == "Go on with: retell-async campaign run spring.db"
        assert "Traceback" not in err


@pytest.mark.needs("signals")
async def test_a_terminal_sees_how_it_goes_on(tmp_path: Path) -> None:
    from anyio import to_thread

    async with account() as (_, url, number):
        (tmp_path / "contacts.csv").write_text("number\n" + "".join(f"+1212555{person:04}\n" for person in range(6)))
        terminal = Terminal(tmp_path, url)
        ours, its = os.openpty()
        child = terminal.start("run", "spring.db", "contacts.csv", "--from", number, "--attempts", "1", stderr=its)
        os.close(its)
        seen = (await to_thread.run_sync(_read, ours)).decode()
        out, _ = await to_thread.run_sync(child.communicate)
        assert (child.returncode, out.startswith("spring: done: ")) == (0, True), seen
        assert "6 of 6 done (100%)" in seen
        assert "+121******0" in seen
        assert "+12125550" not in seen


def _read(terminal: int) -> bytes:
    seen = b""
    try:
        while more := os.read(terminal, 65536):
            seen += more
    except OSError:  # it is closed on the other side
        pass
    os.close(terminal)
    return seen
