"""Files to upload, of which the length is known before anything of them is sent."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

from .._core.encode import FilePart, Part, is_seekable
from .._core.errors import RetellError
from .loops import in_thread

__all__ = ["UnreadableFileError", "opened"]

_SMALL = 2**20
_PIECE = 2**16


class ChangedFileError(RetellError, ValueError):
    """A file to upload that was changed while it was sent: the server did not get what it was told to expect."""


class UnreadableFileError(Exception):
    """A file to upload cannot be read, and nothing was sent: `error` says why."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Sized:
    """So many bytes of a file, from its beginning: no more if it grows meanwhile, and an error if there are fewer."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self._read = 0

    def tell(self) -> int:
        return self._read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            return self._size
        self._file.seek(offset)
        self._read = offset
        return offset

    def read(self, number: int) -> bytes:
        piece = self._file.read(min(number, self._size - self._read))
        if not piece and self._read < self._size:
            raise ChangedFileError("a file to upload became shorter while it was sent")
        self._read += len(piece)
        return piece


@asynccontextmanager
async def opened(form: Sequence[Part] | None) -> AsyncGenerator[list[tuple[str, Any]] | None]:
    """A form as httpx takes it, with the files that are given by path open meanwhile.

    :raises UnreadableFileError: one of them cannot be read.
    """
    with ExitStack() as files:
        try:
            parts = None if form is None else [(name, await _part(value, files)) for name, value in form]
        except Exception as error:  # noqa: BLE001 - of a file that is a class of the user's
            raise UnreadableFileError(error) from None
        yield parts


async def _part(value: str | FilePart, files: ExitStack) -> tuple[Any, ...]:
    if isinstance(value, str):
        return None, value
    name, content, kind, headers = value
    if not isinstance(content, bytes):
        if _is_at_hand(content):
            content = _measured(content, files)
        else:
            # In a thread: what a pipe gives may come from another task here.
            content = await in_thread(_measured, content, files, abandon_on_cancel=True)
    return (name, content, kind, headers) if headers else (name, content, kind) if kind else (name, content)


def _measured(content: IO[bytes] | os.PathLike[str], files: ExitStack) -> Any:
    """A file with its length. The size that the system gives cannot be relied on for a file that is unpacked or made while it is read.

    A short file is read at once. A long one is sent from the disk, or copied to a temporary file first if it is not on one.
    """
    file = files.enter_context(Path(content).open("rb")) if isinstance(content, os.PathLike) else content  # noqa: SIM115 - so it is
    if is_seekable(file):
        file.seek(0)
    start = _read(file, _SMALL + 1)
    if len(start) <= _SMALL:
        return start
    size = _size_on_disk(file)
    if size is not None:
        return _Sized(file, size)
    copy = files.enter_context(TemporaryFile())  # noqa: SIM115 - so it is
    copy.write(start)
    while piece := _read(file, _PIECE):
        copy.write(piece)
    return _Sized(copy, copy.tell())


def _read(file: IO[bytes], number: int) -> bytes:
    """So many bytes, or as many as there are."""
    pieces: list[bytes] = []
    while number > 0:
        piece = cast("bytes | None", file.read(number))
        if piece is None:
            raise BlockingIOError("a file to upload does not wait until there is something to read")
        if not piece:
            break
        pieces.append(piece)
        number -= len(piece)
    return b"".join(pieces)


def _is_at_hand(content: IO[bytes] | os.PathLike[str]) -> bool:
    """Whether it can be read without waiting for anybody."""
    if isinstance(content, os.PathLike):
        return not Path(content).exists() or Path(content).is_file()
    return type(content) is io.BytesIO or _status(content) is not None


def _size_on_disk(file: IO[bytes]) -> int | None:
    """The size of a file that is read as it lies there."""
    if type(file) is io.BytesIO:
        return file.getbuffer().nbytes
    status = _status(file)
    return None if status is None or status.st_size <= _SMALL else status.st_size


def _status(file: IO[bytes]) -> os.stat_result | None:
    """The status of a plain file on a disk, read directly or through a buffer; ``None`` for any other."""
    buffered = type(file) in {io.BufferedReader, io.BufferedRandom}
    raw: object = cast("Any", file).raw if buffered else file
    if type(raw) is not io.FileIO:
        return None
    status = os.fstat(raw.fileno())
    return status if stat.S_ISREG(status.st_mode) else None
