"""The sandbox's own time, in milliseconds since the epoch."""

from __future__ import annotations

import time
from typing import Protocol

import attrs

__all__ = ["Clock", "RunningClock", "SteppedClock"]


class Clock(Protocol):
    """Where the sandbox takes its time from. Time never goes back."""

    @property
    def speed(self) -> float:
        """Sandbox seconds that pass in one second of the caller's time."""
        ...

    def now(self) -> int: ...


@attrs.frozen
class RunningClock:
    """Starts at the present and runs from there, ``speed`` times as fast as a clock on the wall.

    :raises ValueError: the speed is not a positive number.
    """

    speed: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    _epoch: float = attrs.field(factory=lambda: time.time() * 1000, init=False)
    _origin: float = attrs.field(factory=time.monotonic, init=False)

    def now(self) -> int:
        return int(self._epoch + (time.monotonic() - self._origin) * 1000 * self.speed)


@attrs.define
class SteppedClock:
    """Stands still until it is moved."""

    _now: int = 1_760_000_000_000
    speed: float = 1.0

    def now(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on.

        :raises ValueError: the time is negative.
        """
        if seconds < 0:
            raise ValueError(f"time cannot go back: {seconds}")
        self._now += round(seconds * 1000)
