"""Cancellation at each place where a request can wait: nothing is left behind, and the client goes on."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio
import attrs
import httpx
import pytest

from retell_async._call_slots import CallSlots
from retell_async._client import AsyncRetell
from retell_async._engine.limits import RateLimit
from retell_async._engine.retry import RetryPolicy

from ..http.test_transport import EACH, ok, serving
from .example import KEY, LIST, NO_OPTIONS, UPLOAD, get

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]


@types.coroutine
def counted(work: Coroutine[Any, Any, Any], at: int, then: Callable[[], object]) -> Generator[Any, Any, int]:
    """Run a coroutine, call `then` when it waits for the time of this number, and give back how often it waited."""
    waits = 0
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            waiting_for = work.send(value) if error is None else work.throw(error)
        except StopIteration:
            return waits
        waits += 1
        if waits == at:
            then()
        value = error = None
        try:
            value = yield waiting_for
        except BaseException as thrown:  # noqa: BLE001 - passed on
            error = thrown


class Answers:
    """The first request fails, the second is refused, and later ones fail now and then."""

    def __init__(self) -> None:
        self.step = 0

    def __call__(self, path: str) -> bytes:
        if "get-concurrency" in path:
            return ok(b'{"current_concurrency":0,"concurrency_limit":1}')
        self.step += 1
        if self.step == 2:
            return b"HTTP/1.1 429 Too Many Requests\r\nRetry-After-Ms: 1\r\nContent-Length: 0\r\n\r\n"
        if self.step % 3 == 1:
            return b""
        if "list-things" in path:
            return ok(b'{"items":[1,2],"has_more":%s,"pagination_key":"1"}' % (b"false" if "key" in path else b"true"))
        return ok(b'{"call_id":"call_1","call_type":"phone_call"}') if "create-phone-call" in path else ok()


async def send(client: AsyncRetell) -> None:
    await client.send(get(), NO_OPTIONS)


async def send_three(client: AsyncRetell) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(client.send, get(), NO_OPTIONS)


async def dial(client: AsyncRetell) -> None:
    async with CallSlots(client, every=0.001).one():
        await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", deadline=60)


async def read_ahead(client: AsyncRetell) -> None:
    async with client.paginate(LIST.request(), {}).prefetch() as items:
        assert [item async for item in items] == [1, 2, 1, 2]


async def fill(client: AsyncRetell) -> None:
    async with client.paginate(LIST.request(), {}).map(lambda _: client.send(get(), {}), concurrency=2) as filled:
        assert len([item async for item in filled]) == 4


async def stream(client: AsyncRetell) -> None:
    async with client.stream(get(), NO_OPTIONS) as response:
        assert (await response.parse()).thing_id == "1"


async def upload(client: AsyncRetell) -> None:
    await client.send(attrs.evolve(UPLOAD, repeat="safe").request(body={"knowledge_base_files": [b"x" * 100_000, b"y"]}), NO_OPTIONS)


@EACH
@pytest.mark.parametrize("work", [send, dial, read_ahead, fill, stream, upload])
async def test_cancelled_anywhere_a_request_leaves_nothing_behind(
    work: Callable[[AsyncRetell], Coroutine[Any, Any, None]], make: Callable[..., httpx.AsyncClient]
) -> None:
    policy = RetryPolicy(first_delay=0.001, budget=None)
    answers = Answers()
    async with serving(answers) as server:
        at = waits = 0
        while waits >= at:
            at += 1
            answers.step = 0
            own = make(limits=httpx.Limits(max_connections=2))
            settings: dict[str, Any] = {"max_retries": 5, "max_connections": 2, "retry": policy, "rate_limit": RateLimit(1000)}
            async with AsyncRetell(KEY, base_url=server.url, http_client=own, **settings) as client:
                with anyio.CancelScope() as scope:
                    waits = await counted(work(client), at, scope.cancel)
                # Two at a time fit, so both connections are free again.
                with anyio.fail_after(30):
                    await send_three(client)
            if scope.cancelled_caught:
                waits = at
        with anyio.fail_after(30):
            while server.open:  # noqa: ASYNC110 - the server notices in its own time
                await anyio.sleep(0.001)
    assert at > 3
