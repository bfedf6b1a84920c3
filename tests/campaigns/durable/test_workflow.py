"""Attempts as workflows of DBOS: those that nobody works on are taken up, and a process has one DBOS."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import attrs
import psycopg
import pytest
from dbos import DBOS
from sqlalchemy import exc

from retell_async import AuthenticationError, ConfigurationError, PermissionDeniedError
from retell_async.campaigns import Campaign
from retell_async.campaigns.durable import worker as worker_module
from retell_async.campaigns.durable.store import LeaseLost
from retell_async.campaigns.durable.workflow import _is_news, remedy, version
from retell_async.sandbox import Fault

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


@pytest.mark.parametrize(
    ("error", "is_news"),
    [
        (exc.OperationalError("UPDATE", {}, Exception("database or disk is full")), False),
        (psycopg.OperationalError("the connection is bad"), False),
        (asyncio.CancelledError(), False),
        (exc.ProgrammingError("SELECT", {}, Exception("no such column")), True),
        (ValueError("what nobody thought of"), True),
        (None, True),
    ],
)
@pytest.mark.parametrize("traced", [True, False])
def test_what_dbos_says_of_a_database_that_is_away_is_said_already(error: BaseException | None, is_news: bool, traced: bool) -> None:
    said = (type(error), error, None) if error is not None and traced else None
    record = logging.LogRecord("dbos", logging.ERROR, __file__, 1, "Exception encountered", (), said)
    try:
        if error is not None and not traced:
            raise error
    except BaseException:  # noqa: BLE001 - a cancellation is one
        assert _is_news(record) == is_news
    else:
        assert _is_news(record) == is_news


@pytest.mark.soak
@pytest.mark.asyncio
@pytest.mark.parametrize("by_scope", [False, True])
async def test_a_run_that_loses_its_lease_while_it_is_cancelled_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_scope: bool
) -> None:
    rounds: list[int] = []

    async def work(*_: object) -> None:
        rounds.append(1)
        async with anyio.create_task_group() as tasks:

            async def lose() -> None:
                try:
                    await anyio.sleep(0.1 if len(rounds) == 1 else 1000)
                finally:
                    raise LeaseLost

            tasks.start_soon(lose)
            await anyio.sleep_forever()

    async with account(tmp_path / "campaign.db", 3, ()) as (_, _, client):
        campaign = Campaign(tmp_path / "campaign.db")
        monkeypatch.setattr(Campaign, "_work", work)
        with anyio.fail_after(30):
            if by_scope:
                with anyio.move_on_after(2) as scope:
                    await campaign.run(client)
                assert scope.cancelled_caught
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(campaign.run(client), 2)
    assert len(rounds) == 2


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_disk_that_is_full_when_dbos_writes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    does, times = DBOS.enqueue_workflow, list[int]()

    def failing(*args: Any, **kwargs: Any) -> Any:
        times.append(1)
        if len(times) in {2, 3}:
            raise exc.OperationalError("INSERT", {}, Exception("database or disk is full"))
        return does(*args, **kwargs)

    monkeypatch.setattr(DBOS, "enqueue_workflow", failing)
    async with account(tmp_path / "campaign.db", 10, (), per_second=20) as (_, _, client):
        assert (await Campaign(tmp_path / "campaign.db").run(client)).status == "done"
        await check(tmp_path / "campaign.db", client, 10)


async def _refuse(sandbox: Any) -> None:
    """Refuse the key once ten calls are placed."""
    while len(sandbox.placed) < 10:  # noqa: ASYNC110 - the sandbox tells nobody
        await anyio.sleep(0.05)
    sandbox.set_fault(Fault.parse("error:status=401"))


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_refused_key_pauses_and_ends_a_run_and_the_next_one_follows_its_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_REFUSED", 1.0)
    path = tmp_path / "campaign.db"
    async with account(path, 60, (), per_second=8, live=10) as (sandbox, _, client):
        campaign = Campaign(path)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_refuse, sandbox)
                state = await campaign.run(client)
                assert (state.status, state.held, "401" in state.note) == ("paused", False, True)
                assert state.counts["live"] > 0
            state = await Campaign(path).run(client)  # nothing has changed
            assert (state.status, "401" in state.note) == ("paused", True)
        campaign.pause()
        with anyio.fail_after(60), pytest.raises(AuthenticationError):
            await campaign.run(client)
        sandbox.clear_faults()
        campaign.resume()
        assert (await campaign.run(client)).status == "done"
        await check(path, client, 60)


@pytest.mark.soak
@pytest.mark.asyncio
async def test_calls_that_go_on_as_a_campaign_is_cancelled_are_followed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_REFUSED", 0.2)
    path = tmp_path / "campaign.db"
    async with account(path, 40, (), per_second=20, live=10) as (sandbox, _, client):
        campaign = Campaign(path)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_refuse, sandbox)
                state = await campaign.run(client)
                assert (state.status, state.counts["live"] > 0) == ("paused", True)
        sandbox.clear_faults()
        campaign.cancel()
        placed = len(sandbox.placed)
        with anyio.fail_after(60):
            state = await campaign.run(client)
            assert (state.status, "live" in state.counts, len(sandbox.placed)) == ("cancelled", False, placed)
        assert all(attempt["result"] is not None for attempt in campaign.attempts())
        with pytest.raises(ConfigurationError, match="was cancelled"):
            await campaign.run(client)


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_run_that_begins_with_a_refused_key_pauses(tmp_path: Path) -> None:
    async with account(tmp_path / "campaign.db", 3, ("error:status=403",)) as (sandbox, _, client):
        settings = attrs.evolve(Campaign(tmp_path / "campaign.db")._store.campaign()[1], live=None)
        campaign = Campaign.make(tmp_path / "another.db", "another", settings, ())
        state = await campaign.run(client)
        assert (state.status, state.held, "403" in state.note) == ("paused", False, True)
        sandbox.clear_faults()
        assert (await campaign.run(client)).status == "done"
        sandbox.set_fault(Fault.parse("error:status=403"))
        with pytest.raises(PermissionDeniedError):  # there is nothing to pause
            await campaign.run(client)


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
    said = [record.getMessage() for record in caplog.records if "the database" in record.getMessage()]
    assert said == [
        "campaign: the database did not do it (the server closed the connection); it is asked until it does",
        "campaign: the database does again what it is asked",
    ]
    assert "failed to launch" not in caplog.text
