"""How many calls a second each number may place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio

from .._core.errors import ConfigurationError
from .._core.operation import Omit
from .._engine.gate import Gate
from .._engine.limits import Pacer, RateLimit

__all__ = ["Numbers"]


class Numbers:
    """The limits of numbers that call, each counted by itself.

    :param limits: one for each number, by number, or one that all of them have.
    """

    def __init__(self, limits: RateLimit | Mapping[str, RateLimit] | None) -> None:
        self._limits = limits
        for limit in limits.values() if isinstance(limits, Mapping) else () if limits is None else (limits,):
            _check(limit)
        self._gates: dict[object, Gate] = {}

    def _gate(self, number: object) -> Gate | None:
        limit = self._limits.get(str(number)) if isinstance(self._limits, Mapping) else self._limits
        if limit is None:
            return None
        gate = self._gates.get(number)
        if gate is None:
            gate = self._gates[number] = Gate("from_number", Pacer(limit), anyio.current_time)
        return gate

    @asynccontextmanager
    async def first(self, number: object) -> AsyncGenerator[Callable[[], Callable[[], None]]]:
        """Wait until this is the first that waits for a number, and the number may place a call.

        Within the block nobody else goes before it. What it gives is called when the call is about to be placed, and what that gives when
        the answer is there: until then the server may count the call at any moment.
        """
        gate = self._gate(number)
        if gate is None:
            yield lambda: lambda: None
            return
        await gate.head.take()
        try:
            await gate.opens(found=True)
            yield lambda: _begin(gate)
        finally:
            gate.head.give()


def _check(limit: object) -> None:
    if not isinstance(limit, RateLimit):
        raise ConfigurationError(f"per_number must be a RateLimit, or a mapping of numbers to them, not {type(limit).__name__}")
    if not isinstance(limit.max_wait, Omit):
        raise ConfigurationError("max_wait has no meaning in per_number: calls wait for their number as long as it takes")


def _begin(gate: Gate) -> Callable[[], None]:
    turn = gate.pacer.take(gate.clock())
    turn.waits = True  # it counts until it is answered, and not from when it left: it may be sent again

    def answered() -> None:
        gate.pacer.done(turn, gate.clock())
        gate.changed()

    return answered
