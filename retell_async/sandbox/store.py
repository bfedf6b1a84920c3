"""Everything that the sandbox remembers. No I/O; the time comes from a clock, everything else from the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

import attrs

from . import lifecycle, ordered
from .clock import Clock, RunningClock
from .exchange import Json
from .lifecycle import Course, Kind, Outcomes
from .ordered import Entries, Position

__all__ = ["Asset", "Assets", "Call", "Calls", "Facet", "Order", "Settings", "Store"]

HOUR_MS = 3_600_000

Facet = tuple[Hashable, ...]
"""Something that calls have in common and by which they are found without looking at all of them."""


def _weights(value: Mapping[str, float]) -> Mapping[str, float]:
    Outcomes.of(value)
    return dict(value)


@attrs.frozen(kw_only=True)
class Settings:
    """What an account of the sandbox is like.

    :raises ValueError: a limit is below one, or a weight of `outcomes` makes no sense.
    """

    seed: int = 0
    """Decides how calls go. The n-th call to a number goes the same way in every sandbox of the same seed."""
    api_key: str | None = attrs.field(default=None, repr=False)
    """The one key that is let in; ``None`` lets any key in."""
    concurrency_limit: int = attrs.field(default=1_000, validator=attrs.validators.ge(1))
    """Calls that may be going on at a time."""
    outcomes: Mapping[str, float] = attrs.field(default=lifecycle.DEFAULT_OUTCOMES, converter=_weights)
    """Disconnection reasons and their weights: ``{"dial_busy": 1}`` makes every call meet a busy line."""


@attrs.define
class Asset:
    """Something that is configured, in all its versions: an agent, an LLM, a phone number."""

    id: str
    position: Position
    versions: dict[int, Json]

    @property
    def latest(self) -> Json:
        return self.versions[max(self.versions)]

    def version(self, reference: int | str | None) -> Json | None:
        """The version that a number or a tag stands for. A tag that is assigned to none stands for the latest, as no reference does."""
        return self.versions.get(reference) if isinstance(reference, int) else self.latest


class Assets:
    """All assets of one kind, in the order of their creation."""

    def __init__(self) -> None:
        self._by_id: dict[str, Asset] = {}
        self._created = 0
        self.entries: Entries[Asset] = []

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._by_id.values())

    def get(self, id: str) -> Asset | None:
        return self._by_id.get(id)

    def add(self, id: str, body: Json) -> None:
        self._created += 1
        asset = self._by_id[id] = Asset(id, (self._created, 0), {0: body})
        self.entries.append((asset.position, asset))

    def remove(self, id: str) -> None:
        ordered.remove(self.entries, self._by_id.pop(id).position)


@attrs.define(kw_only=True, eq=False)
class Order:
    """What is asked for with a new call. Phone calls have both numbers, web calls a token."""

    kind: Kind
    agent_id: str
    agent_version: int
    agent_name: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    access_token: str | None = None
    opening: str | None = None
    """What the agent says first, if that is laid down."""
    echoed: Json
    """Fields of the request that every answer about the call repeats: metadata, dynamic variables and the like."""


@attrs.define(eq=False)
class Call:
    id: str
    order: Order
    position: Position
    course: Course


class Calls:
    """All calls, in the order of their (coming) start, with what is needed to find them."""

    def __init__(self) -> None:
        self._by_id: dict[str, Call] = {}
        self._by_facet: dict[Facet, Entries[Call]] = {}
        self._active: dict[str, Call] = {}
        self._ends: list[tuple[int, str]] = []
        self._keys: dict[str, tuple[float, Call]] = {}
        self._created = 0
        self.entries: Entries[Call] = []

    def get(self, id: str) -> Call | None:
        return self._by_id.get(id)

    def add(self, id: str, order: Order, created: int, course: Course) -> Call:
        self._created += 1
        position = (created if course.start is None else course.start, self._created)
        call = self._by_id[id] = Call(id, order, position, course)
        entry = (position, call)
        ordered.add(self.entries, entry)
        for facet in _facets(call):
            ordered.add(self._by_facet.setdefault(facet, []), entry)
        self._active[id] = call
        heappush(self._ends, (course.end, id))
        return call

    def change(self, call: Call, course: Course) -> None:
        """Let a call go another way from now on."""
        before = _reason(call)
        call.course = course
        ordered.remove(self._by_facet[before], call.position)
        ordered.add(self._by_facet.setdefault(_reason(call), []), (call.position, call))
        heappush(self._ends, (course.end, call.id))

    def active(self, now: int) -> Collection[Call]:
        """The calls that have not ended."""
        while self._ends and self._ends[0][0] <= now:
            _, id = heappop(self._ends)
            call = self._active.get(id)
            if call is not None and call.course.end <= now:
                del self._active[id]
        return self._active.values()

    def having(self, facet: Facet) -> Entries[Call]:
        return self._by_facet.get(facet, [])

    def keep_key(self, key: str, call: Call, until: float, now: int) -> None:
        """Remember which call an idempotency key made, and forget the keys that are too old by now."""
        while self._keys:
            oldest = next(iter(self._keys))
            if self._keys[oldest][0] > now:
                break
            del self._keys[oldest]
        self._keys[key] = (until, call)

    def by_key(self, key: str, now: int) -> Call | None:
        until, call = self._keys.get(key, (0.0, None))
        return call if until > now else None


def _reason(call: Call) -> Facet:
    return ("disconnection_reason", call.course.reason)


def _facets(call: Call) -> Iterator[Facet]:
    order = call.order
    yield _reason(call)
    yield ("call_type", order.kind)
    yield ("agent_id", order.agent_id)
    if order.from_number is not None and order.to_number is not None:
        yield ("from_number", order.from_number)
        yield ("to_number", order.to_number)
    metadata: Mapping[str, Any] = order.echoed.get("metadata", {})
    for key, value in metadata.items():
        if isinstance(value, (str, int, float)):
            yield ("metadata", key, value)


class Store:
    """The state of one account: made empty, changed by operations only."""

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.settings = settings or Settings()
        self.clock: Clock = clock or RunningClock()
        self.llms = Assets()
        self.agents = Assets()
        self.numbers = Assets()
        self.calls = Calls()
        self._outcomes: dict[Kind, Outcomes] = {
            "phone_call": Outcomes.of(self.settings.outcomes),
            "web_call": Outcomes.of_web_calls(self.settings.outcomes),
        }
        self._counts: Counter[str] = Counter()

    def now(self) -> int:
        return self.clock.now()

    def new_id(self, *kind: str, length: int = 24) -> str:
        """A name for the next thing of a kind: the same in every sandbox of the same seed."""
        name = "\0".join(kind)
        self._counts[name] += 1
        text = f"{self.settings.seed}\0{name}\0{self._counts[name]}"
        return blake2b(text.encode(), digest_size=16).hexdigest()[:length]

    def start_call(self, order: Order, habits: lifecycle.Habits) -> Call:
        """Make a call, whose way is decided here."""
        name = self.new_id(order.kind, order.to_number or order.agent_id, length=32)
        now = self.now()
        return self.calls.add(
            f"call_{name}", order, now, lifecycle.plan(int(name[:12], 16), order.kind, now, self._outcomes[order.kind], habits)
        )

    def remember_key(self, key: str, call: Call) -> None:
        """Keep an idempotency key for an hour of the caller's time."""
        now = self.now()
        self.calls.keep_key(key, call, now + HOUR_MS * self.clock.speed, now)
