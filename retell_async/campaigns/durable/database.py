"""The database of a campaign: one file of SQLite, fit for what stands on it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..._core.errors import ConfigurationError

try:
    import sqlalchemy as sa
    from sqlalchemy import event
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`", name=error.name
    ) from None

__all__ = ["alone", "open_database"]

_THREADS = 50  # connections for threads that use it at once
_PATIENCE = 60.0  # seconds for which one who writes waits for another


def _now(*_: object) -> float:
    return time.time()


@contextmanager
def alone(path: Path) -> Generator[None]:
    """A block in which no other process runs the campaign in a file. A kill ends it too.

    :raises ConfigurationError: another process does.
    """
    lock = sqlite3.connect(f"{path}-run", timeout=0.0, isolation_level=None)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            raise ConfigurationError(f"{path}: another process runs this campaign") from None
        yield
    finally:
        lock.close()


def open_database(path: Path, *, make: bool = False, outlasts_power: bool = True) -> sa.Engine:
    """Open a file of SQLite.

    :param make: make it if it is not there.
    :param outlasts_power: what is written is there even if the power fails in the next moment, and not only if the process is killed.
    :raises ConfigurationError: it is not there, or is none.
    """
    if not make and not path.is_file():
        raise ConfigurationError(f"{path}: there is no such file")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(15) != b"SQLite format 3":
                raise ConfigurationError(f"{path}: it is no database of SQLite")
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _PATIENCE}, pool_size=_THREADS, pool_timeout=_PATIENCE)

    def connected(connection: Any, _: object) -> None:
        # DBOS asks for unixepoch('subsec'), which SQLite has from 3.42 on; Pythons come with older ones.
        connection.create_function("unixepoch", -1, _now)
        connection.execute("PRAGMA journal_mode=WAL")  # four times as fast here
        connection.execute(f"PRAGMA synchronous={'FULL' if outlasts_power else 'NORMAL'}")

    event.listen(engine, "connect", connected)
    return engine
