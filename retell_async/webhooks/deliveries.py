"""Which deliveries are the same: Retell sends at least once, and may send twice."""

from __future__ import annotations

import hashlib
from typing import Protocol

from .events import CallAnalyzed, CallEnded, CallStarted, ChatAnalyzed, ChatEnded, ChatStarted, Event

__all__ = ["DeliveryStore", "MemoryStore", "delivery_key"]


class DeliveryStore(Protocol):
    """Remembers deliveries, for one process or for many.

    A store outside the process should let claims lapse after a while, such as a day, so that it does not grow without end.
    """

    async def claim(self, key: str) -> bool:
        """Remember a delivery; ``True`` for the one caller that is to handle it, ``False`` when it was claimed before."""
        ...

    async def release(self, key: str) -> None:
        """Forget a delivery that was not handled after all, so that the next one like it is."""
        ...


class MemoryStore:
    """Remembers the latest deliveries of this process.

    :param size: how many; one takes about 200 bytes.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._keys: dict[str, None] = {}

    async def claim(self, key: str) -> bool:
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._size:
            del self._keys[next(iter(self._keys))]
        return True

    async def release(self, key: str) -> None:
        self._keys.pop(key, None)


def delivery_key(event: Event, body: bytes) -> str:
    """What two deliveries of the same thing have in common, and no other has.

    What happens once to a call or a chat is known by its name and the id, even if the body differs. Everything else may happen again (a
    transfer, a turn of the transcript), and is the same only if its body is.
    """
    match event:
        case CallStarted(call=subject) | CallEnded(call=subject) | CallAnalyzed(call=subject):
            subject_id = getattr(subject, "call_id", None)
        case ChatStarted(chat=subject) | ChatEnded(chat=subject) | ChatAnalyzed(chat=subject):
            subject_id = getattr(subject, "chat_id", None)
        case _:
            subject_id = None
    return f"{event.event}:{subject_id or hashlib.sha256(body).hexdigest()}"
