"""Waiting for a free connection."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from math import inf

import anyio

from .._core.errors import RetellError
from .loops import on_asyncio

__all__ = ["Slots"]

_MOST_IN_A_ROW = 4


class _Waiter:
    """Who waits for a slot, under asyncio, where a scope of anyio costs five times as much."""

    def __init__(self) -> None:
        self.outcome: bool | None = None
        """Whether there was a slot; ``None`` as long as it waits."""
        self._loop = asyncio.get_running_loop()
        self._told = self._loop.create_future()

    def tell(self, outcome: bool) -> bool:
        """Let it wait no longer; whether it did until now."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        if not self._told.done():  # as it is once the task was cancelled
            self._told.set_result(None)
        return True

    async def wait(self, within: float) -> None:
        timer = None if within == inf else self._loop.call_later(within, self.tell, False)
        try:
            await self._told
        finally:
            if timer is not None:
                timer.cancel()


class _AnyioWaiter:
    """The same elsewhere."""

    def __init__(self) -> None:
        self.outcome: bool | None = None
        self._told = anyio.Event()

    def tell(self, outcome: bool) -> bool:
        if self.outcome is not None:
            return False
        self.outcome = outcome
        self._told.set()
        return True

    async def wait(self, within: float) -> None:
        with anyio.move_on_after(within):
            await self._told.wait()


class Slots:
    """So many may be held at a time. First come, first served, except that some go before all others."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._in_a_row = 0  # that went to those who are first, while others waited
        self._first: deque[_Waiter | _AnyioWaiter] = deque()
        self._others: deque[_Waiter | _AnyioWaiter] = deque()
        self._closed = False

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def take(self, *, first: bool = False, within: float = inf) -> bool:
        """Wait for a slot; cancelled before there is one, none is taken.

        :param first: go before those who do not say so.
        :param within: seconds.
        :returns: whether there was one in time.
        :raises RetellError: `close` was called meanwhile.
        """
        if self.take_free():
            return True
        queue = self._first if first else self._others
        waiter = _Waiter() if on_asyncio() else _AnyioWaiter()
        queue.append(waiter)
        try:
            await waiter.wait(within)
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
        for waiter in (*self._first, *self._others):
            waiter.tell(False)
