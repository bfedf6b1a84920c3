"""Events: acknowledged at once, handled once, and not acknowledged again before that is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from retell_async.webhooks import CallEnded, Claim, Event, MemoryStore, Router, parse_event

from .exchanges import Exchange, Handled, deliver
from .sending import KEY, body_of, event_body, signed

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise LookupError("no such customer")


# Acknowledged at once, within bounds.


async def test_events_are_acknowledged_at_once_although_no_handler_is_free() -> None:
    router = Router(KEY, max_in_flight=2)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on("call_ended")(handled)
    exchanges = [Exchange() for _ in range(20)]
    async with anyio.create_task_group() as tasks:
        for number, exchange in enumerate(exchanges):
            tasks.start_soon(exchange.run, router, event_body(call_id=f"call_{number}"))
        await anyio.wait_all_tasks_blocked()
        assert [exchange.status for exchange in exchanges] == [204] * 20
        assert (router.stats.in_flight, router.stats.waiting) == (2, 18)
        go_on.set()
    assert len(handled) == 20
    assert (router.stats.in_flight, router.stats.waiting, router.stats.late) == (0, 0, 0)


async def test_events_are_handled_in_the_order_in_which_they_came() -> None:
    router = Router(KEY, max_in_flight=1)
    go_on = anyio.Event()
    order: list[str] = []

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await go_on.wait()
        order.append(event.call.call_id)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(deliver, router, event_body(call_id=f"call_{number}"))
            await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert order == [f"call_{number}" for number in range(10)]


@pytest.mark.parametrize("settings", [{"max_waiting": 3}, {"max_waiting_bytes": 3 * len(event_body(call_id="call_0"))}])
async def test_when_there_is_no_room_to_wait_events_are_sent_back_at_once(settings: dict[str, Any]) -> None:
    router = Router(KEY, max_in_flight=1, **settings)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on("call_ended")(handled)
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(deliver, router, event_body(call_id=f"call_{number}"))
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(2):
            exchange = await deliver(router, event_body(call_id="call_4"))
        assert (exchange.status, exchange.body) == (503, b"late: too many events are waiting to be handled")
        assert router.stats.late == 1
        go_on.set()
    assert len(handled) == 4
    assert (await deliver(router, event_body(call_id="call_4"))).status == 204
    assert len(handled) == 5


async def test_nothing_waits_if_nothing_may() -> None:
    router = Router(KEY, max_in_flight=1, max_waiting=0)
    go_on = anyio.Event()
    router.on()(Handled(go_on.wait))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body(call_id="call_1"))
        await anyio.wait_all_tasks_blocked()
        assert (await deliver(router, event_body(call_id="call_2"))).status == 503
        go_on.set()
    assert (await deliver(router, event_body(call_id="call_2"))).status == 204


async def test_a_long_event_needs_no_room_when_a_handler_is_free() -> None:
    router = Router(KEY, max_waiting_bytes=0)
    handled = Handled()
    router.on()(handled)
    assert (await deliver(router, event_body(padding=" " * 10_000))).status == 204
    assert handled == ["call_ended"]


async def test_events_that_wait_and_are_cancelled_leave_their_place_and_their_claim(caplog: pytest.LogCaptureFixture) -> None:
    router = Router(KEY, max_in_flight=1, max_waiting=1)
    handled = Handled(anyio.sleep_forever)
    router.on()(handled)
    async with anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(deliver, router, event_body(call_id=f"call_{number}"))
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert (router.stats.in_flight, router.stats.waiting, router.stats.failed) == (0, 0, 1)
    for number in (1, 2):
        assert f"call_ended:call_{number} is lost: it was acknowledged" in caplog.text
    handled.then = None
    for number in (1, 2):
        assert (await deliver(router, event_body(call_id=f"call_{number}"))).status == 204
    assert len(handled) == 3


async def test_an_event_that_waited_is_the_same_event() -> None:
    router = Router(KEY, max_in_flight=1)
    go_on = anyio.Event()
    got: list[Event] = []

    @router.on()
    async def handle(event: Event) -> None:  # pyright: ignore[reportUnusedFunction]
        got.append(event)
        await go_on.wait()

    bodies = [event_body(call_id=f"call_{number}") for number in range(2)]
    async with anyio.create_task_group() as tasks:
        for body in bodies:
            tasks.start_soon(deliver, router, body)
            await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert got == [parse_event(body) for body in bodies]


def test_waiting_takes_no_time_of_the_deadline() -> None:
    """A day of slow handlers, in virtual time: nothing is sent back."""

    async def main() -> None:
        router = Router(KEY, max_in_flight=1)
        handled = Handled(lambda: anyio.sleep(3600))
        router.on()(handled)
        answers: list[Exchange] = []
        async with anyio.create_task_group() as tasks:
            for number in range(24):
                answers.append(Exchange())
                tasks.start_soon(answers[-1].run, router, event_body(call_id=f"call_{number}"))
        assert [answer.status for answer in answers] == [204] * 24
        assert len(handled) == 24
        assert trio.current_time() >= 24 * 3600

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# A delivery that comes again.


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_a_duplicate_is_not_acknowledged_before_the_first_is_done(acknowledge_after: float) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on()(handled)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body())
        await anyio.wait_all_tasks_blocked()
        exchange = await deliver(router, event_body())
        assert exchange.status == 503
        assert exchange.body.startswith(b"in progress")
        go_on.set()
    assert (await deliver(router, event_body())).status == 204
    assert handled == ["call_ended"]
    assert router.stats.duplicates == 2


async def test_a_duplicate_of_what_waits_for_its_turn_is_not_acknowledged() -> None:
    router = Router(KEY, max_in_flight=1)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on()(handled)
    async with anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(deliver, router, event_body(call_id=f"call_{number}"))
            await anyio.wait_all_tasks_blocked()
        assert (await deliver(router, event_body(call_id="call_2"))).status == 503
        go_on.set()
    assert len(handled) == 2


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_when_the_first_fails_the_next_one_is_handled(acknowledge_after: float) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    go_on = anyio.Event()

    async def wait_and_fail() -> None:
        await go_on.wait()
        await fail()

    handled = Handled(wait_and_fail)
    router.on()(handled)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body())
        await anyio.wait_all_tasks_blocked()
        assert (await deliver(router, event_body())).status == 503
        go_on.set()
    handled.then = None
    assert (await deliver(router, event_body())).status == 204
    assert (await deliver(router, event_body())).status == 204
    assert len(handled) == 2
    assert (router.stats.failed, router.stats.handled) == (1, 1)


# How handlers end.


async def be_cancelled_by_something() -> None:
    raise asyncio.CancelledError


async def wait_for_a_task_that_is_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def cancel_oneself() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(60)


async def cancel_the_own_scope() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep(60)
    raise LookupError


async def raise_an_old_cancellation_of_trio() -> None:
    kept: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:
            kept.append(error)
            raise
    raise kept[0]


@pytest.mark.parametrize("acknowledge_after", [0, 5])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_cancels_the_task_it_runs_in_has_failed(acknowledge_after: float, anyio_backend: str) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    failing, other = Handled(cancel_oneself), Handled(anyio.lowlevel.checkpoint)
    router.on("call_ended")(failing)
    router.on("call_ended")(other)
    with anyio.fail_after(5):
        assert (await deliver(router, event_body())).status == (500 if acknowledge_after else 204)
    assert other == ["call_ended"]
    assert (router.stats.failed, router.stats.handled) == (1, 1)
    failing.then = None
    assert (await deliver(router, event_body())).status == 204
    assert failing == ["call_ended"] * 2


async def fail_in_a_group() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail)


def endings() -> Iterator[Any]:
    for backend, endings in {
        "asyncio": [
            be_cancelled_by_something,
            wait_for_a_task_that_is_cancelled,
            cancel_the_own_scope,
            fail_in_a_group,
            fail,
        ],
        "trio": [raise_an_old_cancellation_of_trio, cancel_the_own_scope, fail_in_a_group, fail],
    }.items():
        for ending in endings:
            yield pytest.param(backend, ending, id=f"{backend}-{ending.__name__}")


@pytest.mark.parametrize("acknowledge_after", [0, 5])
@pytest.mark.parametrize(("anyio_backend", "ending"), list(endings()))
async def test_a_handler_that_ends_in_any_way_but_well_has_failed(
    ending: Callable[[], Awaitable[None]], acknowledge_after: float, anyio_backend: str
) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    failing, other = Handled(ending), Handled(anyio.lowlevel.checkpoint)
    router.on("call_ended")(failing)
    router.on("call_ended")(other)
    with anyio.fail_after(5):
        assert (await deliver(router, event_body())).status == (500 if acknowledge_after else 204)
    assert other == ["call_ended"]
    assert (router.stats.failed, router.stats.handled, router.stats.in_flight) == (1, 1, 0)
    failing.then = None
    assert (await deliver(router, event_body())).status == 204
    assert failing == ["call_ended"] * 2


@pytest.mark.parametrize("acknowledge_after", [0, 5])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_what_ends_the_program_does_so_when_all_is_in_order(kind: type[BaseException], acknowledge_after: float) -> None:
    async def end() -> None:
        raise kind("handler")

    store = Recorded()
    router = Router(KEY, acknowledge_after=acknowledge_after, store=store)
    other = Handled(anyio.lowlevel.checkpoint)
    router.on("call_ended")(Handled(end))
    router.on("call_ended")(other)
    exchange = Exchange()
    with pytest.raises(kind, match="handler"):
        await exchange.run(router, event_body())
    assert exchange.status == (500 if acknowledge_after else 204)
    assert other == ["call_ended"]
    assert store.log == ["claim", "release"]
    assert (router.stats.failed, router.stats.in_flight) == (1, 0)


async def test_what_ends_the_program_in_a_group_does_so_too() -> None:
    async def end_in_a_group() -> None:
        raise BaseExceptionGroup("of a handler", [ValueError(), SystemExit(3)])

    router = Router(KEY, acknowledge_after=5)
    router.on("call_ended")(Handled(end_in_a_group))
    exchange = Exchange()
    with pytest.raises(BaseExceptionGroup, match="of a handler"):
        await exchange.run(router, event_body())
    assert exchange.status == 500


async def test_functions_and_inbound_requests_are_answered_when_their_handler_ends_the_program() -> None:
    router = Router(KEY)

    @router.function("leave")
    async def leave(function: object) -> object:  # pyright: ignore[reportUnusedFunction]
        raise SystemExit(3)

    @router.inbound
    async def inbound(request: object) -> Any:  # pyright: ignore[reportUnusedFunction]
        raise SystemExit(3)

    for path, body in (
        ("/functions/leave", b"{}"),
        ("/inbound", body_of({"event": "call_inbound", "call_inbound": {"from_number": "1", "to_number": "2"}})),
    ):
        exchange = Exchange()
        with pytest.raises(SystemExit):
            await exchange.run(router, body, path=path)
        assert exchange.status == 500


async def test_what_is_known_to_have_failed_is_not_acknowledged_while_the_others_still_run() -> None:
    router = Router(KEY, acknowledge_after=0.02)
    go_on = anyio.Event()
    router.on("call_ended")(Handled(fail))
    router.on("call_ended")(Handled(go_on.wait))
    exchange = Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, router, event_body())
        await exchange.answered.wait()
        assert exchange.status == 500
        assert router.stats.in_flight == 1
        assert (await deliver(router, event_body())).status == 503
        go_on.set()


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_a_server_that_stops_gives_back_what_it_does_not_handle(acknowledge_after: float, caplog: pytest.LogCaptureFixture) -> None:
    store = Recorded()
    router = Router(KEY, store=store, acknowledge_after=acknowledge_after)
    second = Handled()
    router.on("call_ended")(Handled(anyio.sleep_forever))
    router.on("call_ended")(second)
    exchange = Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, router, event_body())
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert exchange.status == (None if acknowledge_after else 204)
    assert second == []
    assert store.log == ["claim", "release"]
    assert (router.stats.failed, router.stats.in_flight) == (1, 0)
    assert ("is lost" in caplog.text) is not bool(acknowledge_after)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_cancels_the_task_of_a_request_gives_it_back(anyio_backend: str) -> None:
    store = Recorded()
    router = Router(KEY, store=store, acknowledge_after=5)
    router.on()(Handled(anyio.sleep_forever))
    task = asyncio.create_task(deliver(router, event_body()))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.log == ["claim", "release"]
    assert (await store.claim("call_ended:call_1")) is Claim.MINE


def test_a_loop_that_ends_in_the_middle_leaves_the_claim_to_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is dropped, as by a thread that is given up: nothing can be awaited, and no warning may come of it."""
    now = 1_000.0
    store = MemoryStore()
    router = Router(KEY, store=store)
    router.on()(Handled(asyncio.Event().wait))
    delivery = deliver(router, event_body())
    loop = asyncio.new_event_loop()
    task = loop.create_task(delivery)
    for _ in range(20):
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert router.stats.in_flight == 1
    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.call_exception_handler", lambda *_: None)
    del task, delivery
    loop.close()
    monkeypatch.setattr("time.monotonic", lambda: now + 1e9)
    assert asyncio.run(store.claim("call_ended:call_1")) is Claim.MINE


async def test_what_cannot_be_read_counts_as_failed_and_is_not_acknowledged() -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    assert (await deliver(router, body_of({"event": ["call_ended"]}))).status == 400
    assert (await deliver(router, event_body(), headers={})).status == 401
    assert (router.stats.failed, router.stats.refused, handled) == (1, 2, [])


# Stores.


class Recorded(MemoryStore):
    """Notes what is asked of it; claims, being a store of today, are what the memory says."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.log: list[str] = []

    async def claim(self, key: str) -> Claim:
        self.log.append("claim")
        return await super().claim(key)

    async def renew(self, key: str) -> bool:
        self.log.append("renew")
        return await super().renew(key)

    async def done(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append("done")
        await super().done(key)

    async def release(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append("release")
        await super().release(key)


class Legacy:
    """A store of the kind that there was before leases."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def claim(self, key: str) -> bool:
        await anyio.lowlevel.checkpoint()
        if key in self.keys:
            return False
        self.keys.add(key)
        return True

    async def release(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.keys.discard(key)


class Minimal:
    """A store with no more than the three methods, whose answers are the values of `Claim`."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def claim(self, key: str) -> Any:
        if key in self.kept:
            return self.kept[key]
        self.kept[key] = "in_progress"
        return "mine"

    async def done(self, key: str) -> None:
        self.kept[key] = "done"

    async def release(self, key: str) -> None:
        self.kept.pop(key, None)


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


@pytest.mark.parametrize("answer", [None, "yes", 1, object()])
async def test_a_store_that_answers_something_else_is_one_that_failed(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(MemoryStore):
        async def claim(self, key: str) -> Claim:
            claim: Claim = answer
            return claim

    router = Router(KEY, store=Odd())
    handled = Handled()
    router.on()(handled)
    assert (await deliver(router, event_body())).status == 503
    assert handled == []
    assert "the store of deliveries failed at a claim" in caplog.text


async def test_a_store_that_fails_or_hangs_leaves_the_delivery_to_be_sent_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("retell_async.webhooks.claims._SETTLE_TIMEOUT", 0.05)

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


@pytest.mark.parametrize("make", [LateLegacy, LateMemory])
@pytest.mark.parametrize("then", [lambda: anyio.sleep(5), trio.sleep_forever, fail], ids=["late", "never", "failing"])
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


# Leases.


def in_virtual_time(main: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run under trio's clock, which stands for the store's as well."""
    monkeypatch.setattr("retell_async.webhooks.deliveries.time.monotonic", trio.current_time)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


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


async def test_no_signature_is_made_stale_by_waiting() -> None:
    """A signature is looked at when the request comes, not when its handler's turn does."""
    router = Router(KEY, max_in_flight=1, tolerance=1)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on()(handled)
    body = event_body(call_id="call_2")
    headers = signed(body)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body(call_id="call_1"))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lambda: deliver(router, body, headers=headers))
        await anyio.sleep(1.1)
        go_on.set()
    assert len(handled) == 2
