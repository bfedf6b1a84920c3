"""Erasing a person by number: the calls and chats of that number, and the number wherever else it stands."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .._core.errors import ConfigurationError
from .._core.json import loads
from .database import Database
from .rows import dumped
from .schema import effects, erased, inbox, raw, sessions, states, tool_calls
from .writing import Writer, drop

__all__ = ["Erased", "erase", "without_number"]

_BETWEEN = r"[\s().\-/\u2010-\u2015]{0,3}"
_MARK = "[erased]"
_FEWEST, _MOST = 7, 15
_OF_A_PERSON = ("from_number", "to_number", "transfer_destination", "user_number", "agent_number")
"""Fields of a call or chat of which it is that person's."""
_AT_A_TIME = 200


@attrs.frozen
class Erased:
    """What was erased."""

    conversations: list[str]
    """The ids of the calls and chats of that number. Nothing of them is kept but the ids, so that they do not come back."""
    mentions: int
    """In how many other rows the number stood; there it is taken out."""


def pattern_of(number: str) -> tuple[str, re.Pattern[str]]:
    """The digits of a number, and what finds it in a text, however it is written there with digits.

    A number of the North American plan is found without its country code too.

    :raises ConfigurationError: it is no number with its country code.
    """
    digits = re.sub(r"\D", "", number)
    if not number.strip().startswith("+") or not _FEWEST <= len(digits) <= _MOST or re.search(r"[^\d\s().\-/+]", number):
        raise ConfigurationError("the number must be whole, with its country code: +14155550100")
    code, national = ("1", digits[1:]) if digits.startswith("1") and len(digits) == 11 else ("", digits)
    front = rf"(?:(?:\+|00)?{code}{_BETWEEN})?" if code else r"(?:\+|00)?"
    return national, re.compile(rf"(?<!\d){front}\(?{_BETWEEN.join(national)}(?!\d)")


def without_number(value: object, pattern: re.Pattern[str]) -> Any:
    """A value of JSON in which a number is taken out of all texts, also of what was said word by word, and of names."""
    match value:
        case str():
            return pattern.sub(_MARK, value)
        case bool() | None:
            return value
        case int():
            return _MARK if pattern.fullmatch(str(value)) else value
        case list():
            return [without_number(one, pattern) for one in cast("list[object]", value)]
        case dict():
            fields = cast("dict[str, object]", value)
            found = {pattern.sub(_MARK, name): without_number(one, pattern) for name, one in fields.items()}
            if isinstance(fields.get("words"), list) and found.get("content") != fields.get("content"):
                found["words"] = []  # there its digits may stand one by one
            return found
        case _:
            return value


async def erase(database: Database, writer: Writer, number: str) -> Erased:
    """Erase a person.

    :raises ConfigurationError: it is no number with its country code.
    """
    digits, pattern = pattern_of(number)
    like = f"%{'%'.join(digits)}%"
    theirs, mentioned = list[str](), list[str]()
    async with database.read() as connection:
        async for id, data in _walk(connection, raw.c.conversation_id, raw.c.data, like):
            found = loads(data)
            if any(isinstance(text := found.get(name), str) and pattern.search(text) for name in _OF_A_PERSON):
                theirs.append(id)
            else:
                mentioned.append(id)
    for first in range(0, len(theirs), _AT_A_TIME):
        async with database.write() as connection:
            ids = theirs[first : first + _AT_A_TIME]
            for id in sorted(ids):
                await database.lock(connection, id)
            await drop(connection, ids)
            rows = [{"conversation_id": id, "at_ms": writer.now_ms()} for id in ids]
            await connection.execute(database.insert(erased).on_conflict_do_nothing(), rows)
    mentions = 0

    def change(data: Any) -> Any:
        nonlocal mentions
        found = without_number(data, pattern)
        mentions += found != data
        return found

    for id in mentioned:
        async with database.write() as connection:
            await writer.rewrite(connection, id, change, writer.now_ms())
    mentions += await _mend(database, tool_calls, tool_calls.c.id, ("arguments", "result", "error", "name"), like, pattern.sub)
    mentions += await _mend(database, inbox, inbox.c.key, ("body", "error"), like, lambda _, text: _in_json(text, pattern))
    for table, texts in (
        (sessions, (sessions.c.session_id,)),
        (states, (states.c.record,)),
        (effects, (effects.c.key, effects.c.result, effects.c.error)),
    ):
        mentions += await _remove(database, table, texts, like, pattern)
    await _scrub(database)
    return Erased(sorted(theirs), mentions)


def _in_json(text: str, pattern: re.Pattern[str]) -> str:
    try:
        return dumped(without_number(loads(text), pattern))
    except ValueError:
        return pattern.sub(_MARK, text)


async def _walk(
    connection: AsyncConnection, key: sa.ColumnElement[str], text: sa.ColumnElement[str], like: str
) -> AsyncIterator[tuple[str, str]]:
    """Rows whose text has certain digits in this order, by their keys."""
    last = ""
    while True:
        rows = (await connection.execute(sa.select(key, text).where(key > last, text.like(like)).order_by(key).limit(_AT_A_TIME))).all()
        for row in rows:
            yield row[0], row[1]
        if len(rows) < _AT_A_TIME:
            return
        last = rows[-1][0]


async def _mend(
    database: Database, table: sa.Table, key: sa.Column[Any], names: tuple[str, ...], like: str, mend: Callable[[str, str], str]
) -> int:
    """Take a number out of the texts of some rows; how many there are."""
    columns = [table.c[name] for name in names]
    mended = 0
    async with database.write() as connection:
        rows = await connection.execute(sa.select(key, *columns).where(sa.or_(*(column.like(like) for column in columns))))
        for row in rows.all():
            values = dict(zip(names, row[1:], strict=True))
            changed = {name: new for name, text in values.items() if text and (new := mend(_MARK, text)) != text}
            if changed:
                await connection.execute(sa.update(table).where(key == row[0]).values(**changed))
                mended += 1
    return mended


async def _remove(database: Database, table: sa.Table, texts: tuple[sa.Column[Any], ...], like: str, pattern: re.Pattern[str]) -> int:
    """Drop the rows that hold a number; how many there are."""
    keys = list(table.primary_key.columns)
    removed = 0
    async with database.write() as connection:
        rows = await connection.execute(sa.select(*keys, *texts).where(sa.or_(*(text.like(like) for text in texts))))
        for row in rows.all():
            if any(text and pattern.search(text) for text in row[len(keys) :]):
                await connection.execute(sa.delete(table).where(*(key == value for key, value in zip(keys, row, strict=False))))
                removed += 1
    return removed


async def _scrub(database: Database) -> None:
    """Let nothing of what was erased stay in a file: neither in the index of words nor in the log of what was written."""
    if not database.is_sqlite:
        return
    async with database.write() as connection:
        await connection.exec_driver_sql("INSERT INTO retell_utterance_words (retell_utterance_words) VALUES ('optimize')")
    await database.checkpoint()
