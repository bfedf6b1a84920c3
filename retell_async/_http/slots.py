"""Waiting for a free connection."""

from __future__ import annotations

import asyncio
from collections import deque

import anyio

from .loops import on_asyncio

__all__ = ["Slots"]

_MOST_IN_A_ROW = 4


class Slots:
    """So many may be held at a time. First come, first served, except that some go before all others."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._in_a_row = 0  # that went to those who are first, while others waited
        self._first: deque[anyio.Event | asyncio.Event] = deque()
        self._others: deque[anyio.Event | asyncio.Event] = deque()

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
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
        given = asyncio.Event() if on_asyncio() else anyio.Event()  # which costs five times as much
        queue.append(given)
        try:
            await given.wait()
        except BaseException:
            if given.is_set():
                self.give()
            else:
                queue.remove(given)
            raise

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._first) + len(self._others)

    def give(self) -> None:
        """Give a slot back: to whoever waits for it longest."""
        queue = self._first or self._others
        if self._first and self._others:
            self._in_a_row += 1
            if self._in_a_row > _MOST_IN_A_ROW:
                queue = self._others  # or those would wait for ever
        if queue is self._others:
            self._in_a_row = 0
        if queue:
            queue.popleft().set()
        else:
            self._free += 1
