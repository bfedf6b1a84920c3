"""A campaign that is killed again and again calls everybody once an attempt."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from .processes import account, check, finish, killed_after, start

pytestmark = [pytest.mark.soak, pytest.mark.asyncio, pytest.mark.needs("signals"), pytest.mark.parallel]

FAULTS = (
    "timeout:operation=createPhoneCall,probability=0.01,seed=1,acted=true",
    "reset:operation=createPhoneCall,probability=0.02,seed=2,acted=true",
    "error:operation=createPhoneCall,probability=0.02,seed=3,status=503,acted=true",
    "error:operation=listCalls,probability=0.2,seed=6,status=502",
)
CONTACTS = 2000
KILLS = 10
LEASE = 15.0


async def to_the_end(path: Path, url: str, moments: list[float]) -> float:
    """Run it, killed after each of these seconds, and give the seconds that it took."""
    begun = time.monotonic()
    for after in moments:
        async with killed_after(start(path, url, LEASE), after):
            pass
    await finish(start(path, url, LEASE))
    return time.monotonic() - begun


async def test_killed_ten_times_every_attempt_is_dialled_once(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed.db"
    async with account(undisturbed, CONTACTS, FAULTS) as (_, url, client):
        alone = await to_the_end(undisturbed, url, [])
        results = await check(undisturbed, client, CONTACTS)
    print(f"undisturbed: {alone:.1f} s, {results.total()} attempts: {dict(results)}")
    random = Random(11)
    killed = tmp_path / "killed.db"
    async with account(killed, CONTACTS, FAULTS) as (_, url, client):
        took = await to_the_end(killed, url, [random.uniform(0.3, 2 * alone / KILLS) for _ in range(KILLS)])
        results = await check(killed, client, CONTACTS)
    print(f"killed {KILLS} times: {took:.1f} s, {results.total()} attempts: {dict(results)}")
    assert took <= 1.3 * alone + (LEASE + 3) * KILLS
