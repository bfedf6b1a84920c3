"""Pages fetched ahead and items mapped: what is fetched when, in what order, and what is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint

from retell_async._client import AsyncRetell
from retell_async._core.errors import InternalServerError
from retell_async._core.pages import AsyncPaginator
from retell_async._core.prefetch import Handover, prefetched

from ..engine.example import KEY, LIST, NO_OPTIONS, get

pytestmark = pytest.mark.anyio


class Pages:
    """Pages of two items; the pages from `fails_at` on are not there."""

    def __init__(self, pages: int, *, fails_at: int = 1000) -> None:
        self.pages = pages
        self.fails_at = fails_at
        self.fetched = 0
        self.under_way = 0
        self.most_under_way = 0
        self.awaited = 0  # so many items are answered only when so many were under way at once

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if "get-thing" in request.url.path:
            return await self.item(request.url.path.rpartition("/")[2])
        at = int(request.url.params.get("pagination_key", 0))
        await checkpoint()
        if at >= self.fails_at:
            return httpx.Response(500)
        self.fetched += 1
        more = {"has_more": True, "pagination_key": str(at + 1)} if at + 1 < self.pages else {"has_more": False}
        return httpx.Response(200, json={"items": [{"n": 2 * at}, {"n": 2 * at + 1}], **more})

    async def item(self, name: str) -> httpx.Response:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            with anyio.move_on_after(5):
                while self.most_under_way < self.awaited:  # noqa: ASYNC110 - it may be reached by another one
                    await anyio.sleep(0.005)
            await anyio.sleep(0.1 if int(name) % 3 == 0 else 0.05)  # some take longer than those after them
        finally:
            self.under_way -= 1
        return httpx.Response(500 if name == "7" else 200, content=json.dumps({"thing_id": name}))

    def client(self) -> AsyncRetell:
        return AsyncRetell(KEY, max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(self)))


async def collect(results: AsyncIterable[Any], into: list[Any]) -> None:
    async for result in results:
        into.append(result)  # noqa: PERF401 - what came before an error is wanted too


def things(client: AsyncRetell) -> AsyncPaginator[Any]:
    return client.paginate(LIST.request(), NO_OPTIONS)


@pytest.mark.parametrize("pages", [1, 2, 3])
async def test_pages_are_fetched_while_the_one_before_is_used_and_no_more_of_them(pages: int) -> None:
    server = Pages(8)
    async with server.client() as client, things(client).prefetch(pages) as items:
        seen: list[int] = []
        async for item in items:
            seen.append(item["n"])
            await anyio.wait_all_tasks_blocked()
            assert server.fetched == min(item["n"] // 2 + 1 + pages, 8)
        assert seen == list(range(16))
    async with server.client() as client, things(client).prefetch() as items:
        assert [page[0]["n"] async for page in items.pages()] == list(range(0, 16, 2))


async def test_what_was_fetched_ahead_is_dropped_with_the_block() -> None:
    server = Pages(1000)
    async with server.client() as client:
        async with things(client).prefetch() as items:
            async for item in items:
                if item["n"] == 5:
                    break
        fetched = server.fetched
        await anyio.wait_all_tasks_blocked()
    assert server.fetched == fetched <= 5


async def test_an_error_comes_out_in_its_place_and_by_itself() -> None:
    seen: list[Any] = []
    async with Pages(8, fails_at=2).client() as client:
        with pytest.raises(InternalServerError):
            async with things(client).prefetch() as items:
                await collect(items, seen)
        assert [item["n"] for item in seen] == [0, 1, 2, 3]
        with pytest.raises(KeyError, match="own"):
            async with things(client).prefetch():
                raise KeyError("own")


async def test_items_are_filled_several_at_a_time_and_in_order() -> None:
    server = Pages(3)
    async with server.client() as client:
        for concurrency in (1, 3, 100):
            server.most_under_way = 0
            server.awaited = min(concurrency, 6)
            async with things(client).map(lambda item: client.send(get(str(item["n"] + 10)), {}), concurrency=concurrency) as filled:
                assert [thing.thing_id async for thing in filled] == [str(number) for number in range(10, 16)]
            assert server.most_under_way == min(concurrency, 6)
    assert server.under_way == 0


async def test_an_item_that_cannot_be_filled_is_an_error_in_its_place() -> None:
    server = Pages(10)
    seen: list[Any] = []
    async with server.client() as client:
        with pytest.raises(InternalServerError):
            async with things(client).map(lambda item: client.send(get(str(item["n"])), {})) as filled:
                await collect(filled, seen)
    assert [thing.thing_id for thing in seen] == [str(number) for number in range(7)]
    assert server.under_way == 0
    seen.clear()
    async with Pages(10, fails_at=1).client() as client:
        with pytest.raises(InternalServerError):
            async with things(client).map(lambda item: client.send(get(str(item["n"])), {})) as filled:
                await collect(filled, seen)
    assert [thing.thing_id for thing in seen] == ["0", "1"]


async def test_filling_can_be_left_at_any_time() -> None:
    server = Pages(1000)
    async with server.client() as client:
        async with things(client).map(lambda item: client.send(get(str(item["n"] + 10)), {}), concurrency=4) as filled:
            assert (await anext(filled)).thing_id == "10"
        assert server.under_way == 0
        with anyio.move_on_after(0.02) as scope:
            async with things(client).map(lambda item: anyio.sleep_forever()) as never:
                await anext(never)
        assert scope.cancelled_caught


async def test_numbers_that_cannot_work_are_refused() -> None:
    async with Pages(1).client() as client:
        with pytest.raises(ValueError, match="pages"):
            async with things(client).prefetch(0):
                pass
        with pytest.raises(ValueError, match="concurrency"):
            async with things(client).map(lambda item: checkpoint(), concurrency=0):
                pass


async def test_the_former_names_work_and_say_so() -> None:
    async with Pages(1).client() as client:
        with pytest.warns(DeprecationWarning, match=r"prefetch\(\)") as said:
            async with things(client).ahead() as items:
                assert len([item async for item in items]) == 2
        assert said[0].filename == __file__
        with pytest.warns(DeprecationWarning, match="concurrency"):
            async with things(client).filled(lambda item: client.send(get(str(item["n"])), {}), at_once=2) as results:
                assert [thing.thing_id async for thing in results] == ["0", "1"]


def test_who_is_cancelled_when_it_comes_has_taken_nothing() -> None:
    async def main() -> None:
        handover = Handover[int]()
        waits = asyncio.ensure_future(handover.take())
        await asyncio.sleep(0.01)
        handover.put(1)
        waits.cancel()  # by asyncio itself: anyio lets go on who has something
        with pytest.raises(asyncio.CancelledError):
            await waits
        handover.put(2)
        assert [await handover.take(), await handover.take()] == [1, 2]

    asyncio.run(main())


def test_who_is_cancelled_when_a_page_comes_gets_it_the_next_time() -> None:
    async def main() -> None:
        more = asyncio.Event()
        waits: asyncio.Future[int] | None = None

        async def source() -> AsyncGenerator[int]:
            yield 0
            await more.wait()
            yield 1
            assert waits is not None
            waits.cancel()  # in the turn in which the last one was handed over
            yield 2

        async with prefetched(source(), 2) as results:
            assert await anext(results) == 0
            waits = asyncio.ensure_future(take(results))
            await asyncio.sleep(0.01)
            more.set()
            with pytest.raises(asyncio.CancelledError):
                await waits
            assert [result async for result in results] == [1, 2]

    async def take(results: AsyncIterator[int]) -> int:
        return await anext(results)

    asyncio.run(main())


async def test_what_is_given_is_taken_or_taken_back() -> None:
    handover = Handover[int]()
    with anyio.move_on_after(0.01):
        await handover.give(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handover.give, 2)
        assert await handover.take() == 2
    handover.put(3)
    handover.close()
    assert await handover.take() == 3
    with pytest.raises(anyio.EndOfStream):
        await handover.take()
    handover.leave()
    with pytest.raises(anyio.ClosedResourceError):
        await handover.take()
