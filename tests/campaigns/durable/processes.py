"""A campaign on a sandbox, run by processes that are killed and stopped, and what must hold of it whatever becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from retell_async import AsyncRetell
from retell_async.campaigns import Campaign, Contact, Number, Retry, Rules, Settings
from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings as SandboxSettings, serve

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).parent / "child.py"
NEXT = Path(__file__).parent / "next_version.py"


class Counting(Sandbox):
    """A sandbox that notes when each call is placed, by the clock of this machine, and how many there are then."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.placed: dict[str, float] = {}
        self.live: list[int] = []

    def answer(self, method: str, path: str, **request: Any) -> Any:
        answer = super().answer(method, path, **request)
        if path.endswith("create-phone-call") and answer.status == 201:
            call_id = answer.body["call_id"]
            if call_id not in self.placed:
                self.placed[call_id] = time.monotonic()
                account = super().answer("GET", "/get-concurrency", authorization=request["authorization"])
                self.live.append(account.body["current_concurrency"])
        return answer

    def most_in_a_second(self) -> int:
        """The most calls that were placed within any second."""
        moments = sorted(self.placed.values())
        return max(sum(moment <= other < moment + 1 for other in moments[first : first + 200]) for first, moment in enumerate(moments))

    def rate(self, start: float, end: float) -> float:
        """Calls a second that were placed between two moments."""
        return sum(start <= moment < end for moment in self.placed.values()) / (end - start)


@asynccontextmanager
async def account(
    address: Path | str, contacts: int, faults: Sequence[str], *, per_second: float = 1000.0, live: int = 100
) -> AsyncGenerator[tuple[Counting, str, AsyncRetell]]:
    """A sandbox with faults, in whose account a campaign of so many contacts is about to begin."""
    sandbox = Counting(SandboxSettings(seed=7, concurrency_limit=200), RunningClock(60))
    async with serve(sandbox) as served, AsyncRetell("key_1", base_url=served.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        for fault in faults:
            sandbox.set_fault(Fault.parse(fault))
        ends = ("dial_busy", "missed", "voicemail", "failed", "concurrency_limit_reached", "not_placed")
        retries: dict[str, Retry | None] = {end: Retry(0.5) for end in ends}
        rules = Rules(numbers=[Number(number.phone_number, per_second=per_second)], attempts=3, per_day=3, retries=retries)
        people = (
            Contact(id=str(person), number=f"+1212{200 + person // 10000}{person % 10000:04}", zones=("America/New_York",))
            for person in range(contacts)
        )
        await to_thread.run_sync(lambda: Campaign.make(address, "kills", Settings(rules=rules, live=live), people))
        yield sandbox, served.url, client


def start(address: Path | str, url: str, lease: float = 15.0, child: Path = CHILD) -> subprocess.Popen[str]:
    """A process that runs it."""
    command = [sys.executable, str(child), str(address), url, str(lease)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


async def ended(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process said, on both streams, once it has ended; it is read all the while, so that it never waits for that."""
    return await to_thread.run_sync(child.communicate)


async def finish(child: subprocess.Popen[str]) -> None:
    """Wait until a process has brought the campaign to its end."""
    out, err = await ended(child)
    assert (child.returncode, out.split()[-1:]) == (0, ["done"]), err[-5000:]


@asynccontextmanager
async def killed_after(child: subprocess.Popen[str], seconds: float) -> AsyncGenerator[None]:
    """A block, after which a process that still runs is killed."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ended, child)
        try:
            yield
            await anyio.sleep(seconds)
        finally:
            child.kill()


async def check(address: Path | str, client: AsyncRetell, contacts: int) -> Counter[str]:
    """Every attempt was dialled at most once and, unless it is unknown, exactly once; every outcome is written."""
    calls = Counter[Any]()
    async for call in client.call.list(limit=1000):
        assert call.metadata is not None
        calls[call.metadata["retell_async_token"]] += 1
    campaign = Campaign(address)
    state, attempts = campaign.state(), campaign.attempts()
    assert state.status == "done"
    assert state.contacts == contacts
    assert not state.counts.keys() & {"live", "waiting"}
    assert all(attempt["result"] is not None for attempt in attempts)
    assert calls.keys() <= {attempt["key"] for attempt in attempts}
    for attempt in attempts:
        dialled = calls[attempt["key"]]
        assert dialled <= 1
        if attempt["result"] not in {"unknown", "not_placed"}:
            assert dialled == 1, attempt
    each = Counter(attempt["contact_id"] for attempt in attempts if attempt["result"] not in {"not_placed", "concurrency_limit_reached"})
    assert max(each.values()) <= 3
    return Counter(attempt["result"] for attempt in attempts)
