"""A campaign in a file, under a clock that a test sets, and a worker of it, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retell_async.campaigns import Contact, Number, Result, Retry, Rules, Settings
from retell_async.campaigns.durable.database import Database
from retell_async.campaigns.durable.store import Intent, Nothing, Store, Turn, Wait

NOW = 1_796_000_000.0
RULES = Rules(numbers=[Number("+14155550100", per_second=100)], retries={"missed": Retry(60.0)})
SETTINGS = Settings(rules=RULES)


def contacts(count: int, **more: Any) -> list[Contact]:
    return [Contact(id=str(person), number=f"+1212555{person:04}", zones=("America/New_York",), **more) for person in range(count)]


class Campaigns:
    """Makes a campaign in a file, under a clock that a test sets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOW

    def __call__(self, people: list[Contact], settings: Settings = SETTINGS, do_not_call: tuple[str, ...] = ()) -> Desk:
        store = Store(Database(self.path, make=True), clock=lambda: self.now)
        store.make("spring", settings, people, do_not_call)
        store.set_status("running")
        return Desk(store, self)


class Desk:
    """A worker of a campaign, step by step."""

    def __init__(self, store: Store, campaigns: Campaigns) -> None:
        self.store = store
        self.campaigns = campaigns
        self.worker, _ = store.enter(alone=False)
        store.beat(self.worker, 15.0)

    def at(self, moment: float) -> Desk:
        self.campaigns.now = moment
        return self

    def begin(self, most: int = 100) -> str:
        found = self.store.next_intent(most)
        assert isinstance(found, Intent), found
        return found.key

    def idle(self, most: int = 100) -> float | None:
        """Seconds until there is something to do."""
        found = self.store.next_intent(most)
        assert isinstance(found, Nothing), found
        return found.at

    def turn(self, key: str, *, live: int = 100, first: bool = True) -> Turn | Wait | None:
        self.store.beat(self.worker, 1e9)
        return self.store.turn(key, self.worker, lease=15.0, live=live, first=first)

    def send(self, key: str) -> Turn:
        turn = self.turn(key)
        assert isinstance(turn, Turn), turn
        return turn

    def settle(self, key: str, reason: str, **more: Any) -> None:
        self.store.settle(key, Result(reason, connected=reason == "user_hangup"), **more)
