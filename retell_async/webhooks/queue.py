"""Who may run now, who waits, and who finds no room to wait in."""

from __future__ import annotations

import anyio
import attrs

from .runner import Stats

__all__ = ["Place", "Queue"]


@attrs.frozen(eq=False)
class Place:
    """A place in a `Queue`, to be given back by `Queue.leave`."""

    size: int
    turn: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when it is its turn to run."""


class Queue:
    """Lets a number run at a time, and others wait in the order in which they came, up to a number of them and of their bytes."""

    def __init__(self, stats: Stats, *, max_running: int, max_waiting: int, max_waiting_bytes: int) -> None:
        self._stats = stats
        self._free = max_running
        self._max_waiting = max_waiting
        self._max_bytes = max_waiting_bytes
        self._waiting: dict[Place, None] = {}
        self._bytes = 0

    def enter(self, size: int) -> Place | None:
        """A place for so many bytes, or ``None`` when there is no room."""
        place = Place(size)
        if self._free:
            self._free -= 1
            place.turn.set()
        elif len(self._waiting) < self._max_waiting and self._bytes + size <= self._max_bytes:
            self._waiting[place] = None
            self._count(1, size)
        else:
            return None
        return place

    def leave(self, place: Place) -> None:
        """Give up a place, whether its turn came or not; the next one's turn comes if it was running."""
        if place in self._waiting:
            self._stop_waiting(place)
        elif self._waiting:
            following = next(iter(self._waiting))
            self._stop_waiting(following)
            following.turn.set()
        else:
            self._free += 1

    def _stop_waiting(self, place: Place) -> None:
        del self._waiting[place]
        self._count(-1, -place.size)

    def _count(self, places: int, size: int) -> None:
        self._bytes += size
        self._stats.waiting += places
