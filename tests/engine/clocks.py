"""Hours in an instant: the client's clocks, and those of its server, under trio's `MockClock`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal
from unittest.mock import patch

import attrs
import trio
import trio.testing

__all__ = ["Break", "Clocks", "breaks_off", "run"]

_EPOCH = 1_790_000_000.0


@attrs.frozen
class Break:
    """Something that happens to the machine on which the client runs.

    `asleep`: it is suspended for so many seconds. Its monotonic clock does not notice, its clock on the wall does.
    `set`: somebody sets its clock on the wall by so many seconds, which no other clock notices.
    """

    at: float
    kind: Literal["asleep", "set"]
    seconds: float


class Clocks:
    """Three clocks: that of the server, which is right, and the client's two."""

    def __init__(self) -> None:
        self._trio = trio.testing.MockClock(autojump_threshold=0)
        self._start = self._trio.current_time()
        self._asleep = 0.0
        self._set = 0.0

    def monotonic(self) -> float:
        """Seconds since the start, without those in which the machine was asleep."""
        return self._trio.current_time() - self._start

    def server(self) -> float:
        """Seconds since the start."""
        return self.monotonic() + self._asleep

    def wall(self) -> float:
        """What the client takes for the time since 1970."""
        return _EPOCH + self.server() + self._set

    def happen(self, what: Break) -> None:
        if what.kind == "asleep":
            self._asleep += what.seconds
        else:
            self._set += what.seconds

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        with (
            patch.object(time, "time", self.wall),
            patch.object(time, "time_ns", lambda: int(self.wall() * 1e9)),
            patch.object(time, "monotonic", self.monotonic),
        ):
            trio.run(main, clock=self._trio)


async def breaks_off(clocks: Clocks, breaks: Iterable[Break]) -> None:
    """Let all of it happen, each at its time."""
    for what in sorted(breaks, key=lambda each: each.at):
        await trio.sleep(max(what.at - clocks.monotonic(), 0))
        clocks.happen(what)


def run(clocks: Clocks, main: Callable[[], Awaitable[None]], *, breaks: Iterable[Break] = (), within: float) -> None:
    """Run a program to its end.

    :raises trio.TooSlowError: it is not there within so many seconds: something stalls.
    """

    async def whole() -> None:
        with trio.fail_after(within):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(breaks_off, clocks, breaks)
                await main()
                nursery.cancel_scope.cancel()

    clocks.run(whole)
