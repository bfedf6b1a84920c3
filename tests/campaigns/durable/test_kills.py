"""A campaign that is killed again and again calls everybody once an attempt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from retell_async import AsyncRetell
from retell_async.campaigns import Contact, Number, Retry, Rules, Settings
from retell_async.campaigns.durable.campaign import Campaign
from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings as SandboxSettings, serve

pytestmark = [pytest.mark.soak, pytest.mark.asyncio, pytest.mark.needs("signals")]

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).parent / "child.py"
FAULTS = (
    "timeout:operation=createPhoneCall,probability=0.01,seed=1,acted=true",
    "reset:operation=createPhoneCall,probability=0.02,seed=2,acted=true",
    "error:operation=createPhoneCall,probability=0.02,seed=3,status=503,acted=true",
    "error:operation=listCalls,probability=0.2,seed=6,status=502",
)
CONTACTS = 2000
KILLS = 10


@asynccontextmanager
async def account(path: Path, contacts: int) -> AsyncGenerator[tuple[str, AsyncRetell]]:
    """A sandbox with faults, in whose account a campaign of so many contacts is about to begin."""
    sandbox = Sandbox(SandboxSettings(seed=7, concurrency_limit=200), RunningClock(60))
    async with serve(sandbox) as served, AsyncRetell("key_1", base_url=served.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        for fault in FAULTS:
            sandbox.set_fault(Fault.parse(fault))
        ends = ("dial_busy", "missed", "voicemail", "failed", "concurrency_limit_reached", "not_placed")
        retries: dict[str, Retry | None] = {end: Retry(0.5) for end in ends}
        rules = Rules(numbers=[Number(number.phone_number, per_second=1000.0)], attempts=3, per_day=3, retries=retries)
        people = [
            Contact(id=str(person), number=f"+1212{200 + person // 10000}{person % 10000:04}", zones=("America/New_York",))
            for person in range(contacts)
        ]
        Campaign.make(path, "kills", Settings(rules=rules, live=100), people)
        yield served.url, client


def start(path: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(path), url]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


async def to_the_end(path: Path, url: str, moments: list[float]) -> float:
    """Run it, killed after each of these seconds, and give the seconds that it took."""
    begun = time.monotonic()
    for after in moments:
        child = start(path, url)
        with anyio.move_on_after(after):
            while child.poll() is None:  # noqa: ASYNC110 - processes of `subprocess` tell nobody
                await anyio.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    child = start(path, url)
    while child.poll() is None:  # noqa: ASYNC110 - as above
        await anyio.sleep(0.05)
    out, err = child.communicate()
    assert (child.returncode, out.split()[-1]) == (0, "done"), err
    return time.monotonic() - begun


async def check(path: Path, client: AsyncRetell, contacts: int) -> Counter[str]:
    """Every attempt was dialled at most once and, unless it is unknown, exactly once; every outcome is written."""
    calls = Counter[Any]()
    async for call in client.call.list(limit=1000):
        assert call.metadata is not None
        calls[call.metadata["retell_async_token"]] += 1
    campaign = Campaign(path)
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


async def test_killed_ten_times_every_attempt_is_dialled_once(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed.db"
    async with account(undisturbed, CONTACTS) as (url, client):
        alone = await to_the_end(undisturbed, url, [])
        results = await check(undisturbed, client, CONTACTS)
    print(f"undisturbed: {alone:.1f} s, {results.total()} attempts: {dict(results)}")
    random = Random(11)
    killed = tmp_path / "killed.db"
    async with account(killed, CONTACTS) as (url, client):
        took = await to_the_end(killed, url, [random.uniform(0.3, 2 * alone / KILLS) for _ in range(KILLS)])
        results = await check(killed, client, CONTACTS)
    print(f"killed {KILLS} times: {took:.1f} s, {results.total()} attempts: {dict(results)}")
    assert took <= 1.3 * alone + 3 * KILLS
