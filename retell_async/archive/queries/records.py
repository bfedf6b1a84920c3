"""One structured record a call or chat: how it ended, what the analysis says, what it cost, its tools, and how its events arrived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ..schema import conversations, costs, inbox, latencies, sessions, tool_calls, utterances

__all__ = ["JSON_COLUMNS", "OWN", "records"]

JSON_COLUMNS = frozenset({"metadata", "custom_analysis", "arguments"})
"""Columns whose texts are JSON."""
OWN = ("stage", "seen_ms", "source", "whole", "recheck_ms")
"""Columns that are the archive's own business, not the user's."""


async def records(connection: AsyncConnection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The records of some calls and chats, in the order of their ids; those that are not there are left out."""
    columns = [column for column in conversations.columns if column.name not in OWN]
    rows = await connection.execute(sa.select(*columns).where(conversations.c.id.in_(ids)).order_by(conversations.c.id))
    found: dict[str, dict[str, Any]] = {row.id: _plain(row) for row in rows}
    for record in found.values():
        record |= {"sessions": [], "said": 0, "costs": [], "latency": {}, "tool_calls": [], "deliveries": []}
    for row in await connection.execute(sa.select(sessions).where(sessions.c.conversation_id.in_(found))):
        found[row.conversation_id]["sessions"].append(row.session_id)
    said = sa.select(utterances.c.conversation_id, sa.func.count()).where(utterances.c.conversation_id.in_(found))
    for id, count in await connection.execute(said.group_by(utterances.c.conversation_id)):
        found[id]["said"] = count
    for row in await connection.execute(sa.select(costs).where(costs.c.conversation_id.in_(found)).order_by(costs.c.position)):
        found[row.conversation_id]["costs"].append(_plain(row, "conversation_id", "position"))
    for row in await connection.execute(sa.select(latencies).where(latencies.c.conversation_id.in_(found))):
        found[row.conversation_id]["latency"][row.kind] = _plain(row, "conversation_id", "kind")
    called = sa.select(tool_calls).where(tool_calls.c.conversation_id.in_(found)).order_by(tool_calls.c.second, tool_calls.c.at_ms)
    for row in await connection.execute(called):
        found[row.conversation_id]["tool_calls"].append(_plain(row, "id", "conversation_id"))
    came = sa.select(inbox).where(inbox.c.conversation_id.in_(found)).order_by(inbox.c.received_at)
    for row in await connection.execute(came):
        found[row.conversation_id]["deliveries"].append(_plain(row, "key", "conversation_id", "body", "due_at", "holder"))
    return list(found.values())


def _plain(row: Any, *without: str) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in JSON_COLUMNS and value and name != "arguments" else value
        for name, value in row._mapping.items()
        if name not in without
    }
