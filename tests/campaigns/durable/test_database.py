"""The address of a database, how long the answers of Postgres are waited for, and what is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from sqlalchemy import exc

from retell_async import ConfigurationError
from retell_async.campaigns import Campaign, Contact, Number, Rules, Settings
from retell_async.campaigns.durable import answering
from retell_async.campaigns.durable.answering import Patience
from retell_async.campaigns.durable.database import Database, is_passing
from retell_async.testing import LocalRetell

ADDRESS = "postgresql://calls:secret@127.0.0.1:1/spring"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("schema=public", 'the address is not understood: invalid connection option "schema": leave it out'),
        ("pgbouncer=true", 'the address is not understood: invalid connection option "pgbouncer": leave it out'),
        ("autocommit=true", 'the address is not understood: invalid connection option "autocommit": leave it out'),
        ("connect_timeout=soon", "the address is not understood: bad value for connect_timeout: 'soon': leave it out"),
        ("context=there", "the address of the database has an option that is none: context: leave it out"),
        ("plugin=audit", "the address of the database has an option that is none: "),
        ("host=one&host=two&port=1", "the address of the database has an option that is none: "),
    ],
)
def test_an_option_that_is_none_is_one_clear_error(option: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Campaign(f"{ADDRESS}?{option}")
    assert said in str(error.value)
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("driver", ["postgres", "POSTGRESQL", "postgresql+psycopg2", "postgresql+asyncpg", "postgresql+none"])
def test_any_driver_is_that_of_the_campaign(driver: str) -> None:
    with pytest.raises(ConfigurationError, match="it cannot be reached: "):
        Database(ADDRESS.replace("postgresql", driver))


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(f"{answering.__name__}.time.monotonic", lambda: self.now)


def asking(answers: int = 100) -> Generator[int, int, str]:
    """What psycopg does on a connection: it waits to read until there were so many answers."""
    for _ in range(answers):
        while not (yield 1):
            pass
    return "done"


def waited(flow: Generator[Any, Any, str], clock: Clock, seconds: float) -> float:
    """Let nothing come for so long; after how many seconds that was given up."""
    began = clock.now
    while clock.now < began + seconds:
        clock.now += 0.5
        try:
            flow.send(0)
        except psycopg.Error:
            return clock.now - began
    return seconds


def test_an_answer_is_waited_for_from_the_last_one_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    flow = Patience(60.0).within(asking())
    next(flow)
    assert waited(flow, clock, 55) == 55
    flow.send(1)
    assert waited(flow, clock, 100) == 60.5
    flow = Patience(60.0).within(asking(1))
    next(flow)
    with pytest.raises(StopIteration) as over:
        flow.send(1)
    assert over.value.value == "done"


def test_who_owes_no_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Patience(60.0).within(asking(), waits=lambda: False)
    next(flow)
    assert waited(flow, Clock(monkeypatch), 1000) == 1000


def test_who_leaves_waits_two_seconds_and_others_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, patience = Clock(monkeypatch), Patience(60.0)
    flow, other = patience.within(asking()), patience.within(asking())
    next(flow)
    assert waited(flow, clock, 30) == 30
    patience.hurry()
    assert waited(flow, clock, 30) == 2.5
    with pytest.raises(psycopg.InterfaceError, match="no answer within 2 s"):
        next(other)
    clock.now += 10  # it may answer again
    flow = patience.within(asking())
    next(flow)
    assert waited(flow, clock, 30) == 2.5
    clock.now += 10
    flow = patience.within(asking())
    next(flow)
    clock.now += 0.5
    patience.calm()
    other = patience.within(asking())  # of one who has come since, and asks at once
    next(other)
    assert waited(flow, clock, 30) == 2
    assert waited(other, clock, 30) == 30


def test_one_that_answers_is_asked_by_all_who_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, patience = Clock(monkeypatch), Patience(60.0)
    patience.hurry()
    silent, other = patience.within(asking()), patience.within(asking())
    next(silent)
    next(other)
    assert waited(silent, clock, 30) == 2.5
    other.send(1)
    next(patience.within(asking()))


def test_a_campaign_in_memory_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a campaign in memory would be gone with the process: name a file"):
        Campaign.make(":memory:", "spring", Settings(rules=Rules(numbers=[Number("+14155550100")])), [])


def damage(path: Path, *, header: bool = False) -> None:
    """Put other bytes where the tables are, as a bad disk does, or at the very beginning, as another file in its place."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE 'retell%' AND name <> 'retell_campaign'").fetchall()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        for (page,) in [(1,)] if header else roots:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)


@pytest.mark.asyncio
async def test_a_run_ends_where_its_file_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    local = LocalRetell()
    made = local.create_fixtures()
    path = tmp_path / "spring.db"
    people = [Contact(id=str(person), number=f"+1212555{person:04}", zones=("America/New_York",)) for person in range(3)]
    campaign = Campaign.make(path, "spring", Settings(rules=Rules(numbers=[Number(made.phone_number)])), people)
    damage(path)
    with anyio.fail_after(20), pytest.raises(ConfigurationError) as error:
        async with local.client() as client:
            await campaign.run(client)
    assert str(error.value).startswith(f"{path}: it is damaged (database disk image is malformed), which does not mend itself: ")
    assert "it is asked until it does" not in caplog.text


def test_what_is_damaged_is_one_error_for_who_asks(tmp_path: Path) -> None:
    path = tmp_path / "spring.db"
    campaign = Campaign.make(path, "spring", Settings(rules=Rules(numbers=[Number("+14155550100")])), [])
    damage(path)
    with pytest.raises(ConfigurationError, match="it is damaged"):
        campaign.state()
    damage(path, header=True)
    with pytest.raises(ConfigurationError, match="it is no database of SQLite"):
        Campaign(path)


@pytest.mark.parametrize("said", [psycopg.errors.DataCorrupted(), psycopg.errors.IndexCorrupted()])
def test_what_postgres_has_lost_is_not_waited_for(said: psycopg.Error) -> None:
    assert not is_passing(exc.InternalError("SELECT", {}, said))
    assert is_passing(exc.OperationalError("SELECT", {}, psycopg.errors.DiskFull()))


def test_what_a_role_may_not_do_is_one_error_and_is_not_waited_for(tmp_path: Path) -> None:
    said = exc.ProgrammingError("CREATE TABLE", {}, psycopg.errors.InsufficientPrivilege("permission denied for schema public\nLINE 2:"))
    assert not is_passing(said)
    with pytest.raises(ConfigurationError) as error, Database(tmp_path / "spring.db", make=True).clearly():
        raise said
    assert "permission denied for schema public: the role in the address lacks this privilege. Let the owner" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.asyncio
async def test_a_campaign_runs_without_the_cloud_of_dbos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign.make(tmp_path / "spring.db", "spring", Settings(rules=Rules(numbers=[Number("+14155550100")])), [])
    monkeypatch.setenv("DBOS__CLOUD", "true")
    async with LocalRetell().client() as client:
        with pytest.raises(ConfigurationError, match=r"DBOS__CLOUD is set, .*: unset it"):
            await campaign.run(client)


def test_a_campaign_is_not_made_in_the_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="it is the database of another program, which has 'orders': name another file"):
        Campaign.make(path, "spring", Settings(rules=Rules(numbers=[Number("+14155550100")])), [])
    assert path.read_bytes() == before
