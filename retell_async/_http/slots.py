"""Waiting for a free connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf

import anyio

from .._core.errors import RetellError
from .loops import on_asyncio

__all__ = ["Slots"]

_MOST_IN_A_ROW = 4


class _Waiter:
    """Who waits for a slot.

    :param until: when the time is over, by the clock of the event loop.
    :param wake: lets it go on.
    """

    __slots__ = ("_wake", "outcome", "until")

    def __init__(self, until: float, wake: Callable[[], object]) -> None:
        self.until = until
        self.outcome: bool | None = None
        """Whether there was a slot; ``None`` as long as it waits."""
        self._wake = wake

    def tell(self, outcome: bool) -> bool:
        """Let it wait no longer; whether it did until now."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        self._wake()
        return True


class Slots:
    """So many may be held at a time. First come, first served, except that some go before all others."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._in_a_row = 0  # that went to those who are first, while others waited
        self._first: deque[_Waiter] = deque()
        self._others: deque[_Waiter] = deque()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def take(self, *, first: bool = False, within: float = inf) -> bool:
        """Wait for a slot. Whoever is cancelled while waiting has taken none.

        :param first: go before those who do not say so.
        :param within: seconds.
        :returns: whether there was one in time.
        :raises RetellError: `close` was called meanwhile.
        """
        if self.take_free():
            return True
        queue = self._first if first else self._others
        waiter, told = self._on_asyncio(within) if on_asyncio() else _by_anyio(within)
        queue.append(waiter)
        try:
            await told
        except BaseException:
            if waiter.outcome:
                self.give()
            raise
        finally:
            if not waiter.outcome:
                waiter.outcome = False
                with suppress(ValueError):
                    queue.remove(waiter)
        if not waiter.outcome and self._closed:
            raise RetellError("the client is closed")
        return waiter.outcome

    def _on_asyncio(self, within: float) -> tuple[_Waiter, Awaitable[None]]:
        """Somebody who waits, and what is to be awaited: without a scope of anyio, which costs five times as much."""
        loop = asyncio.get_running_loop()
        until, told = loop.time() + within, loop.create_future()
        # One timer stays for all that wait, most of whom have their slot long before it.
        if within != inf and (self._timer is None or self._timer.when() > until):
            self._set_timer(loop, until)
        return _Waiter(until, partial(_end, told)), told

    def _set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let those wait no longer whose time is over."""
        self._timer = None
        now, nearest = loop.time(), inf
        for waiter in (*self._first, *self._others):
            if waiter.until <= now:
                waiter.tell(False)
            else:
                nearest = min(nearest, waiter.until)
        if nearest != inf:
            self._set_timer(loop, nearest)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._first) + len(self._others)

    def give(self) -> None:
        """Give a slot back: to whoever waits for it longest."""
        while self._first or self._others:
            queue = self._first or self._others
            if self._first and self._others:
                self._in_a_row += 1
                if self._in_a_row > _MOST_IN_A_ROW:
                    queue = self._others  # or those would wait for ever
            if queue is self._others:
                self._in_a_row = 0
            if queue.popleft().tell(True):
                return
        self._free += 1

    def close(self) -> None:
        """Let nobody wait any longer who does."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in (*self._first, *self._others):
            waiter.tell(False)


def _end(told: asyncio.Future[None]) -> None:
    if not (told.done() or told.get_loop().is_closed()):  # its task was cancelled, or is one that its event loop has left behind
        told.set_result(None)


def _by_anyio(within: float) -> tuple[_Waiter, Awaitable[None]]:
    """The same elsewhere."""
    told, until = anyio.Event(), anyio.current_time() + within

    async def wait() -> None:
        with anyio.move_on_at(until):
            await told.wait()

    return _Waiter(until, told.set), wait()
