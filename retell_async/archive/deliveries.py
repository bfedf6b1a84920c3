"""Claims on webhooks' deliveries, for routers in several processes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retell_async.webhooks import Claim

from .database import Database
from .schema import deliveries

__all__ = ["Deliveries"]

_REMEMBER = 86_400.0


class Deliveries:
    """The `webhooks.LeasedStore` of routers in several processes: what one handles, the others do not.

    :param lease: seconds after which what a process claimed is free again if it died.
    """

    def __init__(self, database: Database, *, lease: float = 3.0) -> None:
        self.lease = lease
        self._database = database
        self._holder = uuid4().hex

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that is begun while its claim would hold, or not at all."""
        with anyio.fail_after(self.lease):
            async with self._database.write() as connection:
                yield connection

    async def claim(self, key: str) -> Claim:
        async with self._write() as connection:
            now = self._database.now()
            insert = self._database.insert(deliveries).values(key=key, holder=self._holder, until=now + self.lease)
            taken = insert.on_conflict_do_update(
                index_elements=[deliveries.c.key],
                set_={"holder": insert.excluded.holder, "until": insert.excluded.until},
                where=deliveries.c.until <= now,
            )
            if (await connection.execute(taken.returning(deliveries.c.key))).one_or_none() is not None:
                return Claim.MINE
            found = (await connection.execute(sa.select(deliveries.c.holder).where(deliveries.c.key == key))).one_or_none()
        return Claim.DONE if found is not None and found.holder is None else Claim.IN_PROGRESS

    async def renew(self, key: str) -> bool:
        async with self._write() as connection:
            renewed = sa.update(deliveries).where(deliveries.c.key == key, deliveries.c.holder == self._holder)
            return bool((await connection.execute(renewed.values(until=self._database.now() + self.lease))).rowcount)

    async def done(self, key: str) -> None:
        async with self._write() as connection:
            insert = self._database.insert(deliveries).values(key=key, holder=None, until=self._database.now() + _REMEMBER)
            values = {"holder": None, "until": insert.excluded.until}
            await connection.execute(insert.on_conflict_do_update(index_elements=[deliveries.c.key], set_=values))

    async def release(self, key: str) -> None:
        async with self._write() as connection:
            await connection.execute(sa.delete(deliveries).where(deliveries.c.key == key, deliveries.c.holder == self._holder))
