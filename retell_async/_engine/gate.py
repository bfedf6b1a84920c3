"""Waiting for the turns that rate limits give."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import anyio

from .._core.errors import RetellError
from .._http.slots import Slots
from .circuit import Circuit, CircuitBreaker
from .limits import History, Pacer, RateLimit, Turn, is_about_the_account
from .retry import Budget

if TYPE_CHECKING:
    from .._core.errors import RateLimitError
    from .._core.operation import Operation

__all__ = ["Account", "Gate"]

_FULL = "concurren"  # a 429 that says so is for the calls that go on, and not for the pace of requests
_OVERALL = "account"


class Gate:
    """One limit, with a queue: the first request waits for its turn, the others to be first."""

    def __init__(self, name: str, pacer: Pacer, clock: Callable[[], float]) -> None:
        self.name = name
        """What it limits: the name that operations share in the surface, the id of one operation, or ``account``."""
        self.pacer = pacer
        self.history = History()
        self.refusal: RateLimitError | None = None
        """The last 429."""
        self.creates = False
        """Whether it is of operations that create or send something."""
        self.head = Slots(1)
        self.clock = clock
        self._changed: anyio.Event | None = None

    async def opens(self, *, found: bool) -> None:
        """Return when the next request may leave. Only whoever is at the head may wait here."""
        while (delay := self.pacer.delay(self.clock(), found=found)) > 0:
            self._changed = anyio.Event()
            with anyio.move_on_after(delay):
                await self._changed.wait()

    def changed(self) -> None:
        """Let whoever is at the head look again: an answer has come."""
        if self._changed is not None:
            self._changed.set()

    def least(self, now: float, *, first: bool) -> float:
        """Seconds that a new request waits at least, unless others before it give up.

        :param first: whether it goes before those that wait.
        """
        return self.pacer.least(now, 0 if first else self.head.waiting)

    def restart(self) -> None:
        """Forget who waits and what is under way, in an event loop that is gone."""
        self.head = Slots(1)
        self._changed = None
        self.pacer.abandon(self.clock())


class Account:
    """What all requests under one API key and address share: their limits and the retry budget."""

    def __init__(
        self, limit: RateLimit, budget: int | None, clock: Callable[[], float], circuit_breaker: CircuitBreaker | None = None
    ) -> None:
        self.budget = Budget(budget)
        self.circuit = None if circuit_breaker is None else Circuit(circuit_breaker)
        self.clock = clock
        self.users = 0
        """Requests under way."""
        self.used_at = clock()
        self._waiting: set[anyio.CancelScope] = set()
        self._histories: list[History] = []
        self.overall = Gate(_OVERALL, Pacer(limit, self._histories), clock)
        self.all_bound = False
        """Whether a limit of the account that was found out binds what reads too, and not only what creates something."""
        self._gates: dict[str, Gate] = {}

    def gate(self, name: str) -> Gate:
        """The limit of this name, a new one for a new name."""
        gate = self._gates.get(name)
        if gate is None:
            history: list[History] = []
            gate = self._gates[name] = Gate(name, Pacer(RateLimit(), history), self.clock)
            history.append(gate.history)
            self._histories.append(gate.history)
        return gate

    def gate_of(self, operation: Operation[object]) -> Gate:
        """The limit that requests to an operation are under, beside that of the account."""
        gate = self.gate(operation.limit or operation.id)
        gate.creates = operation.repeat != "safe"
        return gate

    def know(self, limits: Iterable[tuple[str, RateLimit]]) -> None:
        """Keep to these limits too, by their names."""
        for name, limit in limits:
            self.gate(name).pacer.know(limit)

    def over(self, gate: Gate) -> tuple[Gate, ...]:
        """The limits that requests of this one are under now: their own, and that of the account if it binds them."""
        return (gate, self.overall) if self._is_bound(gate) and not self.overall.pacer.is_open() else (gate,)

    def _is_bound(self, gate: Gate) -> bool:
        """Whether the limit of the account binds requests of this one."""
        return self.all_bound or gate.creates or self.overall.pacer.limit.requests is not None

    def is_open(self, gate: Gate) -> bool:
        """Whether none of them is known to hold anybody back."""
        if not gate.pacer.is_open():
            return False
        return self.overall.pacer.is_open() or not self._is_bound(gate)

    def try_turn(self, gate: Gate, slots: Slots, *, found: bool) -> list[tuple[Gate, Turn]] | None:
        """Take a slot and a turn at each limit if nobody has to wait for them."""
        with ExitStack() as given_back:
            for one in self.over(gate):
                if not one.head.take_free():
                    return None
                given_back.callback(one.head.give)
            if not slots.take_free():
                return None
            turns = self.take(gate, found=found)
            if turns is None:
                slots.give()
            return turns

    async def turn(self, gate: Gate, slots: Slots, *, first: bool, found: bool) -> list[tuple[Gate, Turn]]:
        """Wait for a slot and a turn at each limit; cancelled before, it takes nobody's.

        A turn is taken together with the slot, so that a request leaves when its limit says so and not when there is a connection for it.
        While it waits for its limit it holds none.
        """
        while True:
            with ExitStack() as given_back:
                for one in self.over(gate):
                    # What was refused lately does not take the turns by which others would show that they are not refused.
                    await one.head.take(first=first if one is gate else not gate.history.was_refused_lately(self.clock()))
                    given_back.callback(one.head.give)
                    await one.opens(found=found)
                await slots.take(first=True)
                turns = self.take(gate, found=found)
            if turns is not None:
                return turns
            slots.give()
            first = True  # it is the one that waited longest

    def is_ready(self, gate: Gate) -> bool:
        """Whether pauses and limits that are known hold nobody back."""
        now = self.clock()
        return all(one.pacer.delay(now, found=False) == 0 for one in self.over(gate))

    def take(self, gate: Gate, *, found: bool) -> list[tuple[Gate, Turn]] | None:
        """Take a turn at each limit if they have one now."""
        now = self.clock()
        gates = self.over(gate)
        if any(one.pacer.delay(now, found=found) > 0 for one in gates):
            return None
        return [(one, one.pacer.take(now)) for one in gates]

    def done(self, turns: list[tuple[Gate, Turn]], *, answered: bool) -> None:
        """Take note that a request is done: answered, not sent, or given up (and then it may still be on its way)."""
        for gate, turn in turns:
            gate.pacer.done(turn, self.clock() if answered else None)
            gate.changed()

    def passed(self, gate: Gate, left_at: float, now: float) -> None:
        """Take note of an answer that was not 429."""
        gate.history.passed(now)
        for one in self.over(gate):
            if not one.pacer.is_open():
                one.pacer.passed(left_at, now)
                one.changed()

    def refused(self, gate: Gate, left_at: float, error: RateLimitError, now: float) -> tuple[Gate, float]:
        """Take note of a 429, and give what it is about and the seconds of the pause that follows."""
        if _FULL in error.message.lower():
            pause = gate.pacer.full(left_at, error.retry_after, now)
        else:
            gate.history.refused(now)
            if is_about_the_account(self._histories, now):
                lately = [one for one in self._gates.values() if one.history.was_refused_lately(now)]
                for one in lately:
                    one.pacer.forget()
                    one.changed()
                bound = not all(one.creates for one in lately)
                self.all_bound = bound or (self.all_bound and not self.overall.pacer.is_open())
                gate = self.overall
            elif sum(history.was_refused_lately(now) for history in self._histories) > 1:
                self.overall.pacer.forget()  # others pass all the while: it was not for the account's sake
                self.overall.changed()
            pause = gate.pacer.refused(left_at, error.retry_after, now)
        gate.refusal = error
        gate.changed()
        return gate, pause

    def restart(self) -> None:
        """Go on in another event loop or process: what was under way in the last one is gone."""
        self.users = 0
        self._waiting = set()  # as those who waited there are
        if self.circuit is not None:
            self.circuit.restart()
        for gate in (self.overall, *self._gates.values()):
            gate.restart()

    @contextmanager
    def waiting(self, within: float = math.inf) -> Generator[anyio.CancelScope]:
        """A block that waits no longer than this, and ends when the client is closed.

        :param within: seconds.
        :returns: what says by ``cancelled_caught`` that the time is over.
        :raises RetellError: it was closed.
        """
        scope = anyio.move_on_after(within)
        self._waiting.add(scope)
        try:
            with scope:
                yield scope
            if scope.cancelled_caught and scope not in self._waiting:
                raise RetellError("the client is closed") from None  # the cancellation that says so is of no use to whoever waited
        finally:
            self._waiting.discard(scope)

    def close(self) -> None:
        """Let nobody wait any longer."""
        scopes, self._waiting = self._waiting, set()
        for scope in scopes:
            scope.cancel()

    def counts(self) -> bool:
        """Whether requests that were sent count in a limit that is known."""
        now = self.clock()
        return any(gate.pacer.counts(now) for gate in (self.overall, *self._gates.values()))

    def is_blank(self) -> bool:
        """Whether a new one would do the same."""
        now = self.clock()
        intact = self.circuit is None or self.circuit.is_blank
        return intact and self.budget.is_full and all(gate.pacer.is_blank(now) for gate in (self.overall, *self._gates.values()))
