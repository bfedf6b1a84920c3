"""What is to happen at which time. State that time changes is changed here, at the very moment it is due, however late anybody looks."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import attrs

from ..common.guard import contain_errors

__all__ = ["Scheduler"]

Act = Callable[[], None]


def _nobody() -> None:
    """Nobody waits for news."""


@attrs.define(eq=False)
class Scheduler:
    """Acts by the time at which they are due; those of one time in the order in which they were entered."""

    notify: Act = _nobody
    """Called when something is due earlier than all before it, or when there is something to do outside. Any thread may call it."""
    frozen_at: int | None = None
    """The time that stands still while something is done; ``None`` when nothing is."""
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
        """Do all that is due by now, each thing at its own time; what that brings up and is due as well, too.

        What fails is written down: it is none of the business of whoever happens to look.
        """
        while self._entries and self._entries[0][0] <= now:
            self.frozen_at = self._entries[0][0]
            _, _, act = heappop(self._entries)
            try:
                with contain_errors("something that was due"):
                    act()
            finally:
                self.frozen_at = None
