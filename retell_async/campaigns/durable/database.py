"""The database of a campaign: one file of SQLite, or Postgres for several machines."""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._core.errors import ConfigurationError
from ..._core.masking import mask_address, mask_text

try:
    import sqlalchemy as sa
    from sqlalchemy import event, exc
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`", name=error.name
    ) from None

if TYPE_CHECKING:
    from .answering import Patience

__all__ = ["Database", "is_lasting", "is_passing", "why"]

_THREADS = 50  # connections for threads that use it at once
_PATIENCE = 60.0  # seconds for which one who writes a file waits for another, and for which an answer of Postgres is waited for
_CONNECTING = 10  # seconds for which Postgres is waited for to let somebody in, unless its address says connect_timeout
_STALLED = 2.0  # seconds after which Postgres takes its locks from one who began a transaction and stands still


class Database:
    """Where a campaign is kept.

    :param address: the path of a file of SQLite, or the address of a database of Postgres: ``postgresql://user@host/name``.
    :param make: make the file if it is not there.
    :raises ConfigurationError: the file is not there, or Postgres cannot be reached.
    """

    def __init__(self, address: Path | str, *, make: bool = False) -> None:
        self.shown = mask_address(address)
        self.path: Path | None = None
        """The file; ``None`` on Postgres."""
        self._patience: Patience | None = None
        if isinstance(address, str) and "://" in address:
            from .answering import Patience

            self._patience = Patience(_PATIENCE)
            self.durable, self.fast = (_postgres(address, commit, self._patience) for commit in ("on", "off"))
            self._close_at_the_end()
            try:
                self.fast.connect().close()
            except exc.ProgrammingError as error:  # nothing was asked yet
                raise ConfigurationError(f"{self.shown}: the address is not understood: {why(error)}: leave it out") from None
            except exc.DBAPIError as error:
                raise ConfigurationError(f"{self.shown}: it cannot be reached: {why(error)}") from None
            return
        self.path = path = Path(address)
        if str(address) == ":memory:":
            raise ConfigurationError("a campaign in memory would be gone with the process: name a file")
        if not make and not path.is_file():
            raise ConfigurationError(f"{path}: there is no such file")
        if not path.parent.is_dir():
            raise ConfigurationError(f"{path.parent}: there is no such folder")
        # Only SQLite may open it: whoever closes a file takes from the process all locks that it has on it, and others then remove its log.
        if path.is_file() and path.stat().st_nlink > 1:
            raise ConfigurationError(f"{path}: it has several names (hard links), each of which would have a log of its own: leave it one")
        self._lock = f"{path.resolve()}-run"
        self.durable = _sqlite(path, "FULL")
        """What is written through it is there even if the power fails in the next moment."""
        self.fast = _sqlite(path, "NORMAL")
        """What is written through it may be lost then, and not if the process is killed. What `durable` writes after it saves it."""
        self._close_at_the_end()

    def _close_at_the_end(self) -> None:
        for engine in (self.durable, self.fast):
            weakref.finalize(self, engine.dispose)

    def hurry(self) -> None:
        """From now on, wait no longer for an answer of Postgres than one does who leaves: two seconds, in place of a minute."""
        if self._patience is not None:
            self._patience.hurry()

    def calm(self) -> None:
        """Take `hurry` back."""
        if self._patience is not None:
            self._patience.calm()

    def prepare(self) -> None:
        """Switch on what the file remembers: readers do not wait for who writes, which is four times as fast here."""
        if self.path is not None:
            with self.durable.connect() as connection:
                connection.execute(sa.text("PRAGMA journal_mode=WAL"))

    def now(self, connection: sa.Connection) -> float:
        """Unix time in seconds, the same for all who use the database."""
        if self.path is not None:
            return time.time()
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    @contextmanager
    def alone(self) -> Generator[None]:
        """A block in which no other process runs the campaign in a file. A kill ends it too. On Postgres there may be several.

        :raises ConfigurationError: another process does.
        """
        if self.path is None:
            yield
            return
        with ExitStack() as stack:
            try:
                lock = sqlite3.connect(self._lock, timeout=0.0, isolation_level=None)
                stack.callback(lock.close)
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.Error as error:
                if "locked" not in str(error):
                    raise ConfigurationError(f"{self._lock}: {error}") from None
                raise ConfigurationError(f"{self.path}: another process runs this campaign: several need Postgres") from None
            yield

    @contextmanager
    def clearly(self) -> Generator[None]:
        """A block in which it is one clear error if the database does not do what it is asked.

        :raises ConfigurationError: it does not.
        """
        try:
            yield
        except (exc.DBAPIError, exc.TimeoutError) as error:
            if is_lasting(error):
                raise self.lasting(error) from None
            if not is_passing(error):
                raise
            raise ConfigurationError(f"{self.shown}: {_SAID.get(said := why(error), f'the database did not do it: {said}')}") from None

    def lasting(self, error: Exception) -> ConfigurationError:
        """What is said of what no later try mends."""
        said = why(error)
        if _state(error) == _MAY_NOT:
            return ConfigurationError(
                f"{self.shown}: {said}: the role in the address lacks this privilege. Let the owner of the database grant it (GRANT CREATE "
                "ON SCHEMA public, GRANT CREATE ON DATABASE, GRANT SELECT, INSERT, UPDATE, DELETE ON its tables), or name the owner there"
            )
        told = f"it is damaged ({said}), which does not mend itself: save what can be read of it, as with `.recover` of sqlite3"
        return ConfigurationError(f"{self.shown}: {_SAID.get(said, told)}")


_SAID = {
    "database is locked": "another program keeps it locked: close what has it open, such as a viewer of databases, and try again",
    "file is not a database": "it is no database of SQLite",
}


_DAMAGED_SQLITE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGED_POSTGRES = {"XX001", "XX002"}  # data_corrupted, index_corrupted
_MAY_NOT = "42501"  # insufficient_privilege


def is_lasting(error: BaseException | None) -> bool:
    """Whether the database never does what it did not do: what it has stored is broken, or whoever asks may not."""
    code = getattr(error.orig, "sqlite_errorcode", 0) if isinstance(error, exc.DBAPIError) else 0
    return code & 0xFF in _DAMAGED_SQLITE or _state(error) in {*_DAMAGED_POSTGRES, _MAY_NOT}


def _state(error: BaseException | None) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, exc.DBAPIError) else None


def is_passing(error: BaseException | None) -> bool:
    """Whether the database may do later what it did not do: neither what was asked is wrong, nor what is stored, nor who asks."""
    is_asked_wrong = isinstance(error, (exc.IntegrityError, exc.ProgrammingError, exc.DataError))
    return isinstance(error, (exc.DBAPIError, exc.TimeoutError)) and not is_asked_wrong and not is_lasting(error)


def why(error: Exception) -> str:
    """What the database said, in a line."""
    return mask_text(str(getattr(error, "orig", error)).strip().partition("\n")[0])


def _postgres(address: str, synchronous_commit: str, patience: Patience) -> sa.Engine:
    try:
        url = sa.make_url(address)
    except (exc.ArgumentError, ValueError):  # of a port that is no number
        raise ConfigurationError("the address of the database is none: postgresql://user@host/name is one") from None
    if "@" in (url.host or ""):
        raise ConfigurationError("the address of the database has an @ in its user or password: write it as %40")
    if url.get_backend_name().lower() not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"a campaign is kept in a file of SQLite or in Postgres, not in {url.get_backend_name()}")
    if "context" in url.query:  # which is no option of Postgres, and SQLAlchemy takes it for its own
        raise ConfigurationError("the address of the database has an option that is none: context: leave it out")
    from psycopg.conninfo import make_conninfo

    from .answering import Connection

    class Patient(Connection):
        pass

    Patient.patience = patience

    def connect(_: object, __: object, said: Any, settings: dict[str, Any]) -> Any:
        context = settings.pop("context", None)  # SQLAlchemy's own; the rest is of the address
        return Patient.connect(make_conninfo(*said, **({"connect_timeout": _CONNECTING} | settings)), context=context)

    try:
        url = url.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, pool_size=_THREADS, pool_pre_ping=True, hide_parameters=True)
    except exc.ArgumentError as error:
        raise ConfigurationError(f"the address of the database has an option that is none: {mask_text(str(error))}") from None
    event.listen(engine, "do_connect", connect)

    def connected(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {int(_STALLED * 1000)}")
            cursor.execute(f"SET synchronous_commit = {synchronous_commit}")
        connection.commit()

    event.listen(engine, "connect", connected)
    return engine


def _unixepoch(*_: object) -> float:
    return time.time()


def _sqlite(path: Path, synchronous: str) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _PATIENCE},
        pool_size=_THREADS,
        pool_timeout=_PATIENCE,
        hide_parameters=True,  # numbers of people are among them
    )

    def connected(connection: Any, _: object) -> None:
        # DBOS asks for unixepoch('subsec'), which SQLite has from 3.42 on; Pythons come with older ones.
        connection.create_function("unixepoch", -1, _unixepoch)
        connection.isolation_level = "IMMEDIATE"  # who reads before he writes would else find the file locked in between
        connection.execute(f"PRAGMA synchronous={synchronous}")

    event.listen(engine, "connect", connected)
    return engine
