"""Files that commands write."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from .._files import replacing

__all__ = ["WRITTEN", "named", "written"]

WRITTEN = click.Path(dir_okay=False, path_type=Path)


@contextmanager
def named(path: Path) -> Generator[None]:
    """A block that writes a file, whose name stands in the one line that says what went wrong."""
    try:
        yield
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from None


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
