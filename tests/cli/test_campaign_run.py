"""``retell-async campaign run`` and what steers it, as people type them, on a sandbox."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retell_async import AsyncRetell
from retell_async.sandbox import RunningClock, Sandbox, serve

pytestmark = [pytest.mark.soak, pytest.mark.asyncio]

ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs the command in a folder, with an account on a sandbox."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "RETELL_API_KEY": "key_1", "RETELL_BASE_URL": url}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "retell_async.cli", "campaign", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        from anyio import to_thread

        child = self.start(*arguments)
        out, err = await to_thread.run_sync(child.communicate)
        return child.returncode, out, err


async def test_a_campaign_at_a_terminal(tmp_path: Path) -> None:
    async with serve(Sandbox(clock=RunningClock(speed=60))) as sandbox, AsyncRetell("key_1", base_url=sandbox.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        (tmp_path / "contacts.csv").write_text(
            "number,name\n" + "".join(f"+1212555{person:04},P{person}\n" for person in range(12)) + "none,X\n"
        )
        rules = f'numbers = [{{number = "{number.phone_number}", per_second = 20}}]\nattempts = 2\n[retries]\n'
        rules += "".join(f'{reason} = "1s"\n' for reason in ("missed", "dial_busy", "voicemail", "failed"))
        (tmp_path / "rules.toml").write_text(rules)
        terminal = Terminal(tmp_path, sandbox.url)
        code, out, err = await terminal.run("run", "spring.db", "contacts.csv", "--rules", "rules.toml")
        assert code == 0, err
        assert out.startswith("spring: done: ")
        assert "line 14: no telephone number" in err
        assert "1 lines were refused" in err
        state = json.loads((await terminal.run("status", "spring.db", "--json"))[1])
        assert (state["status"], sum(state["counts"].values())) == ("done", 12)
        rows = list(csv.DictReader((await terminal.run("report", "spring.db"))[1].splitlines()))
        assert len({row["key"] for row in rows}) == len(rows) >= 12
        assert len([call async for call in client.call.list(limit=1000)]) == len(rows)
        await terminal.run("report", "spring.db", "--format", "json", "--out", "report.json")
        assert len(json.loads((tmp_path / "report.json").read_text())) == len(rows)
        code, _, err = await terminal.run("run", "spring.db", "--attempts", "5")
        assert (code, err.startswith("Error: the rules of a campaign are said once")) == (1, True)
        assert "0 contacts begin anew" in (await terminal.run("retry", "spring.db", "--end", "refused"))[1]
        code, out, _ = await terminal.run("cancel", "spring.db")
        assert out.startswith("spring: cancelled")
        assert (await terminal.run("run", "spring.db"))[2].strip() == "Error: the campaign spring was cancelled"


async def test_a_campaign_is_paused_and_goes_on(tmp_path: Path) -> None:
    from anyio import sleep, to_thread

    async with serve(Sandbox(clock=RunningClock(speed=60))) as sandbox, AsyncRetell("key_1", base_url=sandbox.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        (tmp_path / "contacts.csv").write_text("number\n" + "".join(f"+1212555{person:04}\n" for person in range(40)))
        terminal = Terminal(tmp_path, sandbox.url)
        child = terminal.start("run", "spring.db", "contacts.csv", "--from", number.phone_number, "--attempts", "1", "--live", "2")
        while child.poll() is None and not [call async for call in client.call.list(limit=10)]:  # noqa: ASYNC110 - the sandbox tells nobody
            await sleep(0.2)
        assert (await terminal.run("pause", "spring.db"))[1].startswith("spring: paused")
        out, err = await to_thread.run_sync(child.communicate)
        assert out.startswith("spring: paused: "), err
        state = json.loads((await terminal.run("status", "spring.db", "--json"))[1])
        assert 0 < state["counts"]["waiting"] < 40
        assert "live" not in state["counts"]
        code, out, err = await terminal.run("run", "spring.db")
        assert (code, out.startswith("spring: done: ")) == (0, True), err
        assert len([call async for call in client.call.list(limit=1000)]) == 40
