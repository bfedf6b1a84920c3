"""Stores that processes share, the examples among them: each keeps the contract of a store with leases."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import attrs
import pytest

from examples.redis_deliveries import RedisDeliveries
from examples.sql_deliveries import SqlDeliveries
from retell_async.webhooks import Claim, LeasedStore, MemoryStore, Router

from ..exchanges import Handled, deliver
from ..sending import KEY, event_body

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]

LEASE = 60.0
_SCRIPT = re.compile(r"if redis\.call\('get', KEYS\[1\]\) == ARGV\[1\] then return redis\.call\('(\w+)', (.+)\) else return 0 end")


class FakeRedis:
    """The commands that the example uses, with the answers that Redis gives to them: bytes, numbers, and nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.values: dict[str, tuple[bytes, float]] = {}

    async def set(self, name: str, value: str, *, px: int, nx: bool = False) -> bool | None:
        if nx and await self.get(name) is not None:
            return None
        self.values[name] = (value.encode(), self.clock() + px / 1000)
        return True

    async def get(self, name: str) -> bytes | None:
        value, until = self.values.get(name, (None, 0.0))
        return value if until > self.clock() else None

    async def eval(self, script: str, numkeys: int, *keys_and_args: str) -> int:
        found = _SCRIPT.fullmatch(script)
        assert found is not None
        assert numkeys == 1
        words = {"KEYS[1]": keys_and_args[0]} | {f"ARGV[{place}]": word for place, word in enumerate(keys_and_args[1:], 1)}
        name, *arguments = [words[word] for word in found[2].split(", ")]
        value = await self.get(name)
        if value is None or value != words["ARGV[1]"].encode():
            return 0
        match found[1]:
            case "del":
                del self.values[name]
            case "pexpire":
                self.values[name] = (value, self.clock() + int(arguments[0]) / 1000)
            case other:
                raise AssertionError(other)
        return 1


@attrs.frozen
class Shared:
    """What processes share."""

    store: Callable[[], LeasedStore]
    """Gives each process its own access to it."""
    pass_time: Callable[[float], None]
    """Lets seconds pass, for it alone."""


@pytest.fixture(params=["memory", "redis", "sql"])
def share(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    now = 1_000.0

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    def age(seconds: float) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("update deliveries set until = until - ?", (seconds,))

    match request.param:
        case "memory":
            monkeypatch.setattr("retell_async.webhooks._dispatch.store.time.monotonic", lambda: now)
            memory = MemoryStore(lease=LEASE)
            return Shared(lambda: memory, pass_time)
        case "redis":
            redis = FakeRedis(lambda: now)
            return Shared(lambda: RedisDeliveries(redis, lease=LEASE, remember=1_000), pass_time)
        case _:
            path = tmp_path / "deliveries.sqlite"
            return Shared(lambda: SqlDeliveries(path, lease=LEASE, remember=1_000), age)


async def test_one_process_gets_a_claim(share: Shared) -> None:
    first, second = share.store(), share.store()
    assert await first.claim("a") is Claim.MINE
    assert [await store.claim("a") for store in (first, second)] == [Claim.IN_PROGRESS] * 2
    assert await second.claim("b") is Claim.MINE
    await first.release("a")
    assert await second.claim("a") is Claim.MINE
    await second.done("a")
    assert [await store.claim("a") for store in (first, second)] == [Claim.DONE] * 2


async def test_what_is_done_is_not_given_back(share: Shared) -> None:
    store = share.store()
    await store.claim("a")
    await store.done("a")
    await store.release("a")
    assert not await store.renew("a")
    assert await store.claim("a") is Claim.DONE


async def test_what_is_done_is_forgotten_in_the_end(share: Shared) -> None:
    store = share.store()
    if isinstance(store, MemoryStore):
        return  # it forgets when it is full
    await store.claim("a")
    await store.done("a")
    share.pass_time(990)
    assert await store.claim("a") is Claim.DONE
    share.pass_time(20)
    assert await store.claim("a") is Claim.MINE


async def test_a_lease_lapses_unless_it_is_renewed(share: Shared) -> None:
    first, second = share.store(), share.store()
    await first.claim("a")
    for _ in range(4):
        share.pass_time(LEASE / 3)
        assert await first.renew("a")
        assert await second.claim("a") is Claim.IN_PROGRESS
    share.pass_time(LEASE + 1)
    assert await second.claim("a") is Claim.MINE


async def test_who_lost_a_lease_takes_nothing_from_who_has_it_now(share: Shared) -> None:
    first, second = share.store(), share.store()
    if first is second:
        return  # in one process there is one holder, and the router knows what it handles
    await first.claim("a")
    share.pass_time(LEASE + 1)
    assert await second.claim("a") is Claim.MINE
    assert not await first.renew("a")
    await first.release("a")
    assert await first.claim("a") is Claim.IN_PROGRESS
    await first.done("a")  # it was handled after all
    assert await second.claim("a") is Claim.DONE


async def test_many_at_once_and_one_gets_it(share: Shared) -> None:
    claims: list[Claim] = []

    async def claim() -> None:
        claims.append(await share.store().claim("a"))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(claim)
    assert claims.count(Claim.MINE) == 1
    assert claims.count(Claim.IN_PROGRESS) == 9


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_routers_that_share_it(share: Shared, acknowledge_after: float) -> None:
    routers = [Router(KEY, store=share.store(), acknowledge_after=acknowledge_after) for _ in range(2)]
    begun, go_on = anyio.Event(), anyio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()

    handled = Handled(work)
    for router in routers:
        router.on()(handled)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, routers[0], event_body())
        await begun.wait()
        assert [(await deliver(router, event_body())).status for router in routers] == [503, 503]
        go_on.set()
    assert [(await deliver(router, event_body())).status for router in routers] == [204, 204]
    assert handled == ["call_ended"]


PROCESS = """
import anyio, sys
from pathlib import Path
from examples.sql_deliveries import SqlDeliveries
from retell_async.webhooks import Router
from tests.webhooks.exchanges import deliver
from tests.webhooks.sending import KEY, event_body

router = Router(KEY, store=SqlDeliveries(Path(sys.argv[1]), lease=1), acknowledge_after=5)

@router.on("call_ended")
async def handle(event):
    print("handling", flush=True)
    await anyio.sleep_forever()

anyio.run(deliver, router, event_body())
"""


@pytest.mark.soak
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_a_killed_process_had_is_handled_by_another(tmp_path: Path, anyio_backend: str) -> None:
    path = tmp_path / "deliveries.sqlite"
    router = Router(KEY, store=SqlDeliveries(path, lease=1))
    handled = Handled()
    router.on()(handled)
    async with await anyio.open_process([sys.executable, "-c", PROCESS, str(path)], stdout=subprocess.PIPE, stderr=None) as process:
        assert process.stdout is not None
        assert (await process.stdout.receive()).startswith(b"handling")
        await anyio.sleep(1.5)  # its lease is renewed
        assert (await deliver(router, event_body())).status == 503
        process.kill()
        await process.wait()
    assert (await deliver(router, event_body())).status == 503
    await anyio.sleep(1.1)
    assert (await deliver(router, event_body())).status == 204
    assert handled == ["call_ended"]
