"""The standard streams as they may be: closed, full, or without anybody who reads."""

from __future__ import annotations

import os
import sys
from io import BufferedWriter, RawIOBase, TextIOWrapper
from pathlib import Path
from select import select
from typing import Any, TextIO

__all__ = ["Unwritten", "guard"]


class Unwritten(OSError):
    """The standard output cannot be written. It is said once: what is written after it goes nowhere."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"the output cannot be written: {cause.strerror or cause}")
        self.is_left = isinstance(cause, BrokenPipeError)
        """Whether who read it has gone, as `head` does."""


class _Guarded(RawIOBase):
    """Writes where another stream does, which is kept open by it.

    :param tells: whether it says that nothing can be written any more.
    """

    def __init__(self, stream: TextIO, *, tells: bool) -> None:
        self._whole = stream
        self._stream: Any = getattr(stream.buffer, "raw", stream.buffer)
        self._tells = tells
        self._over = False

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def write(self, data: Any, /) -> int:
        while not self._over:
            try:
                written: int | None = self._stream.write(data)
            except OSError as error:
                self._over = True
                if self._tells:
                    raise Unwritten(error) from None
                continue
            if written is not None:
                return written
            select([], [self], [])  # a pipe that somebody has made one that does not wait
        return len(data)


def guard() -> None:
    """Let output that cannot be written be an `Unwritten`, and messages that cannot be, nothing.

    :raises SystemExit: there is no standard output.
    """
    for name, mode in (("stdin", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
    if sys.stdout is None:
        sys.exit("Error: the standard output is closed, so nothing was done: > /dev/null is for what nobody wants to see")
    sys.stdout, sys.stderr = _guarded(sys.stdout, tells=True), _guarded(sys.stderr, tells=False)


def _guarded(stream: TextIO, *, tells: bool) -> TextIO:
    if getattr(stream, "buffer", None) is None:
        return stream  # of a program around it
    at_once = bool(stream.line_buffering) or getattr(stream, "write_through", False)
    writer = BufferedWriter(_Guarded(stream, tells=tells))
    # Of what was said in a call nothing may be impossible to show.
    return TextIOWrapper(writer, encoding=stream.encoding, errors="backslashreplace", line_buffering=at_once)
