"""Full-text search of what was said: FTS5 of SQLite, tsvector of Postgres."""

from __future__ import annotations

from typing import Any

import attrs
import sqlalchemy as sa

from ..schema import conversations, searched, utterances
from .views import Asked
from .words import match_of, tsquery_of

__all__ = ["Found", "search_query"]


@attrs.frozen
class Found:
    """Something that was said."""

    conversation_id: str
    kind: str
    agent_id: str | None
    at_ms: int | None
    """When the conversation began, in milliseconds of Unix time."""
    second: float | None
    """Of the conversation, in which it was said."""
    role: str
    text: str


def search_query(words: str, asked: Asked, dialect: str, *, role: str | None, limit: int) -> Any:
    """What holds words, that which was stored last first.

    :raises ConfigurationError: there is no word.
    """
    u, c = utterances.c, conversations.c
    query = (
        sa.select(u.conversation_id, c.kind, c.agent_id, c.at_ms, u.second, u.role, u.text)
        .join(conversations, c.id == u.conversation_id)
        .where(*asked.where())
        .order_by(u.id.desc())
        .limit(limit)
    )
    if role is not None:
        query = query.where(u.role == role)
    if dialect == "sqlite":
        index = sa.table("retell_utterance_words", sa.column("rowid", sa.Integer))
        match = sa.literal_column("retell_utterance_words").op("MATCH")(match_of(words))
        return query.join(index, index.c.rowid == u.id).where(match).order_by(None).order_by(index.c.rowid.desc())
    vector: sa.ColumnElement[Any] = sa.literal_column(f"{searched.name}.words")
    return query.where(vector.op("@@")(sa.func.to_tsquery("simple", tsquery_of(words))))
