"""Erasing a person by number: the calls and chats of that number, and the number wherever else it stands."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast
from uuid import uuid4

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .._core.errors import ConfigurationError
from .._core.json import loads
from .database import Database
from .rows import KINDS, Json, dumped, text_of
from .schema import effects, erased, inbox, raw, sessions, states, tool_calls
from .writer import ERASED, Writer, drop

__all__ = ["Erased", "Number", "erase"]

_BETWEEN = r"(?:[\s.,:*_()\[\]{}\-/\u00b7\u2010-\u2015\u2026\u2212\u200b-\u200d\u2060\ufeff]|%2[089AaDdEe]|%3[Aa]|%[57][BbDd]){0,4}"
_ABROAD = r"(?:\+|%2[Bb]|\b0011|\b011|\b00)"
_COUNTRY_BEFORE = re.compile(rf"{_ABROAD}{_BETWEEN}\d{{0,3}}{_BETWEEN}\Z")
_FEWEST, _MOST = 7, 15
_FEWEST_ALONE = 8
"""Digits of a number without its country code by which it is known."""
_CODE = re.compile(r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3}")
"""Country codes, by the plan of the International Telecommunication Union."""
_ZEROS = "0\uff10\u0660\u06f0\u0966\u09e6\u0e50"
"""Of the scripts whose digits are found: ASCII, full width, Arabic, Persian, Devanagari, Bengali, Thai."""
_DIGITS = {ord(zero) + digit: str(digit) for zero in _ZEROS for digit in range(10)}
_OF_A_PERSON = ("from_number", "to_number", "user_number", "agent_number")
"""Fields of a call or chat of which it is that person's."""
_AT_A_TIME = 200


@attrs.frozen
class Erased:
    """What was erased."""

    conversations: list[str]
    """The ids of the calls and chats of that number. Nothing of them is kept but the ids, so that they do not come back."""
    mentions: int
    """In how many other rows the number stood; there it is taken out."""
    mentioned: list[str]
    """The ids of the calls and chats of others that these rows belong to. With what the API tells of one later, the number comes back."""


class Number:
    """A phone number, as it is found in texts, written with digits.

    That is with its country code after ``+``, ``00``, ``011`` or nothing, or as it is written at home. Between the digits may be spaces,
    brackets, dots, commas, colons, asterisks, dashes, slashes and the like, also as URLs have them, and what has no width.

    :raises ConfigurationError: it is no number with its country code.
    """

    def __init__(self, number: str) -> None:
        digits = re.sub(r"\D", "", number)
        code = _CODE.match(digits)
        if not (number.strip().startswith("+") and code and _FEWEST <= len(digits) <= _MOST) or re.search(r"[^\d\s().\-/+]", number):
            raise ConfigurationError("the number must be whole, with its country code: a plus and all of its digits")
        self._code, national = code[0], digits[code.end() :]
        self._american = self._code == "1"
        trunk = {"1": "1", "7": "8"}.get(self._code, "0")
        whole = rf"(?P<abroad>{_ABROAD})?{_BETWEEN}{_BETWEEN.join(self._code)}{_BETWEEN}(?:\({trunk}\){_BETWEEN})?"
        at_home = rf"\(?{trunk}\)?{_BETWEEN}"
        alone = r"|(?P<alone>)" if len(national) >= _FEWEST_ALONE else ""
        self._pattern = re.compile(rf"(?:(?<!\d)|(?<=%[0-9A-Fa-f]{{2}}))(?:{whole}|{at_home}{alone})\(?{_BETWEEN.join(national)}(?!\d)")
        self.likes = [f"%{'%'.join(chr(ord(zero) + int(digit)) for digit in national)}%" for zero in _ZEROS]
        """What a text is like that may hold it."""

    def is_in_field(self, value: object) -> bool:
        """Whether a field for a number is about it: there nothing but a number is to be expected, which may be of any country."""
        return isinstance(value, str) and next(self._spans(value, alone=self._american), None) is not None

    def taken_out(self, text: str) -> str:
        parts, at = list[str](), 0
        for start, end in self._spans(text):
            parts += (text[at:start], ERASED)
            at = end
        return "".join((*parts, text[at:])) if parts else text

    def without(self, value: object) -> Any:
        """A value of JSON in which it is taken out of all texts, also of what was said word by word, and of names."""
        match value:
            case str():
                return self.taken_out(value)
            case bool() | None:
                return value
            case int() | float():
                whole = str(int(value)) if isinstance(value, int) or value.is_integer() else ""
                return ERASED if (0, len(whole)) in self._spans(whole, alone=self._american) else value
            case list():
                return [self.without(one) for one in cast("list[object]", value)]
            case dict():
                fields = cast("dict[str, object]", value)
                found = {self.taken_out(name): self.without(one) for name, one in fields.items()}
                if isinstance(fields.get("words"), list) and found.get("content") != fields.get("content"):
                    found["words"] = []  # there its digits may stand one by one
                return found
            case _:
                return value

    def _spans(self, text: str, *, alone: bool = True) -> Iterator[tuple[int, int]]:
        """Where it stands in a text.

        :param alone: also without its country code and what stands for that at home; of another country that may be another number.
        """
        for found in self._pattern.finditer(text if text.isascii() else text.translate(_DIGITS)):
            if found["abroad"] is None:
                if found.lastgroup == "alone" and not alone:
                    continue
                if _COUNTRY_BEFORE.search(text, max(0, found.start() - 16), found.start()):
                    continue  # the end of one of another country
            yield found.span()


async def erase(database: Database, writer: Writer, number: str) -> Erased:
    """Erase a person.

    :raises ConfigurationError: it is no number with its country code, or others read the file so long that its bytes cannot be overwritten.
    """
    sought = Number(number)
    theirs, others = set[str](), list[str]()
    async with database.read() as connection:
        async for _, body in _walk(connection, inbox.c.key, inbox.c.body, sought):  # first: what is handled meanwhile is among the others
            event = loads(body)
            for kind in KINDS:
                about: Json = cast("Json", event[kind]) if isinstance(event.get(kind), dict) else {}
                if _is_of(about, sought) and (subject := text_of(about.get(f"{kind}_id"))):
                    theirs.add(subject)
        async for id, data in _walk(connection, raw.c.conversation_id, raw.c.data, sought):
            if _is_of(loads(data), sought):
                theirs.add(id)
            elif id not in theirs:
                others.append(id)
    ordered = sorted(theirs)
    for first in range(0, len(ordered), _AT_A_TIME):
        async with database.write() as connection:
            ids = ordered[first : first + _AT_A_TIME]
            for id in ids:
                await database.lock(connection, id)
            await drop(connection, ids)
            rows = [{"conversation_id": id, "at_ms": writer.now_ms()} for id in ids]
            await connection.execute(database.insert(erased).on_conflict_do_nothing(), rows)
    mentions = list[str | None]()
    """Of each row, what it belongs to."""
    for id in others:

        def change(data: Any, id: str = id) -> Any:
            found = sought.without(data)
            if found != data:
                mentions.append(id)
            return found

        async with database.write() as connection:
            await writer.rewrite(connection, id, change, writer.now_ms())
    mentions += await _mend(database, tool_calls, ("arguments", "result", "error", "name", "id"), sought)
    mentions += await _mend(database, inbox, ("body", "error"), sought)
    for table, of, texts in (
        (sessions, sessions.c.conversation_id, (sessions.c.session_id,)),
        (states, states.c.call_id, (states.c.record,)),
        (effects, effects.c.call_id, (effects.c.key, effects.c.result, effects.c.error, effects.c.action)),
    ):
        mentions += await _remove(database, table, of, texts, sought)
    mentioned = sorted({id for id in mentions if id is not None} - theirs)
    if not await _scrub(database):
        told = f". Erased were {', '.join(ordered)}" if ordered else ""
        told += f". The number was taken out of {', '.join(mentioned)}" if mentioned else ""
        raise ConfigurationError(
            f"{database.shown}: what is erased is gone from the tables, but not from the file: another process has been reading it all the "
            f"time. Erase again when that one has ended{told}"
        )
    return Erased(ordered, len(mentions), mentioned)


def _is_of(about: Json, sought: Number) -> bool:
    return any(sought.is_in_field(about.get(name)) for name in _OF_A_PERSON)


def _without(name: str, text: str, sought: Number) -> str:
    """A column without a number; where it is a key, it stays one of its own."""
    if name == "id":
        return text if (found := sought.taken_out(text)) == text else f"{found}-{uuid4().hex}"
    try:
        parsed: object = loads(text)
        if isinstance(parsed, (dict, list)):
            without = sought.without(cast("object", parsed))
            return text if without == parsed else dumped(without)
    except (ValueError, RecursionError):  # a text that is no JSON
        pass
    return sought.taken_out(text)


def _like(text: sa.ColumnElement[str], sought: Number) -> sa.ColumnElement[bool]:
    return sa.or_(*(text.like(like) for like in sought.likes))


async def _walk(
    connection: AsyncConnection, key: sa.ColumnElement[str], text: sa.ColumnElement[Any], sought: Number
) -> AsyncIterator[tuple[str, str]]:
    """Rows whose text has certain digits in this order, by their keys."""
    last = ""
    while True:
        rows = (await connection.execute(sa.select(key, text).where(key > last, _like(text, sought)).order_by(key).limit(_AT_A_TIME))).all()
        for row in rows:
            yield row[0], row[1]
        if len(rows) < _AT_A_TIME:
            return
        last = rows[-1][0]


async def _mend(database: Database, table: sa.Table, names: tuple[str, ...], sought: Number) -> list[str | None]:
    """Take a number out of the texts of some rows; the calls and chats that these belong to."""
    (key,) = table.primary_key.columns
    columns = [table.c[name] for name in names]
    mended = list[str | None]()
    async with database.write() as connection:
        asked = sa.select(key, table.c.conversation_id, *columns).where(sa.or_(*(_like(column, sought) for column in columns)))
        for row in (await connection.execute(asked)).all():
            values = dict(zip(names, row[2:], strict=True))
            changed = {name: new for name, text in values.items() if text and (new := _without(name, text, sought)) != text}
            if changed:
                await connection.execute(sa.update(table).where(key == row[0]).values(**changed))
                mended.append(row.conversation_id)
    return mended


async def _remove(
    database: Database, table: sa.Table, of: sa.Column[str], texts: tuple[sa.Column[Any], ...], sought: Number
) -> list[str | None]:
    """Drop the rows that hold a number; the calls and chats that they belong to."""
    keys = list(table.primary_key.columns)
    removed = list[str | None]()
    async with database.write() as connection:
        asked = sa.select(of.label("of"), *keys, *texts).where(sa.or_(*(_like(text, sought) for text in texts)))
        for row in (await connection.execute(asked)).all():
            if any(text and _without("", text, sought) != text for text in row[1 + len(keys) :]):
                await connection.execute(sa.delete(table).where(*(key == value for key, value in zip(keys, row[1:], strict=False))))
                removed.append(row[0])
    return removed


async def _scrub(database: Database) -> bool:
    """Let nothing of what was erased stay in a file, neither in the index of words nor in the log of what was written.

    :return: whether others who read it let that be done.
    """
    if not database.is_sqlite:
        return True
    async with database.write() as connection:
        await connection.exec_driver_sql("INSERT INTO retell_utterance_words (retell_utterance_words) VALUES ('optimize')")
    return await database.checkpoint()
