"""Events: acknowledged at once, handled once, and not acknowledged again before that is done."""

from __future__ import annotations

import asyncio
import inspect
import signal
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from retell_async.webhooks import CallEnded, Claim, Event, MemoryStore, Router, parse_event

from ..exchanges import Exchange, Handled, deliver
from ..sending import KEY, body_of, ended_process, event_body, signed
from .endings import fail
from .stores import Recorded

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]


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
    """Four hours of slow handlers, in virtual time: nothing is sent back."""

    async def main() -> None:
        router = Router(KEY, max_in_flight=1)
        handled = Handled(lambda: anyio.sleep(1800))
        router.on()(handled)
        answers: list[Exchange] = []
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                answers.append(Exchange())
                tasks.start_soon(answers[-1].run, router, event_body(call_id=f"call_{number}"))
        assert [answer.status for answer in answers] == [204] * 8
        assert len(handled) == 8
        assert trio.current_time() >= 4 * 3600

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


async def test_a_flood_makes_nobody_forget_what_is_done() -> None:
    """With the memory and the queue of the defaults, both a thousandth in size."""
    router = Router(KEY, max_in_flight=1, max_waiting=10, store=MemoryStore(100))
    handled = Handled()
    router.on()(handled)
    assert (await deliver(router, event_body())).status == 204
    go_on = anyio.Event()
    handled.then = go_on.wait
    async with anyio.create_task_group() as tasks:
        for number in range(2, 13):
            tasks.start_soon(deliver, router, event_body(call_id=f"call_{number}"))
        await anyio.wait_all_tasks_blocked()
        assert (router.stats.in_flight, router.stats.waiting) == (1, 10)
        go_on.set()
    assert (await deliver(router, event_body())).status == 204
    assert len(handled) == 12


def test_the_memory_of_the_defaults_holds_several_full_queues() -> None:
    size = inspect.signature(MemoryStore).parameters["size"].default
    waiting, running = (inspect.signature(Router).parameters[name].default for name in ("max_waiting", "max_in_flight"))
    assert size >= 5 * (waiting + running)


# When the server stops, or a handler fails while others run.


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


@pytest.mark.parametrize("acknowledge_after", [0, 0.01])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_lost_is_told_in_the_moment_of_its_cancellation(
    acknowledge_after: float, anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server may end the process right after it cancelled what was left."""
    router = Router(KEY, acknowledge_after=acknowledge_after)
    router.on()(Handled(anyio.sleep_forever))
    exchange = Exchange()
    task = asyncio.create_task(exchange.run(router, event_body()))
    await exchange.answered.wait()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.sleep(0)
    assert "call_ended:call_1 is lost" in caplog.text
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.text.count("lost") == 1


@pytest.mark.parametrize("ending", [None, fail])
async def test_what_a_handler_does_all_the_same_is_not_lost(ending: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = Recorded()
    router = Router(KEY, store=store)
    go_on = anyio.Event()

    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await go_on.wait()
            if ending is not None:
                await ending()

    router.on()(Handled(work))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, router, event_body())
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    assert store.log == ["claim", "done" if ending is None else "release"]
    assert "call_ended:call_1 is lost" in caplog.text
    assert ("call_ended:call_1 is not lost" in caplog.text) is (ending is None)


SERVICE = """
import asyncio, logging, sys
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from retell_async import webhooks
from tests.webhooks.sending import KEY

logging.basicConfig()
router = webhooks.Router(KEY, acknowledge_after=float(sys.argv[1]), shutdown_timeout=1)

@router.on("call_ended")
async def handle(event):
    await asyncio.sleep(60)

app = router if sys.argv[3] == "alone" else Starlette(routes=[Mount("/", router)])
uvicorn.run(app, port=int(sys.argv[2]), log_config=None, timeout_graceful_shutdown=1)
"""


@pytest.mark.soak
@pytest.mark.needs("signals")
@pytest.mark.parametrize("acknowledge_after", [0, 0.1])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", ["alone", "mounted"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_cancelled_at_the_end_of_uvicorn_is_logged_as_lost(
    how: str, kind: signal.Signals, acknowledge_after: float, anyio_backend: str
) -> None:
    """By the router, or, when it is mounted and not entered, by uvicorn."""
    said = await ended_process(["-c", SERVICE, str(acknowledge_after), "{port}", how], kind)
    assert "call_ended:call_1 is lost: it was acknowledged" in said


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
