"""Bounded waiting: what may run now, what waits, and what there is no room for."""

from __future__ import annotations

import anyio
import attrs

from .runner import Stats

__all__ = ["Queue", "Slot"]


@attrs.frozen(eq=False)
class Slot:
    """A slot in a `Queue`, to be given back by `Queue.release`."""

    size: int
    ready: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when its holder may run."""


class Queue:
    """Lets `max_running` run at a time. Others wait in the order of their arrival, at most so many of them and of their bytes."""

    def __init__(self, stats: Stats, *, max_running: int, max_waiting: int, max_waiting_bytes: int) -> None:
        self._stats = stats
        self._free = max_running
        self._max_waiting = max_waiting
        self._max_bytes = max_waiting_bytes
        self._waiting: dict[Slot, None] = {}
        self._bytes = 0

    def acquire(self, size: int) -> Slot | None:
        """A slot for something of so many bytes, or ``None`` when there is no room."""
        slot = Slot(size)
        if self._free:
            self._free -= 1
            slot.ready.set()
        elif len(self._waiting) < self._max_waiting and self._bytes + size <= self._max_bytes:
            self._waiting[slot] = None
            self._count(1, size)
        else:
            return None
        return slot

    def release(self, slot: Slot) -> None:
        """Give back a slot, whether its holder ran or still waited. When it ran, the first of those that wait may run now."""
        if slot in self._waiting:
            self._stop_waiting(slot)
        elif self._waiting:
            first = next(iter(self._waiting))
            self._stop_waiting(first)
            first.ready.set()
        else:
            self._free += 1

    def _stop_waiting(self, slot: Slot) -> None:
        del self._waiting[slot]
        self._count(-1, -slot.size)

    def _count(self, slots: int, size: int) -> None:
        self._bytes += size
        self._stats.waiting += slots
