"""State and side effects of a custom LLM's calls, for applications in several processes. A side effect is a tool call too."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from retell_async.llm.store import Outcome

from .database import Database
from .rows import cleaned, dumped, text_of
from .schema import effects, states
from .tools import ToolLog

__all__ = ["LLMStore"]


class LLMStore:
    """A `retell_async.llm.Store` in the archive's database."""

    def __init__(self, database: Database, log: ToolLog) -> None:
        self._database = database
        self._log = log

    async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
        async with self._database.write() as connection:
            now = self._database.now()
            insert = self._database.insert(states).values(call_id=call_id, claim=1, changed_at=now)
            claimed = insert.on_conflict_do_update(
                index_elements=[states.c.call_id], set_={"claim": states.c.claim + 1, "changed_at": insert.excluded.changed_at}
            )
            row = (await connection.execute(claimed.returning(states.c.claim, states.c.record))).one()
        return row.claim, None if row.record is None else json.loads(row.record)

    async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
        async with self._database.write() as connection:
            saved = sa.update(states).where(states.c.call_id == call_id, states.c.claim <= claim)
            kept = await connection.execute(saved.values(record=json.dumps(record), changed_at=self._database.now()))
            return bool(kept.rowcount)

    async def begin(self, call_id: str, key: str) -> Outcome | None:
        key = cleaned(key)
        async with self._database.write() as connection:
            insert = self._database.insert(effects).values(
                call_id=call_id, key=key, state="begun", error="", changed_at=self._database.now()
            )
            if (await connection.execute(insert.on_conflict_do_nothing().returning(effects.c.key))).one_or_none() is not None:
                await self._log.begun(connection, _id(call_id, key), "once", _name(key), call_id=call_id, arguments=None)
                return None
            row = (await connection.execute(sa.select(effects).where(effects.c.call_id == call_id, effects.c.key == key))).one_or_none()
        if row is None:  # given up in between
            return Outcome("begun")
        result, action = (None if text is None else json.loads(text) for text in (row.result, row.action))
        return Outcome(row.state, result, row.error, action, row.says_goodbye)

    async def finish(self, call_id: str, key: str, outcome: Outcome | None) -> None:
        key = cleaned(key)
        async with self._database.write() as connection:
            where = effects.c.call_id == call_id, effects.c.key == key
            if outcome is None:
                await connection.execute(sa.delete(effects).where(*where))
                await self._log.ended(connection, _id(call_id, key), error="nothing was done")
                return
            result = None if outcome.state != "done" else json.dumps(outcome.result)
            values = {
                "state": outcome.state,
                "result": result,
                "error": text_of(outcome.error),
                "action": None if outcome.action is None else json.dumps(outcome.action),
                "says_goodbye": outcome.says_goodbye,
                "changed_at": self._database.now(),
            }
            await connection.execute(sa.update(effects).where(*where).values(**values))
            error = outcome.error or None if outcome.state == "failed" else None
            await self._log.ended(connection, _id(call_id, key), result=dumped(outcome.result), error=error)


def _id(call_id: str, key: str) -> str:
    return f"{call_id}/once/{key}"


def _name(key: str) -> str:
    """What a side effect is called: ``book`` of ``book:2026-11-25T10:00``."""
    return key.partition(":")[0]
