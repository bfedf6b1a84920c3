"""24 virtual hours of a service, in which goes wrong what can: nothing is lost, nothing done twice, nothing leaks, nothing stalls."""

from __future__ import annotations

import gc
import logging
import random as global_random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import attrs
import httpx
import pytest
import trio

import retell_async
import retell_async.sandbox
from retell_async import AsyncRetell, RateLimit, RetryPolicy
from retell_async.sandbox import Settings
from retell_async.sandbox.faults.fault import FaultKind
from retell_async.sandbox.outgoing.sender import Sender
from retell_async.testing import LocalRetell

from ..engine.clocks import Clocks, run
from .service import DEADLINE, READ_DEADLINE, Address, Order, Service

pytestmark = [pytest.mark.soak, pytest.mark.needs("descriptors")]

MINUTE = 60.0
HOUR = 3600.0
STEP = 1.0
"""Seconds that a bound may be exceeded by."""
ORDERS = (3, 3, 3, 3, 3, 5, 15, 40, 80, 90, 100, 90, 60, 80, 90, 80, 70, 50, 30, 20, 10, 6, 3, 3)
"""How many calls are ordered in each hour."""
CAMPAIGNS = {10.0: 100, 14.25: 50}
"""How many are ordered at once, by the hour: more than the account has room for, and more a second than the carrier takes."""
WEATHER: tuple[tuple[FaultKind, dict[str, Any]], ...] = (
    ("rate_limit", {"operation": "createPhoneCall", "requests": 1, "per": 1.0, "retry_after": 1}),
    ("rate_limit", {"probability": 0.01, "retry_after": None, "seed": 1}),
    ("rate_limit", {"probability": 0.01, "retry_after": 2, "form": "date", "seed": 2}),
    ("error", {"status": 503, "probability": 0.01, "seed": 3}),
    ("error", {"status": 502, "probability": 0.01, "seed": 4, "acted": True}),
    ("reset", {"probability": 0.01, "seed": 5}),
    ("reset", {"probability": 0.01, "seed": 6, "acted": True}),
    ("timeout", {"probability": 0.005, "seed": 7}),
    ("timeout", {"probability": 0.005, "seed": 8, "acted": True}),
    ("malformed", {"probability": 0.01, "seed": 9}),
    ("truncated", {"probability": 0.01, "seed": 10}),
    ("latency", {"probability": 0.02, "seconds": 2, "seed": 11}),
    ("unknown_value", {"probability": 0.01, "seed": 12}),
    ("unknown_field", {"probability": 0.01, "seed": 13}),
    ("webhook_duplicate", {"probability": 0.1, "seed": 14}),
    ("webhook_late", {"probability": 0.05, "seconds": 40, "seed": 15}),
    ("webhook_lost", {"probability": 0.02, "seed": 16}),
)
OUTAGES: tuple[tuple[float, float, FaultKind, dict[str, Any]], ...] = (
    (2.0, 3, "error", {"status": 503}),
    (5.5, 5, "reset", {}),
    (8.5, 4, "reset", {"acted": True}),
    (9.5, 5, "rate_limit", {"retry_after": 1}),
    (11.0, 10, "rate_limit", {"retry_after": None}),
    (12.5, 2, "timeout", {"acted": True}),
    (13.5, 5, "error", {"status": 500, "acted": True}),
    (15.5, 4, "malformed", {}),
    (16.5, 2, "truncated", {}),
    (18.0, 5, "latency", {"seconds": 20}),
)
"""Hours from the start, minutes, and what happens to every request meanwhile."""
ROTATIONS = (8.0, 16.0)
RECOVERED = 60.0
"""Seconds after an outage in which the client may be slower than before."""


@attrs.frozen
class VirtualClock:
    """The sandbox's time."""

    _clocks: Clocks
    speed: float = 1.0

    def now(self) -> int:
        return int(self._clocks.wall() * 1000)

    def seconds_until(self, moment: int) -> float:
        return max(moment - self.now(), 0) / 1000

    def watch(self, moved: object) -> None:
        """Nobody moves this clock."""


_HOLDERS = [str(Path(str(module.__file__)).parent) + "/" for module in (retell_async, httpx, anyio, trio, logging)]
_SANDBOX = str(Path(str(retell_async.sandbox.__file__)).parent) + "/"


@attrs.frozen
class Measure:
    """What must not grow."""

    memory: Counter[str]
    """Bytes that the client, webhooks and what they stand on hold, by the file: of what was allocated since the measuring began."""
    tasks: int
    descriptors: int

    @classmethod
    def take(cls) -> Measure:
        gc.collect()
        memory = Counter[str]()
        for each in tracemalloc.take_snapshot().statistics("filename"):
            name = each.traceback[0].filename
            if name.startswith(tuple(_HOLDERS)) and not name.startswith(_SANDBOX):
                memory[name] = each.size
        return cls(memory, trio.lowlevel.current_statistics().tasks_living, len([*Path("/dev/fd").iterdir()]))


class Day:
    """The service, its account, and what happens to both."""

    def __init__(self) -> None:
        self.clocks = Clocks()
        self.random = Random(24)
        self.local = LocalRetell(Settings(seed=24, concurrency_limit=40), VirtualClock(self.clocks))
        self.measures: list[Measure] = []
        self.numbers = iter(range(2_015_550_000, 2_015_599_999))
        self.keys: Iterator[str] = (f"key_number_{number}_of_the_day" for number in range(10))

    async def main(self) -> None:
        async with trio.open_nursery() as outside:
            self.address = Address(outside)
            fixtures = self.local.create_fixtures(webhook_url="https://service.test/events", webhook_events=["call_ended", "call_analyzed"])
            outside.start_soon(Sender(self.local.sandbox, self.address, attended=True).run)
            key = next(self.keys)
            self.sign_with(key)
            policy = RetryPolicy(deadline=DEADLINE, on_unknown_outcome="reconcile")
            options: dict[str, Any] = {"api_key": key, "retry": policy, "rate_limit": RateLimit(max_wait=600), "hooks": ()}
            async with self.local.client(**options) as client:
                self.service = Service(client, self.clocks, fixtures.phone_number, fixtures.agent_id, self.random)
                self.address.app = self.service.worker(key)
                async with trio.open_nursery() as inside:
                    for task in (self.outages, self.rotations, self.deployments, self.reads, self.visitors, self.measuring):
                        inside.start_soon(task)
                    async with trio.open_nursery() as placing:
                        await self.ordering(placing)
                    await self.until(24.0)
                    inside.cancel_scope.cancel()
                await self.end()
            outside.cancel_scope.cancel()

    async def until(self, hour: float) -> None:
        await trio.sleep(max(hour * HOUR - self.clocks.monotonic(), 0))

    def sign_with(self, key: str) -> None:
        """Let webhooks be signed with another key from now on."""
        store = self.local.sandbox.store
        store.settings = attrs.evolve(store.settings, webhook_key=key)

    def order(self, kind: Any) -> Order:
        order = Order(f"order {len(self.service.orders)}", kind, f"+1{next(self.numbers)}")
        self.service.orders.append(order)
        return order

    async def ordering(self, placing: trio.Nursery) -> None:
        times = [hour + self.random.random() for hour, number in enumerate(ORDERS) for _ in range(number)]
        times += [hour for hour, number in CAMPAIGNS.items() for _ in range(number)]
        for when in sorted(times):
            await self.until(when)
            placing.start_soon(self.service.fulfil, self.order("web" if self.random.random() < 0.2 else "phone"))

    async def outages(self) -> None:
        for kind, fields in WEATHER:
            self.local.fault(kind, **fields)
        for hour, minutes, kind, fields in OUTAGES:
            await self.until(hour)
            active = self.local.fault(kind, **fields)
            await trio.sleep(minutes * MINUTE)
            assert active.count
            self.local.sandbox.remove_fault(active.id)

    async def rotations(self) -> None:
        """New keys: the receivers of webhooks know both for a while."""
        old = self.service.client.api_key
        for hour in ROTATIONS:
            await self.until(hour)
            new = next(self.keys)
            self.address.app = self.service.worker([old, new])
            self.sign_with(new)
            self.service.client = self.service.client.with_options(api_key=new)
            await trio.sleep(30 * MINUTE)
            self.address.app = self.service.worker(new)
            old = new

    async def deployments(self) -> None:
        """New processes, and nobody there for a few seconds, or too long for what is sent meanwhile."""
        for hour, seconds in ((3.0, 3.0), (7.5, 60.0), (12.0, 5.0), (17.5, 20.0)):
            await self.until(hour)
            self.address.app = None
            await trio.sleep(seconds)
            self.address.app = self.service.worker(self.service.client.api_key)

    async def reads(self) -> None:
        """Every two minutes, for a tenant who comes once; and every half an hour what webhooks did not tell."""
        async with trio.open_nursery() as reading:
            for minute in range(0, 24 * 60, 2):
                await self.until(minute / 60)
                tenant = self.service.client.with_options(api_key=f"key_of_tenant_{minute}")
                reading.start_soon(self.service.read, lambda client=tenant: client.concurrency.retrieve(deadline=READ_DEADLINE))
                if minute % 30 == 28:
                    reading.start_soon(self.service.sweep)
                placed = [order.call_id for order in self.service.orders[-20:] if order.call_id is not None]
                for call_id in placed[:3]:
                    reading.start_soon(
                        self.service.read, lambda call_id=call_id: self.service.client.call.retrieve(call_id, deadline=READ_DEADLINE)
                    )

    async def visitors(self) -> None:
        """Clients that are made for one request, and closed or simply dropped."""
        for number in range(24 * 6):
            await self.until(number / 6)
            client: AsyncRetell = self.local.client(api_key="key_of_a_visitor", hooks=())
            await self.service.read(partial(client.voice.list, deadline=READ_DEADLINE))
            if number % 2:
                await client.aclose()

    async def measuring(self) -> None:
        for hour in (3.9, 23.9):
            await self.until(hour)
            if not self.measures:
                tracemalloc.start()
                await self.until(hour + 0.05)
            self.local.sandbox.log.clear()
            self.measures.append(Measure.take())
        tracemalloc.stop()

    async def end(self) -> None:
        """The weather clears up, and the service does what is left to do."""
        self.local.clear_faults()
        await trio.sleep(2 * HOUR)
        await self.service.sweep()
        self.calls = [call async for call in self.service.client.call.list(limit=1000)]


@pytest.fixture(scope="module")
def day() -> Day:
    state = global_random.getstate()
    global_random.seed(24)
    day = Day()
    try:
        run(day.clocks, day.main, within=30 * HOUR)
    finally:
        global_random.setstate(state)
        tracemalloc.stop()
    return day


def test_it_was_a_day_of_work_and_of_trouble(day: Day) -> None:
    service = day.service
    assert len(service.orders) == sum(ORDERS) + sum(CAMPAIGNS.values())
    assert service.failed > 50
    assert service.unknown > 0


def test_everybody_was_called_once(day: Day) -> None:
    wanted = {order.name for order in day.service.orders}
    placed = Counter(call.metadata["order"] for call in day.calls if call.metadata)
    assert {name: number for name, number in placed.items() if number > 1} == {}
    assert wanted - placed.keys() == set()
    assert {order.call_id for order in day.service.orders} == {call.call_id for call in day.calls}
    day.local.assert_none_placed_twice()


def test_every_event_was_handled_once(day: Day) -> None:
    service = day.service
    assert {what: number for what, number in service.handled.items() if number > 1} == {}
    delivered = {(delivery.name, delivery.about) for delivery in day.local.sandbox.outbox.log if delivery.state == "delivered"}
    assert len(delivered) > 1_500
    assert delivered - service.handled.keys() == set()
    assert {call.call_id for call in day.calls} - service.followed.keys() == set()
    assert 0 < Counter(service.followed.values())["list"] < 0.1 * len(day.calls)


def test_nothing_waited_longer_than_its_bound(day: Day) -> None:
    assert day.service.slowest["place"] <= DEADLINE + STEP
    assert day.service.slowest["read"] <= READ_DEADLINE + STEP


def test_reads_did_not_stall(day: Day) -> None:
    outages = [(hour * HOUR, hour * HOUR + minutes * MINUTE + RECOVERED) for hour, minutes, _, _ in OUTAGES]
    took = sorted(
        seconds for begun, seconds in day.service.reads if not any(start - READ_DEADLINE <= begun <= end for start, end in outages)
    )
    assert len(took) > 1_000
    assert took[len(took) // 2] < 0.05
    assert took[int(0.99 * len(took))] < 10


def test_memory_tasks_and_descriptors_are_flat(day: Day) -> None:
    early, late = day.measures
    grown = late.memory - early.memory
    # The greater part of it is what the sandbox keeps of requests and deliveries, and what the service remembers.
    assert grown.total() < 3_500_000, grown.most_common(5)
    assert late.tasks <= early.tasks + 5
    assert late.descriptors <= early.descriptors
