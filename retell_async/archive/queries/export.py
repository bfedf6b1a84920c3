"""Writing an archive out: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeAlias, get_args

import sqlalchemy as sa
from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._core.errors import ConfigurationError
from ..._files import replacing
from ..rows import dumped
from ..schema import conversations, costs, inbox, latencies, sessions, tool_calls, utterances
from .records import JSON_COLUMNS, OWN, records
from .views import Asked

__all__ = ["FORMATS", "TABLES", "Format", "Table", "export"]

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]
Table: TypeAlias = Literal["calls", "chats", "utterances", "tool_calls", "costs", "latencies", "sessions", "deliveries", "records"]

FORMATS: tuple[Format, ...] = get_args(Format)
TABLES: tuple[Table, ...] = get_args(Table)
_AT_A_TIME = 2000
_OWN_OF_INBOX = ("body", "holder", "due_at")
_OF: Mapping[str, sa.Table] = {
    "utterances": utterances,
    "tool_calls": tool_calls,
    "costs": costs,
    "latencies": latencies,
    "sessions": sessions,
    "deliveries": inbox,
}


_Out: TypeAlias = Path | IO[str]


class _Sink(Protocol):
    def write(self, rows: Sequence[Mapping[str, Any]]) -> None: ...
    def close(self) -> None: ...


async def export(connection: AsyncConnection, table: Table, format: Format, out: Path | IO[str], asked: Asked) -> int:
    """Write a table out; how many rows there are.

    :param table: ``records`` has one for each call and chat with all that belongs to it, and is JSON lines.
    :param out: a file, which is written anew, whole or not at all, or a text stream; Parquet needs a file.
    :raises ConfigurationError: there is no such table or format, or the table does not go with the format.
    :raises ModuleNotFoundError: Parquet needs the extra ``[parquet]``.
    """
    if table not in TABLES or format not in FORMATS:
        raise ConfigurationError(f"there are {', '.join(TABLES)}, as {', '.join(FORMATS)}; not {table} as {format}")
    if table == "records":
        if format != "jsonl":
            raise ConfigurationError("records hold lists: they are written as jsonl")
        return await _written(_records(connection, asked), out, _Lines)
    columns = _columns(table)
    query = _query(table, columns, asked)

    def sink(place: _Out) -> _Sink:
        match format:
            case "csv":
                return _Csv(place, [column.name for column in columns])
            case "jsonl":
                return _Lines(place)
            case "parquet":
                if not isinstance(place, Path):
                    raise ConfigurationError("Parquet is written to a file, not to a stream")
                return _Parquet(place, columns)

    return await _written(_batches(connection, query), out, sink)


async def _written(batches: AsyncIterator[Sequence[Mapping[str, Any]]], out: _Out, make: Callable[[_Out], _Sink]) -> int:
    with replacing(out) if isinstance(out, Path) else nullcontext(out) as place:
        sink, count = await to_thread.run_sync(make, place), 0
        try:
            async for rows in batches:
                await to_thread.run_sync(sink.write, rows)
                count += len(rows)
        finally:
            await to_thread.run_sync(sink.close)
    return count


def _columns(table: Table) -> list[sa.Column[Any]]:
    of = _OF.get(table, conversations)
    own = {conversations: OWN, inbox: _OWN_OF_INBOX}.get(of, ())
    return [column for column in of.columns if column.name not in own]


def _query(table: Table, columns: Sequence[sa.Column[Any]], asked: Asked) -> Any:
    query = sa.select(*columns)
    if table in {"calls", "chats"}:
        return query.where(conversations.c.kind == table[:-1], *asked.where()).order_by(conversations.c.at_ms, conversations.c.id)
    of, conditions = _OF[table], asked.where()
    if conditions:
        query = query.join(conversations, conversations.c.id == of.c.conversation_id).where(*conditions)
    return query.order_by(*of.primary_key.columns)


async def _batches(connection: AsyncConnection, query: Any) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    result = await connection.stream(query.execution_options(yield_per=_AT_A_TIME))
    async for rows in result.mappings().partitions():
        yield [dict(row) for row in rows]


async def _records(connection: AsyncConnection, asked: Asked) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    last = ""
    while True:
        next_ = sa.select(conversations.c.id).where(conversations.c.id > last, *asked.where())
        ids = list(await connection.scalars(next_.order_by(conversations.c.id).limit(_AT_A_TIME // 4)))
        if not ids:
            return
        yield await records(connection, ids)
        last = ids[-1]


class _Text:
    """A text that is written to a file, which is closed at the end, or to a stream, which is not."""

    def __init__(self, out: Path | IO[str]) -> None:
        self._own = isinstance(out, Path)
        self.file: IO[str] = out.open("w", encoding="utf-8", newline="") if isinstance(out, Path) else out

    def close(self) -> None:
        if self._own:
            self.file.close()
        else:
            self.file.flush()


class _Csv(_Text):
    def __init__(self, out: Path | IO[str], names: Sequence[str]) -> None:
        super().__init__(out)
        self._rows = csv.DictWriter(self.file, names, lineterminator="\n")
        self._rows.writeheader()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")  # which some readers take for the end of a row even in quotes
    return str(value).lower() if isinstance(value, bool) else value


class _Lines(_Text):
    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.file.writelines(f"{_line(row)}\n" for row in rows)


def _line(row: Mapping[str, Any]) -> str:
    """A row as JSON that every parser takes. What is JSON already is no text in it, unless it is none, or nested too deeply."""
    try:
        return dumped({name: _read(name, value) for name, value in row.items()}, halves="\ufffd")
    except RecursionError:
        return dumped(row, halves="\ufffd")


def _read(name: str, value: Any) -> Any:
    if name not in JSON_COLUMNS or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


class _Parquet:
    def __init__(self, out: Path, columns: Sequence[sa.Column[Any]]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{error.name} is missing: Parquet needs `pip install 'retell-async[parquet]'`", name=error.name
            ) from None
        kinds: Mapping[type[Any], Any] = {sa.Text: pa.string(), sa.Boolean: pa.bool_(), sa.Float: pa.float64()}

        def kind_of(column: sa.Column[Any]) -> Any:
            return next((kind for known, kind in kinds.items() if isinstance(column.type, known)), pa.int64())

        self._pa = pa
        self._schema = pa.schema([(column.name, kind_of(column)) for column in columns])
        self._writer = parquet.ParquetWriter(str(out), self._schema)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._writer.write_table(self._pa.Table.from_pylist([dict(row) for row in rows], schema=self._schema))

    def close(self) -> None:
        self._writer.close()
