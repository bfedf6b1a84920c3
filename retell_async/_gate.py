"""Waiting: for a free connection, and for the turn that a rate limit gives."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ._limits import Pacer, RateLimit
from ._retry import Budget

__all__ = ["Control", "Gate"]


class Gate:
    """Lets requests leave one after the other, in the order in which they came, each when a `Pacer` says so."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.clock = clock
        self.pacer = Pacer(limit)
        self._queue = anyio.Lock(fast_acquire=True)

    def is_open(self) -> bool:
        """Whether nobody has to wait, so that no turn need be taken."""
        pacer = self.pacer
        return pacer.rate is None and pacer.paused_until == 0.0

    async def turn(self) -> None:
        """Return when the caller's request may leave; cancelled before, it takes nobody's turn."""
        pacer = self.pacer
        async with self._queue:
            delay = pacer.delay(self.clock())
            while delay > 0:
                await anyio.sleep(delay)
                delay = pacer.delay(self.clock())
            pacer.take(self.clock())


class Control:
    """What all requests to one account share: the gate and the retry budget."""

    def __init__(self, limit: RateLimit, budget: int | None, clock: Callable[[], float] = anyio.current_time) -> None:
        self.gate = Gate(limit, clock)
        self.budget = Budget(budget)
        self.clock = clock
