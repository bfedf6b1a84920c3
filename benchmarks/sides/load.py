"""What the sides of the benchmarks over loopback share; standard library only, since it runs in every environment."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time
from typing import Any

Create = Callable[[int], Awaitable[Any]]


async def throughput(create: Create, concurrency: int, number: int) -> dict[str, float]:
    """Requests a second of a new client that is given so many at once, and then with so many always under way.

    "processor" is the processor time that one of the latter takes, in microseconds.
    """
    start = perf_counter()
    await _workers(create, concurrency, concurrency)
    opened, used = perf_counter(), process_time()
    await _workers(create, concurrency, number)
    steady = number / (perf_counter() - opened)
    return {"new": concurrency / (opened - start), "steady": steady, "processor": (process_time() - used) / number * 1e6}


async def waiting(create: Create, number: int) -> dict[str, float]:
    """KB of memory that each of so many requests takes which wait for their answers at the same time."""
    await create(0)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    await _workers(create, number, number)
    return {"open": (getrusage(RUSAGE_SELF).ru_maxrss - before) / number}


async def _workers(create: Create, concurrency: int, number: int) -> None:
    numbers = iter(range(number))

    async def work() -> None:
        for which in numbers:
            await create(which)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        async with import_module("trio").open_nursery() as nursery:
            for _ in range(concurrency):
                nursery.start_soon(work)
    else:
        await asyncio.gather(*(work() for _ in range(concurrency)))


async def outcomes(create: Create, number: int, concurrency: int) -> dict[str, Any]:
    """Send so many requests, so many at a time, and say what came of them: seconds, what returned, and the errors by their names."""
    errors: Counter[str] = Counter()
    returned: set[str] = set()

    async def one(which: int) -> None:
        try:
            thing = await create(which)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
            errors[type(error).__name__] += 1
        else:
            returned.add(str(thing))

    start = perf_counter()
    await _workers(one, concurrency, number)
    return {"seconds": perf_counter() - start, "returned": len(returned), "errors": dict(errors)}


def creators(client: Any) -> dict[str, Create]:
    """One way to create each kind of thing, which the server recognises by a name of its own; each gives back the id."""

    async def phone(which: int) -> Any:
        return (await client.call.create_phone_call(from_number="+14155550100", to_number=f"+1{which:010}")).call_id

    async def web(which: int) -> Any:
        return (await client.call.create_web_call(agent_id="agent_1", metadata={"name": str(which)})).call_id

    async def batch(which: int) -> Any:
        return (await client.batch_call.create_batch_call(from_number="+14155550100", name=str(which), tasks=[])).batch_call_id

    async def sms(which: int) -> Any:
        return (await client.chat.create_sms_chat(from_number="+14155550100", to_number=f"+1{which:010}")).chat_id

    return {"phone": phone, "web": web, "batch": batch, "sms": sms}


async def _by_hand(client: Any) -> AsyncGenerator[list[Any]]:
    """Page after page, as one writes it where the client does not do it."""
    more: dict[str, Any] = {}
    while True:
        page = await client.call.list(limit=100, **more)
        yield page.items
        if not page.has_more:
            return
        more = {"pagination_key": page.pagination_key}


@asynccontextmanager
async def _pages(client: Any, way: str) -> AsyncGenerator[AsyncIterator[Any]]:
    if way == "loop":
        yield _by_hand(client)
    elif way == "iterate":
        yield client.call.list(limit=100).pages()
    else:
        async with client.call.list(limit=100).prefetch() as fetched:
            yield fetched.pages()


async def listing(client: Any, way: str, *, work: float = 0.0, memory: bool = False) -> dict[str, float]:
    """Go through a list. With `memory` this takes longer, and says how many KB were kept after the fiftieth page, and held at most."""
    items = pages = early = late = peak = 0
    start = perf_counter()
    async with _pages(client, way) as fetched:
        async for page in fetched:
            items += len(page)
            pages += 1
            if work:
                await asyncio.sleep(work)
            if memory and pages == 1:
                tracemalloc.start()
            elif memory and pages == 50:
                early, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
    seconds = perf_counter() - start
    if memory:
        late, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return {"seconds": seconds, "items": items, "kept": (late - early) / 1000, "peak": (peak - early) / 1000}


async def requested(create: Create, order: dict[str, Any]) -> dict[str, float]:
    """What is ordered of one small request."""
    return await (waiting(create, order["open"]) if "open" in order else throughput(create, order["throughput"], order["number"]))


async def run(client: Any, order: dict[str, Any]) -> Any:
    """Do what is ordered.

    One of ``{"throughput": concurrency, "number": n}``, ``{"open": n}``, ``{"create": kind, "number": n, "concurrency": m}`` and
    ``{"pages": "loop" | "iterate" | "ahead", "work": seconds, "memory": bool}``.
    """
    async with client:
        if "throughput" in order or "open" in order:

            async def small(_: int) -> None:
                await client.call.create_web_call(agent_id="agent_1")

            async def phone(_: int) -> None:
                await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")

            return await requested(phone if order.get("phone") else small, order)
        if "pages" in order:
            return await listing(client, order["pages"], work=order.get("work", 0.0), memory=order.get("memory", False))
        return await outcomes(creators(client)[order["create"]], order["number"], order.get("concurrency", order["number"]))


def measuring(argument: str, main: Callable[[dict[str, Any]], Awaitable[Any]]) -> Callable[[], Any]:
    """What a side's `prepare` gives: carries out the order in its argument each time that it is called.

    It does so by asyncio, or by what stands under ``"loop"``: ``uvloop`` or ``trio``.
    """
    order: dict[str, Any] = json.loads(argument)

    async def once() -> Any:
        return await main(order)

    run: Callable[..., Any] = import_module(order.get("loop", "asyncio")).run
    return lambda: run(once) if order.get("loop") == "trio" else run(once())
