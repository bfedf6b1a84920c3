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

__all__ = ["Store"]

_HOUR_MS = 3_600_000


def _nothing(*_: object) -> None:
    """Nobody listens."""


@attrs.frozen
class ClockAnchor:
    """A time of the sandbox, the real time of that moment, and the speed from then on."""

    at: int
    real: float
    speed: float


class Store:
    """The state of one account. It begins empty; operations change it."""

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
        """The settings for contacts that were made."""
        self.uploads: dict[str, list[dict[str, str]]] = {}
        """Rows of uploaded files of contacts, by the id of the upload."""
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
        """Called with each new call."""
        self.on_change: Callable[[Call], None] = _nothing
        """Called with each call whose plan was changed."""
        self.on_prompt: Callable[[Call], None] = _nothing
        """Called with each call whose agent is told to speak (``trigger_response``)."""
        self.on_chat_start: Callable[[Chat, Json], None] = _nothing
        """Called with each new chat and the settings of its agent."""
        self.on_chat_change: Callable[[Chat], None] = _nothing
        """Called with each chat that got a message or was ended."""
        self.others: dict[str, Assets] = {}
        """Resources of operations without a handler of their own, by kind."""
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
        """The sandbox's time, in milliseconds since the epoch. It stands still within `frozen_time` and actions of the scheduler."""
        return self.clock.now() if self.scheduler.frozen_at is None else self.scheduler.frozen_at

    @property
    def speed(self) -> float:
        """Sandbox seconds in one real second."""
        return self._anchor.speed

    @property
    def real_now(self) -> float:
        """Real time in milliseconds since the epoch, as it follows from the sandbox's time: the same after a restart."""
        return self.real_at(self.now())

    def real_at(self, at: int) -> float:
        """The real time at a time of the sandbox's."""
        return self._anchor.real + (at - self._anchor.at) / self._anchor.speed

    def begin(self, real: float, speed: float) -> None:
        """Set the speed from now on.

        :param real: the real time of this moment.
        """
        self._anchor = ClockAnchor(self.now(), real, speed)

    @contextmanager
    def frozen_time(self, now: int | None = None) -> Generator[int, None, None]:
        """Run what is due by now, or by the given time, and let time stand still while the context lasts."""
        now = self.clock.now() if now is None else now
        self.scheduler.run_due(now)
        self.scheduler.frozen_at = now
        try:
            yield now
        finally:
            self.scheduler.frozen_at = None

    @property
    def webhook_key(self) -> str:
        """The key that outgoing requests are signed with."""
        return self.settings.webhook_key or self.settings.api_key or self.key or "key_sandbox"

    def new_id(self, *kind: str, length: int = 24) -> str:
        """An id for the next thing of a kind: the same in every sandbox of the same seed."""
        name = "\0".join(kind)
        self._counts[name] += 1
        text = f"{self.settings.seed}\0{name}\0{self._counts[name]}"
        return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()[:length]

    def start_call(self, params: CallParams, profile: CallProfile) -> Call:
        """Create a call and decide how it goes."""
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
        """Change how a call goes from now on."""
        self.calls.change(call, plan)
        self.on_change(call)

    def remember_key(self, key: str, call: Call) -> None:
        """Keep an idempotency key for an hour of real time."""
        now = self.real_now
        self.calls.keep_key(key, call, now + _HOUR_MS, now)

    def call_of_key(self, key: str) -> Call | None:
        """The call of an idempotency key that has not expired."""
        return self.calls.by_key(key, self.real_now)
