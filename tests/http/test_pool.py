"""The connections of a client's own transport, of many origins at once; without a network."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from random import Random
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx
import pytest

from retell_async import APIConnectionError, AsyncRetell, DefaultAsyncHttpxClient, OutcomeUnknownError, RetellError
from retell_async._core.encode import encode
from retell_async._http import transport as _transport
from retell_async._http.exchange import Http
from retell_async._http.slots import Slots
from retell_async._http.transport import Transport, _Idle, _Place, _Pool

from ..engine.example import CREATE, KEY

pytestmark = pytest.mark.anyio


class Connection:
    """Takes a while to close, and calls something meanwhile."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self.meanwhile = meanwhile
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1
        await anyio.lowlevel.checkpoint()
        if self.meanwhile is not None:
            await self.meanwhile()


class Bench:
    """A pool, and connections to as many origins as are asked for."""

    def __init__(self, **limits: Any) -> None:
        self.pool = _Pool(None, httpx.Limits(**limits))
        self.numbers = count()
        self.connections: list[Connection] = []

    async def begun(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Callable[[], Awaitable[None]]:
        """A request to an origin of its own is under way: it is answered by what this gives."""
        connection = Connection(meanwhile)
        self.connections.append(connection)
        origin = "http", f"region-{next(self.numbers)}.test", None
        place = await self.pool.take(origin, None, lambda to: _Place(to, cast("Any", connection)))
        assert place.connection is cast("Any", connection)
        return partial(self.pool.release, place)

    async def used(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """One was answered."""
        await (await self.begun(meanwhile))()

    async def used_meanwhile(self, number: int) -> None:
        """So many were, and while the connection of each is closed another one is, which was under way."""
        for _ in range(number):
            await self.used(await self.begun())


async def test_connections_of_other_origins_come_back_while_those_that_expired_close() -> None:
    bench = Bench(keepalive_expiry=0.02)
    await bench.used_meanwhile(5)
    await anyio.sleep(0.03)
    await bench.used()
    assert [connection.closed for connection in bench.connections[:10]] == [0, 1] * 5
    assert len(bench.connections) == 11


async def test_connections_of_other_origins_come_back_while_the_pool_is_closed() -> None:
    bench = Bench()
    await bench.used_meanwhile(5)
    await bench.pool.aclose()
    assert [connection.closed for connection in bench.connections] == [1] * 10
    assert not bench.pool.idle


async def test_an_idle_connection_to_elsewhere_makes_room_and_it_is_the_oldest() -> None:
    bench = Bench(max_connections=3)
    for _ in range(5):
        await bench.used()
    assert [connection.closed for connection in bench.connections] == [1, 1, 0, 0, 0]


async def test_nothing_is_kept_of_an_origin_that_has_no_connection_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(max_connections=3)
    for _ in range(200):
        await bench.used()
    assert len(bench.pool._idle._of) == bench.pool.idle == 3

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "eu.test")
    transport = Transport(http2=True)
    sent: list[str] = []

    async def send(_: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        sent.append(request.url.host)
        return httpx.Response(200)

    monkeypatch.setattr(_transport, "_by_httpx", send)
    async with httpx.AsyncClient(transport=transport) as client:
        for number in range(200):
            assert (await client.get(f"https://region-{number}.{'us' if number % 2 else 'eu'}.test")).status_code == 200
        (pool,) = transport._pools.values()
        assert set(pool.shared) == {("https", True), ("https", False)}
    assert len(sent) == 200
    assert transport._of_environment is not None
    assert transport._of_environment.cache_info().currsize <= 64


def test_what_two_threads_take_at_once_they_take_once() -> None:
    idle = _Idle()
    taken: list[_Place] = []
    origins = [("http", f"region-{number}.test", None) for number in range(7)]

    def take() -> None:
        for number in range(3_000):
            place = idle.take(origins[number % 7]) if number % 2 else idle.take_oldest()
            taken.extend([place] if place is not None else [])

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(3_000):
        idle.put(_Place(origins[number % 7], cast("Any", None)))
    for thread in threads:
        thread.join()
    while (place := idle.take_oldest(math.inf)) is not None:
        taken.append(place)
    assert len(taken) == len(set(map(id, taken))) == 3_000
    assert not idle._of


# What fails before a request departs


async def test_whatever_fails_before_a_request_departs_leaves_no_outcome_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = count()

    async def take(*_: Any) -> None:
        next(failures)
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(_Pool, "take", take)
    for http_client in (None, DefaultAsyncHttpxClient(), DefaultAsyncHttpxClient(headers={"x-mine": "1"})):
        async with AsyncRetell(KEY, http_client=http_client, max_retries=0) as client:
            with pytest.raises(APIConnectionError, match="changed size") as caught:
                await client.call.create_web_call(agent_id="agent_1")
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert not caught.value.sent
    assert next(failures) == 3


class Unready(httpx.AsyncClient):
    def build_request(self, *args: Any, **settings: Any) -> httpx.Request:
        if settings.get("extensions", {}).get("timeout", {}).get("pool") == 7:
            raise RuntimeError("no signature")
        return super().build_request(*args, **settings)


async def test_a_request_that_was_not_handed_over_to_a_users_client_was_not_sent() -> None:
    http = Http(Unready(), max_connections=1)
    with pytest.raises(APIConnectionError, match="no signature") as caught:
        await http.exchange(encode(CREATE.request(body={}), base_url="http://retell.test"), None, pool=7)
    assert not caught.value.sent


BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
NUMBER = 3  # of slots


@BOTH
@pytest.mark.parametrize("seed", range(20))
async def test_no_slot_is_lost_and_none_is_given_twice(seed: int) -> None:
    random = Random(seed)
    slots = Slots(NUMBER)
    held = most = taken = 0
    scopes: list[anyio.CancelScope] = []

    async def use() -> None:
        nonlocal held, most, taken
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            within = random.choice([float("inf"), 0.0, 0.001, 1.0])
            if not await slots.take(first=random.random() < 0.3, within=within):
                return
            held += 1
            taken += 1
            most = max(most, held)
            try:
                for _ in range(random.randrange(4)):
                    await anyio.lowlevel.checkpoint()
            finally:
                held -= 1
                slots.give()

    async with anyio.create_task_group() as tasks:
        for _ in range(300):
            tasks.start_soon(use)
            if random.random() < 0.3:
                await anyio.lowlevel.checkpoint()
            if scopes and random.random() < 0.4:
                random.choice(scopes).cancel()
    assert most == NUMBER
    assert taken > 50
    assert (held, slots.waiting) == (0, 0)
    assert [slots.take_free() for _ in range(NUMBER + 1)] == [True] * NUMBER + [False]


@BOTH
async def test_who_waits_for_a_slot_is_served_in_turn_and_some_go_first() -> None:
    slots = Slots(1)
    assert await slots.take()
    order: list[str] = []

    async def use(name: str, first: bool) -> None:
        await slots.take(first=first)
        order.append(name)
        slots.give()

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "A", "c"):
            tasks.start_soon(use, name, name == "A")
            await anyio.wait_all_tasks_blocked()
        slots.give()
    assert order == ["A", "a", "b", "c"]


@BOTH
async def test_a_wait_for_a_slot_is_over_when_its_time_is_and_each_has_its_own() -> None:
    slots = Slots(1)
    assert await slots.take()
    ended: list[tuple[float, bool]] = []

    async def wait(within: float) -> None:
        ended.append((within, await slots.take(within=within)))

    async with anyio.create_task_group() as tasks:
        for within in (0.06, 0.02, 0.04, 60.0):
            tasks.start_soon(wait, within)
        await anyio.sleep(0.2)
        assert slots.waiting == 1
        slots.give()
    assert sorted(ended) == [(0.02, False), (0.04, False), (0.06, False), (60.0, True)]


def test_who_waits_in_an_event_loop_that_is_over_is_passed_over_in_silence() -> None:
    slots, loop = Slots(1), asyncio.new_event_loop()
    assert slots.take_free()
    left: list[Any] = [loop.create_task(slots.take()) for _ in range(3)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert slots.waiting == 3
    slots.give()
    for task in left:
        task._log_destroy_pending = False
        task.get_coro().close()
    assert slots.waiting == 0
    assert slots.take_free()


@BOTH
async def test_closed_nobody_waits_for_a_slot_any_longer() -> None:
    slots = Slots(1)
    assert await slots.take()

    async def wait() -> None:
        with pytest.raises(RetellError, match="the client is closed"):
            await slots.take()

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        slots.close()
    assert slots.waiting == 0
