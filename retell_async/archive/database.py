"""The database of an archive: one file of SQLite, or Postgres for several processes and machines."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio

from .._core.errors import ConfigurationError
from .._core.masking import mask_text

try:
    import sqlalchemy as sa
    from sqlalchemy import event, exc
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.archive needs `pip install 'retell-async[archive]'`", name=error.name
    ) from None

__all__ = ["Database", "clearly", "shown"]

_CONNECTIONS = 20
_PATIENCE = 60.0  # seconds for which one who writes a file waits for another process that does
_STALLED = 60.0  # seconds after which Postgres ends a transaction in which nothing happens


class Database:
    """Where an archive is kept.

    :param address: the path of a file of SQLite, or the address of a database of Postgres: ``postgresql://user@host/name``.
    :param make: make the file if it is not there.
    :raises ConfigurationError: the address is none, or the file is not there or no database.
    """

    def __init__(self, address: Path | str, *, make: bool = True) -> None:
        self.shown = shown(address)
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
            # Only SQLite may open it: whoever closes a file takes from the process all locks that it has on it, and others remove its log.
            if path.is_file() and path.stat().st_nlink > 1:
                raise ConfigurationError(
                    f"{path}: it has several names (hard links), each of which would have a log of its own: leave it one"
                )
            self.engine = _sqlite(path)
        self.is_sqlite = self.path is not None
        self._one_writer = anyio.Lock() if self.is_sqlite else None

    async def open(self) -> None:
        """:raises ConfigurationError: it cannot be reached."""
        try:
            async with self.engine.connect():
                pass
        except (exc.OperationalError, exc.InterfaceError, OSError) as error:
            raise ConfigurationError(f"{self.shown}: it cannot be reached: {_why(error)}") from None

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that sees one state of the database throughout."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction, which is undone if the block raises. A file has one at a time."""
        if self._one_writer is None:
            async with self.engine.begin() as connection:
                yield connection
            return
        async with self._one_writer, self.engine.execution_options(retell_writes=True).begin() as connection:
            yield connection

    async def checkpoint(self) -> None:
        """Bring what is written into the file, and empty the log beside it; who reads just now is waited for."""
        async with self.engine.connect() as connection:
            bare: Any = (await connection.get_raw_connection()).driver_connection
            await bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # which no transaction may go on around

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


@contextmanager
def clearly(address: Path | str) -> Generator[None]:
    """A block in which it is one clear error if a database does not do what it is asked.

    :raises ConfigurationError: it does not.
    """
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError) as error:
        said = _why(error)
        if said == "database is locked":
            said = "another program keeps it locked: close what has it open, such as a viewer of databases, and try again"
        raise ConfigurationError(f"{shown(address)}: {said}") from None


def _why(error: Exception) -> str:
    return mask_text(str(getattr(error, "orig", None) or error).strip().partition("\n")[0])


def shown(address: Path | str) -> str:
    """An address as messages have it: without a password."""
    return mask_text(address) if isinstance(address, str) and "://" in address else str(address)


def _postgres(address: str) -> AsyncEngine:
    try:
        url = sa.make_url(address)
    except exc.ArgumentError:
        raise ConfigurationError("the address of the database is none: postgresql://user@host/name is one") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"an archive is kept in a file of SQLite or in Postgres, not in {url.get_backend_name()}")
    query = dict(url.query)
    if "sslmode" in query:  # as everybody else's drivers call it
        query["ssl"] = query.pop("sslmode")
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg", query=query),
        pool_size=_CONNECTIONS,
        pool_pre_ping=True,
        hide_parameters=True,  # numbers of people and what they said are among them
        connect_args={"server_settings": {"idle_in_transaction_session_timeout": str(int(_STALLED * 1000))}},
    )


def _sqlite(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        connect_args={"timeout": _PATIENCE},
        pool_size=_CONNECTIONS,
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
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        finally:
            cursor.close()

    def begun(connection: sa.Connection) -> None:
        # Who reads before he writes would else find the file locked in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("retell_writes") else "BEGIN")

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
    return engine
