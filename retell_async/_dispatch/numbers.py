"""How many calls a second each number may place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio

from .._core.errors import ConfigurationError
from .._core.operation import Omit
from .._engine.gate import Gate
from .._engine.limits import Pacer, RateLimit, Turn

__all__ = ["Numbers", "Placed"]


class Numbers:
    """The limits of numbers that call, each counted by itself.

    :param limits: one for each number, by number, or one that all of them have.
    """

    def __init__(self, limits: RateLimit | Mapping[str, RateLimit] | None) -> None:
        self._limits = limits
        for limit in limits.values() if isinstance(limits, Mapping) else () if limits is None else (limits,):
            _check(limit)
        self._gates: dict[str, Gate] = {}

    def _gate(self, number: object) -> Gate | None:
        name = str(number)  # whatever it is: the API says what is wrong with one that is none
        limit = self._limits.get(name) if isinstance(self._limits, Mapping) else self._limits
        if limit is None:
            return None
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = Gate("from_number", Pacer(limit), anyio.current_time)
        return gate

    @asynccontextmanager
    async def first(self, number: object) -> AsyncGenerator[Callable[[], Placed]]:
        """Wait until this is the first that waits for a number, and the number may place a call.

        Within the block nobody else goes before it. What it gives is called when the call is about to be placed.
        """
        gate = self._gate(number)
        if gate is None:
            yield lambda: Placed(None)
            return
        await gate.head.take()
        try:
            await gate.opens(found=True)
            yield lambda: Placed(gate)
        finally:
            gate.head.give()


def _check(limit: object) -> None:
    if not isinstance(limit, RateLimit):
        raise ConfigurationError(f"per_number must be a RateLimit, or a mapping of numbers to them, not {type(limit).__name__}")
    if not isinstance(limit.max_wait, Omit):
        raise ConfigurationError("max_wait has no meaning in per_number: calls wait for their number as long as it takes")


class Placed:
    """A call that is about to be placed: its number places no more than it may until the server has counted it."""

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate
        self._turn: Turn | None = None
        self._take()

    def _take(self) -> None:
        if self._gate is not None:
            self._turn = self._gate.pacer.take(self._gate.clock())
            self._turn.waits = True

    def left(self) -> None:
        """Take note that the request goes out: it counts until it is answered, and a second at most. Sent again, it counts again."""
        if self._gate is not None and self._turn is not None:
            if not self._turn.waits:
                self._gate.pacer.done(self._turn, None)
                self._take()
            self._turn.leaves(self._gate.clock())
            self._gate.changed()

    def answered(self) -> None:
        """Take note that it is answered, for good."""
        if self._gate is not None and self._turn is not None:
            self._gate.pacer.done(self._turn, self._gate.clock())
            self._gate.changed()
