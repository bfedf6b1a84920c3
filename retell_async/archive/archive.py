"""The archive: calls and chats, and all that is known of them, in a database of the user's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar, get_args

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retell_async.webhooks import Event, FunctionCall, LeasedStore, Router

from .._core.errors import ConfigurationError
from .._core.json import loads
from .._files import check_apart, of_database
from .database import Database, clearly
from .deliveries import Deliveries
from .erasure import Erased, erase
from .inbox import LIMIT, Delivery, Inbox
from .migrations import HEAD, migrate, version_of
from .policy import Storage
from .queries.export import Format, Table, export
from .queries.records import records
from .queries.search import Found, search_query
from .queries.views import VIEWS, Asked, refresh, select
from .retention import forget
from .rows import KINDS, Kind, cleaned
from .schema import raw, sessions
from .sync import Sync, Synced
from .tools import ToolLog
from .work import Handlers, Worker
from .writer import Writer

if TYPE_CHECKING:
    from .._client import AsyncRetell
    from .llm_store import LLMStore

__all__ = ["Archive"]

_FURTHEST = timedelta(hours=14)
"""How far a clock is from UTC."""
_MOST_ROWS = 2**63 - 1
"""What databases count to."""

EventHandler = Callable[[Any], Awaitable[object]]
TransactionHandler = Callable[[Any, AsyncConnection], Awaitable[object]]
FunctionHandler = Callable[[FunctionCall], Awaitable[object]]
E1 = TypeVar("E1", bound=EventHandler)
E2 = TypeVar("E2", bound=TransactionHandler)
E3 = TypeVar("E3", bound=FunctionHandler)


class Archive:
    """Calls, chats, what was said in them, tools, analyses and costs, in a database of one's own. Runs under asyncio.

    ``async with`` opens it, makes what is not there, and brings the tables to the version of this package.

    :param address: the path of a file of SQLite, or the address of a database of Postgres: ``postgresql://user@host/name``.
    :param make: make the file if it is not there, and the tables in a database that has none.
    :param keep: the most that is kept of a call or chat: ``everything``, ``everything_except_pii`` or ``basic_attributes_only``. A call or
        chat may itself ask for less, with its `data_storage_setting` or the older `opt_out_sensitive_data_storage`.
    :param keep_for: how long calls and chats are kept after their end; `work` forgets what is older. ``None`` is for ever.
    :param session_key: the key in the metadata of calls and chats under which an id of your own stands.
    :param attempts: how often an event is handled before it is kept as failed.
    :param lease: seconds after which others take over the events of a process that died.
    :param handler_timeout: seconds that the handlers of an event may take.
    :param clock: what gives Unix time in seconds, by which calls grow old: for tests, on a sandbox whose time is its own.
    :raises ConfigurationError: a setting cannot work, the file is not there or is no database, or the database cannot be reached, has no
        archive that may be made in it, or is of a newer version of this package.
    """

    def __init__(
        self,
        address: Path | str,
        *,
        make: bool = True,
        keep: Storage = "everything",
        keep_for: timedelta | None = None,
        session_key: str = "session_id",
        attempts: int = LIMIT,
        lease: float = 30.0,
        handler_timeout: float = 300.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if keep not in get_args(Storage):
            raise ConfigurationError(f"keep must be one of {', '.join(get_args(Storage))}, not {keep!r}")
        if attempts < 1 or not lease > 0 or not handler_timeout > 0 or (keep_for is not None and keep_for <= timedelta(0)):
            raise ConfigurationError("attempts, lease, handler_timeout and keep_for must be above 0")
        self._make = make
        self.database = Database(address, make=make)
        self._writer = Writer(self.database, keep, session_key, clock)
        self._tools = ToolLog(self.database, self._writer)
        self._handlers = Handlers()
        self.inbox = Inbox(self.database, self._writer, limit=attempts, lease=lease)
        """The events that have come."""
        self._worker = Worker(self.database, self._writer, self.inbox, self._handlers, timeout=handler_timeout, keep_for=keep_for)

    def __repr__(self) -> str:
        return f"Archive({self.database.shown!r})"

    async def __aenter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("an archive runs under asyncio: its drivers know no other event loop") from None
        try:
            await self.database.open()
            with clearly(self.database.shown):
                async with self.database.read() as connection:
                    found = await version_of(connection)
                if found is None and not self._make:
                    raise ConfigurationError(
                        f"{self.database.shown}: there is no archive in this database: `retell-async archive sync` makes one"
                    )
                if found != HEAD:
                    async with self.database.write() as connection:
                        await migrate(connection)
                        await refresh(connection)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._close()

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.database.close()

    # What comes in.

    @cached_property
    def deliveries(self) -> LeasedStore:
        """The store of deliveries for the routers of several processes: ``Router(api_key, store=archive.deliveries)``."""
        return Deliveries(self.database)

    @cached_property
    def llm_store(self) -> LLMStore:
        """The store of a custom LLM: ``llm.App(store=archive.llm_store)``. What `turn.once` carries out is a tool call here too."""
        from .llm_store import LLMStore

        return LLMStore(self.database, self._tools)

    def receive(self, router: Router) -> None:
        """Store every event of a router in the inbox before the router acknowledges it.

        :raises ConfigurationError: the router acknowledges events before its handlers have run.
        """
        if not router.acknowledge_after:
            raise ConfigurationError("the router would acknowledge events that are not stored yet: make it with acknowledge_after=5")

        @router.on()
        async def store(event: Event) -> None:  # pyright: ignore[reportUnusedFunction] - the router has it
            with anyio.fail_after(0.8 * router.acknowledge_after):  # or else it would be acknowledged all the same
                await self.inbox.put(event)

    def on(self, *events: str) -> Callable[[E1], E1]:
        """Register a handler of events of these names, or of all, that `work` calls when the archive has what the event tells.

        It is called again after a crash, or if it raises, with all other handlers of the event: up to `attempts` times, ever later. So it
        must be able to run twice. Events may come in any order; those of a call that may not be kept whole are not whole here either.
        """

        def register(handler: E1) -> E1:
            self._handlers.add(events, handler)
            return handler

        return register

    def in_transaction(self, *events: str) -> Callable[[E2], E2]:
        """Register a handler that also gets the connection of the transaction in which the event is noted as handled.

        What it writes through that connection is there exactly once, whatever happens. While it runs, a file of SQLite has no other
        writer: what else of the archive writes, such as `link`, is refused in it. It belongs in a handler of `on`.
        """

        def register(handler: E2) -> E2:
            self._handlers.add_in_transaction(events, handler)
            return handler

        return register

    def function(self, router: Router, name: str) -> Callable[[E3], E3]:
        """Register the handler of a custom function with a router, and keep what it is called with, gives and takes, as a tool call."""

        def register(handler: E3) -> E3:
            router.function(name)(self._tools.recorded(name, handler))
            return handler

        return register

    async def work(self, *, at_once: int = 8, stop: anyio.Event | None = None) -> None:
        """Handle the events of the inbox, until it is cancelled or `stop` is set. As many processes may do so as like.

        :param at_once: how many events are handled at a time.
        """
        await self._worker.run(at_once, stop or anyio.Event(), drain=False)

    async def drain(self, *, at_once: int = 8) -> None:
        """Handle the events that are due, and those that become due meanwhile, and return when there are none."""
        await self._worker.run(at_once, anyio.Event(), drain=True)

    async def sync(
        self,
        client: AsyncRetell,
        *,
        kinds: Sequence[Kind] = KINDS,
        since: datetime | None = None,
        full: bool = False,
        events: bool = False,
        at_once: int = 8,
    ) -> Synced:
        """Read what the API has and the archive has not: what is new, what webhooks missed, and analyses that came late.

        Each pass goes on from the last one, and one that was cut off is gone on with where it was, if it looks at all that is asked for
        now. Lists tell a thousand calls a request;
        a call is asked for alone only once, for what was said in it, if it connected and no webhook told that.

        :param kinds: ``call``, ``chat`` or both.
        :param since: how far back the first pass goes, a `datetime` with a time zone; all the way unless given.
        :param full: look at everything again, for what was changed long after its end.
        :param events: put ends and analyses of which no event told into the inbox, so that the handlers of `on` are called with them too.
        :param at_once: requests at a time.
        :raises ConfigurationError: the archive is of another workspace, by its first sync; another process syncs it; or `since` has no
            time zone or is still to come.
        :raises APIError: the API does not answer. What was read until then is kept.
        :raises ValueError: the pages of a list go round in a circle.
        """
        pass_ = Sync(self.database, self._writer, self.inbox, client, at_once=at_once, events=events)
        return await pass_.run(kinds, since=since, full=full)

    # What is in it.

    async def failed(self) -> list[Delivery]:
        """The events that could not be handled in all their attempts."""
        return await self.inbox.list("failed")

    async def retry(self, *keys: str) -> int:
        """Let failed events be handled again, those of these keys or all; how many there are."""
        return await self.inbox.retry([cleaned(key) for key in keys] or None)

    async def link(self, session_id: str, id: str) -> None:
        """Note that a call or chat, of this id, belongs to a session of your own. One session may have many."""
        async with self.database.write() as connection:
            await self._writer.link(connection, cleaned(session_id), cleaned(id))

    async def conversations_of(self, session_id: str) -> list[str]:
        """The ids of the calls and chats of a session of your own."""
        query = sa.select(sessions.c.conversation_id).where(sessions.c.session_id == cleaned(session_id))
        async with self.database.read() as connection:
            return list(await connection.scalars(query.order_by(sessions.c.conversation_id)))

    async def sessions_of(self, id: str) -> list[str]:
        """The sessions of your own to which a call or chat belongs."""
        query = sa.select(sessions.c.session_id).where(sessions.c.conversation_id == cleaned(id)).order_by(sessions.c.session_id)
        async with self.database.read() as connection:
            return list(await connection.scalars(query))

    async def raw(self, id: str) -> dict[str, Any] | None:
        """A call or chat as the API said it, as far as it may be kept; ``None`` if it is not there."""
        async with self.database.read() as connection:
            data = await connection.scalar(sa.select(raw.c.data).where(raw.c.conversation_id == cleaned(id)))
        return None if data is None else loads(data)

    async def record(self, id: str) -> dict[str, Any] | None:
        """All that is known of a call or chat in one structure; ``None`` if it is not there.

        That is how it ended and why, what the analysis says, what it cost, how fast it was, its tool calls, and how its events arrived and
        were handled.
        """
        async with self.database.read() as connection:
            return next(iter(await records(connection, [cleaned(id)])), None)

    async def view(
        self,
        name: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        agent_id: str | None = None,
        utc_offset: timedelta = timedelta(0),
    ) -> list[dict[str, Any]]:
        """Ask what people ask of calls and chats; rows by the names of their columns.

        :param name: ``cost`` a day and agent; ``reasons`` of disconnection a day and agent; ``latency`` of agents: of the medians of their
            calls, in milliseconds, those that 50, 90, 95 and 99 of a hundred calls do not exceed; ``answers``: how often people answer, by
            the hour; ``tools`` that were used.
        :param since: calls and chats that began from then on, a `datetime` with a time zone.
        :param until: those that began before.
        :param agent_id: those of one agent.
        :param utc_offset: by whose clock days and hours are: ``timedelta(hours=-5)``.
        :raises ConfigurationError: there is no such view, a moment has no time zone, or no clock is so far from UTC.
        """
        if name not in VIEWS:
            raise ConfigurationError(f"there is no view {name!r}: there are {', '.join(VIEWS)}")
        if abs(utc_offset) > _FURTHEST:
            raise ConfigurationError(f"no clock is {utc_offset / timedelta(hours=1):g} hours from UTC: utc_offset is 14 hours at most")
        query = select(name, _asked(since, until, agent_id, utc_offset), self._dialect)
        async with self.database.read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def search(
        self,
        words: str,
        *,
        role: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        agent_id: str | None = None,
        limit: int = 100,
    ) -> list[Found]:
        """Find what was said, without regard to case and to accents of Latin letters, the last that was stored first.

        :param words: all of them are in what is found; ``"a phrase"``, ``begin*``, ``this or that`` and ``-without`` mean what they say.
        :param role: who said it: ``user``, ``agent``.
        :raises ConfigurationError: there is no word to look for, a moment has no time zone, or `limit` is not above 0.
        """
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, not {limit}")
        asked = _asked(since, until, agent_id)
        query = search_query(words, asked, self._dialect, role=None if role is None else cleaned(role), limit=min(limit, _MOST_ROWS))
        async with self.database.read() as connection:
            return [Found(**row) for row in (await connection.execute(query)).mappings()]

    async def export(
        self,
        table: Table,
        out: Path | str | IO[str],
        *,
        format: Format = "csv",
        since: datetime | None = None,
        until: datetime | None = None,
        agent_id: str | None = None,
    ) -> int:
        """Write a table out; how many rows there are.

        :param table: ``calls``, ``chats``, ``utterances``, ``tool_calls``, ``costs``, ``latencies``, ``sessions``, ``deliveries``, or
            ``records``: one for each call and chat with all that belongs to it, as JSON lines.
        :param out: a file, which is written anew, whole or not at all, or a text stream; Parquet needs a file.
        :param format: ``csv``, ``jsonl``, or ``parquet``, which needs the extra ``[parquet]``.
        :raises ConfigurationError: there is no such table or format, they do not go together, a moment has no time zone, or the file is the
            archive itself.
        """
        if isinstance(out, str):
            out = Path(out)
        if isinstance(out, Path) and self.database.path is not None:
            check_apart(out, of_database(self.database.path))
        async with self.database.read() as connection:
            return await export(connection, table, format, out, _asked(since, until, agent_id))

    async def erase(self, number: str) -> Erased:
        """Erase a person: all that is kept of calls and chats from or to a number, and the number itself wherever else it stands.

        The events of these calls go too, and those that come later are not stored; their ids are kept for that. The number is taken out of
        the raw records, texts, tool calls and events of others, as far as it is written with digits. In a file of SQLite nothing of it
        stays; Postgres overwrites what is deleted when it is vacuumed. The API still has its own: delete the calls there too. It also has
        the number in calls of others, whose ids are given: what a later event or sync tells of one brings it back. Erase it again then.

        :raises ConfigurationError: it is no number with its country code; or the file could not be overwritten, since another process read
            it all the time, for a minute.
        """
        return await erase(self.database, self._writer, number)

    async def forget(self, before: datetime) -> int:
        """Drop all that is kept of calls and chats that ended before a moment, and let none of them come back; how many there were.

        :raises ConfigurationError: the moment is still to come, or has no time zone.
        """
        return await forget(self.database, _in_ms(before), self._writer.now_ms())

    @property
    def _dialect(self) -> str:
        return self.database.engine.dialect.name

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """A connection to the database, for queries of your own: the tables are in `retell_async.archive.schema`."""
        async with self.database.read() as connection:
            yield connection


def _asked(since: datetime | None, until: datetime | None, agent_id: str | None, utc_offset: timedelta = timedelta(0)) -> Asked:
    since_ms, until_ms = (None if moment is None else _in_ms(moment) for moment in (since, until))
    return Asked(since_ms, until_ms, None if agent_id is None else cleaned(agent_id), int(utc_offset.total_seconds() * 1000))


def _in_ms(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ConfigurationError("a moment must be a datetime with a time zone: datetime.now(UTC), not datetime.now()")
    return int(moment.timestamp() * 1000)
