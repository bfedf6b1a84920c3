"""Which fault strikes which request, and which delivery. Pure: the same requests are struck in every run."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from hashlib import blake2b
from typing import Any

import attrs

from ..common.messages import Answer
from ..openapi import names
from ..outgoing.outbox import DeliveryEffect
from .fault import Fault
from .kinds import KINDS, ChangesBody, ChangesDelivery, ChangesReply, Delays, Replaces
from .replies import Reply, whole

__all__ = ["ActiveFault", "Faults", "RequestEffect"]


@attrs.frozen
class RequestEffect:
    """What goes wrong with one request."""

    delay: float = 0.0
    """Seconds until it is carried out."""
    end: Fault | None = None
    """The fault that replaces the answer or changes what is sent; ``None`` when there is none."""
    changes: tuple[tuple[Fault, int], ...] = ()
    """Faults that change the JSON of the answer, each with a number that decides where."""
    names: tuple[str, ...] = ()
    """The kinds of all faults that strike it."""

    @property
    def acted(self) -> bool:
        """Whether the request is carried out."""
        kind = None if self.end is None else KINDS[self.end.kind]
        return self.end is None or not isinstance(kind, Replaces) or (self.end.acted and kind.may_act)

    def reply_to(self, answer: Answer | None, now: float) -> Reply:
        """What is sent for the request.

        :param answer: the API's answer; ``None`` when the request was not carried out.
        :param now: Unix time in seconds.
        """
        kind = None if self.end is None else KINDS[self.end.kind]
        if self.end is not None and isinstance(kind, Replaces):
            return kind.reply(self.end, now)
        if answer is None:
            raise ValueError("a request that is to be answered was not carried out")
        reply = whole(Answer(answer.status, self._changed(answer.body)))
        return kind.reply(reply) if isinstance(kind, ChangesReply) and reply.content else reply

    def _changed(self, body: Any) -> Any:
        for fault, number in self.changes:
            kind = KINDS[fault.kind]
            body = kind.body(body, number) if isinstance(kind, ChangesBody) else body
        return body


@attrs.define(eq=False)
class ActiveFault:
    """A fault that is set, and how often it struck."""

    id: int
    fault: Fault
    count: int = 0
    """How often it struck."""
    _seen: Counter[bytes] = attrs.field(factory=Counter[bytes], repr=False)
    _passed: deque[float] = attrs.field(factory=deque[float], repr=False)

    @property
    def is_over(self) -> bool:
        return self.fault.times is not None and self.count >= self.fault.times

    def draw(self, what: str, mark: Callable[[], bytes]) -> int | None:
        """A random number if it strikes now, else ``None``."""
        fault = self.fault
        if self.is_over:
            return None
        digest = b""
        if fault.probability < 1 or isinstance(KINDS[fault.kind], ChangesBody):
            digest = mark()
            self._seen[digest] += 1
        text = f"{fault.seed}\0{fault.kind}\0{what}\0{self._seen[digest] if digest else 0}\0".encode()
        number = int.from_bytes(blake2b(text + digest, digest_size=8).digest())
        if fault.probability < 1 and number / 2**64 >= fault.probability:
            return None
        self.count += 1
        return number

    def is_full(self, now: float) -> bool:
        """Whether as many requests as are allowed have passed within the last ``per`` seconds."""
        most = self.fault.requests
        if most is None:
            return True
        while self._passed and self._passed[0] <= now - self.fault.per:
            self._passed.popleft()
        return len(self._passed) >= most

    def passed(self, now: float) -> None:
        """Count a request that was let through."""
        if self.fault.requests is not None:
            self._passed.append(now)


class Faults:
    """The faults that are set, in their order. Of those that replace an answer or change what is sent, only the first that strikes counts.

    :param operations: the ids of all operations; ``None`` lets any name pass.
    :param events: the names of all webhook events; ``None`` lets any name pass.
    """

    def __init__(self, operations: Collection[str] | None = None, events: Collection[str] | None = None) -> None:
        self._operations = operations
        self._events = events
        self._set: dict[int, ActiveFault] = {}
        self._last = 0

    def __iter__(self) -> Iterator[ActiveFault]:
        return iter(self._set.values())

    def __len__(self) -> int:
        return len(self._set)

    def check(self, fault: Fault) -> None:
        """:raises ValueError: the fault would never strike: there is no such operation or event."""
        known, what = (self._events, "event") if fault.is_of_webhooks else (self._operations, "operation")
        if known is not None:
            names.check_pattern(fault.operation, known, what)

    def add(self, fault: Fault) -> ActiveFault:
        """:raises ValueError: there is no such operation, or no such event."""
        self.check(fault)
        self._last += 1
        active = self._set[self._last] = ActiveFault(self._last, fault)
        return active

    def remove(self, id: int) -> None:
        """:raises KeyError: no such fault is set."""
        del self._set[id]

    def clear(self) -> None:
        self._set.clear()

    def effect_on_request(self, operation: str, mark: Callable[[], bytes], now: float) -> RequestEffect:
        """What goes wrong with a request.

        :param mark: gives the request's fingerprint; called only when that decides something.
        :param now: seconds, by a monotonic clock.
        """
        if not self._set:
            return _FINE
        known: list[bytes] = []

        def once() -> bytes:
            if not known:
                known.append(mark())
            return known[0]

        delay, end, changes, kinds, let_in = 0.0, None, list[tuple[Fault, int]](), list[str](), list[ActiveFault]()
        for active in self._set.values():
            fault = active.fault
            if fault.is_of_webhooks or not names.matches(operation, fault.operation):
                continue
            kind = KINDS[fault.kind]
            if end is not None and isinstance(kind, (Replaces, ChangesReply)):
                continue
            if fault.kind == "rate_limit" and not active.is_full(now):
                let_in.append(active)
                continue
            number = active.draw(operation, once)
            if number is None:
                let_in.append(active)
                continue
            kinds.append(fault.kind)
            if isinstance(kind, Delays):
                delay += fault.time
            elif isinstance(kind, ChangesBody):
                changes.append((fault, number))
            else:
                end = fault
                if fault.kind == "rate_limit":
                    break  # it depends on time, on which the draws of later faults must not depend
        if end is None or end.kind != "rate_limit":
            for active in let_in:
                active.passed(now)
        return RequestEffect(delay, end, tuple(changes), tuple(kinds))

    def effect_on_delivery(self, event: str, id: str) -> DeliveryEffect:
        """What goes wrong with the first attempt to deliver an event.

        :param id: what the event is about: the id of a call or chat.
        """
        effect = DeliveryEffect()
        for active in self._set.values():
            fault, kind = active.fault, KINDS[active.fault.kind]
            if isinstance(kind, ChangesDelivery) and names.matches(event, fault.operation) and active.draw(event, id.encode) is not None:
                effect = kind.delivery(fault, effect)
        return effect


_FINE = RequestEffect()
