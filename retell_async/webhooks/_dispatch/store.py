"""Stores of deliveries, so that each is handled once: Retell may send one again, even while the first is still being handled."""

from __future__ import annotations

import hashlib
import time
from enum import Enum
from typing import Protocol

from retell_async._core.errors import ConfigurationError

from ..events import CallAnalyzed, CallEnded, CallStarted, ChatAnalyzed, ChatEnded, ChatStarted, Event

__all__ = ["LEASE", "Claim", "DeliveryStore", "LeasedStore", "LegacyStore", "MemoryStore", "delivery_key"]

LEASE = 3.0
"""Seconds that a claim holds in a store that does not say. Retell repeats a delivery a few times, within seconds perhaps: when the holder
of one dies, its lease has to lapse before the repetitions are used up."""

_LONGEST_KEY = 200


class Claim(Enum):
    """The answer of a store to a claim. Only `MINE` is true."""

    MINE = "mine"
    """The caller is to handle the delivery."""
    IN_PROGRESS = "in_progress"
    """Somebody handles it now, and may still fail."""
    DONE = "done"
    """It was handled."""

    def __bool__(self) -> bool:
        return self is Claim.MINE


class DeliveryStore(Protocol):
    """Remembers deliveries, for one process or for many.

    A claim is a lease: when its holder dies without `done` or `release`, it lapses. What is done may be forgotten after a day or so;
    otherwise the store grows without end.

    When `claim` raises, or does not answer within the router's deadline and its lease, Retell sends the delivery again, and the claim is
    released unless it turns out to be somebody else's. An answer that is neither a `Claim` nor the value of one is taken by its truth:
    `Claim.MINE`, or `Claim.IN_PROGRESS` with a warning, since it does not say that the delivery was handled. When `done` raises, the lease
    lapses, and a duplicate may be handled again. Errors are logged. A cancellation that comes out of the store itself is an error like
    others.
    """

    async def claim(self, key: str) -> Claim:
        """Take a delivery that nobody holds, or whose lease lapsed. Only one caller may get `Claim.MINE`."""
        ...

    async def done(self, key: str) -> None:
        """Remember that a delivery was handled."""
        ...

    async def release(self, key: str) -> None:
        """Give back a delivery that was not handled, so that it is when it comes again. If somebody else took it since, it stays theirs."""
        ...


class LeasedStore(DeliveryStore, Protocol):
    """A store whose leases the router renews while handlers run. With any other store, a handler must end within the lease."""

    @property
    def lease(self) -> float:
        """Seconds that a claim holds."""
        ...

    async def renew(self, key: str) -> bool:
        """Start the lease again; ``False`` when it lapsed and the delivery is no longer this holder's."""
        ...


class LegacyStore(Protocol):
    """A store of the older kind, without `done` and leases.

    What one process handles counts as done for all others, even if that process dies. When `claim` raises or does not answer, nothing is
    released: the key may be somebody else's.
    """

    async def claim(self, key: str) -> int | None:
        """Remember a delivery.

        The answer is taken by its truth: true for the caller that is to handle it, false (``None``, 0) when it was claimed before.
        """
        ...

    async def release(self, key: str) -> None:
        """Forget a delivery that was not handled."""
        ...


class MemoryStore:
    """Remembers the latest deliveries of this process.

    :param size: how many of those that were handled; each takes about 200 bytes. Those that are being handled are kept beside them.
    :param lease: seconds that a claim holds unless it is renewed; long, since no other process waits for it to lapse.
    :raises ConfigurationError: a parameter is not above 0.
    """

    def __init__(self, size: int = 100_000, *, lease: float = 60.0) -> None:
        if not (size > 0 and lease > 0):
            raise ConfigurationError("size and lease must be above 0")
        self.lease = lease
        self._size = size
        self._done: dict[str, None] = {}
        self._claimed: dict[str, float] = {}
        """When each lease lapses."""

    async def claim(self, key: str) -> Claim:
        if key in self._done:
            return Claim.DONE
        now = time.monotonic()
        if self._claimed.get(key, now) > now:
            return Claim.IN_PROGRESS
        self._lease_begins(key, now)
        return Claim.MINE

    async def renew(self, key: str) -> bool:
        if key not in self._claimed:
            return False
        self._lease_begins(key, time.monotonic())
        return True

    async def done(self, key: str) -> None:
        self._claimed.pop(key, None)
        self._done[key] = None
        if len(self._done) > self._size:
            del self._done[next(iter(self._done))]

    async def release(self, key: str) -> None:
        self._claimed.pop(key, None)

    def _lease_begins(self, key: str, now: float) -> None:
        self._claimed.pop(key, None)  # the one that lapses next stands first
        self._claimed[key] = now + self.lease
        while len(self._claimed) > self._size and self._claimed[oldest := next(iter(self._claimed))] <= now:
            del self._claimed[oldest]


def delivery_key(event: Event, body: bytes) -> str:
    """The key of a delivery, the same whenever Retell repeats it: up to 200 characters of printable ASCII.

    What happens only once to a call or a chat has its name and the id as key, even if the body differs. Everything else (a transfer, a turn
    of the transcript) may happen again, and is the same only if its body is the same.
    """
    match event:
        case CallStarted(call=subject) | CallEnded(call=subject) | CallAnalyzed(call=subject):
            subject_id = getattr(subject, "call_id", None)
        case ChatStarted(chat=subject) | ChatEnded(chat=subject) | ChatAnalyzed(chat=subject):
            subject_id = getattr(subject, "chat_id", None)
        case _:
            subject_id = None
    digest = hashlib.sha256(body).hexdigest()
    key = f"{event.event}:{subject_id or digest}"
    return key if len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() else digest
