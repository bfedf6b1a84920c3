"""The scheduler of the sandbox's time. What is due is done at its own time, however late anybody looks."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import attrs

from ..common.guard import contain_errors

__all__ = ["Scheduler"]

Act = Callable[[], None]


def _nobody() -> None:
    """Nobody is to be notified."""


@attrs.define(eq=False)
class Scheduler:
    """Actions by the time at which they are due; those of the same time in the order in which they were added."""

    notify: Act = _nobody
    """Called when something earlier is due, or when something is to be sent. It may be called from any thread."""
    frozen_at: int | None = None
    """The time while an action runs, which then stands still; ``None`` at other times."""
    _entries: list[tuple[int, int, Act]] = attrs.field(factory=list[tuple[int, int, Act]], init=False)
    _serial: count[int] = attrs.field(factory=count, init=False)

    def add(self, due: int, act: Act) -> None:
        heappush(self._entries, (due, next(self._serial), act))
        if self._entries[0][0] == due:
            self.notify()

    @property
    def next_due(self) -> int | None:
        return self._entries[0][0] if self._entries else None

    def run_due(self, now: int) -> None:
        """Run all actions that are due, each at its own time, and those that they add.

        A failure is logged and not raised: the caller did not cause it.
        """
        while self._entries and self._entries[0][0] <= now:
            self.frozen_at = self._entries[0][0]
            _, _, act = heappop(self._entries)
            try:
                with contain_errors("something that was due"):
                    act()
            finally:
                self.frozen_at = None
