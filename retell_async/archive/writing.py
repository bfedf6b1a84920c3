"""Writing calls and chats: each is one state, whoever tells of it in whatever order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .database import Database
from .policy import Storage, storable, storage_of, strictest
from .rows import (
    LONGEST_ID,
    OVER,
    Observation,
    ToolCall,
    Utterance,
    columns,
    cost_rows,
    dumped,
    latency_rows,
    lies_open,
    merged,
    recheck_at,
    text_of,
    tool_calls_of,
    utterances_of,
)
from .schema import conversations, costs, effects, erased, latencies, raw, sessions, settings, states, tool_calls, utterances, words
from .words import folded

__all__ = ["FORGOTTEN", "Writer", "drop"]

FORGOTTEN = "forgotten_before_ms"
"""The setting that says up to when calls and chats were forgotten, and must not come back."""


class Writer:
    """Writes what is seen of calls and chats.

    :param keep: the most that is kept of a call or chat; each may itself ask for less.
    :param session_key: the key in their metadata under which an id of the user's own stands.
    """

    def __init__(self, database: Database, keep: Storage, session_key: str) -> None:
        self._database = database
        self.keep: Storage = keep
        self._session_key = session_key

    async def storage(self, connection: AsyncConnection, id: str | None) -> Storage:
        """What may be kept of a call or chat, by what is known of it."""
        found = await connection.scalar(sa.select(conversations.c.storage).where(conversations.c.id == id)) if id else None
        return self.keep if found is None else strictest(self.keep, found)

    async def write(self, connection: AsyncConnection, new: Observation, now_ms: int) -> bool:
        """Write what was seen of a call or chat; whether that changed anything."""
        await self._database.lock(connection, new.id)
        if await self._is_gone(connection, new):
            return False
        known, row = await self._known(connection, new)
        found = merged(known, new)
        if found is None:
            return False
        storage = strictest(self.keep, storage_of(found.data), *([] if row is None else [row.storage]))
        data = storable(found.data, storage)
        if known is not None and (data, found.stage, found.source, storage) == (known.data, known.stage, known.source, row.storage):
            return False
        kind, stage = found.kind, found.stage
        values = {
            **columns(kind, data, stage),
            "storage": storage,
            "stage": stage,
            "seen_ms": found.seen_ms,
            "source": found.source,
            "whole": stage >= OVER and not lies_open(kind, data, storage, stage),
            "recheck_ms": recheck_at(kind, data, storage, stage, now_ms),
        }
        first_seen = None if new.source != "event" else new.seen_ms
        values["at_ms"] = _first(values["started_ms"], None if row is None else row.at_ms, values["ended_ms"], first_seen)
        if row is None:
            await connection.execute(sa.insert(conversations).values(id=new.id, **values))
            await connection.execute(sa.insert(raw).values(conversation_id=new.id, data=dumped(data)))
        else:
            await connection.execute(sa.update(conversations).where(conversations.c.id == new.id).values(**values))
            await connection.execute(sa.update(raw).where(raw.c.conversation_id == new.id).values(data=dumped(data)))
        before = {} if known is None else known.data
        await self._write_utterances(connection, new.id, utterances_of(kind, data), fresh=known is None)
        await self._write_tool_calls(connection, new.id, tool_calls_of(kind, data), storage)
        if before.get("latency") != data.get("latency"):
            await _replace(connection, latencies, new.id, latency_rows(data))
        if before.get(f"{kind}_cost") != data.get(f"{kind}_cost"):
            await _replace(connection, costs, new.id, cost_rows(kind, data))
        own = data.get("metadata")
        session_id = text_of(own.get(self._session_key)) if isinstance(own, dict) else None
        if session_id and len(session_id) <= LONGEST_ID:
            await self.link(connection, session_id, new.id)
        if stage >= OVER and storage != "everything":  # what a custom LLM kept of it is not needed any more
            for table in (states, effects):
                await connection.execute(sa.delete(table).where(table.c.call_id == new.id))
        return True

    async def link(self, connection: AsyncConnection, session_id: str, id: str) -> None:
        """Let a session of the user's own have a call or chat."""
        statement = self._database.insert(sessions).values(session_id=session_id, conversation_id=id).on_conflict_do_nothing()
        await connection.execute(statement)

    async def _is_gone(self, connection: AsyncConnection, new: Observation) -> bool:
        if await connection.scalar(sa.select(erased.c.at_ms).where(erased.c.conversation_id == new.id)) is not None:
            return True
        ended = new.data.get("end_timestamp")
        if not isinstance(ended, int):
            return False
        before = await connection.scalar(sa.select(settings.c.value).where(settings.c.name == FORGOTTEN))
        return before is not None and ended < int(before)

    async def _known(self, connection: AsyncConnection, new: Observation) -> tuple[Observation | None, Any]:
        query = sa.select(conversations, raw.c.data).join(raw, raw.c.conversation_id == conversations.c.id)
        row = (await connection.execute(query.where(conversations.c.id == new.id))).one_or_none()
        if row is None:
            return None, None
        return Observation(row.kind, new.id, json.loads(row.data), row.stage, row.seen_ms, row.source), row

    async def _write_utterances(self, connection: AsyncConnection, id: str, said: Sequence[Utterance], *, fresh: bool) -> None:
        before: dict[int, tuple[Any, ...]] = {}
        if not fresh:
            query = sa.select(utterances.c.position, utterances.c.role, utterances.c.text, utterances.c.second)
            rows = await connection.execute(query.where(utterances.c.conversation_id == id))
            before = {row.position: tuple(row) for row in rows}
        changed = [one for one in said if before.get(one.position) != (one.position, one.role, one.text, one.second)]
        stale = [one.position for one in changed if one.position in before] + [place for place in before if place >= len(said)]
        if stale:
            await connection.execute(sa.delete(utterances).where(utterances.c.conversation_id == id, utterances.c.position.in_(stale)))
        if not changed:
            return
        rows = [
            {"conversation_id": id, "position": one.position, "role": one.role, "text": one.text, "second": one.second} for one in changed
        ]
        if self._database.is_sqlite:
            await connection.execute(sa.insert(utterances), rows)
        else:
            vector = sa.func.to_tsvector("simple", sa.bindparam("folded"))
            for row in rows:
                row["folded"] = folded(row["text"])
            named = {name: sa.bindparam(name) for name in ("conversation_id", "position", "role", "text", "second")}
            await connection.execute(sa.insert(searched).values(**named, words=vector), rows)

    async def _write_tool_calls(self, connection: AsyncConnection, id: str, called: Sequence[ToolCall], storage: Storage) -> None:
        query = sa.select(tool_calls).where(tool_calls.c.conversation_id == id)
        before = {row.tool_call_id: row for row in await connection.execute(query)}
        for call in called:
            row = before.pop(call.tool_call_id, None)
            if row is None:
                await connection.execute(sa.insert(tool_calls).values(**_as_row(id, call)))
            elif row.source == "transcript":
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


searched = sa.Table("retell_utterance", sa.MetaData(), *(column.copy() for column in utterances.columns), words.copy())
"""`utterances` as Postgres has them."""


async def drop(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Take all out that is kept of some calls and chats."""
    from .schema import inbox

    for table in (raw, utterances, tool_calls, costs, latencies, sessions, inbox):
        await connection.execute(sa.delete(table).where(table.c.conversation_id.in_(ids)))
    for table in (states, effects):
        await connection.execute(sa.delete(table).where(table.c.call_id.in_(ids)))
    await connection.execute(sa.delete(conversations).where(conversations.c.id.in_(ids)))


async def _replace(connection: AsyncConnection, table: sa.Table, id: str, rows: Sequence[dict[str, Any]]) -> None:
    await connection.execute(sa.delete(table).where(table.c.conversation_id == id))
    if rows:
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
