"""The durable inbox: an event is stored before it is acknowledged, and handled afterwards, again after a crash."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import anyio
import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retell_async.webhooks import Event, InboundRequest, delivery_key, parse_event

from .._core.errors import reason
from .._core.json import loads
from .._core.masking import mask_start
from .database import Database
from .policy import storable_event, storage_of, strictest
from .rows import KINDS, Json, Observation, cleaned, dumped, observed, text_of
from .schema import inbox
from .writer import Writer

__all__ = ["LIMIT", "Delivery", "Inbox", "LeaseLostError", "Taken", "delay_after"]

State: TypeAlias = Literal["waiting", "running", "done", "failed"]

LIMIT = 8
"""Attempts to handle an event, unless told otherwise."""
_LONGEST_DELAY = 600.0
_LONGEST_ERROR = 2_000


@attrs.frozen
class Delivery:
    """An event in the inbox, and how it stands."""

    key: str
    event: str
    conversation_id: str | None
    received_at: float
    """Unix time in seconds."""
    state: State
    attempts: int
    """How often handling it was begun."""
    handled_at: float | None
    error: str | None
    """What went wrong in the last attempt, if one failed."""


@attrs.frozen
class Taken:
    """An event that this process is to handle now."""

    key: str
    data: Mapping[str, Any] = attrs.field(repr=False)
    received_at: float
    attempts: int

    @property
    def event(self) -> Event:
        return parse_event(dumped(self.data))


class LeaseLostError(Exception):
    """Another process has taken the event over: nothing more is to be done with it here."""


def delay_after(attempts: int) -> float:
    """Seconds until an event is tried again that failed so often: 1, 2, 4 and so on, ten minutes at most."""
    return min(2.0 ** min(attempts - 1, 20), _LONGEST_DELAY)


class Inbox:
    """Events, and how far they have come. Several processes may share it.

    :param limit: attempts to handle one.
    :param lease: seconds after which others take over what a process has taken, unless it renews.
    """

    def __init__(self, database: Database, writer: Writer, *, limit: int, lease: float) -> None:
        self._database = database
        self._writer = writer
        self._limit = limit
        self.lease = lease
        self._holder = uuid4().hex
        self.arrived = anyio.Event()
        """Set when an event has come to this process since `take` was last called."""

    async def put(self, event: Event) -> bool:
        """Store an event; whether it is new.

        What may not be kept of its call or chat is left out. What was erased does not come back.
        """
        data: Json = event.data if isinstance(event, InboundRequest) else event.to_dict()
        key = cleaned(delivery_key(event, dumped(data).encode()))
        about = _subject(data)
        async with self._database.write() as connection:
            storage = await self._writer.storage(connection, None if about is None else about.id)
            if storage is None:
                return False
            if about is not None:
                storage = strictest(storage, storage_of(about.data))
            now = self._database.now()
            statement = self._database.insert(inbox).values(
                key=key,
                event=cleaned(event.event),
                conversation_id=None if about is None else about.id,
                received_at=now,
                body=dumped(storable_event(data, storage)),
                state="waiting",
                attempts=0,
                due_at=now,
            )
            put = await connection.execute(statement.on_conflict_do_nothing())
        self.arrived.set()
        return bool(put.rowcount)

    async def take(self, most: int) -> list[Taken]:
        """Take events that wait, or whose process died, at most so many."""
        self.arrived = anyio.Event()
        async with self._database.write() as connection:
            now = self._database.now()
            due = sa.select(inbox.c.key).where(inbox.c.due_at <= now).order_by(inbox.c.due_at).limit(most)
            worn = inbox.c.attempts >= self._limit  # in its last attempt nobody came to say how it ended
            rows = await connection.execute(
                sa.update(inbox)
                .where(inbox.c.key.in_(due.with_for_update(skip_locked=True)))
                .values(
                    state=sa.case((worn, "failed"), else_="running"),
                    attempts=inbox.c.attempts + sa.case((worn, 0), else_=1),
                    holder=sa.case((worn, None), else_=self._holder),
                    due_at=sa.case((worn, None), else_=now + self.lease),
                    error=sa.case((worn, "the process that handled it ended, or lost the database"), else_=inbox.c.error),
                )
                .returning(inbox.c.key, inbox.c.body, inbox.c.received_at, inbox.c.attempts, inbox.c.state)
            )
            return [Taken(row.key, loads(row.body), row.received_at, row.attempts) for row in rows if row.state == "running"]

    async def renew(self, key: str) -> bool:
        """Start the lease of what was taken again; whether it is still this process's."""
        async with self._database.write() as connection:
            held = await connection.execute(self._mine(key).values(due_at=self._database.now() + self.lease))
        return bool(held.rowcount)

    async def done(self, connection: AsyncConnection, key: str) -> None:
        """Note in a transaction that an event is handled.

        :raises LeaseLostError: another process has it.
        """
        done = self._mine(key).values(state="done", body=None, due_at=None, holder=None, error=None, handled_at=self._database.now())
        if not (await connection.execute(done)).rowcount:
            raise LeaseLostError(key)

    async def failed(self, taken: Taken, error: BaseException) -> None:
        """Note that handling an event failed: it is tried again later, or kept as failed after the last attempt."""
        text = mask_start(reason(error), _LONGEST_ERROR)
        last = taken.attempts >= self._limit
        due_at = None if last else self._database.now() + delay_after(taken.attempts)
        async with self._database.write() as connection:
            await connection.execute(
                self._mine(taken.key).values(state="failed" if last else "waiting", due_at=due_at, holder=None, error=text_of(text))
            )

    async def give_back(self, key: str) -> None:
        """Let an event be taken again at once, as if it had not been."""
        async with self._database.write() as connection:
            await connection.execute(
                self._mine(key).values(state="waiting", attempts=inbox.c.attempts - 1, due_at=self._database.now(), holder=None)
            )

    async def list(self, state: State | None = None, conversation_id: str | None = None, limit: int | None = None) -> list[Delivery]:
        """Events in the order in which they came."""
        columns = [inbox.c[name] for name in attrs.fields_dict(Delivery)]
        query: Any = sa.select(*columns).order_by(inbox.c.received_at).limit(limit)
        if state is not None:
            query = query.where(inbox.c.state == state)
        if conversation_id is not None:
            query = query.where(inbox.c.conversation_id == conversation_id)
        async with self._database.read() as connection:
            return [Delivery(**row) for row in (await connection.execute(query)).mappings()]

    async def retry(self, keys: Sequence[str] | None = None) -> int:
        """Let events that failed be handled again, with a new budget of attempts: those of these keys, or all; how many there are."""
        again = sa.update(inbox).where(inbox.c.state == "failed")
        if keys is not None:
            again = again.where(inbox.c.key.in_(keys))
        async with self._database.write() as connection:
            found = await connection.execute(again.values(state="waiting", attempts=0, due_at=self._database.now()))
        self.arrived.set()
        return found.rowcount

    async def counts(self) -> dict[str, int]:
        """How many events there are of each state."""
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(inbox.c.state, sa.func.count()).group_by(inbox.c.state))
            return {row[0]: row[1] for row in rows}

    def _mine(self, key: str) -> sa.Update:
        return sa.update(inbox).where(inbox.c.key == key, inbox.c.holder == self._holder, inbox.c.state == "running")


def observation_in(data: Json, received_at: float) -> Observation | None:
    """The call or chat that an event is about, as it was then."""
    about = _subject(data, int(received_at * 1000))
    if about is None or not isinstance(transcript := data.get("transcript_with_tool_calls"), list):
        return about
    return attrs.evolve(about, data={"transcript_with_tool_calls": transcript, **about.data})  # where that event may have it


def _subject(data: Json, received_ms: int | None = None) -> Observation | None:
    at = data.get("event_timestamp")
    happened = at if isinstance(at, int) and not isinstance(at, bool) and 0 < at < 2**53 else received_ms
    for kind in KINDS:
        if isinstance(data.get(kind), dict):
            now_ms = int(time.time() * 1000)
            return observed(kind, data[kind], "event", now_ms, str(data.get("event")), happened)
    return None
