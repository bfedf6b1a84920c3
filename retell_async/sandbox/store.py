"""Everything that the sandbox remembers. No I/O; the time comes from a clock, everything else from the seed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any, Generic, Literal, TypeVar

import attrs

from retell_async._core.errors import ConfigurationError
from retell_async._engine.settings import check_key

from . import lifecycle, ordered
from .agenda import Agenda
from .clock import Clock, RunningClock
from .exchange import Json
from .lifecycle import DEFAULT_OUTCOMES, Course, Habits, Kind, Outcomes
from .live import Live, Outside
from .ordered import Entries, Position
from .records import Batch, Chat, Export, Job, KnowledgeBase, TestBatch

__all__ = ["Asset", "Assets", "Call", "Calls", "Facet", "Order", "Settings", "Shelf", "Store"]

T = TypeVar("T")

HOUR_MS = 3_600_000

Facet = tuple[Hashable, ...]
"""Something that calls have in common and by which they are found without looking at all of them."""


def _nothing(*_: object) -> None:
    """Nobody is told."""


def _weights(value: Mapping[str, float]) -> Mapping[str, float]:
    Outcomes.of(value)
    return dict(value)


def _key_or_none(_: Settings, attribute: attrs.Attribute[str | None], value: object) -> None:
    if value is not None:
        try:
            check_key(value)
        except ConfigurationError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


@attrs.frozen(kw_only=True)
class Settings:
    """What an account of the sandbox is like.

    :raises ValueError: a key is none that a header can hold, a limit is below one, or a weight of `outcomes` makes no sense.
    """

    seed: int = 0
    """Decides how calls go. The n-th call to a number goes the same way in every sandbox of the same seed."""
    api_key: str | None = attrs.field(default=None, repr=False, validator=_key_or_none)
    """The one key that is let in; ``None`` lets any key in."""
    concurrency_limit: int = attrs.field(default=1_000, validator=attrs.validators.ge(1))
    """Calls that may be going on at a time."""
    outcomes: Mapping[str, float] = attrs.field(default=DEFAULT_OUTCOMES, converter=_weights)
    """Disconnection reasons and their weights: ``{"dial_busy": 1}`` makes every call meet a busy line."""
    webhook_url: str | None = None
    """The account's webhook, which hears of the agents that have none of their own."""
    webhook_key: str | None = attrs.field(default=None, repr=False, validator=_key_or_none)
    """Signs what is sent out; the `api_key` by default, or the first key that was let in."""
    reserved_inbound_concurrency: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many of the calls at a time are left to those that come in."""
    concurrency_burst: bool = False
    """Whether calls may go beyond the limit."""
    trial_over: bool = False
    """Whether everything that costs is answered with 402."""
    custom_attributes: Collection[str] = frozenset[str]()
    """Ids of the attributes that calls and chats of the account can have."""

    def __attrs_post_init__(self) -> None:
        if self.reserved_inbound_concurrency >= self.concurrency_limit:
            raise ValueError("reserved_inbound_concurrency must be below concurrency_limit")

    @property
    def burst_limit(self) -> int:
        """Calls that may be going on at a time with bursting; 0 without."""
        return min(3 * self.concurrency_limit, self.concurrency_limit + 300) if self.concurrency_burst else 0

    def room(self, direction: Literal["inbound", "outbound"]) -> int:
        """Calls that may be going on at a time for one more of a direction to be let in."""
        kept = self.reserved_inbound_concurrency if direction == "outbound" else 0
        return (self.burst_limit or self.concurrency_limit) - kept


@attrs.define(eq=False)
class Asset:
    """Something that is configured, in all its versions: an agent, an LLM, a phone number."""

    id: str
    versions: dict[int, Json]
    kind: str = ""
    """Tells apart what stands on one shelf: ``voice`` and ``chat`` among agents."""
    published: set[int] = attrs.field(factory=set[int])
    """The versions that no update changes any more."""
    tags: dict[str, int] = attrs.field(factory=dict[str, int])
    newest: int = 0
    """The highest number that a version ever had."""

    @property
    def latest(self) -> Json:
        return self.versions[max(self.versions)]

    def version(self, reference: int | str | None) -> Json | None:
        """The version that a number or a tag stands for. A tag that is assigned to none stands for the latest, as no reference does."""
        if isinstance(reference, int):
            return self.versions.get(reference)
        if reference == "latest_published" and self.published:
            return self.versions[max(self.published)]
        return self.versions.get(self.tags[reference]) if reference in self.tags else self.latest

    def write(self, body: Json) -> Json:
        """Let a body take the place of that of the same version."""
        self.versions[body.get("version", 0)] = body
        return body

    def draft(self, base: Json, **changes: Any) -> Json:
        """Begin a new version with the settings of another."""
        self.newest += 1
        return self.write(base | {"version": self.newest} | changes)


class Shelf(Generic[T]):
    """Things of one kind, found by their ids, in the order in which they came."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[Position, T]] = {}
        self._created = 0
        self.entries: Entries[T] = []

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self.entries)

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: str) -> T | None:
        found = self._by_id.get(id)
        return None if found is None else found[1]

    def put(self, id: str, item: T) -> T:
        """:raises ValueError: there is one of that id."""
        if id in self._by_id:
            raise ValueError(f"{id} is there already")
        self._created += 1
        self._by_id[id] = entry = ((self._created, 0), item)
        self.entries.append(entry)
        return item

    def remove(self, id: str) -> None:
        ordered.remove(self.entries, self._by_id.pop(id)[0])


class Assets(Shelf[Asset]):
    """All assets of one kind."""

    def add(self, id: str, body: Json, kind: str = "") -> Asset:
        return self.put(id, Asset(id, {0: body}, kind))


@attrs.define(kw_only=True, eq=False)
class Order:
    """What is asked for with a new call. Phone calls have both numbers, web calls a token."""

    kind: Kind
    agent_id: str
    agent_version: int
    agent_name: str | None = None
    agent_tag: str | None = None
    batch_call_id: str | None = None
    direction: Literal["inbound", "outbound"] = "outbound"
    """Of phone calls."""
    from_number: str | None = None
    to_number: str | None = None
    access_token: str | None = None
    opening: str | None = None
    """What the agent says first, if that is laid down."""
    echoed: Json
    """Fields of the request that every answer about the call repeats: metadata, dynamic variables and the like."""
    asked_analysis: Sequence[Json] = ()
    """What the agent's settings want to be found out about the call."""
    outside: Outside | None = None
    """The user's own endpoints that the call has to do with, if any."""


@attrs.define
class Home:
    """Where the sandbox is reached."""

    url: str = "http://retell.sandbox"


@attrs.define(eq=False)
class Call:
    id: str
    order: Order
    position: Position
    course: Course
    home: Home
    created: int
    attributes: Json = attrs.field(factory=dict[str, Any])
    """Values of the account's own attributes, by their ids."""
    injected: list[tuple[int, str]] = attrs.field(factory=list[tuple[int, str]])
    """What the agent was given to know during the call, and when."""
    overrides: dict[str, str] = attrs.field(factory=dict[str, str])
    """Dynamic variables that were set during the call."""
    listeners: set[str] = attrs.field(factory=set[str])
    """Who was let in to listen."""
    live: Live | None = None
    """What came into the call from outside, if anything can."""


class Calls:
    """All calls, in the order of their (coming) start, with what is needed to find them."""

    def __init__(self, home: Home) -> None:
        self._home = home
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
        call = self._by_id[id] = Call(id, order, position, course, self._home, created)
        entry = (position, call)
        ordered.add(self.entries, entry)
        for facet in _facets(call):
            ordered.add(self._by_facet.setdefault(facet, []), entry)
        self._active[id] = call
        heappush(self._ends, (course.end, id))
        return call

    def newest_first(self) -> list[Call]:
        """All calls by the time at which they were made, whenever they start."""
        return list(reversed(self._by_id.values()))

    def change(self, call: Call, course: Course | None = None, echoed: Json | None = None) -> None:
        """Let a call go another way from now on, or let answers about it repeat something else."""
        before = set(_facets(call))
        if course is not None:
            call.course = course
            heappush(self._ends, (course.end, call.id))
        if echoed is not None:
            call.order.echoed = echoed
        after = set(_facets(call))
        for facet in before - after:
            ordered.remove(self._by_facet[facet], call.position)
        for facet in after - before:
            ordered.add(self._by_facet.setdefault(facet, []), (call.position, call))

    def remove(self, call: Call) -> None:
        del self._by_id[call.id]
        self._active.pop(call.id, None)
        ordered.remove(self.entries, call.position)
        for facet in set(_facets(call)):
            ordered.remove(self._by_facet[facet], call.position)

    def active(self, now: int) -> Collection[Call]:
        """The calls that have not ended."""
        while self._ends and self._ends[0][0] <= now:
            _, id = heappop(self._ends)
            call = self._active.get(id)
            if call is not None and call.course.end <= now:
                del self._active[id]
        return self._active.values()

    def next_end(self, now: int) -> int | None:
        """When the next of the calls ends that are going on; ``None`` when none is."""
        return self._ends[0][0] if self.active(now) else None

    def having(self, facet: Facet) -> Entries[Call]:
        return self._by_facet.get(facet, [])

    def keep_key(self, key: str, call: Call, until: float, now: float) -> None:
        """Remember which call an idempotency key made, and forget the keys that are too old by now."""
        while self._keys:
            oldest = next(iter(self._keys))
            if self._keys[oldest][0] > now:
                break
            del self._keys[oldest]
        self._keys[key] = (until, call)

    def by_key(self, key: str, now: float) -> Call | None:
        until, call = self._keys.get(key, (0.0, None))
        return call if call is not None and until > now and call.id in self._by_id else None


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
    if order.batch_call_id is not None:
        yield ("batch_call_id", order.batch_call_id)
    metadata: Mapping[str, Any] = order.echoed.get("metadata", {})
    for key, value in metadata.items():
        if isinstance(value, (str, int, float)):
            yield ("metadata", key, value)


@attrs.frozen
class Begun:
    """When a clock began to run: what it showed, what the caller's did, and how fast it runs."""

    at: int
    callers: float
    speed: float


class Store:
    """The state of one account: made empty, changed by operations only."""

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.settings = settings or Settings()
        self.clock: Clock = clock or RunningClock()
        self.llms = Assets()
        self.flows = Assets()
        self.components = Assets()
        self.agents = Assets()
        self.numbers = Assets()
        self.voices = Assets()
        self.apps = Assets()
        self.contacts = Assets()
        self.contacts_by_number: dict[str, str] = {}
        """Ids of contacts, by their phone numbers."""
        self.crm: Json = {}
        """The settings for contacts, as far as they were made."""
        self.uploads: dict[str, list[dict[str, str]]] = {}
        """Rows of files with contacts that wait to be imported, by the id of the upload."""
        self.jobs: dict[str, Job] = {}
        """The last job of each kind."""
        self.knowledge_bases = Shelf[KnowledgeBase]()
        self.test_cases = Assets()
        self.test_batches = Shelf[TestBatch]()
        self.exports = Shelf[Export]()
        self.chats = Shelf[Chat]()
        self.batches = Shelf[Batch]()
        self.home = Home()
        self.calls = Calls(self.home)
        self.agenda = Agenda()
        self.key: str | None = None
        """The first key that was let in."""
        self.on_start: Callable[[Call, Habits], None] = _nothing
        """Told of each call that was made."""
        self.on_change: Callable[[Call], None] = _nothing
        """Told of each call whose course was changed."""
        self.on_prompt: Callable[[Call], None] = _nothing
        """Told of each call whose agent is made to speak."""
        self.on_chat_start: Callable[[Chat, Json], None] = _nothing
        """Told of each chat that was made, and its agent's settings."""
        self.on_chat_change: Callable[[Chat], None] = _nothing
        """Told of each chat in which something was written, or that was ended."""
        self.others: dict[str, Assets] = {}
        """Resources of operations that have no handler of their own."""
        self._outcomes: dict[str, Outcomes] = {
            "phone_call": Outcomes.of(self.settings.outcomes),
            "inbound_call": Outcomes.of_inbound_calls(self.settings.outcomes),
            "web_call": Outcomes.of_web_calls(self.settings.outcomes),
        }
        self._counts: Counter[str] = Counter()
        self._begun = Begun(self.clock.now(), time.time() * 1000, self.clock.speed)

    @property
    def organization(self) -> str:
        """The id of the account."""
        return f"org_sandbox_{self.settings.seed}"

    def now(self) -> int:
        """The time, which stands still while something is done."""
        return self.clock.now() if self.agenda.moment is None else self.agenda.moment

    @property
    def speed(self) -> float:
        """Sandbox seconds that pass in one second of the caller's time."""
        return self._begun.speed

    @property
    def callers_now(self) -> float:
        """The caller's time, in milliseconds since the epoch; it goes on over restarts, and at their speeds."""
        return self.callers(self.now())

    def callers(self, at: int) -> float:
        """The caller's time at a moment of the sandbox's."""
        return self._begun.callers + (at - self._begun.at) / self._begun.speed

    def begin(self, callers: float, speed: float) -> None:
        """From now on, the time runs at a speed.

        :param callers: the caller's time of this moment.
        """
        self._begun = Begun(self.now(), callers, speed)

    @contextmanager
    def standing(self, now: int | None = None) -> Generator[int, None, None]:
        """Bring the state to the present, or to the time that is given, and let time stand still."""
        now = self.clock.now() if now is None else now
        self.agenda.catch_up(now)
        self.agenda.moment = now
        try:
            yield now
        finally:
            self.agenda.moment = None

    @property
    def webhook_key(self) -> str:
        """What outgoing requests are signed with."""
        return self.settings.webhook_key or self.settings.api_key or self.key or "key_sandbox"

    def new_id(self, *kind: str, length: int = 24) -> str:
        """A name for the next thing of a kind: the same in every sandbox of the same seed."""
        name = "\0".join(kind)
        self._counts[name] += 1
        text = f"{self.settings.seed}\0{name}\0{self._counts[name]}"
        return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()[:length]

    def start_call(self, order: Order, habits: Habits) -> Call:
        """Make a call, whose way is decided here."""
        inbound = order.direction == "inbound"
        other_side = order.from_number if inbound else order.to_number
        name = self.new_id(order.kind, other_side or order.agent_id, length=32)
        created = self.now()
        outcomes = self._outcomes["inbound_call" if inbound else order.kind]
        call = self.calls.add(f"call_{name}", order, created, lifecycle.plan(int(name[:12], 16), order.kind, created, outcomes, habits))
        self.on_start(call, habits)
        return call

    def change_call(self, call: Call, course: Course) -> None:
        """Let a call go another way from now on."""
        self.calls.change(call, course)
        self.on_change(call)

    def remember_key(self, key: str, call: Call) -> None:
        """Keep an idempotency key for an hour of the caller's time."""
        now = self.callers_now
        self.calls.keep_key(key, call, now + HOUR_MS, now)

    def call_of_key(self, key: str) -> Call | None:
        """The call that an idempotency key made, as long as it is kept."""
        return self.calls.by_key(key, self.callers_now)
