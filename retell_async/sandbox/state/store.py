"""The state of one account. No I/O; the time comes from a clock, everything else from the seed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import blake2b

import attrs

from ..common.messages import Json
from ..simulation import lifecycle
from ..simulation.lifecycle import CallPlan, CallProfile
from ..simulation.outcomes import Outcomes
from .assets import Assets, Table
from .calls import Call, CallParams, Calls, Origin
from .clock import Clock, RunningClock
from .records import Batch, Chat, Export, Job, KnowledgeBase, TestBatch
from .scheduler import Scheduler
from .settings import Settings

__all__ = ["ClockAnchor", "HOUR_MS", "Store"]


HOUR_MS = 3_600_000


def _nothing(*_: object) -> None:
    """Nobody is told."""


@attrs.frozen
class ClockAnchor:
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
        self.knowledge_bases = Table[KnowledgeBase]()
        self.test_cases = Assets()
        self.test_batches = Table[TestBatch]()
        self.exports = Table[Export]()
        self.chats = Table[Chat]()
        self.batches = Table[Batch]()
        self.origin = Origin()
        self.calls = Calls(self.origin)
        self.scheduler = Scheduler()
        self.key: str | None = None
        """The first key that was let in."""
        self.on_start: Callable[[Call, CallProfile], None] = _nothing
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
        self._anchor = ClockAnchor(self.clock.now(), time.time() * 1000, self.clock.speed)

    @property
    def organization(self) -> str:
        """The id of the account."""
        return f"org_sandbox_{self.settings.seed}"

    def now(self) -> int:
        """The time, which stands still while something is done."""
        return self.clock.now() if self.scheduler.frozen_at is None else self.scheduler.frozen_at

    @property
    def speed(self) -> float:
        """Sandbox seconds that pass in one second of the caller's time."""
        return self._anchor.speed

    @property
    def callers_now(self) -> float:
        """The caller's time, in milliseconds since the epoch; it goes on over restarts, and at their speeds."""
        return self.callers(self.now())

    def callers(self, at: int) -> float:
        """The caller's time at a moment of the sandbox's."""
        return self._anchor.callers + (at - self._anchor.at) / self._anchor.speed

    def begin(self, callers: float, speed: float) -> None:
        """From now on, the time runs at a speed.

        :param callers: the caller's time of this moment.
        """
        self._anchor = ClockAnchor(self.now(), callers, speed)

    @contextmanager
    def frozen_time(self, now: int | None = None) -> Generator[int, None, None]:
        """Bring the state to the present, or to the time that is given, and let time stand still."""
        now = self.clock.now() if now is None else now
        self.scheduler.run_due(now)
        self.scheduler.frozen_at = now
        try:
            yield now
        finally:
            self.scheduler.frozen_at = None

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

    def start_call(self, params: CallParams, profile: CallProfile) -> Call:
        """Make a call, whose way is decided here."""
        inbound = params.direction == "inbound"
        other_side = params.from_number if inbound else params.to_number
        name = self.new_id(params.kind, other_side or params.agent_id, length=32)
        created = self.now()
        outcomes = self._outcomes["inbound_call" if inbound else params.kind]
        call = self.calls.add(
            f"call_{name}", params, created, lifecycle.plan_call(int(name[:12], 16), params.kind, created, outcomes, profile)
        )
        self.on_start(call, profile)
        return call

    def change_call(self, call: Call, plan: CallPlan) -> None:
        """Let a call go another way from now on."""
        self.calls.change(call, plan)
        self.on_change(call)

    def remember_key(self, key: str, call: Call) -> None:
        """Keep an idempotency key for an hour of the caller's time."""
        now = self.callers_now
        self.calls.keep_key(key, call, now + HOUR_MS, now)

    def call_of_key(self, key: str) -> Call | None:
        """The call that an idempotency key made, as long as it is kept."""
        return self.calls.by_key(key, self.callers_now)
