"""Writing calls and chats: each is one state, whoever tells of it in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .._core.json import loads
from .database import Database
from .policy import Storage, storable, storable_event, storage_of, strictest
from .queries.words import worded
from .rows import (
    LONGEST_ID,
    OVER,
    Json,
    Observation,
    ToolCall,
    Utterance,
    columns,
    cost_rows,
    dumped,
    integer,
    is_whole,
    latency_rows,
    merged,
    recheck_at,
    text_of,
    tool_calls_of,
    utterances_of,
)
from .schema import (
    conversations,
    costs,
    effects,
    erased,
    inbox,
    latencies,
    raw,
    searched,
    sessions,
    settings,
    states,
    tool_calls,
    utterances,
)

__all__ = ["ERASED", "FORGOTTEN", "Writer", "drop"]

ERASED = "[erased]"
"""What stands where a number was erased."""
FORGOTTEN = "forgotten_before_ms"
"""The setting that says up to when calls and chats were forgotten, and must not come back."""


class Writer:
    """Writes what is seen of calls and chats.

    :param keep: the most that is kept of a call or chat; each may itself ask for less.
    :param session_key: the key in their metadata under which an id of the user's own stands.
    :param clock: Unix time in seconds.
    """

    def __init__(self, database: Database, keep: Storage, session_key: str, clock: Callable[[], float]) -> None:
        self._database = database
        self.keep: Storage = keep
        self._session_key = session_key
        self._clock = clock

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def storage(self, connection: AsyncConnection, id: str | None) -> Storage | None:
        """What may be kept of a call or chat, by what is known of it; ``None`` if it was erased."""
        if not id:
            return self.keep
        row = (await connection.execute(_STORAGE, {"asked": id})).one()
        if row.erased is not None:
            return None
        return self.keep if row.storage is None else strictest(self.keep, row.storage)

    async def write(self, connection: AsyncConnection, new: Observation, now_ms: int) -> bool:
        """Write what was seen of a call or chat; whether that changed anything but who told of it last."""
        known, row = await self._known(connection, new.id)
        ended, started = (integer(new.data.get(f"{moment}_timestamp")) for moment in ("end", "start"))
        at = ended if known is not None else _first(ended, started, new.seen_ms)  # as `forget` counts one of which no end is known
        if row.erased is not None or (row.forgotten is not None and at is not None and at < int(row.forgotten)):
            return False
        found = merged(known, new)
        return found is not None and await self._store(connection, known, row, found, now_ms)

    async def rewrite(self, connection: AsyncConnection, id: str, change: Callable[[Json], Json], now_ms: int) -> None:
        """Change what is kept of a call or chat."""
        known, row = await self._known(connection, id)
        if known is not None:
            await self._store(connection, known, row, attrs.evolve(known, data=change(known.data)), now_ms)

    async def _known(self, connection: AsyncConnection, id: str) -> tuple[Observation | None, Any]:
        """What is known of a call or chat, which nobody else writes until the transaction is over."""
        await self._database.lock(connection, id)
        row = (await connection.execute(_KNOWN, {"asked": id})).one()
        if row.id is None:
            return None, row
        return Observation(row.kind, id, loads(row.data), row.stage, row.seen_ms, row.source), row

    async def _store(self, connection: AsyncConnection, known: Observation | None, row: Any, found: Observation, now_ms: int) -> bool:
        storage = strictest(self.keep, storage_of(found.data), *([] if known is None else [row.storage]))
        data = storable(found.data, storage)
        same = known is not None and (data, found.stage, storage) == (known.data, known.stage, row.storage)
        if known is not None and same and found.source == known.source:
            return False
        id, kind, stage = found.id, found.kind, found.stage
        values: dict[str, Any] = {
            **columns(kind, data, stage),
            "storage": storage,
            "stage": stage,
            "seen_ms": found.seen_ms,
            "source": found.source,
            "whole": bool(row.whole) or is_whole(kind, data, storage, stage, found.source),
            "recheck_ms": recheck_at(kind, data, storage, stage, now_ms),
        }
        first_seen = None if found.source != "event" else found.seen_ms
        values["at_ms"] = _first(values["started_ms"], row.at_ms, values["ended_ms"], first_seen)
        if known is None:
            await connection.execute(sa.insert(conversations).values(id=id, **values))
            await connection.execute(sa.insert(raw).values(conversation_id=id, data=dumped(data)))
        else:
            await connection.execute(sa.update(conversations).where(conversations.c.id == id).values(**values))
            await connection.execute(sa.update(raw).where(raw.c.conversation_id == id).values(data=dumped(data)))
        before: Json = {} if known is None else known.data
        await self._write_utterances(connection, id, utterances_of(kind, before), utterances_of(kind, data))
        called = tool_calls_of(kind, data)
        if called != tool_calls_of(kind, before) or storage not in {"everything", row.storage}:
            await self._write_tool_calls(connection, id, called, storage)
        await _replace(connection, latencies, id, latency_rows(before), latency_rows(data))
        await _replace(connection, costs, id, cost_rows(kind, before), cost_rows(kind, data))
        own: Any = data.get("metadata")
        session_id = text_of(own.get(self._session_key)) if isinstance(own, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        if session_id and len(session_id) <= LONGEST_ID and ERASED not in session_id:  # which would join strangers
            await self.link(connection, session_id, id)
        if storage != "everything":
            await self._withhold(connection, id, storage, over=stage >= OVER)
        return not same

    async def _withhold(self, connection: AsyncConnection, id: str, storage: Storage, *, over: bool) -> None:
        """Take out what may not be kept any more of a call or chat where others put it."""
        if over:  # and a custom LLM does not come back to it
            for table in (states, effects):
                await connection.execute(sa.delete(table).where(table.c.call_id == id))
        waiting = sa.select(inbox.c.key, inbox.c.body).where(inbox.c.conversation_id == id, inbox.c.body.is_not(None))
        for key, body in (await connection.execute(waiting)).all():
            kept = dumped(storable_event(loads(body), storage))
            await connection.execute(sa.update(inbox).where(inbox.c.key == key).values(body=kept))

    async def postpone(self, connection: AsyncConnection, id: str, now_ms: int, *, gone: bool) -> None:
        """Note that the API was asked for the analysis of a call or chat and had none yet, or that it does not have the call or chat."""
        if gone:
            await connection.execute(sa.update(conversations).where(conversations.c.id == id).values(recheck_ms=None, whole=True))
            return
        waits = sa.select(conversations).where(conversations.c.id == id, conversations.c.recheck_ms <= now_ms)
        row = (await connection.execute(waits)).one_or_none()
        if row is not None:
            data = {"end_timestamp": row.ended_ms, "start_timestamp": row.started_ms}
            due = recheck_at(row.kind, data, row.storage, row.stage, now_ms)
            await connection.execute(sa.update(conversations).where(conversations.c.id == id).values(recheck_ms=due))

    async def link(self, connection: AsyncConnection, session_id: str, id: str) -> None:
        """Let a session of the user's own have a call or chat."""
        insert = self._database.insert(sessions).values(session_id=session_id, conversation_id=id, at_ms=self.now_ms())
        await connection.execute(insert.on_conflict_do_nothing())

    async def _write_utterances(self, connection: AsyncConnection, id: str, before: Sequence[Utterance], said: Sequence[Utterance]) -> None:
        changed = [one for one in said if one.position >= len(before) or before[one.position] != one]
        stale = [one.position for one in changed if one.position < len(before)] + list(range(len(said), len(before)))
        if stale:
            await connection.execute(sa.delete(utterances).where(utterances.c.conversation_id == id, utterances.c.position.in_(stale)))
        if not changed:
            return
        rows = [{"conversation_id": id, **attrs.asdict(one)} for one in changed]
        if self._database.is_sqlite:
            await connection.execute(sa.insert(utterances), rows)
            return
        for row in rows:
            row["worded"] = worded(row["text"])
        named: dict[str, sa.BindParameter[Any]] = {
            name: sa.bindparam(name) for name in ("conversation_id", "position", "role", "text", "second")
        }
        vector = sa.func.to_tsvector("simple", sa.bindparam("worded"))
        await connection.execute(sa.insert(searched).values(**named, words=vector), rows)

    async def _write_tool_calls(self, connection: AsyncConnection, id: str, called: Sequence[ToolCall], storage: Storage) -> None:
        query = sa.select(tool_calls).where(tool_calls.c.conversation_id == id)
        before = {row.tool_call_id: row for row in await connection.execute(query)}
        new = [_as_row(id, call) for call in called if call.tool_call_id not in before]
        if new:
            await connection.execute(sa.insert(tool_calls), new)
        for call in called:
            row = before.pop(call.tool_call_id, None)
            if row is None:
                continue
            if row.source == "transcript":
                await connection.execute(sa.update(tool_calls).where(tool_calls.c.id == row.id).values(**_as_row(id, call)))
            else:  # what was measured where it ran counts
                values = {"second": call.second, "arguments": call.arguments if row.arguments is None else row.arguments}
                await connection.execute(sa.update(tool_calls).where(tool_calls.c.id == row.id).values(**values))
        for row in before.values():
            if row.source == "transcript":
                await connection.execute(sa.delete(tool_calls).where(tool_calls.c.id == row.id))
        if storage != "everything":
            measured = sa.update(tool_calls).where(tool_calls.c.conversation_id == id, tool_calls.c.source != "transcript")
            await connection.execute(measured.values(arguments=None, result=None, error=None))


_asked = sa.bindparam("asked", type_=sa.Text)
_KNOWN = sa.select(
    conversations,
    raw.c.data,
    sa.select(erased.c.at_ms).where(erased.c.conversation_id == _asked).scalar_subquery().label("erased"),
    sa.select(settings.c.value).where(settings.c.name == FORGOTTEN).scalar_subquery().label("forgotten"),
).select_from(
    sa.select(sa.literal(1))
    .subquery()
    .outerjoin(conversations, conversations.c.id == _asked)
    .outerjoin(raw, raw.c.conversation_id == conversations.c.id)
)
"""What is known of a call or chat: one row, also where nothing is."""
_STORAGE = sa.select(
    sa.select(conversations.c.storage).where(conversations.c.id == _asked).scalar_subquery().label("storage"),
    sa.select(erased.c.at_ms).where(erased.c.conversation_id == _asked).scalar_subquery().label("erased"),
)


async def drop(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Take all out that is kept of some calls and chats."""
    for table in (raw, utterances, tool_calls, costs, latencies, sessions, inbox):
        await connection.execute(sa.delete(table).where(table.c.conversation_id.in_(ids)))
    for table in (states, effects):
        await connection.execute(sa.delete(table).where(table.c.call_id.in_(ids)))
    await connection.execute(sa.delete(conversations).where(conversations.c.id.in_(ids)))


async def _replace(
    connection: AsyncConnection, table: sa.Table, id: str, before: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]
) -> None:
    if before and rows != before:
        await connection.execute(sa.delete(table).where(table.c.conversation_id == id))
    if rows and rows != before:
        await connection.execute(sa.insert(table), [{"conversation_id": id, **row} for row in rows])


def _as_row(id: str, call: ToolCall) -> dict[str, Any]:
    return {
        "id": f"{id}/{call.tool_call_id}",
        "conversation_id": id,
        "tool_call_id": call.tool_call_id,
        "source": "transcript",
        "name": call.name,
        "state": call.state,
        "arguments": call.arguments,
        "result": call.result,
        "error": call.result if call.state == "failed" else None,
        "second": call.second,
        "duration_ms": call.duration_ms,
        "attempts": 1,
    }


def _first(*moments: int | None) -> int | None:
    return next((moment for moment in moments if moment is not None), None)
