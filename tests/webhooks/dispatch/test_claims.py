"""Stores of deliveries: what is asked of them, and that what they do wrong costs no event and no answer."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from examples.redis_deliveries import RedisDeliveries
from examples.sql_deliveries import SqlDeliveries
from retell_async.webhooks import Claim, MemoryStore, Router
from retell_async.webhooks._dispatch.store import LEASE

from ..exchanges import Exchange, Handled, deliver
from ..sending import KEY, event_body
from .endings import OWN_CANCELLATIONS, fail
from .stores import Legacy, Minimal, Recorded, in_virtual_time

pytestmark = pytest.mark.anyio


# Stores.


@pytest.mark.parametrize("make", [MemoryStore, Recorded, Minimal])
async def test_processes_that_share_a_store(make: Callable[[], Any]) -> None:
    store = make()
    first, second = Router(KEY, store=store), Router(KEY, store=store)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    first.on()(handled)
    second.on()(handled)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, first, event_body())
        await anyio.wait_all_tasks_blocked()
        assert (await deliver(second, event_body())).status == 503
        go_on.set()
    assert (await deliver(second, event_body())).status == 204
    assert handled == ["call_ended"]
    assert (second.stats.duplicates, second.stats.handled) == (2, 0)


async def test_a_store_of_the_old_kind() -> None:
    store = Legacy()
    router, other = Router(KEY, store=store, acknowledge_after=5), Router(KEY, store=store, acknowledge_after=5)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on()(handled)
    other.on()(handled)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body())
        await anyio.wait_all_tasks_blocked()
        assert (await deliver(router, event_body())).status == 503  # this process knows, although the store cannot say
        go_on.set()
    assert (await deliver(router, event_body())).status == 204
    assert (await deliver(other, event_body())).status == 204
    assert handled == ["call_ended"]
    handled.then = fail
    assert (await deliver(router, event_body(call_id="call_2"))).status == 500
    handled.then = None
    assert (await deliver(other, event_body(call_id="call_2"))).status == 204
    assert len(handled) == 3


async def test_two_that_come_at_the_same_moment_over_a_store_of_the_old_kind() -> None:
    router = Router(KEY, store=Legacy())
    go_on = anyio.Event()
    router.on()(Handled(go_on.wait))
    first, second = Exchange(), Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run, router, event_body())
        tasks.start_soon(second.run, router, event_body())
        await anyio.wait_all_tasks_blocked()
        assert sorted([first.status or 0, second.status or 0]) == [204, 503]
        go_on.set()


class Answering:
    """A store whose claims end in answers of the wanted kinds."""

    def __init__(self, won: object, lost: object) -> None:
        self.won, self.lost = won, lost
        self.keys: set[str] = set()

    async def claim(self, key: str) -> Any:
        if key in self.keys:
            return self.lost
        self.keys.add(key)
        return self.won

    async def release(self, key: str) -> None:
        self.keys.discard(key)


class AnsweringWithDone(Answering):
    async def done(self, key: str) -> None: ...


ANSWERS: list[tuple[object, object]] = [(True, False), (True, None), (1, 0), ("OK", None), (b"OK", b""), (["call_1"], []), (object(), None)]


@pytest.mark.parametrize(("won", "lost"), ANSWERS)
async def test_an_answer_of_a_store_of_the_old_kind_is_taken_by_its_truth(won: object, lost: object) -> None:
    store = Answering(won, lost)
    routers = [Router(KEY, store=store) for _ in range(2)]
    handled = Handled()
    for router in routers:
        router.on()(handled)
    assert [(await deliver(router, event_body())).status for router in routers * 3] == [204] * 6
    assert handled == ["call_ended"]
    assert sum(router.stats.duplicates for router in routers) == 5


@pytest.mark.parametrize(("won", "lost"), ANSWERS)
async def test_what_does_not_say_that_it_is_done_is_not_acknowledged_by_a_store_that_could(
    won: object, lost: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A claim that returns nothing by mistake must lose no event."""
    router = Router(KEY, store=AnsweringWithDone(won, lost))
    handled = Handled()
    router.on()(handled)
    assert [(await deliver(router, event_body())).status for _ in range(3)] == [204, 503, 503]
    assert handled == ["call_ended"]
    assert f"answered {lost!r} to a claim, which does not say that it is done" in caplog.text


@pytest.mark.parametrize("done", [Claim.DONE, "done", b"done"])
async def test_the_value_of_a_claim_is_one(done: Any) -> None:
    router = Router(KEY, store=Answering(Claim.MINE, done))
    handled = Handled()
    router.on()(handled)
    assert [(await deliver(router, event_body())).status for _ in range(2)] == [204, 204]
    assert handled == ["call_ended"]


async def test_an_answer_that_has_no_truth_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    class Neither:
        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    router = Router(KEY, store=Answering(Neither(), None))
    router.on()(Handled())
    assert (await deliver(router, event_body())).status == 503
    assert "the store of deliveries failed at a claim: ValueError: ambiguous" in caplog.text


async def test_a_store_that_fails_or_hangs_leaves_the_delivery_to_be_sent_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("retell_async.webhooks._dispatch.claims._SETTLE_TIMEOUT", 0.05)

    class Weak(MemoryStore):
        trouble: Callable[[], Awaitable[None]] | None = None

        async def claim(self, key: str) -> Claim:
            if self.trouble is not None:
                await self.trouble()
            return await super().claim(key)

    async def refuse() -> None:
        raise ConnectionError("no store for +14155550100")

    store = Weak()
    router = Router(KEY, store=store, deadline=0.05)
    handled = Handled()
    router.on()(handled)
    for trouble in (refuse, anyio.sleep_forever):
        store.trouble = trouble
        exchange = await deliver(router, event_body())
        assert (exchange.status, exchange.body) == (503, b"failed: the store of deliveries does not answer")
    assert handled == []
    assert router.stats.late == 2
    assert "failed at a claim: ConnectionError: no store for +141******00" in caplog.text
    assert "does not answer to a claim" in caplog.text
    store.trouble = None
    assert (await deliver(router, event_body())).status == 204
    assert handled == ["call_ended"]


class LateLegacy(Legacy):
    """Carries a claim out, and then is long in saying so, or fails to."""

    then: Callable[[], Awaitable[object]] | None = None

    async def claim(self, key: str) -> bool:
        claim = await super().claim(key)
        if self.then is not None:
            await self.then()
        return claim


class LateMemory(MemoryStore):
    then: Callable[[], Awaitable[object]] | None = None

    async def claim(self, key: str) -> Claim:
        claim = await super().claim(key)
        if self.then is not None:
            await self.then()
        return claim


@pytest.mark.parametrize(
    ("make", "then"),
    [
        pytest.param(LateLegacy, lambda: anyio.sleep(5), id="old-late"),
        pytest.param(LateMemory, lambda: anyio.sleep(5), id="late"),
        pytest.param(LateMemory, trio.sleep_forever, id="never"),
        pytest.param(LateMemory, fail, id="failing"),
    ],
)
def test_a_claim_that_nobody_waited_for_is_given_back(
    make: type[LateLegacy | LateMemory], then: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        store = make()
        store.then = then
        router = Router(KEY, store=store, deadline=2)
        handled = Handled()
        router.on()(handled)
        begin = trio.current_time()
        exchange = Exchange()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.run, router, event_body())
            await exchange.answered.wait()
            assert exchange.status == 503
            assert trio.current_time() - begin <= 2
        assert trio.current_time() - begin <= 7
        store.then = None
        assert (await deliver(router, event_body())).status == 204
        assert handled == ["call_ended"]
        assert router.stats.late == 1

    in_virtual_time(main, monkeypatch)


@pytest.mark.parametrize("then", [trio.sleep_forever, fail], ids=["never", "failing"])
def test_a_failed_claim_takes_nothing_from_who_has_it_in_a_store_of_the_old_kind(
    then: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        store = LateLegacy()
        first, second = (Router(KEY, store=store, deadline=2) for _ in range(2))
        handled = Handled()
        first.on()(handled)
        second.on()(handled)
        assert (await deliver(first, event_body())).status == 204
        store.then = then
        for router in (first, second):
            assert (await deliver(router, event_body())).status == 503
        assert "call_ended:call_1 counts as done if the store took the claim, and is lost then" in caplog.text
        store.then = None
        for router in (first, second):
            assert (await deliver(router, event_body())).status == 204
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


@pytest.mark.parametrize("make", [LateLegacy, LateMemory])
def test_a_late_answer_takes_nothing_from_who_has_it(make: type[LateLegacy | LateMemory], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = make()
        first, second = (Router(KEY, store=store, deadline=2) for _ in range(2))
        handled = Handled()
        first.on()(handled)
        second.on()(handled)
        assert (await deliver(first, event_body())).status == 204
        store.then = lambda: anyio.sleep(5)
        assert (await deliver(second, event_body())).status == 503
        store.then = None
        assert (await deliver(second, event_body())).status == 204
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


@pytest.mark.parametrize("make", [LateLegacy, LateMemory])
def test_a_server_that_stops_during_a_claim_gives_it_back(make: type[LateLegacy | LateMemory], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = make()
        store.then = lambda: anyio.sleep(3)
        router = Router(KEY, store=store)
        handled = Handled()
        router.on()(handled)
        with anyio.move_on_after(1) as stopping:
            await deliver(router, event_body())
        assert stopping.cancelled_caught
        store.then = None
        assert (await deliver(router, event_body())).status == 204
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


def test_a_store_that_does_not_take_how_it_ended_delays_no_answer_beyond_its_time() -> None:
    class Deaf(MemoryStore):
        async def done(self, key: str) -> None:
            await anyio.sleep_forever()

        async def release(self, key: str) -> None:
            raise OSError("gone")

    async def main() -> None:
        begin = trio.current_time()
        router = Router(KEY, store=Deaf(lease=60), acknowledge_after=2)
        handled = Handled()
        router.on()(handled)
        exchange = Exchange()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.run, router, event_body())
            await exchange.answered.wait()
            assert exchange.status == 204
            assert trio.current_time() - begin == pytest.approx(2)
        assert trio.current_time() - begin == pytest.approx(5)
        handled.then = fail
        assert (await deliver(router, event_body(call_id="call_2"))).status == 500

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Cancelling(Recorded):
    """Ends once in the way that is wanted, when it is asked the thing that is wanted."""

    def __init__(self, asked: str, ending: Callable[[], Awaitable[None]], **settings: Any) -> None:
        super().__init__(**settings)
        self.asked, self.ending = asked, ending

    async def claim(self, key: str) -> Claim:
        await self.end("claim")
        return await super().claim(key)

    async def renew(self, key: str) -> bool:
        await self.end("renew")
        return await super().renew(key)

    async def done(self, key: str) -> None:
        await self.end("done")
        await super().done(key)

    async def release(self, key: str) -> None:
        await self.end("release")
        await super().release(key)

    async def end(self, asked: str) -> None:
        if asked == self.asked and asked not in self.log:
            self.log.append(asked)
            await self.ending()


@pytest.mark.parametrize("acknowledge_after", [0, 5])
@pytest.mark.parametrize("asked", ["claim", "done", "release"])
@pytest.mark.parametrize(("anyio_backend", "ending"), OWN_CANCELLATIONS)
async def test_a_store_that_is_cancelled_on_its_own_has_failed(
    ending: Callable[[], Awaitable[None]], asked: str, acknowledge_after: float, anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Cancelling(asked, ending)
    router = Router(KEY, store=store, acknowledge_after=acknowledge_after)
    handled = Handled(fail if asked == "release" else None)
    router.on()(handled)
    status = 503 if asked == "claim" else 500 if asked == "release" and acknowledge_after else 204
    assert (await deliver(router, event_body())).status == status
    assert f"the store of deliveries failed at a {asked}: " in caplog.text
    assert len(handled) == (asked != "claim")
    handled.then = None
    assert (await deliver(router, event_body(call_id="call_2"))).status == 204
    assert store.log[-1] == "done"


async def test_a_store_that_exits_as_a_generator_does_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        raise GeneratorExit

    router = Router(KEY, store=Cancelling("claim", leave))
    handled = Handled()
    router.on()(handled)
    async with router:
        assert (await deliver(router, event_body())).status == 503
        assert (await deliver(router, event_body(call_id="call_2"))).status == 204
    assert "the store of deliveries failed at a claim: GeneratorExit" in caplog.text
    assert len(handled) == 1


@pytest.mark.parametrize(("anyio_backend", "ending"), OWN_CANCELLATIONS)
async def test_a_renewal_that_is_cancelled_on_its_own_is_tried_again(
    ending: Callable[[], Awaitable[None]], anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Cancelling("renew", ending, lease=0.15)
    router = Router(KEY, store=store)
    renewed = anyio.Event()
    store.renewed = renewed.set
    router.on()(Handled(renewed.wait))
    with anyio.fail_after(5):
        assert (await deliver(router, event_body())).status == 204
    assert store.log == ["claim", "renew", "renew", "done"]
    assert "the store of deliveries failed at a renewal: " in caplog.text


@pytest.mark.parametrize(("anyio_backend", "ending"), OWN_CANCELLATIONS)
async def test_a_server_that_stops_does_so_although_its_store_is_cancelled_too(
    ending: Callable[[], Awaitable[None]], anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Cancelling("release", ending)
    router = Router(KEY, store=store)
    router.on()(Handled(anyio.sleep_forever))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body())
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert store.log == ["claim", "release"]
    assert "the store of deliveries failed at a release: " in caplog.text
    assert "call_ended:call_1 is lost" in caplog.text


@pytest.mark.parametrize(("anyio_backend", "ending"), OWN_CANCELLATIONS)
async def test_a_renewal_that_is_ended_and_answers_with_a_cancellation_of_its_own(
    ending: Callable[[], Awaitable[None]], anyio_backend: str
) -> None:
    """Its time is over, and then that of the handlers."""

    async def wait_and_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await ending()

    store = Cancelling("renew", wait_and_end, lease=0.06)
    router = Router(KEY, store=store)
    renewed = anyio.Event()
    store.renewed = renewed.set
    router.on()(Handled(renewed.wait))
    with anyio.fail_after(5):
        assert (await deliver(router, event_body())).status == 204
    assert store.log == ["claim", "renew", "renew", "done"]

    store = Cancelling("renew", wait_and_end, lease=0.06)
    router = Router(KEY, store=store)
    router.on()(Handled(lambda: anyio.sleep(0.03)))
    with anyio.fail_after(5):
        assert (await deliver(router, event_body())).status == 204
    assert store.log == ["claim", "renew", "done"]


# Leases.


def test_a_claim_that_takes_longer_than_its_lease_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = LateMemory(lease=3)
        store.then = lambda: anyio.sleep(4)
        router = Router(KEY, store=store, deadline=8)
        handled = Handled()
        router.on()(handled)
        assert (await deliver(router, event_body())).status == 503
        store.then = None
        assert (await deliver(router, event_body())).status == 204
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


def test_a_lease_is_renewed_in_time_although_its_claim_was_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = LateMemory(lease=3)
        store.then = lambda: anyio.sleep(2.8)
        first, second = (Router(KEY, store=store) for _ in range(2))
        handled = Handled(lambda: anyio.sleep(60))
        first.on()(handled)
        second.on()(handled)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, first, event_body())
            await anyio.sleep(3.1)
            store.then = None
            assert (await deliver(second, event_body())).status == 503
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


def test_a_process_that_was_blocked_for_longer_than_the_lease_still_knows_what_it_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = Recorded(lease=3)
        router = Router(KEY, store=store)
        handled = Handled(lambda: anyio.sleep(20))
        router.on()(handled)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, router, event_body())
            await anyio.sleep(1.5)
            now = trio.current_time() + 10
            monkeypatch.setattr("retell_async.webhooks._dispatch.store.time.monotonic", lambda: now)
            assert (await deliver(router, event_body())).status == 503
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


def test_with_the_lease_of_the_examples_another_process_takes_over_before_repetitions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        for example in (RedisDeliveries, SqlDeliveries):
            assert inspect.signature(example).parameters["lease"].default == LEASE
        shared = MemoryStore(lease=LEASE)
        first, second = (Router(KEY, store=shared, acknowledge_after=5) for _ in range(2))
        first.on()(Handled(anyio.sleep_forever))
        handled = Handled()
        second.on()(handled)
        monkeypatch.setattr(shared, "release", trio.sleep_forever)  # the first process dies without a word
        with anyio.move_on_after(2):
            await deliver(first, event_body())
        statuses: list[int | None] = []
        for pause in (1, 2, 4):  # as the sandbox repeats it
            await anyio.sleep(pause)
            statuses.append((await deliver(second, event_body())).status)
        assert 204 in statuses
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


@pytest.mark.parametrize("acknowledge_after", [0, 5])
def test_a_lease_is_renewed_as_long_as_a_handler_runs(acknowledge_after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = Recorded(lease=60)
        first, second = (Router(KEY, store=store, acknowledge_after=acknowledge_after) for _ in range(2))
        handled = Handled(lambda: anyio.sleep(3600))
        first.on()(handled)
        second.on()(handled)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, first, event_body())
            for _ in range(50):
                await anyio.sleep(70)
                assert (await deliver(second, event_body())).status == 503
        assert (await deliver(second, event_body())).status == 204
        assert handled == ["call_ended"]
        assert 170 <= store.log.count("renew") <= 180
        assert store.log.count("done") == 1

    in_virtual_time(main, monkeypatch)


def test_a_lease_is_renewed_while_an_event_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = Recorded(lease=60)
        first, second = (Router(KEY, store=store, max_in_flight=1) for _ in range(2))
        handled = Handled(lambda: anyio.sleep(600))
        first.on()(handled)
        second.on()(handled)
        async with anyio.create_task_group() as tasks:
            for number in (1, 2):
                tasks.start_soon(deliver, first, event_body(call_id=f"call_{number}"))
            await anyio.sleep(500)
            assert (await deliver(second, event_body(call_id="call_2"))).status == 503
        assert len(handled) == 2

    in_virtual_time(main, monkeypatch)


def test_what_a_dead_process_held_is_taken_over_when_its_lease_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = MemoryStore(lease=60)
        await store.claim("call_ended:call_1")  # by a process that dies then
        router = Router(KEY, store=store)
        handled = Handled()
        router.on()(handled)
        assert (await deliver(router, event_body())).status == 503
        await anyio.sleep(59)
        assert (await deliver(router, event_body())).status == 503
        await anyio.sleep(2)
        assert (await deliver(router, event_body())).status == 204
        assert handled == ["call_ended"]

    in_virtual_time(main, monkeypatch)


@pytest.mark.parametrize("trouble", ["raises", "hangs"])
def test_a_renewal_that_fails_is_tried_again(trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Unsteady(Recorded):
        async def renew(self, key: str) -> bool:
            if self.log.count("renew") % 2 == 0:
                self.log.append("renew")
                if trouble == "hangs":
                    await anyio.sleep_forever()
                raise ConnectionError("away")
            return await super().renew(key)

    async def main() -> None:
        store = Unsteady(lease=90)
        router = Router(KEY, store=store)
        handled = Handled(lambda: anyio.sleep(600))
        router.on()(handled)
        assert (await deliver(router, event_body())).status == 204
        assert store.log.count("renew") > 5
        assert store.log[-1] == "done"

    in_virtual_time(main, monkeypatch)
    assert ("failed at a renewal" if trouble == "raises" else "does not answer to a renewal") in caplog.text


def test_a_lease_that_was_lost_is_told_and_the_handler_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = Recorded(lease=60)
        router = Router(KEY, store=store)
        handled = Handled(lambda: anyio.sleep(600))
        router.on()(handled)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, router, event_body())
            await anyio.sleep(1)
            await store.release("call_ended:call_1")  # as when the store forgot it
            await anyio.sleep(100)
            assert store.log.count("renew") == 1
        assert router.stats.handled == 1
        assert store.log[-1] == "done"

    in_virtual_time(main, monkeypatch)
    assert [record.levelno for record in caplog.records if "the lease of call_ended:call_1 lapsed" in record.getMessage()] == [
        logging.WARNING
    ]


@pytest.mark.parametrize("lease", [0, -1, float("nan")])
def test_a_store_whose_leases_cannot_be_is_refused(lease: float) -> None:
    class Odd(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.lease = lease

    with pytest.raises(ValueError, match="lease must be above 0"):
        Router(KEY, store=Odd())
