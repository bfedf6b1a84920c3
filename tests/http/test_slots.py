"""Slots: never more than there are, none lost, whoever is cancelled, or has waited long enough, at whatever moment."""

from __future__ import annotations

from random import Random

import anyio
import anyio.lowlevel
import pytest

from retell_async import RetellError
from retell_async._http.slots import Slots

pytestmark = pytest.mark.anyio

NUMBER = 3


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("seed", range(20))
async def test_none_is_lost_and_none_is_given_twice(seed: int) -> None:
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


async def test_who_waits_is_served_in_turn_and_some_go_first() -> None:
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


async def test_a_wait_is_over_when_its_time_is_and_each_has_its_own() -> None:
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


async def test_closed_nobody_waits_any_longer() -> None:
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
