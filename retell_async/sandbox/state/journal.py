"""The journal: an SQLite file from which a sandbox is restored.

The state of a sandbox follows from its settings and from what came in, and when. So the journal keeps what came in: requests that may
change something, and answers of the user's endpoints. An entry is written before it takes effect, so the state is never ahead of the
file. An entry survives the end of the process at once, and a crash of the machine once SQLite has written its log back. What cannot be
written does not happen.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import attrs

from ..common.messages import Json, Refused
from .settings import Settings

__all__ = ["Entry", "Journal"]

_OURS = 0x52455441
_FORM = 3
_TABLES = """
CREATE TABLE sandbox (settings TEXT NOT NULL);
CREATE TABLE seen (at INTEGER NOT NULL);
INSERT INTO seen VALUES (0);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL, data TEXT NOT NULL, content BLOB NOT NULL, status INTEGER
);
"""


@attrs.frozen
class Entry:
    at: int
    """Milliseconds since the epoch, in the sandbox's time."""
    what: str
    data: Json
    content: bytes = attrs.field(default=b"", repr=False)
    status: int | None = None
    """The status of the answer to a request, once it is known."""


class Journal:
    """An open journal. It holds what users sent and a signing key, so only its owner may read the file.

    A file that is refused is left as it was found.

    :raises ValueError: the file is not a journal or not a regular file, is damaged or in use, or belongs to a sandbox of other settings
        or of another version. Or there is no file but the SQLite log of one that is gone, which would be played into a new file.
    :raises OSError: the file cannot be created or read.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        self._path = Path(path)
        said = json.dumps(_lasting(settings), sort_keys=True)
        if not self._path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        if self._path.exists() and not self._path.is_file():
            raise ValueError(f"{self._path.name} cannot be used: it is {'a folder' if self._path.is_dir() else 'no regular file'}")
        left = _left_behind(self._path)  # looked for first: another sandbox that creates the file at the same time makes these too
        if not self._path.exists() or not self._path.stat().st_size:
            if left:
                raise ValueError(
                    f"{self._path.name} cannot be begun: {' and '.join(left)} beside it, left by a file that is gone, would be "
                    f"played into it; remove {'it' if len(left) == 1 else 'them'} too, or put that file back"
                )
            _make(self._path, said)
        self._look(said)
        self._file = sqlite3.connect(self._uri("rw"), uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self._file.execute(f"PRAGMA {setting}")
            self._file.execute("UPDATE seen SET at = at")  # locks the file for this process
        except sqlite3.Error as error:
            self._file.close()
            raise self._unusable(error) from error

    @property
    def last(self) -> int:
        """The latest time that anybody has seen, in milliseconds since the epoch; 0 for a new journal."""
        ((at,),) = self._file.execute("SELECT max((SELECT coalesce(max(at), 0) FROM entries), (SELECT at FROM seen))")
        return int(at)

    def __iter__(self) -> Iterator[Entry]:
        """All entries, oldest first.

        :raises ValueError: the file is damaged.
        """
        try:
            with closing(self._file.cursor()) as cursor:
                for at, what, data, content, status in cursor.execute(
                    "SELECT at, what, data, content, status FROM entries ORDER BY number"
                ):
                    yield Entry(at, what, json.loads(data), content, status)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def add(self, entry: Entry) -> int:
        """Write an entry and give its number. From then on it survives the end of the process.

        :raises Refused: the file cannot be written to.
        """
        data = json.dumps(entry.data, separators=(",", ":"))
        values = (entry.at, entry.what, data, entry.content, entry.status)
        try:
            with closing(
                self._file.execute("INSERT INTO entries (at, what, data, content, status) VALUES (?, ?, ?, ?, ?)", values)
            ) as done:
                return int(done.lastrowid or 0)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def answered(self, number: int, status: int) -> None:
        """Write the status of the answer to a request.

        :raises Refused: the file cannot be written to.
        """
        self._write("UPDATE entries SET status = ? WHERE number = ?", (status, number))

    def mark_seen(self, at: int) -> None:
        """Write that a time was seen, so that it does not come again after a restart.

        :raises Refused: the file cannot be written to.
        """
        self._write("UPDATE seen SET at = ? WHERE at < ?", (at, at))

    def close(self) -> None:
        self._file.close()

    def _write(self, statement: str, values: tuple[int, int]) -> None:
        try:
            self._file.execute(statement, values)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _look(self, said: str) -> None:
        """Check what the file is, without locking or changing it.

        Only SQLite may open it: whoever closes a file takes from the process all locks that it has on it.
        """
        try:
            with closing(sqlite3.connect(self._uri("ro&immutable=1"), uri=True)) as file:
                if [file.execute(f"PRAGMA {each}").fetchone() for each in ("application_id", "user_version")] != [(_OURS,), (_FORM,)]:
                    raise ValueError("it was made by another program, or by another version of the sandbox")
                ((before,),) = file.execute("SELECT settings FROM sandbox")
        except (sqlite3.Error, ValueError) as error:
            raise self._unusable(error) from error
        if before != said:
            changed = [name for name, value in json.loads(before).items() if json.loads(said).get(name, value) != value]
            raise ValueError(f"the file belongs to a sandbox of other settings: {', '.join(changed) or 'some are new'}")

    def _uri(self, mode: str) -> str:
        return f"{self._path.absolute().as_uri()}?mode={mode}"

    def _unusable(self, error: Exception) -> ValueError:
        why = "it is in use by another sandbox (locked)" if "locked" in str(error) else str(error)
        return ValueError(f"{self._path.name} cannot be used: {why}")

    def _refused(self, error: sqlite3.Error) -> Refused:
        return Refused(500, f"nothing was done, because it cannot be written to {self._path.name}: {error}")


def _left_behind(path: Path) -> list[str]:
    """The names of files that SQLite has left beside a file."""
    beside = path.resolve()  # where SQLite looks for it when the path is a link
    return [f"{beside.name}{ending}" for ending in ("-wal", "-shm", "-journal") if beside.with_name(f"{beside.name}{ending}").exists()]


def _make(path: Path, settings: str) -> None:
    """Create a file atomically: other processes see all of it or none, even when this one is killed meanwhile."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(f"PRAGMA application_id = {_OURS}; PRAGMA user_version = {_FORM}; {_TABLES}")
        made.execute("INSERT INTO sandbox VALUES (?)", (settings,))
        made.commit()
        content = made.serialize()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", suffix=".new", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            if path.exists():
                Path(file.name).replace(path.resolve())
                return
            _appear(file.name, path)
        finally:
            Path(file.name).unlink(missing_ok=True)


def _appear(made: str, path: Path) -> None:
    """Give a file its name, unless that is taken by now."""
    try:
        os.link(made, path)
    except FileExistsError:
        pass  # another sandbox was faster
    except OSError:
        Path(made).rename(path)  # not every file system has hard links


def _lasting(settings: Settings) -> dict[str, Any]:
    """The settings that decide the state: all but keys."""
    kept = attrs.asdict(settings, filter=lambda field, _: bool(field.repr))
    return {name: sorted(cast("frozenset[str]", value)) if isinstance(value, frozenset) else value for name, value in kept.items()}
