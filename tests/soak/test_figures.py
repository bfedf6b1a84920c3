"""Figures that are promised, each against its bound: over real sockets, in real time."""

from __future__ import annotations

from collections.abc import Awaitable
from statistics import median
from time import perf_counter
from typing import Any

import anyio
import pytest

from benchmarks.loopback.serving import serving, stats
from retell_async import AsyncRetell
from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings, create_fixtures, serve

pytestmark = [pytest.mark.asyncio, pytest.mark.soak]


async def timed(awaited: Awaitable[Any], into: list[float]) -> None:
    begun = perf_counter()
    await awaited
    into.append(perf_counter() - begun)


async def test_reads_go_on_while_calls_are_placed_at_one_a_second() -> None:
    sandbox = Sandbox(Settings(seed=1), RunningClock(30))
    number = create_fixtures(sandbox).phone_number
    sandbox.set_fault(Fault(kind="rate_limit", operation="createPhoneCall", requests=1, per=1.0, retry_after=1))
    reads: list[float] = []
    took = float("inf")
    async with serve(sandbox) as served, AsyncRetell("key_of_the_figures", base_url=served.url) as client:
        begun = perf_counter()
        call = await client.call.create_phone_call(from_number=number, to_number="+14155550000")
        async with anyio.create_task_group() as reading:

            async def read() -> None:
                while True:
                    reading.start_soon(timed, client.call.retrieve(call.call_id), reads)
                    await anyio.sleep(0.2)

            reading.start_soon(read)
            async with anyio.create_task_group() as placing:
                for which in range(1, 20):
                    placing.start_soon(lambda to: client.call.create_phone_call(from_number=number, to_number=to), f"+1415555{which:04}")
            took = perf_counter() - begun
            reading.cancel_scope.cancel()
    assert sum(1 for _ in sandbox.store.calls.entries) == 20
    assert took <= 25
    assert len(reads) >= 4 * took  # of five a second, less what was under way at the end
    assert median(reads) < 0.05


async def test_a_thousand_requests_at_once_against_fifty_a_second() -> None:
    with serving(limit=50) as url:
        async with AsyncRetell("key_of_the_figures", base_url=url) as client:
            answers: list[float] = []
            begun = perf_counter()
            async with anyio.create_task_group() as tasks:
                for which in range(1000):
                    tasks.start_soon(timed, client.call.retrieve(f"call_{which}"), answers)
            took = perf_counter() - begun
        statuses = stats(url)["statuses"]
    assert len(answers) == statuses["200"] == 1000
    assert statuses.get("429", 0) <= 0.1 * sum(statuses.values())
    assert took <= 25
