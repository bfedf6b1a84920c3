"""Attempts as workflows of DBOS: those that nobody works on are taken up, and a process has one DBOS."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from dbos import DBOS
from sqlalchemy import exc

from retell_async import ConfigurationError
from retell_async.campaigns import Campaign
from retell_async.campaigns.durable.workflow import remedy, version

from .processes import account, check

pytestmark = pytest.mark.parallel


@pytest.mark.parametrize(
    ("status", "executor", "what"),
    [
        ("ENQUEUED", "w-1", None),
        ("DELAYED", None, None),
        ("PENDING", "w-2", None),
        ("PENDING", "w-1", "resume"),
        ("ERROR", "w-2", "renew"),
        ("CANCELLED", "w-2", "renew"),
        ("SUCCESS", "w-2", "renew"),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", "w-2", "renew"),
    ],
)
def test_what_nobody_works_on_is_taken_up(status: str, executor: str | None, what: str | None) -> None:
    alive = {"w-2", "w-3"}
    assert remedy(SimpleNamespace(status=status, executor_id=executor, app_version=version()), alive) == what
    assert remedy(SimpleNamespace(status=status, executor_id=executor, app_version="former"), alive) == "renew"
    assert remedy(None, alive) == "enqueue"


@pytest.mark.soak
@pytest.mark.asyncio
@pytest.mark.parametrize("launched", [True, False])
async def test_a_process_has_one_dbos(tmp_path: Path, launched: bool) -> None:
    path = tmp_path / "campaign.db"
    async with account(path, 3, ()) as (sandbox, _, client):
        DBOS(config={"name": "another", "system_database_url": f"sqlite:///{tmp_path}/another.db", "executor_id": "other"})
        try:
            if launched:
                DBOS.launch()
            with pytest.raises(ConfigurationError, match="DBOS is in use in this process already"):
                await Campaign(path).run(client)
            assert DBOS.executor_id == "other"
        finally:
            DBOS.destroy()
        assert not sandbox.placed
        state = await Campaign(path).run(client)
        assert (state.status, len(sandbox.placed) >= 3) == ("done", True)


@pytest.mark.soak
@pytest.mark.asyncio
async def test_two_campaigns_at_once_in_one_process_are_one_error(tmp_path: Path) -> None:
    async with account(tmp_path / "one.db", 60, (), per_second=10) as (_, _, client):
        one = Campaign(tmp_path / "one.db")
        two = Campaign.make(tmp_path / "two.db", "two", one._store.campaign()[1], ())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.run, client)
            await anyio.sleep(2)
            with pytest.raises(ConfigurationError, match="DBOS is in use"):
                await two.run(client)
            with pytest.raises(ConfigurationError, match="another process runs this campaign"):
                await Campaign(tmp_path / "one.db").run(client)
            tasks.cancel_scope.cancel()
        assert one.state().status == "running"
        assert (await two.run(client)).status == "done"


@pytest.mark.soak
@pytest.mark.asyncio
async def test_workflows_that_come_to_nothing_are_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    async with account(path, 60, (), per_second=8) as (_, _, client):
        campaign = Campaign(path)
        cancelled: set[str] = set()

        async def cancel_some() -> None:
            while len(cancelled) < 12:
                await anyio.sleep(0.3)
                for workflow in await DBOS.list_workflows_async(status=["ENQUEUED", "PENDING"], limit=2):
                    await DBOS.cancel_workflow_async(workflow.workflow_id)
                    cancelled.add(workflow.workflow_id)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_some)
            await campaign.run(client, lease=2.0)
            tasks.cancel_scope.cancel()
        assert len(cancelled) >= 12
        results = await check(path, client, 60)
    assert not results.keys() & {"unknown", "not_placed"}


@pytest.mark.soak
@pytest.mark.asyncio
async def test_the_programs_own_threads_are_left_alone(tmp_path: Path) -> None:
    loop, names = asyncio.get_running_loop(), set[str]()
    async with account(tmp_path / "campaign.db", 30, (), per_second=20) as (_, _, client), anyio.create_task_group() as tasks:

        async def others() -> None:
            while True:
                names.add(await asyncio.to_thread(lambda: threading.current_thread().name))
                await loop.getaddrinfo("127.0.0.1", 80)
                await anyio.sleep(0.005)

        tasks.start_soon(others)
        campaign = Campaign(tmp_path / "campaign.db")
        for _ in range(2):
            assert (await campaign.run(client)).status == "done"
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert {name.partition("_")[0] for name in names} == {"asyncio"}


@pytest.mark.soak
@pytest.mark.asyncio
@pytest.mark.parametrize("fails", ["launch", "register_queue"])
async def test_a_database_that_fails_while_dbos_begins_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    does, times = getattr(DBOS, fails), []

    def failing(*args: Any, **kwargs: Any) -> Any:
        does(*args, **kwargs)
        times.append(1)
        if len(times) < 3:
            raise exc.OperationalError("SELECT 1", {}, Exception("the server closed the connection"))

    monkeypatch.setattr(DBOS, fails, failing)
    async with account(tmp_path / "campaign.db", 20, (), per_second=20) as (_, _, client):
        assert (await Campaign(tmp_path / "campaign.db").run(client)).status == "done"
        await check(tmp_path / "campaign.db", client, 20)
    assert len(times) == 3
    assert caplog.text.count("the database did not do it (the server closed the connection)") == 2
    assert "failed to launch" not in caplog.text
