"""What leaves the archive by its age."""

from __future__ import annotations

import sqlalchemy as sa

from .._core.errors import ConfigurationError
from .database import Database
from .schema import conversations, deliveries, effects, erased, inbox, sessions, settings, states, tool_calls
from .writer import FORGOTTEN, drop

__all__ = ["forget", "tidy"]

_DAY = 86_400.0
_AT_A_TIME = 500


async def tidy(database: Database) -> None:
    """Drop claims of deliveries that lapsed, and what custom LLMs kept of calls that are long over."""
    async with database.write() as connection:
        now = database.now()
        await connection.execute(sa.delete(deliveries).where(deliveries.c.until <= now))
        for table in (states, effects):
            await connection.execute(sa.delete(table).where(table.c.changed_at <= now - _DAY))


async def forget(database: Database, before_ms: int, now_ms: int) -> int:
    """Drop all that is kept of calls and chats that ended before a moment, and let none of them come back; how many there were.

    One of which no end is known counts from its start, or from when it was first seen. Events, tool calls
    and links to sessions of which no call or chat is known count from when they came.

    :raises ConfigurationError: the moment is still to come, and so are calls that ended before it.
    """
    if before_ms > now_ms:
        raise ConfigurationError(
            "the moment before which calls and chats are forgotten is still to come: all that end until then would be dropped as they "
            "come. Give one that is past"
        )
    dropped = 0
    async with database.write() as connection:
        insert = database.insert(settings).values(name=FORGOTTEN, value=str(before_ms))
        known = sa.cast(settings.c.value, sa.BigInteger)
        moved = sa.or_(known < before_ms, known > now_ms)  # one that is still to come is of a clock that was wrong
        await connection.execute(
            insert.on_conflict_do_update(index_elements=[settings.c.name], set_={"value": insert.excluded.value}, where=moved)
        )
    c = conversations.c
    old = sa.select(c.id, c.ended_ms).where(sa.func.coalesce(c.ended_ms, c.at_ms, c.seen_ms) < before_ms)
    while True:
        async with database.write() as connection:
            rows = (await connection.execute(old.limit(_AT_A_TIME))).all()
            await drop(connection, [row.id for row in rows])
            untimed = [{"conversation_id": row.id, "at_ms": before_ms} for row in rows if row.ended_ms is None]
            if untimed:  # by its time it could not be known when it is seen again
                await connection.execute(database.insert(erased).on_conflict_do_nothing(), untimed)
        dropped += len(rows)
        if len(rows) < _AT_A_TIME:
            break
    async with database.write() as connection:  # and what is of none that the archive has
        for table, at, before in (
            (inbox, inbox.c.received_at, before_ms / 1000),
            (tool_calls, tool_calls.c.at_ms, before_ms),
            (sessions, sessions.c.at_ms, before_ms),
        ):
            loose = sa.delete(table).where(at < before, ~sa.exists().where(c.id == table.c.conversation_id))
            if table is inbox:
                loose = loose.where(inbox.c.state.in_(["done", "failed"]))
            await connection.execute(loose)
    return dropped
