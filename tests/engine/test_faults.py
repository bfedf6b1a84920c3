"""The whole client against a server in a process of its own that loses answers and keeps a limit: nothing is done twice, nothing is lost.

The numbers of requests are those that are promised; the full comparison with the official SDK is in the benchmarks.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import anyio
import httpx
import pytest

from benchmarks.loopback.serving import serving, stats
from retell_async._client import AsyncRetell
from retell_async._core.errors import APIError, OutcomeUnknownError
from retell_async._engine.retry import RetryPolicy

from ..needed import body_of
from .example import KEY

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

# The time-out is long beside what an answer takes on a machine that has other things to do, and short beside the delay.
FAULTS = {"faults": 0.05, "delay": 3.0, "retry_after": "0.02"}
SETTINGS: dict[str, Any] = {"timeout": httpx.Timeout(30, read=1.0, pool=None), "retry": RetryPolicy(first_delay=0.1)}

Create = Callable[[AsyncRetell, int], Awaitable[Any]]


async def phone(client: AsyncRetell, number: int) -> Any:
    return (await client.call.create_phone_call(from_number="+14155550100", to_number=f"+1{number:010}")).to_dict()


async def web(client: AsyncRetell, number: int) -> Any:
    return (await client.call.create_web_call(agent_id="a", metadata={"name": str(number)})).to_dict()


async def batch(client: AsyncRetell, number: int) -> Any:
    return (await client.batch_call.create_batch_call(from_number="+14155550100", tasks=[], extra_body={"name": str(number)})).to_dict()


async def sms(client: AsyncRetell, number: int) -> Any:
    body = body_of("createSmsChat", from_number="+14155550100", to_number=f"+1{number:010}")
    return (await client.chat.create_sms_chat(**body)).to_dict()


async def all_of(client: AsyncRetell, create: Create, number: int) -> tuple[list[Any], list[APIError]]:
    """What was created, and the errors."""
    created: list[Any] = []
    errors: list[APIError] = []

    async def one(which: int) -> None:
        try:
            created.append(await create(client, which))
        except APIError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for which in range(number):
            tasks.start_soon(one, which)
    return created, errors


async def test_no_number_is_dialled_twice_and_no_call_is_lost() -> None:
    with serving(**FAULTS) as url:
        # With the two retries of the default, 15% of attempts failing leave 0.34% without an answer, and chance leaves up to 0.5%.
        async with AsyncRetell(KEY, base_url=url, max_retries=3, **SETTINGS) as client:
            created, errors = await all_of(client, phone, 5000)
        seen = stats(url)
    assert seen["twice"] == 0
    assert len(created) >= 0.995 * 5000
    assert len({call["call_id"] for call in created}) == len({call["name"] for call in created}) == len(created)
    assert all(isinstance(error, OutcomeUnknownError) and error.idempotency_key for error in errors)
    assert len(created) <= seen["made"]["phone"] <= len(created) + len(errors)


async def test_what_has_no_key_is_created_once_or_its_outcome_is_unknown() -> None:
    with serving(**FAULTS) as url:
        async with AsyncRetell(KEY, base_url=url, **SETTINGS) as client:
            created, errors = await all_of(client, lambda client, which: (web, batch, sms)[which % 3](client, which), 2000)
        seen = stats(url)
    assert seen["twice"] == 0
    assert len(created) + len(errors) == 2000
    assert all(isinstance(error, OutcomeUnknownError) for error in errors)
    assert 0.10 * 2000 < len(errors) < 0.20 * 2000
    assert len(created) <= sum(seen["made"].values()) <= 2000


async def test_calls_whose_outcome_is_unknown_are_found_where_they_exist() -> None:
    policy = RetryPolicy(first_delay=0.1, on_unknown_outcome="reconcile", reconcile_within=10.0)
    with serving(**FAULTS) as url:
        async with AsyncRetell(KEY, base_url=url, **{**SETTINGS, "retry": policy}) as client:
            created, errors = await all_of(client, web, 2000)
        seen = stats(url)
    assert seen["twice"] == 0
    assert all(isinstance(error, OutcomeUnknownError) for error in errors)
    assert len(created) >= seen["made"]["web"] - 2  # of some 200 that exist and whose answers were lost
    assert len({call["call_id"] for call in created}) == len(created)


async def test_a_limit_is_found_and_kept() -> None:
    times: list[float] = []
    while len(times) < 4 and not any(took <= 1.25 * 1500 / 250 for took in times):  # again, where others use the machine too
        with serving(limit=250) as url:
            async with AsyncRetell(KEY, base_url=url) as client:
                start = perf_counter()
                created, errors = await all_of(client, web, 1500)
                times.append(perf_counter() - start)
            seen = stats(url)
        assert not errors
        assert len(created) == 1500
        assert seen["twice"] == 0
        assert seen["statuses"]["429"] <= 0.1 * sum(seen["statuses"].values())
    assert min(times) <= 1.25 * 1500 / 250


async def test_a_hundred_thousand_items_take_no_more_memory_than_a_hundred() -> None:
    with serving(pages=1000, items=100) as url:
        async with AsyncRetell(KEY, base_url=url) as client:
            number = early = 0
            tracemalloc.start()
            async for item in client.call.list(limit=100):
                number += 1
                if number == 5000:
                    tracemalloc.reset_peak()
                    early = tracemalloc.get_traced_memory()[0]
                assert item is not None
            late, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert number == 100_000
    assert late - early < 200_000
    assert peak - early < 1_000_000


async def test_the_next_page_comes_while_the_present_one_is_used() -> None:
    with serving(pages=10, items=10, latency=0.05) as url:
        async with AsyncRetell(KEY, base_url=url) as client:
            times: list[float] = []
            for ahead in (False, True):
                start = perf_counter()
                if ahead:
                    async with client.call.list(limit=10).prefetch() as items:
                        async for _ in items:
                            await anyio.sleep(0.006)
                else:
                    async for _ in client.call.list(limit=10):
                        await anyio.sleep(0.006)
                times.append(perf_counter() - start)
    assert times[1] < 0.75 * times[0]  # using a page takes a little longer than fetching it
