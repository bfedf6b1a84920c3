"""The database of an archive: one file of SQLite, or Postgres for several processes and machines."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiosqlite
import anyio
import attrs
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from .._core.errors import ConfigurationError
from .._core.masking import mask_address, mask_text

__all__ = ["Database", "clearly"]

T = TypeVar("T")

_CONNECTIONS = 20
_NONE = "it is no database of SQLite"
_SMALLEST = 512  # bytes
_PATIENCE = 60.0  # seconds for which one who writes a file waits for another process that does
_LOOK_AGAIN = 0.05  # seconds until he looks again
_IN_SQLITE = 0.1  # seconds for which SQLite itself waits, in a thread that cannot be interrupted
_OF_SQLALCHEMY = frozenset(("host", "port", "prepared_statement_cache_size"))
"""What in the query of an address of Postgres is SQLAlchemy's to read; the driver reads the rest."""
_MAY_NOT = "42501"  # insufficient_privilege
_STALLED = 60.0  # seconds after which Postgres ends a transaction in which nothing happens


@attrs.define(eq=False)
class _Writing:
    """A transaction that writes a file."""

    file: Path
    over: bool = False


_within: ContextVar[tuple[_Writing, ...]] = ContextVar("retell_archive_within", default=())
"""The transactions within which this code runs, also in tasks that were started there."""


class Database:
    """Where an archive is kept.

    :param address: the path of a file of SQLite, or the address of a database of Postgres: ``postgresql://user@host/name``.
    :param make: make the file if it is not there.
    :raises ConfigurationError: the address is none, or the file is not there or no database.
    """

    def __init__(self, address: Path | str, *, make: bool = True) -> None:
        self.shown = mask_address(address)
        self.path: Path | None = None
        """The file; ``None`` on Postgres."""
        if isinstance(address, str) and "://" in address:
            self.engine = _postgres(address)
        else:
            self.path = path = Path(address)
            if str(address) == ":memory:":
                raise ConfigurationError("an archive in memory would be gone with the process: name a file")
            if not make and not path.is_file():
                raise ConfigurationError(f"{path}: there is no such file")
            if path.is_file() and 0 < path.stat().st_size < _SMALLEST:
                raise ConfigurationError(f"{path}: {_NONE}")  # SQLite would make one of it; it is not opened here, as that drops locks
            # Only SQLite may open it: whoever closes a file takes from the process all locks that it has on it, and others remove its log.
            if path.is_file() and path.stat().st_nlink > 1:
                raise ConfigurationError(
                    f"{path}: it has several names (hard links), each of which would have a log of its own: leave it one"
                )
            self.engine = _sqlite(path)
        self.is_sqlite = self.path is not None
        self._one_writer = anyio.Lock() if self.is_sqlite else None
        self._file = None if self.path is None else self.path.resolve()

    async def open(self) -> None:
        """:raises ConfigurationError: it cannot be reached."""
        try:
            async with self.engine.connect():
                pass
        except ConfigurationError:
            raise
        except Exception as error:
            if not isinstance(error, (exc.DBAPIError, OSError, *_errors_of_asyncpg())):
                raise
            raise ConfigurationError(f"{self.shown}: it cannot be reached: {_why(error)}") from None

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that sees one state of the database throughout."""
        async with self._connected() as connection:
            yield connection

    @asynccontextmanager
    async def _connected(self, **options: Any) -> AsyncGenerator[AsyncConnection]:
        connection = self.engine.execution_options(**options).connect()
        try:
            await (_unhurried(connection.start()) if self.is_sqlite else connection.start())
            yield connection
        finally:
            if connection.sync_connection is not None:
                await _unhurried(connection.close())

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction, which is undone if the block raises. A file has one at a time.

        :raises ConfigurationError: it would wait for one within which this is called.
        """
        if self._file is None or self._one_writer is None:
            async with self.engine.begin() as connection:
                yield connection
            return
        around = tuple(one for one in _within.get() if not one.over)
        if any(one.file == self._file for one in around):
            raise ConfigurationError(
                f"{self.shown}: a file of SQLite has one writer at a time, and this would wait for the transaction within which it is "
                "called. In a handler of `in_transaction`, write through the connection that it is given; or register it with `on`, which "
                "holds none"
            )
        writing = _Writing(self._file)
        async with self._one_writer, self._connected(retell_writes=True) as connection, AsyncExitStack() as transaction:
            patience = anyio.current_time() + _PATIENCE
            while True:  # here rather than in SQLite, whose thread could not be told that nobody waits any more
                try:
                    await transaction.enter_async_context(connection.begin())
                except exc.OperationalError as error:
                    if not _is_locked(error) or anyio.current_time() > patience:
                        raise
                    await anyio.sleep(_LOOK_AGAIN)
                else:
                    break
            _within.set((*around, writing))
            try:
                yield connection
            finally:
                writing.over = True

    async def checkpoint(self) -> bool:
        """Bring what is written into the file, and empty the log beside it; whether others who read it let that be done in time."""
        patience = anyio.current_time() + _PATIENCE
        async with self._connected() as connection:
            bare: Any = (await connection.get_raw_connection()).driver_connection
            while True:
                async with bare.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:  # which no transaction may go on around
                    (busy, *_) = await cursor.fetchone()
                if not busy or anyio.current_time() > patience:
                    return not busy
                await anyio.sleep(_LOOK_AGAIN)

    def insert(self, table: sa.Table) -> Any:
        """An ``INSERT`` of the database's own kind, which knows of conflicts."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def now(self) -> sa.ColumnElement[float]:
        """Unix time in seconds, by the one clock of all who use the database."""
        if self.is_sqlite:
            return sa.literal(time.time())
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float(53))

    async def lock(self, connection: AsyncConnection, id: str) -> None:
        """Let nobody else write what is about this call or chat until the transaction is over."""
        if not self.is_sqlite:  # a file has one writer anyway
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(id, 0))))


class _Connection(aiosqlite.Connection):
    """A connection of which everything is waited for that its thread does: whoever is cancelled meanwhile learns of it afterwards.

    Left alone, a transaction that is still being begun would lock the file for nobody, and closing a connection while it is being closed
    waits for ever.
    """

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        execute: Callable[..., Coroutine[Any, Any, Any]] = super()._execute  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return await _unhurried(execute(fn, *args, **kwargs))

    async def _connect(self) -> aiosqlite.Connection:
        return await _unhurried(super()._connect())

    async def close(self) -> None:
        await _unhurried(super().close())


class _Closing(sqlite3.Connection):
    """A connection that ends its transaction when it is closed.

    SQLite itself puts the end off for as long as there is a cursor, which the traceback of whoever was cancelled may have: nobody would
    have the transaction any more, and it would lock the file.
    """

    def close(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it is closed
            self.rollback()
        super().close()


async def _unhurried(doing: Coroutine[Any, Any, T]) -> T:
    """Wait for something to its end; a cancellation of the caller comes after that."""
    task = asyncio.ensure_future(doing)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:  # by asyncio itself
                cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()


def _is_locked(error: exc.OperationalError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def clearly(address: Path | str) -> Generator[None]:
    """A block in which it is one clear error if a database does not do what it is asked.

    :raises ConfigurationError: it does not.
    """
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        if isinstance(error, (exc.ProgrammingError, exc.IntegrityError, exc.DataError)) and state != _MAY_NOT:
            raise
        said = _why(error)
        if said == "database or disk is full":
            said += ": make room, and run it again: what was written is kept, and it goes on from there"
        if state == _MAY_NOT:
            said += (
                ": the role in the address lacks this privilege. Let the owner of the database grant it (GRANT CREATE ON SCHEMA public, "
                "GRANT SELECT, INSERT, UPDATE, DELETE ON its tables), or name the owner there"
            )
        if said == "database is locked":
            said = "another program keeps it locked: close what has it open, such as a viewer of databases, and try again"
        raise ConfigurationError(f"{mask_address(address)}: {said}") from None


def _why(error: Exception) -> str:
    return mask_text(str(getattr(error, "orig", None) or error).strip().partition("\n")[0])


def _errors_of_asyncpg() -> tuple[type[Exception], ...]:
    """With which it does not connect; SQLAlchemy wraps only those that come later."""
    asyncpg = sys.modules.get("asyncpg")
    return () if asyncpg is None else (asyncpg.PostgresError, asyncpg.InterfaceError)


def _postgres(address: str) -> AsyncEngine:
    try:
        url = sa.make_url(address)
    except (exc.ArgumentError, ValueError):  # of a port that is no number
        raise ConfigurationError("the address of the database is none: postgresql://user@host/name is one") from None
    if url.get_backend_name().lower() not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"an archive is kept in a file of SQLite or in Postgres, not in {url.get_backend_name()}")
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items() if name not in _OF_SQLALCHEMY}
    if query.pop("channel_binding", None) == "require":
        raise ConfigurationError("channel_binding=require: the driver has none. Leave it out; sslmode=verify-full knows the server too")
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    settings: dict[str, Any] = {}
    try:
        if timeout := query.pop("connect_timeout", None):
            settings["timeout"] = float(timeout) or None
        if "statement_cache_size" in query:
            settings["statement_cache_size"] = int(query.pop("statement_cache_size"))
    except ValueError:
        raise ConfigurationError("connect_timeout and statement_cache_size in the address of the database are numbers") from None
    settings["dsn"] = f"postgresql://?{urlencode(query, safe='/', quote_via=quote)}"  # which the driver reads as libpq does
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg", query={name: value for name, value in url.query.items() if name in _OF_SQLALCHEMY}),
        pool_size=_CONNECTIONS,
        pool_pre_ping=True,
        hide_parameters=True,  # numbers of people and what they said are among them
        connect_args=settings | {"server_settings": {"idle_in_transaction_session_timeout": str(int(_STALLED * 1000))}},
    )


def _sqlite(path: Path) -> AsyncEngine:
    def connect(database: str, **settings: Any) -> _Connection:
        connection = _Connection(lambda: sqlite3.connect(database, factory=_Closing, **settings), iter_chunk_size=64)
        connection._thread.daemon = True  # pyright: ignore[reportPrivateUsage] - as SQLAlchemy does with those of its own
        return connection

    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path.absolute())),  # no text of a URL: in one some characters are not themselves
        connect_args={"timeout": _PATIENCE, "async_creator_fn": connect},
        pool_size=_CONNECTIONS,
        max_overflow=-1,  # for one that is free nobody waits, since connecting cannot be cancelled
        hide_parameters=True,
    )

    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin as is said below
        cursor = connection.cursor()
        try:
            cursor.execute("PRAGMA journal_mode=WAL")  # who reads does not wait for who writes
            cursor.execute("PRAGMA synchronous=FULL")  # what was acknowledged is there even if the power fails in the next moment
            cursor.execute("PRAGMA secure_delete=ON")  # what is erased is not in the file any more
            cursor.execute("PRAGMA cache_size=-65536")
            cursor.execute(f"PRAGMA busy_timeout={int(_IN_SQLITE * 1000)}")
        except sqlite3.DatabaseError as error:
            reason = _NONE if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB else str(error)
            raise ConfigurationError(f"{path}: {reason}") from None
        finally:
            cursor.close()

    def begun(connection: sa.Connection) -> None:
        # Who reads before he writes would else find the file locked in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("retell_writes") else "BEGIN")

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
    return engine
