"""What is to be asked of the user's own endpoints, and how often: webhooks, inbound requests and custom functions. No I/O.

An errand is tried until it is answered with a status of 2xx or its attempts are used up. Errands of one lane begin in their order:
the first attempt of each waits for the first attempt of the one before it, and for nothing else.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Literal

import attrs

from .agenda import Agenda

__all__ = ["Ask", "Attempt", "Delivery", "Errand", "Errands", "Heard"]

Kind = Literal["event", "inbound", "function"]
_FIRST_PAUSE_MS = 1_000
_KEPT = 5_000


@attrs.frozen
class Ask:
    """A request, but for its signature."""

    method: str
    url: str
    content: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


@attrs.frozen
class Heard:
    """What came of one attempt: an answer, or a problem."""

    status: int | None = None
    content: bytes = attrs.field(default=b"", repr=False)
    problem: str | None = None
    """Why there was no answer, in a few words."""
    seconds: float = 0.0
    """How long it took, in the caller's time."""
    signature: str = ""
    """What the request was signed with."""

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@attrs.frozen
class Attempt:
    at: int
    """Milliseconds since the epoch, in the sandbox's time."""
    heard: Heard


@attrs.define(eq=False, kw_only=True)
class Errand:
    """One thing to be asked for.

    :param about: the id of the call or chat, or whatever else names it.
    :param ask: makes the request; asked for it at each attempt and by who wants to see it.
    :param done: told the last answer.
    """

    id: str
    kind: Kind
    name: str
    """The event, or the custom function."""
    about: str
    url: str
    created: int
    timeout_ms: int
    retries: int
    reads: bool = False
    """Whether it is the content of the answer that counts."""
    ask: Callable[[], Ask] = attrs.field(repr=False)
    done: Callable[[Heard], None] | None = attrs.field(default=None, repr=False)
    lane: str | None = None
    attempts: list[Attempt] = attrs.field(factory=list[Attempt])
    due: int | None = None
    """When it is tried again, while it waits for that."""
    lost: bool = False
    """Whether a fault keeps it from being sent at all."""

    @property
    def serial(self) -> int:
        """Counts all errands, as the end of the id does."""
        return int(self.id.rpartition("_")[2])

    @property
    def state(self) -> Literal["pending", "delivered", "failed", "lost"]:
        if self.lost:
            return "lost"
        if self.attempts and self.attempts[-1].heard.good:
            return "delivered"
        return "failed" if len(self.attempts) > self.retries else "pending"


@attrs.frozen
class Delivery:
    """What goes wrong with the delivery of an event."""

    copies: int = 1
    """How often it is sent; 0 when it is lost."""
    delay: float = 0.0
    """Seconds of the sandbox's time that it is late."""


def _undisturbed(_: str, __: str) -> Delivery:
    return Delivery()


class Errands:
    """All errands: those that are to be run now, those that wait, and the last of those that are over."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._pending: dict[str, Errand] = {}
        self._lanes: dict[str, deque[Errand]] = {}
        self._created = 0
        self.deliver: Callable[[str, str], Delivery] = _undisturbed
        """Told the name of an event and what it is about, gives what goes wrong with its delivery."""
        self.waiting: OrderedDict[str, Errand] = OrderedDict()
        """To be run now, in this order."""
        self.log: deque[Errand] = deque(maxlen=_KEPT)
        """The last ones, in the order in which they were made."""

    @property
    def pending(self) -> int:
        """How many are not over."""
        return len(self._pending)

    def new_id(self) -> str:
        self._created += 1
        return f"errand_{self._created}"

    def add(self, errand: Errand) -> None:
        delivery = self.deliver(errand.name, errand.about) if errand.kind == "event" else Delivery()
        if delivery.copies == 0:
            errand.lost = True
            self.log.append(errand)
            return
        if delivery.delay:
            errand.lane, errand.due = None, errand.created + round(delivery.delay * 1000)
        copies = [attrs.evolve(errand, id=self.new_id(), lane=None, attempts=[]) for _ in range(delivery.copies - 1)]
        for sent in (errand, *copies):
            self._enter(sent)

    def get(self, id: str) -> Errand | None:
        """One of the last ones."""
        return next((errand for errand in reversed(self.log) if errand.id == id), None)

    def again(self, id: str, now: int) -> Errand:
        """Send the same once more, to its endpoint only: whoever waited for the answer has had it.

        :raises KeyError: it is none of the last ones.
        """
        errand = self.get(id)
        if errand is None:
            raise KeyError(id)
        copy = attrs.evolve(errand, id=self.new_id(), created=now, done=None, lane=None, attempts=[], due=None, lost=False)
        self._enter(copy)
        return copy

    def _enter(self, errand: Errand) -> None:
        self._pending[errand.id] = errand
        self.log.append(errand)
        if errand.due is not None:
            self._agenda.add(errand.due, lambda: self._run(errand))
            return
        if errand.lane is not None:
            lane = self._lanes.setdefault(errand.lane, deque())
            lane.append(errand)
            if len(lane) > 1:
                return
        self._run(errand)

    def attempted(self, id: str, heard: Heard, now: int) -> None:
        """Say what came of an attempt."""
        errand = self._pending[id]
        self.waiting.pop(id, None)
        errand.attempts.append(Attempt(now, heard))
        if errand.state == "pending":
            errand.due = due = now + _FIRST_PAUSE_MS * (1 << (len(errand.attempts) - 1))
            self._agenda.add(due, lambda: self._run(errand))
        else:
            del self._pending[id]
        if len(errand.attempts) == 1 and errand.lane is not None:
            lane = self._lanes[errand.lane]
            lane.popleft()
            if lane:
                self._run(lane[0])
            else:
                del self._lanes[errand.lane]
        if id not in self._pending and errand.done is not None:
            errand.done(heard)

    def _run(self, errand: Errand) -> None:
        errand.due = None
        self.waiting[errand.id] = errand
        self._agenda.news()
