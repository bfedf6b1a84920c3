"""What was received."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import attrs

from retell_async._masking import mask_text

from .outside import parsed

__all__ = ["Log", "Received"]

_LONGEST = 64 * 1024


@attrs.define(eq=False, repr=False)
class Received:
    """One request, as it came, without its key."""

    number: int
    """Counts all requests, from 1."""
    at: int
    """Milliseconds of the sandbox's time."""
    method: str
    path: str
    """Escaped as it was sent."""
    query_string: str
    content_type: str
    content: bytes
    """Its first 64 KiB."""
    operation: str | None
    """The id that the document gives the operation; ``None`` when there is none of that method and path."""
    status: int | None = None
    """That of the answer; ``None`` when none was sent, or none yet."""
    faults: tuple[str, ...] = ()
    """The kinds of the faults that struck it."""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def body(self) -> Any:
        """The JSON that was sent; ``None`` when there was none, or more of it than is kept."""
        if not self.content_type.lower().startswith("application/json"):
            return None
        try:
            return parsed(self.content)
        except ValueError:
            return None

    def __repr__(self) -> str:
        what = self.operation or mask_text(f"{self.method} {self.path}")
        return f"<request {self.number}: {what}, {self.status or 'no answer'}{''.join(f', {kind}' for kind in self.faults)}>"


class Log:
    """The last requests, oldest first, and how many there were in all.

    :param size: how many are kept.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._kept: deque[Received] = deque(maxlen=size)
        self.count = 0

    def __iter__(self) -> Iterator[Received]:
        return iter(self._kept)

    def __reversed__(self) -> Iterator[Received]:
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
    ) -> Received:
        self.count += 1
        received = Received(self.count, at, method, path, query, content_type, content[:_LONGEST], operation, None, faults)
        self._kept.append(received)
        return received

    def clear(self) -> None:
        """Forget all requests; their numbers go on."""
        self._kept.clear()
