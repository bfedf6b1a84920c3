"""A deploy in the middle of a campaign, of a version that has another format: it goes on, and nobody is dialled twice."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from retell_async import ConfigurationError
from retell_async.campaigns import Campaign

from .next_version import install
from .processes import NEXT, Counting, account, check, ended, finish, killed_after, start
from .test_postgres import address as address  # noqa: PLC0414 - a fixture

pytestmark = [
    pytest.mark.parallel,
    pytest.mark.soak,
    pytest.mark.asyncio,
    pytest.mark.needs("signals"),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set"),
]

CONTACTS = 120


async def placed(sandbox: Counting, calls: int) -> None:
    with anyio.fail_after(120):
        while len(sandbox.placed) < calls:  # noqa: ASYNC110 - the sandbox tells nobody
            await anyio.sleep(0.05)


async def test_a_deploy_after_a_kill_goes_on_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "campaign.db"
    async with account(path, CONTACTS, (), per_second=20, live=20) as (sandbox, url, client):
        async with killed_after(start(path, url), 0.0):
            await placed(sandbox, CONTACTS // 3)
        await finish(start(path, url, child=NEXT))
        out, err = await ended(start(path, url))  # the former version, once more
        assert (out, "ConfigurationError: this campaign was written by a later version" in err) == ("running\n", True)
        with pytest.raises(ConfigurationError, match=r"format \d+, here \d+\): upgrade"):
            Campaign(path)
        install(monkeypatch.setattr)
        results = await check(path, client, CONTACTS)
    assert not results.keys() & {"unknown", "not_placed"}


async def test_a_rolling_deploy_takes_over_from_workers_that_run(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with account(address, CONTACTS, (), per_second=10, live=20) as (sandbox, url, client):
        former = start(address, url)
        async with anyio.create_task_group() as tasks:

            async def runs_until_then() -> None:
                _, err = await ended(former)
                assert former.returncode == 1
                assert "ConfigurationError: another process goes on with this campaign in a later version" in err

            tasks.start_soon(runs_until_then)
            await placed(sandbox, CONTACTS // 3)
            tasks.start_soon(finish, start(address, url, child=NEXT))
        install(monkeypatch.setattr)
        results = await check(address, client, CONTACTS)
    assert not results.keys() & {"unknown", "not_placed"}
