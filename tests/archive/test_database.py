"""What a file of SQLite does when others have it, and when whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]
import httpx
import pytest

from retell_async import ConfigurationError, webhooks
from retell_async.archive import Archive

pytestmark = pytest.mark.asyncio


def event(id: int) -> webhooks.Event:
    return webhooks.parse_event(json.dumps({"event": "call_ended", "call": {"call_id": f"call_{id}", "to_number": "+14155550123"}}))


@contextmanager
def other(path: Path, begin: str) -> Iterator[sqlite3.Connection]:
    """Somebody else who has the file open, in a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(begin)
        connection.execute("SELECT count(*) FROM retell_raw").fetchone()
        yield connection


async def hurried(archive: Archive, event: webhooks.Event, seconds: float) -> None:
    """Cancelled by asyncio itself."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await archive.inbox.put(event)


async def test_who_is_cancelled_while_another_one_writes_leaves_nothing_locked(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Archive(path) as archive:
        with other(path, "BEGIN IMMEDIATE") as holder:
            with anyio.move_on_after(0.3) as scope:
                await archive.inbox.put(event(1))
            assert scope.cancelled_caught
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await archive.inbox.put(event(2))
            holder.execute("COMMIT")
        for number in range(40):
            with anyio.move_on_after(number * 0.0005):
                await archive.inbox.put(event(100 + number))
            await hurried(archive, event(200 + number), number * 0.0005)
        with anyio.fail_after(2):
            assert await archive.inbox.put(event(3))
        with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")  # there is no ghost


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_connection_that_is_closed_locks_nothing_even_while_a_traceback_has_its_cursor(tmp_path: Path, at_once: bool) -> None:
    path = tmp_path / "a.db"
    async with Archive(path) as archive, archive.database.engine.connect() as connection:
        bare: Any = (await connection.get_raw_connection()).driver_connection
        await bare.execute("BEGIN IMMEDIATE")
        cursor = await bare.execute("SELECT * FROM sqlite_master")  # whose rows nobody fetches any more
        await (bare.stop() if at_once else bare.close())
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
        del cursor
        await connection.invalidate()


async def test_a_router_refuses_what_it_cannot_store_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Archive(path) as archive:
        router = webhooks.Router("key_1", acknowledge_after=1.5)
        archive.receive(router)
        body = b'{"event":"call_ended","call":{"call_id":"call_1","call_status":"ended"}}'
        async with httpx.AsyncClient(transport=httpx.ASGITransport(router), base_url="http://x") as http:
            with other(path, "BEGIN IMMEDIATE"), anyio.fail_after(5):
                answer = await http.post("/events", content=body, headers={webhooks.HEADER: webhooks.sign(body, "key_1")})
        assert answer.status_code == 500
        assert await archive.inbox.counts() == {}


async def test_erasing_says_that_others_read_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.archive.database._PATIENCE", 0.3)
    path = tmp_path / "a.db"
    async with Archive(path) as archive:
        await archive.inbox.put(event(1))
        with other(path, "BEGIN"), pytest.raises(ConfigurationError, match=r"another process .* call_1"):
            await archive.erase("+14155550123")
        assert (await archive.erase("+14155550123")).conversations == []


@pytest.mark.parametrize("name", ["calls?.db", "what?mode=ro", "a#b.db", "100%25.db", "file:x.db", "a:b@c.db"])
async def test_the_file_is_the_one_that_was_named(tmp_path: Path, name: str) -> None:
    async with Archive(tmp_path / name):
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize("content", [b"x", b"no database" * 1000])
async def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no database of SQLite"):
        async with Archive(path):
            pass
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("query", "dsn", "settings"),
    [
        ("sslmode=require", "sslmode=require", {}),
        ("ssl=require", "sslmode=require", {}),
        ("sslmode=verify-full&sslrootcert=/etc/ca.crt", "sslmode=verify-full&sslrootcert=/etc/ca.crt", {}),
        ("connect_timeout=10&channel_binding=prefer", "", {"timeout": 10.0}),
        ("application_name=x&statement_cache_size=0", "application_name=x", {"statement_cache_size": 0}),
        ("options=-c%20search_path%3Dx", "options=-c%20search_path%3Dx", {}),
    ],
)
async def test_addresses_of_postgres_as_others_give_them(
    monkeypatch: pytest.MonkeyPatch, query: str, dsn: str, settings: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {}

    async def connect(**arguments: Any) -> None:
        asked.update(arguments)
        raise asyncpg.InvalidCatalogNameError('database "db" does not exist')

    monkeypatch.setattr(asyncpg, "connect", connect)
    with pytest.raises(ConfigurationError, match='it cannot be reached: database "db" does not exist'):
        async with Archive(f"postgresql://user:pw@db.test/db?{query}"):
            pass
    expected = {"dsn": f"postgresql://?{dsn}", "host": "db.test", "user": "user", "password": "pw", **settings}
    assert {name: asked[name] for name in expected} == expected


@pytest.mark.parametrize("query", ["channel_binding=require", "connect_timeout=soon"])
async def test_an_address_of_postgres_that_cannot_work(query: str) -> None:
    with pytest.raises(ConfigurationError, match=query.partition("=")[0]):
        Archive(f"postgresql://user@db.test/db?{query}")
