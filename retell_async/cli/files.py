"""Files that commands write."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from .._files import replacing

__all__ = ["WRITTEN", "check_place", "named", "written"]

WRITTEN = click.Path(dir_okay=False, path_type=Path)


@contextmanager
def named(path: Path) -> Generator[None]:
    """A block that writes a file, whose name stands in the one line that says what went wrong."""
    try:
        yield
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from None


def check_place(path: Path) -> None:
    """See to it that there is a folder for a file, before what it is to hold is paid for.

    :raises click.FileError: there is none that may be written to.
    """
    if not os.access(path.parent, os.W_OK):
        raise click.FileError(str(path), "there is no such folder, or it may not be written to")


@contextmanager
def written(path: Path | None) -> Generator[IO[str]]:
    """What is written to a file, whole or not at all, or printed where none is named."""
    if path is None or str(path) == "-":
        with click.open_file("-", "w", encoding="utf-8") as printed:
            yield printed
        return
    with named(path), replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        yield file
        file.flush()
