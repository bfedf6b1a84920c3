"""Waiting: for a free connection, and for the turn that a rate limit gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio

from ._errors import RetellError
from ._limits import Pacer, RateLimit
from ._retry import Budget

__all__ = ["Control", "Gate", "Slots"]


class Slots:
    """So many may be held at a time. First come, first served, except that some go before all others."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._first: deque[anyio.Event] = deque()
        self._others: deque[anyio.Event] = deque()

    def take_free(self) -> bool:
        """Take a slot if there is one that nobody waits for."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def take(self, *, first: bool = False) -> None:
        """Wait for a slot; cancelled before there is one, none is taken.

        :param first: go before those who do not say so.
        """
        if self.take_free():
            return
        queue = self._first if first else self._others
        given = anyio.Event()
        queue.append(given)
        try:
            await given.wait()
        except BaseException:
            if given.is_set():
                self.give()
            else:
                queue.remove(given)
            raise

    def give(self) -> None:
        """Give a slot back: to whoever waits for it longest."""
        queue = self._first or self._others
        if queue:
            queue.popleft().set()
        else:
            self._free += 1


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

    def __init__(self, limit: RateLimit, budget: int | None, max_connections: int, clock: Callable[[], float] = anyio.current_time) -> None:
        self.slots = Slots(max_connections)
        """A request takes its turn, and is sent, while it holds one: each account has as many as there are connections, so that one that
        waits for its limit does not hold up the others."""
        self.gate = Gate(limit, clock)
        self.budget = Budget(budget)
        self.clock = clock
        self._waiting: set[anyio.CancelScope] = set()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Within this block somebody waits, and no longer than until the client is closed.

        :raises RetellError: it was closed.
        """
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)
        if scope.cancelled_caught:
            raise RetellError("the client is closed")

    def close(self) -> None:
        """Let nobody wait any longer."""
        for scope in list(self._waiting):
            scope.cancel()
