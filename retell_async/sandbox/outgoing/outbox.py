"""The outbox: requests to the user's own endpoints that are to be delivered. No I/O.

A delivery is attempted until it is answered with 2xx or its retries are used up. Deliveries with the same ordering key begin in their
order: the first attempt of each waits for the first attempt of the one before it, and for nothing else.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Literal

import attrs

from ..state.scheduler import Scheduler

__all__ = ["OutgoingRequest", "Attempt", "DeliveryEffect", "Delivery", "Outbox", "AttemptResult"]

DeliveryKind = Literal["event", "inbound", "function"]
_FIRST_PAUSE_MS = 1_000
_KEPT = 5_000


@attrs.frozen
class OutgoingRequest:
    """A request without its signature."""

    method: str
    url: str
    content: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


@attrs.frozen
class AttemptResult:
    """The result of one attempt: an answer, or a problem."""

    status: int | None = None
    content: bytes = attrs.field(default=b"", repr=False)
    problem: str | None = None
    """Why there was no answer, in a few words."""
    seconds: float = 0.0
    """How long it took, in real time."""
    signature: str = ""
    """The signature of the request."""

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@attrs.frozen
class Attempt:
    at: int
    """Milliseconds since the epoch, in the sandbox's time."""
    result: AttemptResult


@attrs.define(eq=False, kw_only=True)
class Delivery:
    """A webhook event, an inbound webhook or a custom function, with its attempts.

    :param about: the id of the call or chat that it is about.
    :param make_request: makes the request anew for each attempt, and to show it.
    :param done: called with the last result.
    """

    id: str
    kind: DeliveryKind
    name: str
    """The name of the event or the custom function."""
    about: str
    url: str
    created: int
    timeout_ms: int
    retries: int
    reads_content: bool = False
    """Whether the body of the answer is used, not only its status."""
    make_request: Callable[[], OutgoingRequest] = attrs.field(repr=False)
    done: Callable[[AttemptResult], None] | None = attrs.field(default=None, repr=False)
    ordering_key: str | None = None
    attempts: list[Attempt] = attrs.field(factory=list[Attempt])
    due: int | None = None
    """When it is attempted next, while it waits for that."""
    lost: bool = False
    """Whether a fault keeps it from being sent."""

    @property
    def serial(self) -> int:
        """The number of the delivery, which its id ends in."""
        return int(self.id.rpartition("_")[2])

    @property
    def state(self) -> Literal["pending", "delivered", "failed", "lost"]:
        if self.lost:
            return "lost"
        if self.attempts and self.attempts[-1].result.good:
            return "delivered"
        return "failed" if len(self.attempts) > self.retries else "pending"


@attrs.frozen
class DeliveryEffect:
    """What goes wrong with the delivery of an event."""

    copies: int = 1
    """How often it is sent; 0 when it is lost."""
    delay: float = 0.0
    """Seconds of the sandbox's time that it is late."""


def _undisturbed(_: str, __: str) -> DeliveryEffect:
    return DeliveryEffect()


class Outbox:
    """Deliveries: those to attempt now, those that wait, and the latest of those that are over."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._pending: dict[str, Delivery] = {}
        self._queues: dict[str, deque[Delivery]] = {}
        self._created = 0
        self.effect_on: Callable[[str, str], DeliveryEffect] = _undisturbed
        """Gets the name of an event and what it is about, and gives what goes wrong with its delivery."""
        self.waiting: OrderedDict[str, Delivery] = OrderedDict()
        """Deliveries to attempt now, in this order."""
        self.log: deque[Delivery] = deque(maxlen=_KEPT)
        """The latest deliveries, in the order of their creation."""

    @property
    def pending(self) -> int:
        """How many deliveries are not over."""
        return len(self._pending)

    def new_id(self) -> str:
        self._created += 1
        return f"errand_{self._created}"  # journals have ids of this form

    def add(self, delivery: Delivery) -> None:
        effect = self.effect_on(delivery.name, delivery.about) if delivery.kind == "event" else DeliveryEffect()
        if effect.copies == 0:
            delivery.lost = True
            self.log.append(delivery)
            return
        if effect.delay:
            delivery.ordering_key, delivery.due = None, delivery.created + round(effect.delay * 1000)
        copies = [attrs.evolve(delivery, id=self.new_id(), ordering_key=None, attempts=[]) for _ in range(effect.copies - 1)]
        for sent in (delivery, *copies):
            self._enter(sent)

    def get(self, id: str) -> Delivery | None:
        """One of the deliveries in the log."""
        return next((delivery for delivery in reversed(self.log) if delivery.id == id), None)

    def again(self, id: str, now: int) -> Delivery:
        """Deliver the same once more. Its answer changes nothing in the sandbox.

        :raises KeyError: it is not in the log.
        """
        delivery = self.get(id)
        if delivery is None:
            raise KeyError(id)
        copy = attrs.evolve(delivery, id=self.new_id(), created=now, done=None, ordering_key=None, attempts=[], due=None, lost=False)
        self._enter(copy)
        return copy

    def _enter(self, delivery: Delivery) -> None:
        self._pending[delivery.id] = delivery
        self.log.append(delivery)
        if delivery.due is not None:
            self._scheduler.add(delivery.due, lambda: self._run(delivery))
            return
        if delivery.ordering_key is not None:
            queue = self._queues.setdefault(delivery.ordering_key, deque())
            queue.append(delivery)
            if len(queue) > 1:
                return
        self._run(delivery)

    def attempted(self, id: str, result: AttemptResult, now: int) -> None:
        """Take the result of an attempt."""
        delivery = self._pending[id]
        self.waiting.pop(id, None)
        delivery.attempts.append(Attempt(now, result))
        if delivery.state == "pending":
            delivery.due = due = now + _FIRST_PAUSE_MS * (1 << (len(delivery.attempts) - 1))
            self._scheduler.add(due, lambda: self._run(delivery))
        else:
            del self._pending[id]
        if len(delivery.attempts) == 1 and delivery.ordering_key is not None:
            queue = self._queues[delivery.ordering_key]
            queue.popleft()
            if queue:
                self._run(queue[0])
            else:
                del self._queues[delivery.ordering_key]
        if id not in self._pending and delivery.done is not None:
            delivery.done(result)

    def _run(self, delivery: Delivery) -> None:
        delivery.due = None
        self.waiting[delivery.id] = delivery
        self._scheduler.notify()
