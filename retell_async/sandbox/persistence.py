"""What changed a sandbox, in one SQLite file: enough to bring it back as it was.

The state of a sandbox follows from its settings and from what came in, at which time. So the file keeps what came in: requests that may
change something, and what was heard from outside. Each entry is in the file before anybody is told that it was taken in; it outlives
the process at once, and the machine when SQLite writes its log back.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import attrs

from .exchange import Json
from .store import Settings

__all__ = ["Entry", "Journal"]

_FORM = 1
_TABLES = """
CREATE TABLE sandbox (form INTEGER NOT NULL, settings TEXT NOT NULL);
CREATE TABLE entries (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL, data TEXT NOT NULL, content BLOB NOT NULL);
"""


@attrs.frozen
class Entry:
    at: int
    """Milliseconds since the epoch, in the sandbox's time."""
    what: str
    data: Json
    content: bytes = attrs.field(default=b"", repr=False)


class Journal:
    """An open file. It holds what users sent, and a key to sign with, so nobody but its owner may read it.

    :raises ValueError: the file is no journal, belongs to a sandbox of other settings, or is in use.
    """

    def __init__(self, path: str | Path, settings: Settings) -> None:
        made = not Path(path).exists()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._file = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._open(settings, made)
        except sqlite3.Error as error:
            self._file.close()
            raise ValueError(f"{Path(path).name} cannot be used: {error}") from error
        except ValueError:
            self._file.close()
            raise

    @property
    def last(self) -> int:
        """The time of the last entry; 0 when there is none."""
        ((at,),) = self._file.execute("SELECT coalesce(max(at), 0) FROM entries")
        return int(at)

    def __iter__(self) -> Iterator[Entry]:
        with closing(self._file.cursor()) as cursor:
            for at, what, data, content in cursor.execute("SELECT at, what, data, content FROM entries ORDER BY number"):
                yield Entry(at, what, json.loads(data), content)

    def add(self, entry: Entry) -> None:
        """Keep an entry. When this is done, the end of the process cannot take it away."""
        data = json.dumps(entry.data, separators=(",", ":"))
        self._file.execute("INSERT INTO entries (at, what, data, content) VALUES (?, ?, ?, ?)", (entry.at, entry.what, data, entry.content))

    def close(self) -> None:
        self._file.close()

    def _open(self, settings: Settings, made: bool) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        said = json.dumps(_lasting(settings), sort_keys=True)
        if made or not self._file.execute("SELECT 1 FROM sqlite_master").fetchall():
            self._file.executescript(_TABLES)
            self._file.execute("INSERT INTO sandbox VALUES (?, ?)", (_FORM, said))
            return
        ((form, before),) = self._file.execute("SELECT form, settings FROM sandbox")
        if form != _FORM:
            raise ValueError("the file was made by another version of the sandbox")
        if before != said:
            changed = [name for name, value in json.loads(before).items() if json.loads(said).get(name, value) != value]
            raise ValueError(f"the file belongs to a sandbox of other settings: {', '.join(changed) or 'some are new'}")


def _lasting(settings: Settings) -> dict[str, Any]:
    """The settings that the state follows from: all but keys."""
    kept = attrs.asdict(settings, filter=lambda field, _: bool(field.repr))
    return {name: sorted(cast("frozenset[str]", value)) if isinstance(value, frozenset) else value for name, value in kept.items()}
