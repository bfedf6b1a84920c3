"""Files that are written: whole or not at all, and none that is read."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from ._core.errors import ConfigurationError
from ._core.masking import mask_text

__all__ = ["BESIDE", "check_apart", "check_ours", "of_database", "replacing"]

BESIDE = ".retell.*.tmp"
"""What a file is called on its way into the place of another: a run that is killed leaves it."""


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Generator[Path]:
    """A block that writes a file beside another, whose place it takes at the end: one that was there stays until then.

    It keeps the permissions of the one that was there. What is no file, such as a pipe, is written itself.

    :param mode: the permissions, whatever they were.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    if mode is None and path.exists():
        mode = path.stat().st_mode & 0o777
    beside = path.with_name(BESIDE.replace("*", f"{os.getpid()}-{token_hex(4)}"))
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode))
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        if mode is not None:
            beside.chmod(mode)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def check_apart(path: Path, read: Iterable[Path]) -> None:
    """See to it that a file that is to be written is none of those that are read.

    :raises ConfigurationError: it is one of them.
    """
    for other in read:
        is_same = path.samefile(other) if path.is_file() and other.is_file() else path.resolve() == other.resolve()
        if is_same and (path.is_file() or not path.exists()):  # who reads from a terminal may write there
            raise ConfigurationError(f"{path}: it would be overwritten, and it is read here ({other}): write to another file")


def check_ours(path: Path) -> None:
    """See to it that a database of SQLite is not somebody else's: that it is empty, or not there, or has tables of this package.

    It is not changed: whoever opens it to write switches on what the file remembers.

    :raises ConfigurationError: it has tables, and none of this package.
    """
    if not path.is_file():
        return
    import sqlite3

    tables: list[str] = []
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if tables and not any(name.startswith("retell_") for name in tables):
        raise ConfigurationError(
            f"{path}: it is the database of another program, which has {mask_text(tables[0])[:40]!r}: name another file"
        )


def of_database(path: Path) -> list[Path]:
    """The files that a database of SQLite has, or may have: its own, those beside it, and the lock of who runs a campaign."""
    return [path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal", "-run"))]
