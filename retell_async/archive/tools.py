"""Tool calls as they run: custom functions, and side effects of a custom LLM."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retell_async._logs import Log
from retell_async.webhooks import FunctionCall

from .._core.errors import reason
from .._core.masking import mask_text
from .database import Database
from .policy import storage_of, strictest
from .rows import KINDS, dumped, text_of, tool_calls_of
from .schema import conversations, tool_calls
from .writer import Writer

__all__ = ["ToolLog"]

_logger = Log("retell_async.archive")


class ToolLog:
    """Writes what tools are called with, what they give, how long they take and what goes wrong."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    def recorded(self, name: str, handler: Callable[[FunctionCall], Awaitable[object]]) -> Callable[[FunctionCall], Awaitable[object]]:
        """The handler of a custom function, whose calls are written. A database that fails is logged, and stops no function."""

        async def run(call: FunctionCall) -> object:
            id = await self._try(self._function_begun(name, call))
            began = time.monotonic()
            try:
                result = await handler(call)
            except BaseException as error:
                if id is not None:
                    await self._try(self._function_ended(id, began, error=mask_text(reason(error))))
                raise
            if id is not None:
                text = result if isinstance(result, str) else "" if result is None else dumped(result)
                await self._try(self._function_ended(id, began, result=text))
            return result

        return run

    async def begun(
        self,
        connection: AsyncConnection,
        id: str,
        source: str,
        name: str,
        *,
        call_id: str | None,
        arguments: str | None,
        tool_call_id: str | None = None,
        storage: Any = "everything",
    ) -> None:
        """Write that a tool is called."""
        known = await self._writer.storage(connection, call_id)
        if known is None:
            return
        storage = strictest(storage, known)
        insert = self._database.insert(tool_calls).values(
            id=id,
            conversation_id=text_of(call_id),
            tool_call_id=text_of(tool_call_id),
            source=source,
            name=text_of(name),
            state="begun",
            arguments=arguments if storage == "everything" else None,
            at_ms=int(time.time() * 1000),
            attempts=1,
        )
        again = {"state": "begun", "source": source, "at_ms": insert.excluded.at_ms, "attempts": tool_calls.c.attempts + 1}
        if source == "function":  # the first time it may be there by the transcript
            again["attempts"] = sa.case((tool_calls.c.source == "transcript", 1), else_=tool_calls.c.attempts + 1)
        await connection.execute(insert.on_conflict_do_update(index_elements=[tool_calls.c.id], set_=again))

    async def ended(
        self, connection: AsyncConnection, id: str, *, result: str | None = None, error: str | None = None, took_ms: float | None = None
    ) -> None:
        """Write what came of it. Without `took_ms` it took since it was called."""
        row = (await connection.execute(sa.select(tool_calls).where(tool_calls.c.id == id))).one_or_none()
        if row is None:
            return
        asked = sa.select(conversations.c.storage).where(conversations.c.id == row.conversation_id)
        known = await connection.scalar(asked)
        kept = strictest(self._writer.keep, known or "everything") == "everything" and (row.source == "once" or row.arguments is not None)
        took = took_ms if took_ms is not None else max(0.0, time.time() * 1000 - (row.at_ms or 0))
        values = {
            "state": "done" if error is None else "failed",
            "result": text_of(result) if kept and error is None else None,
            "error": text_of(error) if kept else None,
            "duration_ms": took,
        }
        await connection.execute(sa.update(tool_calls).where(tool_calls.c.id == id).values(**values))

    async def _function_begun(self, name: str, call: FunctionCall) -> str:
        arguments = dumped(call.args)
        conversation_id, tool_call_id, storage = None, None, self._writer.keep
        for kind in KINDS:
            about = getattr(call, kind)
            if about is not None:
                data = about.to_dict()
                conversation_id = text_of(data.get(f"{kind}_id"))
                storage = strictest(storage, storage_of(data))
                tool_call_id = _invocation(name, call.args, tool_calls_of(kind, data))
        id = f"{conversation_id}/{tool_call_id}" if conversation_id and tool_call_id else f"function/{uuid4().hex}"
        async with self._database.write() as connection:
            await self.begun(
                connection,
                id,
                "function",
                name,
                call_id=conversation_id,
                arguments=arguments,
                tool_call_id=tool_call_id,
                storage=storage,
            )
        return id

    async def _function_ended(self, id: str, began: float, **came: str) -> None:
        async with self._database.write() as connection:
            await self.ended(connection, id, **came, took_ms=(time.monotonic() - began) * 1000)

    async def _try(self, writing: Awaitable[Any]) -> Any:
        try:
            return await writing
        except Exception as error:  # noqa: BLE001 - a database may raise anything, and the function matters more
            _logger.error("a tool call is not written: %s: %s", type(error).__name__, mask_text(str(error)))  # noqa: TRY400
            return None


def _invocation(name: str, arguments: dict[str, Any], called: list[Any]) -> str | None:
    """The tool call in the transcript that this is, which is there already: the last one of that name that has no result yet."""
    open_calls = [one for one in called if one.name == name and one.state == "begun"]
    same = [one for one in open_calls if one.arguments is not None and _parsed(one.arguments) == arguments]
    return (same or open_calls)[-1].tool_call_id if open_calls else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
