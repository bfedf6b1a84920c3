"""The sandbox's own time, in milliseconds since the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import attrs

__all__ = ["Clock", "RunningClock", "SteppedClock"]

_FAR = 10**15
"""Milliseconds: no wait is longer."""


class Clock(Protocol):
    """The source of the sandbox's time, which never goes back."""

    @property
    def speed(self) -> float:
        """Sandbox seconds in one real second."""
        ...

    def now(self) -> int: ...

    def seconds_until(self, moment: int) -> float | None:
        """Real seconds until a time of the sandbox's; ``None`` when the clock does not get there by itself."""
        ...

    def watch(self, moved: Callable[[], None]) -> None:
        """Call a function each time the clock is moved, from the thread that moves it."""
        ...


@attrs.define
class RunningClock:
    """Starts at the present and runs ``speed`` times as fast as real time.

    :param not_before: the earliest time to start at, in milliseconds since the epoch.
    :raises ValueError: the speed is not a positive number.
    """

    speed: float = attrs.field(default=1.0, validator=attrs.validators.gt(0), on_setattr=attrs.setters.frozen)
    not_before: int = attrs.field(default=0, on_setattr=attrs.setters.frozen)
    _epoch: float = attrs.field(init=False)
    _origin: float = attrs.field(factory=time.monotonic, init=False)
    _watching: list[Callable[[], None]] = attrs.field(factory=list[Callable[[], None]], init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._epoch = max(time.time() * 1000, self.not_before)

    def now(self) -> int:
        return int(self._epoch + (time.monotonic() - self._origin) * 1000 * self.speed)

    def seconds_until(self, moment: int) -> float | None:
        return max(0.0, min(moment - self.now(), _FAR) / 1000 / self.speed)

    def watch(self, moved: Callable[[], None]) -> None:
        self._watching.append(moved)

    def advance(self, seconds: float) -> None:
        """Move the clock forward; it runs on from there.

        :raises ValueError: the time is negative.
        """
        self._epoch += _forward(seconds)
        for moved in self._watching:
            moved()


@attrs.define
class SteppedClock:
    """Stands still until it is moved."""

    _now: int = 1_760_000_000_000
    speed: float = 1.0
    _watching: list[Callable[[], None]] = attrs.field(factory=list[Callable[[], None]], init=False, repr=False)

    def now(self) -> int:
        return self._now

    def seconds_until(self, moment: int) -> float | None:
        return None if moment > self._now else 0.0

    def watch(self, moved: Callable[[], None]) -> None:
        self._watching.append(moved)

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        :raises ValueError: the time is negative.
        """
        self._now += _forward(seconds)
        for moved in self._watching:
            moved()


def _forward(seconds: float) -> int:
    if seconds < 0:
        raise ValueError(f"time cannot go back: {seconds}")
    return round(seconds * 1000)
