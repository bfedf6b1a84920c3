"""The requests that were received."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import attrs

from retell_async._core.masking import mask_text

from ..common.untrusted import parse_json

__all__ = ["RequestLog", "LoggedRequest"]

_LONGEST = 64 * 1024
_ANSWERS = 1_000
"""Answers are kept of so many requests, the latest."""


@attrs.define(eq=False, repr=False)
class LoggedRequest:
    """One request, as it came, without its key."""

    number: int
    """The number of the request, from 1."""
    at: int
    """Milliseconds since the epoch, in the sandbox's time."""
    method: str
    path: str
    """As it was sent, still percent-encoded."""
    query_string: str
    content_type: str
    content: bytes
    """Its first 64 KiB."""
    operation: str | None
    """The id that the document gives the operation; ``None`` when there is none of that method and path."""
    status: int | None = None
    """The status of the answer; ``None`` when none was sent (yet)."""
    faults: tuple[str, ...] = ()
    """The kinds of the faults that struck it."""
    answer: bytes | None = None
    """The first 64 KiB of the answer; ``None`` when there was none, or it is no longer kept."""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def body(self) -> Any:
        """The JSON that was sent; ``None`` when it was no JSON, or longer than what is kept."""
        if not self.content_type.lower().startswith("application/json"):
            return None
        try:
            return parse_json(self.content)
        except ValueError:
            return None

    def answered(self, status: int | None, content: bytes) -> None:
        """Keep the answer; no status means that none was sent."""
        self.status = status
        if status is not None:
            self.answer = content[:_LONGEST]

    def __repr__(self) -> str:
        what = self.operation or mask_text(f"{self.method} {self.path}")
        return f"<request {self.number}: {what}, {self.status or 'no answer'}{''.join(f', {kind}' for kind in self.faults)}>"


class RequestLog:
    """The latest requests, oldest first, and how many there were in all.

    :param size: how many are kept.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._kept: deque[LoggedRequest] = deque(maxlen=size)
        self._answered: deque[LoggedRequest] = deque()
        self.count = 0

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self._kept)

    def __reversed__(self) -> Iterator[LoggedRequest]:
        return reversed(self._kept)

    def add(
        self,
        at: int,
        method: str,
        path: str,
        *,
        query: str,
        content_type: str,
        content: bytes,
        operation: str | None,
        faults: tuple[str, ...] = (),
    ) -> LoggedRequest:
        self.count += 1
        received = LoggedRequest(self.count, at, method, path, query, content_type, content[:_LONGEST], operation, None, faults)
        self._kept.append(received)
        self._answered.append(received)
        if len(self._answered) > _ANSWERS:
            self._answered.popleft().answer = None
        return received

    def clear(self) -> None:
        """Forget all requests; their numbers go on."""
        self._kept.clear()
        self._answered.clear()
