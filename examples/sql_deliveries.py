"""A store of deliveries in an SQL database, for routers in several processes: what one handles, the others do not.

It is written for SQLite, so that it runs as it stands; another database needs its own word for its clock. That clock, and not those of the
machines, says when a lease lapses.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from anyio.to_thread import run_sync

from retell_async.webhooks import Claim

_TABLE = "create table if not exists deliveries (key text primary key, holder text, until real not null)"
_NOW = "((julianday('now') - 2440587.5) * 86400)"  # seconds of Unix time

# A row without a holder is done. One statement each, so that of two processes one comes first.
_CLAIM = f"""
    insert into deliveries (key, holder, until) values (:key, :holder, {_NOW} + :lease)
    on conflict (key) do update set holder = excluded.holder, until = excluded.until where deliveries.until <= {_NOW}
    returning key
"""
_FIND = "select holder from deliveries where key = :key"
_RENEW = f"update deliveries set until = {_NOW} + :lease where key = :key and holder = :holder returning key"
_DONE = f"""
    insert into deliveries (key, holder, until) values (:key, null, {_NOW} + :remember)
    on conflict (key) do update set holder = null, until = excluded.until
"""
_RELEASE = "delete from deliveries where key = :key and holder = :holder"
_FORGET = f"delete from deliveries where until <= {_NOW}"


class SqlDeliveries:
    """One for each process.

    :param lease: seconds after which the deliveries of a process that died are free again: few, since Retell soon stops repeating them.
    :param remember: seconds for which deliveries that were handled are known.
    """

    def __init__(self, path: Path, *, lease: float = 3, remember: float = 86_400) -> None:
        self.lease = lease
        self._path = path
        self._values = {"holder": uuid4().hex, "lease": lease, "remember": remember}
        self._run(_TABLE, "")

    async def claim(self, key: str) -> Claim:
        if await run_sync(self._run, _CLAIM, key):
            return Claim.MINE
        found = await run_sync(self._run, _FIND, key)
        return Claim.DONE if found == [(None,)] else Claim.IN_PROGRESS

    async def renew(self, key: str) -> bool:
        return bool(await run_sync(self._run, _RENEW, key))

    async def done(self, key: str) -> None:
        await run_sync(self._run, _DONE, key)
        await run_sync(self._run, _FORGET, key)

    async def release(self, key: str) -> None:
        await run_sync(self._run, _RELEASE, key)

    def _run(self, statement: str, key: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self._path, timeout=1)) as connection, connection:
            return connection.execute(statement, {"key": key, **self._values}).fetchall()
