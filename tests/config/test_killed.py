"""An apply that ends anywhere goes on where it was, makes nothing twice, and sees what others did meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async._core.errors import OutcomeUnknownError
from retell_async.config import Config, OutOfDateError, account as accounts, report
from retell_async.config.backups import is_taken_along
from retell_async.testing import LocalRetell

WRITES = ("create", "update", "delete", "draft", "change_sources")


class Killed(BaseException):
    """As a signal ends a process: nothing that catches errors sees it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> None:
    """End the run at its nth write, before it or once the account has it."""
    left = [number]

    def wrapped(write: Any) -> Any:
        async def method(self: Any, *arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            answer = await write(self, *arguments)
            if left[0] == 0:
                raise Killed
            return answer

        return method

    for name in WRITES:
        monkeypatch.setattr(accounts.Account, name, wrapped(getattr(accounts.Account, name)))


async def small(client: AsyncRetell) -> None:
    """Two agents that hand over to each other, and a number."""
    made = []
    for name in ("Sales", "Support"):
        llm = (await client.llm.create(general_prompt="The same words.")).llm_id
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm}, voice_id="11labs-Adrian", agent_name=name)
        made.append((llm, agent.agent_id))
    for (llm, _), (_, other) in zip(made, made[::-1], strict=True):
        swap = {"type": "agent_swap", "name": "hand_over", "agent_id": other, "post_call_analysis_setting": "both_agents"}
        await client.llm.update(llm, general_tools=[swap])  # type: ignore[list-item]


async def everything_once(config: Config, local: LocalRetell) -> None:
    plan = await config.plan()
    if plan.status:
        assert not plan.conflicts, report(plan)
        await config.apply(plan)
    again = await config.plan()
    assert (again.status, {**again.kept}) == (0, {}), report(again)
    store = local.sandbox.store
    assert Counter(one.latest.get("agent_name") for one in store.agents) == {"Sales": 1, "Support": 1}
    assert len(store.llms) == 2
    assert all(one.latest["general_tools"][0]["agent_id"] in store.agents for one in store.llms)


async def ended_at(number: int, after: bool, root: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a run had so many writes. It ended there, and another went on."""
    local = LocalRetell()
    async with local.client() as client:
        config = Config(root, client, f"run-{number}-{after}")
        plan = await config.plan()
        ended = False
        with monkeypatch.context() as patched:
            kill_at(patched, number, after=after)
            try:
                await config.apply(plan)
            except Killed:
                ended = True
        await everything_once(config, local)
    return ended


async def pulled(root: Path) -> None:
    source = LocalRetell()
    async with source.client() as client:
        await small(client)
        await Config(root, client, "source").pull()


@pytest.mark.asyncio
async def test_it_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await pulled(tmp_path)
    assert await ended_at(2, True, tmp_path, monkeypatch)


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.asyncio
@pytest.mark.parametrize("after", [False, True])
async def test_it_goes_on_wherever_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    await pulled(tmp_path)
    assert [await ended_at(number, after, tmp_path, monkeypatch) for number in range(1, 8)] == [True] * 6 + [False]


@pytest.mark.asyncio
async def test_a_creation_of_unknown_outcome_is_found_again(tmp_path: Path) -> None:
    local = LocalRetell()
    await pulled(tmp_path)
    for operation in ("createRetellLLM", "createAgent"):
        local.fault("timeout", operation=operation, times=1, acted=True)
    async with local.client() as client:
        config = Config(tmp_path, client)
        for _ in range(2):
            with pytest.raises(OutcomeUnknownError):
                await config.apply(await config.plan())
        local.clear_faults()
        await everything_once(config, local)


@pytest.mark.asyncio
async def test_what_somebody_else_does_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await small(client)
        config = Config(tmp_path, client)
        await config.pull()
        for name in ("sales", "support"):
            path = tmp_path / "agents" / f"{name}.yaml"
            path.write_text(f"{path.read_text()}voice_speed: 1.5\n")
        plan = await config.plan()
        update = accounts.Account.update
        support = next(one for one in local.sandbox.store.agents if one.latest["agent_name"] == "Support")

        async def and_somebody_else(self: Any, *arguments: Any) -> Any:
            answer = await update(self, *arguments)
            support.write(support.latest | {"volume": 0.5})
            return answer

        monkeypatch.setattr(accounts.Account, "update", and_somebody_else)
        with pytest.raises(OutOfDateError, match=r"agents/support was changed since this was planned \(volume\)"):
            await config.apply(plan)
        assert "voice_speed" not in support.latest
        assert support.latest["volume"] == 0.5
        with pytest.raises(OutOfDateError, match="out of date"):
            await config.apply(plan)
        monkeypatch.undo()
        now = await config.plan()
        assert [step.name for step in now.steps] == ["agents/support"]
        assert [change.place for change in now.kept["agents/support"]] == [("volume",)]


_CHILD = """
import os, signal, sys
import anyio
from retell_async import AsyncRetell
from retell_async.config import Config, account

def wrapped(write):
    async def method(self, *arguments):
        answer = await write(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    return method

for name in ("create", "update"):
    setattr(account.Account, name, wrapped(getattr(account.Account, name)))

async def run():
    async with AsyncRetell("key", base_url=sys.argv[2]) as client:
        config = Config(sys.argv[1], client)
        await config.apply(await config.plan())

anyio.run(run)
"""


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.needs("signals")
@pytest.mark.asyncio
async def test_killed_after_each_step(tmp_path: Path) -> None:
    from anyio import to_thread

    local = LocalRetell()
    await pulled(tmp_path)
    codes: list[int] = []

    def runs() -> None:
        with local.serving() as url:
            while not codes or (codes[-1] and len(codes) < 20):
                done = subprocess.run([sys.executable, "-c", _CHILD, tmp_path, url], capture_output=True, text=True, check=False)
                codes.append(done.returncode)
                assert done.returncode in {0, -signal.SIGKILL}, done.stderr

    await to_thread.run_sync(runs)
    assert codes == [-signal.SIGKILL] * 6 + [0]
    async with local.client() as client:
        await everything_once(Config(tmp_path, client), local)


def repository(root: Path) -> None:
    subprocess.run(["git", "init", "-q", root], check=True)


@pytest.mark.needs("git")
@pytest.mark.asyncio
async def test_git_ignores_what_a_run_that_is_killed_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    written: list[bool] = []

    def taken_along(_: int) -> None:
        written.extend(is_taken_along(path) for path in tmp_path.rglob("*.tmp"))

    local = LocalRetell()
    async with local.client() as client:
        await small(client)
        monkeypatch.setattr("os.fsync", taken_along)
        await Config(tmp_path / "retell", client).pull()
        assert written
        (file,) = (tmp_path / "retell/agents").glob("sales.yaml")
        file.write_text(f"{file.read_text()}voice_speed: 1.5\n")
        config = Config(tmp_path / "retell", client)
        await config.apply(await config.plan())
        assert not any(written)
