# pyright: reportDeprecated=false
"""Reading what the API has into the archive: what is new, what webhooks missed, and analyses that come late."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import attrs
import sqlalchemy as sa

from retell_async.webhooks import parse_event

from .._core.attempt import first_of
from .._core.errors import APIStatusError, BadRequestError, ConfigurationError, NotFoundError, UnprocessableEntityError
from .._core.json import loads
from .._core.pages import Walk
from .database import Database
from .inbox import Inbox
from .rows import ANALYSED, KINDS, OVER, Kind, dumped, observed, text_of
from .schema import conversations, inbox, raw, settings, syncs
from .writer import Writer

if TYPE_CHECKING:
    from .._client import AsyncRetell

__all__ = ["Sync", "Synced"]

_LIMIT = 1000
_AT_A_TIME = 100
_OVERLAP_MS = 15 * 60_000
"""What ended so long before the last pass is looked at again: lists may lag, and clocks differ."""
_LEASE = 20.0
_WORKSPACE = "workspace"
"""The setting that says of which workspace an archive is."""
_NONE = (BadRequestError, NotFoundError, UnprocessableEntityError)
"""With each of them the API may say that there is no such call or chat, and that a page is none."""
_UNTIMED: Mapping[Kind, tuple[str, ...]] = {"call": ("error", "not_connected"), "chat": ("error",)}
"""Statuses of what may have no time of its end."""


@attrs.define
class Synced:
    """What a pass has done."""

    seen: int = 0
    """Calls and chats in the lists."""
    new: int = 0
    """Of those, such as the archive did not have."""
    changed: int = 0
    """Of those that it had, such as had changed."""
    read: int = 0
    """Calls and chats that were asked for alone, for what was said in them."""
    pages: int = 0
    """Pages of lists that were asked for."""
    events: int = 0
    """Events that webhooks had missed, and are in the inbox now."""


class Sync:
    """One pass over what the API has, which goes on where a former one was cut off.

    :param at_once: requests at a time.
    :param events: put what webhooks missed into the inbox, for the handlers.
    """

    def __init__(self, database: Database, writer: Writer, inbox: Inbox, client: AsyncRetell, *, at_once: int, events: bool) -> None:
        if at_once < 1:
            raise ConfigurationError("at_once must be at least 1")
        self._database = database
        self._writer = writer
        self._inbox = inbox
        self._client = client
        self._limiter = anyio.CapacityLimiter(at_once)
        self._events = events
        self._holder = uuid4().hex
        self._done = Synced()

    async def run(self, kinds: Sequence[Kind] = KINDS, *, since: datetime | None = None, full: bool = False) -> Synced:
        """Read what ended since the last pass, and what is still to be analysed.

        :param since: how far back the first pass goes; all the way unless given.
        :param full: look at everything again, also at what ended before the last pass.
        :raises ConfigurationError: the archive is of another workspace, another process does the same, or `since` has no time zone or is
            still to come.
        :raises ValueError: the pages of a list go round in a circle.
        """
        if since is not None and since.tzinfo is None:
            raise ConfigurationError("since must be a datetime with a time zone: datetime.now(UTC), not datetime.now()")
        if since is not None and since.timestamp() * 1000 > self._writer.now_ms():
            raise ConfigurationError("since is still to come: what ended before it would never be looked at. Give a moment that is past")
        await self._check_workspace()
        for kind in kinds:
            async with self._alone(kind):
                await self._pass(kind, None if since is None else int(since.timestamp() * 1000), full=full)
        return self._done

    async def _check_workspace(self) -> None:
        """Refuse another workspace than that of the first sync: what ended in it before the last pass would never be looked at."""
        try:
            workspace = text_of((await self._client.identity.retrieve()).to_dict().get("org_id"))
        except APIStatusError:  # the key may not ask, or the API does not say: no reason to sync nothing
            return
        if not workspace:
            return
        async with self._database.write() as connection:
            insert = self._database.insert(settings).values(name=_WORKSPACE, value=workspace)
            await connection.execute(insert.on_conflict_do_nothing())
            known = await connection.scalar(sa.select(settings.c.value).where(settings.c.name == _WORKSPACE))
        if known != workspace:
            raise ConfigurationError(
                f"{self._database.shown}: it is the archive of another workspace ({known}) than that of this API key ({workspace}). Each "
                "workspace has an archive of its own: name another file or database"
            )

    async def _pass(self, kind: Kind, since_ms: int | None, *, full: bool) -> None:
        state = await self._state(kind)
        if not _goes_on(state, since_ms, full=full):
            from_ms = _from_ms(state, since_ms, full=full)
            await self._save(kind, began_ms=self._writer.now_ms(), is_full=full, from_ms=from_ms, part=0, cursor=None)
            state = await self._state(kind)
        part: int = state.part
        cursor: str | None = state.cursor
        criteria: list[dict[str, Any]] = [dict[str, Any]()]
        if state.from_ms is not None:
            ended: dict[str, Any] = {"end_timestamp": {"type": "number", "op": "ge", "value": state.from_ms}}
            untimed: dict[str, Any] = {f"{kind}_status": {"type": "enum", "op": "in", "value": list(_UNTIMED[kind])}}
            criteria = [ended, untimed]
        while part < len(criteria):
            await self._walk(kind, criteria[part], part, cursor, untimed=part == 1)
            part, cursor = part + 1, None
            await self._save(kind, part=part, cursor=None)
        await self._recheck(kind)
        await self._save(kind, since_ms=state.began_ms, began_ms=None, part=0, cursor=None)

    async def _walk(self, kind: Kind, criteria: dict[str, Any], part: int, cursor: str | None, *, untimed: bool) -> None:
        """Go through a list, page by page; what is done of it is remembered."""
        walk = Walk()
        while True:
            try:
                page = await self._page(kind, criteria, cursor)
            except _NONE:
                if cursor is None:
                    raise
                cursor = None  # the page of a pass that was cut off long ago: what was read then is not read again
                continue
            items = [item.to_dict() for item in page.items]
            await self._take(kind, [item for item in items if item.get("end_timestamp") is None] if untimed else items)
            cursor = page.pagination_key
            if not page.has_more or cursor is None:
                return
            try:
                walk.step(cursor, len(items))
            except ValueError:  # or the next pass would go round where this one does
                await self._save(kind, part=part, cursor=None)
                raise
            await self._save(kind, part=part, cursor=cursor)

    async def _recheck(self, kind: Kind) -> None:
        """Ask again for what had no analysis yet, a thousand at a time."""
        table = conversations.c
        query = sa.select(table.id).where(table.kind == kind, table.recheck_ms <= self._writer.now_ms()).limit(_LIMIT)
        while True:
            async with self._database.read() as connection:
                ids = list(await connection.scalars(query))
            if not ids:
                return
            page = await self._page(kind, {f"{kind}_id": {"type": "enum", "op": "in", "value": ids}}, None)
            await self._take(kind, [item.to_dict() for item in page.items])
            async with self._database.write() as connection:  # what has still none is asked for later; what is not there, no more
                gone = set(ids) - {getattr(item, f"{kind}_id") for item in page.items}
                for id in ids:
                    await self._writer.postpone(connection, id, self._writer.now_ms(), gone=id in gone)

    async def _take(self, kind: Kind, items: Sequence[dict[str, Any]]) -> None:
        """Write what a list says, and read what it does not say."""
        now_ms = self._writer.now_ms()
        seen = [found for item in items if (found := observed(kind, item, "list", now_ms)) is not None]
        self._done.seen += len(seen)
        for first in range(0, len(seen), _AT_A_TIME):
            some = seen[first : first + _AT_A_TIME]
            ids = [one.id for one in some]
            async with self._database.write() as connection:
                known = set(await connection.scalars(sa.select(conversations.c.id).where(conversations.c.id.in_(ids))))
                for one in sorted(some, key=lambda one: one.id):  # of two processes that write the same, none waits for the other's first
                    if await self._writer.write(connection, one, now_ms):
                        self._done.changed += one.id in known
                        self._done.new += one.id not in known
                to_read: list[str] = list(await connection.scalars(self._to_read(ids)))
            async with anyio.create_task_group() as tasks:
                for id in to_read:
                    await self._limiter.acquire_on_behalf_of(id)
                    tasks.start_soon(self._read, kind, id)
            if self._events:
                await self._tell(kind, ids)

    def _to_read(self, ids: Sequence[str]) -> Any:
        table = conversations.c
        scrubbed = sa.or_(table.storage != "everything_except_pii", table.stage == ANALYSED, table.recheck_ms.is_(None))
        return sa.select(table.id).where(table.id.in_(ids), table.stage >= OVER, table.whole.is_(False), scrubbed)

    async def _read(self, kind: Kind, id: str) -> None:
        try:
            asked_ms = self._writer.now_ms()
            self._done.read += 1
            try:
                answer = await self._resource(kind).retrieve(id)
            except _NONE:  # deleted since
                async with self._database.write() as connection:
                    await self._writer.postpone(connection, id, asked_ms, gone=True)
                return
            found = observed(kind, answer.to_dict(), "read", asked_ms)
            if found is not None:
                async with self._database.write() as connection:
                    await self._writer.write(connection, found, asked_ms)
        finally:
            self._limiter.release_on_behalf_of(id)

    async def _tell(self, kind: Kind, ids: Sequence[str]) -> None:
        """Put into the inbox what no event told of."""
        table = conversations.c
        async with self._database.read() as connection:
            rows = (
                await connection.execute(
                    sa.select(table.id, table.stage, raw.c.data)
                    .join(raw, raw.c.conversation_id == table.id)
                    .where(table.id.in_(ids), table.stage >= OVER, table.whole)
                )
            ).all()
            told = set(await connection.scalars(sa.select(inbox.c.key).where(inbox.c.conversation_id.in_(ids))))
        for id, stage, data in rows:
            for name in (f"{kind}_ended", f"{kind}_analyzed")[: stage - OVER + 1]:
                if f"{name}:{id}" not in told:
                    self._done.events += await self._inbox.put(parse_event(dumped({"event": name, kind: loads(data)})))

    async def _page(self, kind: Kind, criteria: dict[str, Any], cursor: str | None) -> Any:
        self._done.pages += 1
        asked: dict[str, Any] = {"limit": _LIMIT, "sort_order": "ascending"}
        if criteria:
            asked["filter_criteria"] = criteria
        if cursor is not None:
            asked["pagination_key"] = cursor
        return await self._resource(kind).list(**asked)

    def _resource(self, kind: Kind) -> Any:
        return self._client.call if kind == "call" else self._client.chat

    # How far it has come.

    async def _state(self, kind: Kind) -> Any:
        async with self._database.read() as connection:
            return (await connection.execute(sa.select(syncs).where(syncs.c.kind == kind))).one()

    async def _save(self, kind: Kind, **values: Any) -> None:
        async with self._database.write() as connection:
            saved = sa.update(syncs).where(syncs.c.kind == kind, syncs.c.holder == self._holder)
            if not (await connection.execute(saved.values(**values))).rowcount:
                raise self._taken(kind)

    def _taken(self, kind: Kind) -> ConfigurationError:
        return ConfigurationError(f"{self._database.shown}: another process syncs its {kind}s")

    @asynccontextmanager
    async def _alone(self, kind: Kind) -> AsyncGenerator[None]:
        """A block in which no other process syncs. One that was killed is waited for until its lease is over."""
        await self._acquire(kind)
        wrong: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:

                async def keep_renewed() -> None:
                    nonlocal wrong
                    try:
                        await self._keep_renewed(kind)
                    except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
                        wrong = wrong or error
                        tasks.cancel_scope.cancel()

                tasks.start_soon(keep_renewed)
                try:
                    yield
                except Exception as error:  # noqa: BLE001 - likewise
                    wrong = wrong or error
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(5, shield=True):
                await self._save_if_mine(kind, holder=None, lease_until=None)
        if wrong is not None:
            raise first_of(wrong)  # of reads at the same time

    async def _acquire(self, kind: Kind) -> None:
        first: float | None = None
        while True:
            async with self._database.write() as connection:
                now = self._database.now()
                await connection.execute(self._database.insert(syncs).values(kind=kind, part=0).on_conflict_do_nothing())
                free = sa.or_(syncs.c.holder.is_(None), syncs.c.lease_until <= now)
                taken = sa.update(syncs).where(syncs.c.kind == kind, free).values(holder=self._holder, lease_until=now + _LEASE)
                if (await connection.execute(taken)).rowcount:
                    return
                until = await connection.scalar(sa.select(syncs.c.lease_until).where(syncs.c.kind == kind))
            if first is not None and until != first:
                raise self._taken(kind)  # it is alive
            first = until
            await anyio.sleep(0.5)

    async def _keep_renewed(self, kind: Kind) -> None:
        while True:
            await anyio.sleep(_LEASE / 4)
            await self._save(kind, lease_until=self._database.now() + _LEASE)

    async def _save_if_mine(self, kind: Kind, **values: Any) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.update(syncs).where(syncs.c.kind == kind, syncs.c.holder == self._holder).values(**values))


def _from_ms(state: Any, since_ms: int | None, *, full: bool) -> int | None:
    """From when on a new pass looks at what ended; ``None`` for everything. No pass leaves out what no former one has looked at."""
    known = None if state.since_ms is None else state.since_ms - _OVERLAP_MS
    further = full and (since_ms is None or (known is not None and since_ms < known))
    return since_ms if known is None or further else known


def _goes_on(state: Any, since_ms: int | None, *, full: bool) -> bool:
    """Whether a pass was cut off that looks at all that is asked for now."""
    if state.began_ms is None or (full and not state.is_full):
        return False
    if not full and (since_ms is None or state.since_ms is not None):
        return True  # as far back as it was told to go when it began
    from_ms = _from_ms(state, since_ms, full=full)
    return state.from_ms is None or (from_ms is not None and state.from_ms <= from_ms)
