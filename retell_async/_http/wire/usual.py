"""What nearly every exchange over HTTP/1.1 looks like, at a seventh of what h11 takes for it: heads are joined, answers read by llhttp.

Nothing is decided here. What is in the least unusual is left to h11, which is given the same bytes from the first on: so there is one
judge of what an answer is, and where httptools cannot be had, nothing changes but the time. Two differences are left. llhttp does not show
how a chunk's size is written, and takes one with more than twenty digits, nearly all of them zeros, which h11 refuses. And it passes over
line ends that follow, in one read, a body which ends with such itself: the connection is used again, where h11 has it closed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

try:
    _llhttp: Any = import_module("httptools")
except ImportError:  # a platform without wheels
    _llhttp = None

__all__ = ["HAS_LLHTTP", "LONGEST_HEAD", "UsualAnswer", "usual_headers", "usual_request"]

HAS_LLHTTP = _llhttp is not None
LONGEST_HEAD = 100 * 1024
"""Bytes of a head, or of a chunk's, that are waited for."""

_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_TARGET = re.compile(r"[!-~]+")
_LINE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: (?:[!-~](?:[\t -~]*[!-~])?)?\r\n")
_END_OF_HEAD, _LAST_CHUNK = b"\r\n\r\n", b"0\r\n\r\n"
_REASON = re.compile(rb"[\t -~]*")
_HARMLESS = frozenset(
    ("Accept", "Content-Type", "Host", "User-Agent", "accept-encoding", "connection", "X-Stainless-Lang", "X-Stainless-Retry-Count")
)
"""Names of headers that hold no key and are the same from one request to the next."""
_MOST_DIGITS = 20  # of a length, as with h11
_PIECE = 2**16
_OWN = frozenset(("content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"))


def usual_request(method: str, target: str, headers: list[tuple[str, str]], content: bytes, lines: bytes | None = None) -> bytes | None:
    """A request as it goes out; ``None`` if it is for h11 to write, or to say what is wrong with it.

    :param lines: what `usual_headers` gives for the headers without their length, where that is known.
    """
    if not HAS_LLHTTP:
        return None
    name, length = headers[-1] if headers else ("", "")
    end = f"Content-Length: {length}\r\n\r\n" if name == "Content-Length" else "\r\n"
    if (length if name == "Content-Length" else "0") != str(len(content)) or method not in _METHODS or not _TARGET.fullmatch(target):
        return None
    if lines is None:
        lines = usual_headers(headers[:-1] if name == "Content-Length" else headers)
    if lines is None:
        return None
    return b"".join((f"{method} {target} HTTP/1.1\r\n".encode("ascii"), lines, end.encode("ascii"), content))


def usual_headers(fields: list[tuple[str, str]]) -> bytes | None:
    """Headers as they go out; ``None`` as above."""
    lines: list[str] = []
    hosts = 0
    for name, value in fields:
        if type(name) is not str or type(value) is not str:
            return None  # an enum shows another text than it holds, and equals what it holds
        line = (_known if name in _HARMLESS else _line)(name, value)
        if line is None:
            return None
        lines.append(line)
        hosts += len(name) == 4 and name.lower() == "host"
    return "".join(lines).encode("ascii") if hosts == 1 else None


def _line(name: str, value: str) -> str | None:
    line, lower = f"{name}: {value}\r\n", name.lower()
    if not _LINE.fullmatch(line) or lower in _OWN:
        return None
    return None if lower == "connection" and value.lower() != "keep-alive" else line


_known = lru_cache(64)(_line)


class UsualAnswer:
    """An answer with a length or in chunks, after which the connection can be used again.

    What llhttp calls is public, as it wants it to be.
    """

    __slots__ = (
        "_begun",
        "_end",
        "_is_chunked",
        "_of_body",
        "_parser",
        "_silent",
        "content",
        "has_head",
        "headers",
        "is_usual",
        "is_whole",
        "reason",
        "status",
    )

    def __init__(self) -> None:
        self._parser = _llhttp.HttpResponseParser(self)
        self._begun = False
        self._end = b""  # of what came before
        self._is_chunked = False
        self._silent = 0
        self._of_body = 0
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.content: list[bytes] = []
        self.has_head = False
        self.is_whole = False
        self.is_usual = True

    def feed(self, data: bytes) -> None:
        """Take what has come, and see whether it is `is_usual` and `is_whole` yet."""
        if not self._begun and not data.startswith(b"H"):
            self.is_usual = False  # llhttp passes over empty lines
            return
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            silent, self._of_body = self._silent, 0
            try:
                self._parser.feed_data(piece)
            except (_llhttp.HttpParserError, _llhttp.HttpParserUpgrade):
                self.is_usual = False
            # At most so many bytes have come since the last of the body.
            self._silent = len(piece) - self._of_body if self._of_body else silent + len(piece)
            if self._silent > LONGEST_HEAD:
                self.is_usual = False
            if not self.is_usual:
                return
        if self.is_whole:
            del self._parser  # it holds this in turn, and only the garbage collector would find that out
            # It passes over line ends after an answer too, which belong to none.
            end = _LAST_CHUNK if self._is_chunked else self.content[-1] if self.content else _END_OF_HEAD
            seen = self._end + data
            if not seen.endswith(end) or (end is _END_OF_HEAD and seen.endswith((b"\r" + end, b"\n" + end))):
                self.is_usual = False
        else:
            self._end = (self._end + data)[-len(_LAST_CHUNK) :]

    def on_message_begin(self) -> None:
        if self._begun:
            self.is_usual = False
        self._begun = True

    def on_status(self, status: bytes) -> None:
        self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            self.is_usual = False  # a trailer
            return
        self.headers.append((name, value.rstrip(b" \t")))
        if len(value) > _MOST_DIGITS and name.lower() == b"content-length":
            self.is_usual = False
        if len(name) == 17 and name.lower() == b"transfer-encoding":
            if self._is_chunked or value != b"chunked":
                self.is_usual = False
            self._is_chunked = True

    def on_headers_complete(self) -> None:
        self.has_head = True
        if not _REASON.fullmatch(self.reason):
            self.is_usual = False  # llhttp takes any bytes
        parser = self._parser
        self.status = parser.get_status_code()
        if self.status < 200 or not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            self.is_usual = False

    def on_body(self, body: bytes) -> None:
        self._of_body += len(body)
        self.content.append(body)

    def on_message_complete(self) -> None:
        self.is_whole = True
