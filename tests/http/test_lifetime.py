"""The life of connections: in which event loop they are, that they are kept alive, and that they end with the client."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
import trio

from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._engine.limits import RateLimit
from retell_async._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
from retell_async._http.wire import streams as _wire

from ..engine.example import CREATE, KEY, NO_OPTIONS, client_of, get
from .test_forks import echoing
from .test_transport import Server, ok, serving

Make = Callable[[str], AsyncRetell]


def own(url: str) -> AsyncRetell:
    return AsyncRetell(KEY, base_url=url, max_retries=0)


def default(url: str) -> AsyncRetell:
    return AsyncRetell(KEY, base_url=url, max_retries=0, http_client=DefaultAsyncHttpxClient())


def proxied(url: str) -> AsyncRetell:
    return AsyncRetell(KEY, base_url="http://retell.test", max_retries=0, http_client=DefaultAsyncHttpxClient(proxy=url))


def http2(url: str) -> AsyncRetell:
    return AsyncRetell(KEY, base_url=url, max_retries=0, http_client=DefaultAsyncHttpxClient(http2=True))


MAKES = pytest.mark.parametrize("make", [own, default, proxied, http2])
LOOPS = pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True}), "trio"], ids=["asyncio", "uvloop", "trio"])


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not happened():  # noqa: ASYNC110 - it happens outside of the loop
            await anyio.sleep(0.01)


def is_closed(server: Server) -> bool:
    return server.open == 0


@pytest.mark.soak
@pytest.mark.anyio
@LOOPS
@MAKES
async def test_a_dropped_client_closes_its_connections_and_says_so(make: Make, anyio_backend: str) -> None:
    async with serving() as server:
        client = make(server.url)
        await client.send(get(), NO_OPTIONS)
        assert server.open == 1
        # Under trio, sockets of httpx that nobody has any more say so too.
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            del client
            gc.collect()
        assert [str(warning.message) for warning in seen if "async with" in str(warning.message)] == [
            "an HTTP client was dropped while it had connections open: use `async with`, or `await client.aclose()`"
        ]
        await until(lambda: is_closed(server))


@pytest.mark.soak
@pytest.mark.anyio
async def test_a_client_that_is_closed_or_was_never_used_goes_without_a_word() -> None:
    async with serving() as server:
        for make in (own, default):
            client = make(server.url)
            del client
            client = make(server.url)
            await client.send(get(), NO_OPTIONS)
            await client.aclose()
            del client
        gc.collect()


@pytest.mark.soak
def test_clients_that_are_dropped_in_another_thread_are_closed_in_their_loop() -> None:
    async def main() -> None:
        async with serving() as server:
            holder = [own(server.url)]

            def drop() -> None:
                holder.clear()
                gc.collect()

            await holder[0].send(get(), NO_OPTIONS)
            with pytest.warns(ResourceWarning, match="dropped"):
                await asyncio.to_thread(drop)
            await until(lambda: is_closed(server))

    asyncio.run(main(), debug=True)


@pytest.mark.soak
@pytest.mark.parametrize("make", [own, default])
def test_one_event_loop_after_the_other(make: Make) -> None:
    async def use(client: AsyncRetell) -> None:
        for _ in range(3):
            assert (await client.send(get("a"), NO_OPTIONS)).thing_id == "a"

    with echoing() as (url, used_by), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of asyncio, whose loop ended with a connection open
        client = make(url)
        for _ in range(3):
            asyncio.run(use(client))
        asyncio.run(client.aclose())
        del client
        gc.collect()
    assert len(used_by) == 3


@pytest.mark.soak
@pytest.mark.parametrize("kind", [httpx.AsyncClient, httpx2.AsyncClient])
def test_another_http_client_stays_in_its_event_loop(kind: Any) -> None:
    async def use(client: AsyncRetell) -> None:
        await client.send(get("a"), NO_OPTIONS)

    with echoing() as (url, _), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # as above
        client = AsyncRetell(KEY, base_url=url, max_retries=0, http_client=kind())
        asyncio.run(use(client))
        with pytest.raises(errors.APIConnectionError, match="Event loop is closed"):
            asyncio.run(use(client))
        del client
        gc.collect()


@pytest.mark.soak
def test_a_client_in_each_event_loop_leaves_nothing_behind() -> None:
    async def use(url: str) -> None:
        async with own(url) as client:
            await client.send(get("a"), NO_OPTIONS)

    with echoing() as (url, _), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            asyncio.run(use(url))
        gc.collect()
    assert [str(warning.message) for warning in seen] == []


# Several threads.


@pytest.mark.soak
@pytest.mark.parametrize("make", [own, default])
def test_a_client_in_several_threads_at_once_works_or_is_one_clear_error(make: Make) -> None:
    ended: list[object] = []

    async def use(client: AsyncRetell) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(client.send, get("a"), NO_OPTIONS)

    def run(client: AsyncRetell) -> None:
        try:
            asyncio.run(use(client))
        except BaseExceptionGroup as group:
            ended.append(group)
        else:
            ended.append(None)

    with echoing() as (url, _), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        client = make(url)
        threads = [threading.Thread(target=run, args=(client,), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        asyncio.run(client.aclose())
        del client
        gc.collect()
    assert len(ended) == 4
    for group in ended:
        if isinstance(group, BaseExceptionGroup):
            assert group.subgroup(lambda error: isinstance(error, errors.ConfigurationError) and "another event loop" in str(error))
            assert group.split(errors.ConfigurationError)[1] is None


# Silent connections.


@pytest.mark.soak
@pytest.mark.needs("proc")
@pytest.mark.anyio
@LOOPS
@MAKES
async def test_every_connection_is_kept_alive(make: Make, anyio_backend: str) -> None:
    async with serving() as server:
        client = make(server.url)
        await client.send(get(), NO_OPTIONS)
        (connection,) = connections_to(int(server.url.rpartition(":")[2]))
        with connection:
            assert [connection.getsockopt(level, name) for level, name, _ in _wire.KEEP_ALIVE] == [value for *_, value in _wire.KEEP_ALIVE]
        await client.aclose()


def connections_to(port: int) -> list[socket.socket]:
    """Copies of the sockets of this process that are connected to a port."""
    found: list[socket.socket] = []
    for path in [path for path in list(Path("/proc/self/fd").iterdir()) if path.is_socket()]:
        copy = socket.socket(fileno=os.dup(int(path.name)))
        try:
            matches = copy.family == socket.AF_INET and copy.getpeername()[1] == port
        except OSError:  # it is not connected
            matches = False
        if matches:
            found.append(copy)
        else:
            copy.close()
    return found


# Closing while others wait.


@pytest.mark.anyio
async def test_whoever_waits_is_told_at_once_when_the_client_is_closed() -> None:
    answer = anyio.Event()
    sent: list[str] = []
    ended: list[str] = []

    async def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        await answer.wait()
        return httpx.Response(200, json={})

    class Mock(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await serve(request)

    client = AsyncRetell(KEY, max_connections=2, max_retries=0, http_client=httpx.AsyncClient(transport=Mock()))

    async def one() -> None:
        try:
            await client.send(CREATE.request(body={}), NO_OPTIONS)
        except errors.RetellError as error:
            ended.append(str(error))
        else:
            ended.append("answered")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
            await anyio.wait_all_tasks_blocked()
            assert ended == ["the client is closed"] * 4
            answer.set()
    assert ended[4:] == ["answered"] * 2
    assert len(sent) == 2


@pytest.mark.anyio
async def test_whoever_waits_for_a_turn_is_told_too() -> None:
    client = client_of(lambda _: httpx.Response(200, json={}), rate_limit=RateLimit(1, per=60))
    ended: list[Any] = []

    async def one() -> None:
        try:
            await client.send(get(), NO_OPTIONS)
        except errors.RetellError as error:
            ended.append((str(error), error.__suppress_context__))  # the traceback is without the cancellation of what waited

    with anyio.fail_after(5):
        await client.send(get(), NO_OPTIONS)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
    assert ended == [("the client is closed", True)] * 3


@pytest.mark.soak
@pytest.mark.anyio
async def test_whoever_waits_for_a_connection_is_told_too() -> None:
    http_client = DefaultAsyncHttpxClient(limits=httpx.Limits(max_connections=1))
    ended: list[Any] = []
    async with serving(lambda path: None if "silent" in path else ok()) as server:

        async def one() -> None:
            try:
                await http_client.get(f"{server.url}/thing")
            except errors.RetellError as error:
                ended.append(str(error))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(http_client.get, f"{server.url}/silent")
                await until(lambda: len(server.requests) == 1)
                for _ in range(3):
                    tasks.start_soon(one)
                await anyio.wait_all_tasks_blocked()
                await http_client.aclose()
                await until(lambda: len(ended) == 3)
                tasks.cancel_scope.cancel()
    assert ended == ["the client is closed"] * 3


# aiohttp under trio


def over_aiohttp(url: str) -> AsyncRetell:
    return AsyncRetell(KEY, base_url=url, max_retries=0, http_client=DefaultAioHttpClient())


def test_a_client_over_aiohttp_ends_under_trio_with_its_own_error_alone() -> None:
    async def use() -> None:
        async with over_aiohttp("http://127.0.0.1:1") as client:
            await client.send(get(), NO_OPTIONS)

    with pytest.raises(errors.ConfigurationError, match="asyncio alone") as caught:
        trio.run(use)
    assert caught.value.__context__ is None


@pytest.mark.soak
def test_a_client_over_aiohttp_can_be_closed_under_trio_when_its_loop_is_over() -> None:
    client = over_aiohttp("http://127.0.0.1:1")

    async def use() -> None:
        with pytest.raises(errors.APIConnectionError):
            await client.send(get(), NO_OPTIONS)

    asyncio.run(use())
    trio.run(client.aclose)
    assert client.is_closed()


@pytest.mark.soak
def test_a_client_over_aiohttp_that_is_closed_under_trio_closes_its_connections_where_they_are() -> None:
    with echoing() as (url, _):
        client = over_aiohttp(url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.send(get(), NO_OPTIONS))
        trio.run(client.aclose)
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            gc.collect()
