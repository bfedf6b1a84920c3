"""Connections: how many there are, when they are used again, when they are closed; over httpx and over aiohttp."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._engine.retry import RetryPolicy
from retell_async._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
from retell_async._http.transport import Transport

from ..engine.example import CREATE, KEY, NO_OPTIONS, get

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]


class Server:
    """Answers each request with what `respond` gives for its path: bytes to send, ``None`` for silence, ``b""`` to hang up."""

    def __init__(self, respond: Callable[[str], bytes | None]) -> None:
        self.respond = respond
        self.open = 0
        self.most_open = 0
        self.opened = 0
        self.requests: list[bytes] = []
        self.url = ""
        self.close_after = -1
        """The number of the request after whose answer the connection is closed."""

    async def serve(self, stream: SocketStream) -> None:
        self.opened += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            async with stream:
                await self._talk(stream)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            pass
        finally:
            self.open -= 1

    async def _talk(self, stream: SocketStream) -> None:
        buffered = BufferedByteReceiveStream(stream)
        while True:
            head = await buffered.receive_until(b"\r\n\r\n", 100_000)
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = await buffered.receive_exactly(int(length[1])) if length else b""
            self.requests.append(head + b"\r\n\r\n" + body)
            answer = self.respond(head.split(b" ", 2)[1].decode())
            if answer is None:
                await buffered.receive()
            elif not answer:
                return
            else:
                await stream.send(answer)
                if len(self.requests) == self.close_after:
                    return


def ok(body: bytes = b'{"thing_id":"1"}', more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(body), body)


@asynccontextmanager
async def serving(respond: Callable[[str], bytes | None] = lambda _: ok()) -> AsyncGenerator[Server]:
    server = Server(respond)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        yield server
        tasks.cancel_scope.cancel()


EACH = pytest.mark.parametrize(
    ("anyio_backend", "make"),
    [
        ("asyncio", DefaultAsyncHttpxClient),
        (("asyncio", {"use_uvloop": True}), DefaultAsyncHttpxClient),
        ("trio", DefaultAsyncHttpxClient),
        ("asyncio", DefaultAioHttpClient),
    ],
    ids=["asyncio", "uvloop", "trio", "aiohttp"],
)


async def many(client: AsyncRetell, number: int, path: str = "1") -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(client.send, get(path), NO_OPTIONS)


@EACH
async def test_connections_are_used_again_and_are_no_more_than_asked_for(make: Callable[..., httpx.AsyncClient]) -> None:
    async with serving() as server:
        async with AsyncRetell(
            KEY, base_url=server.url, max_connections=7, http_client=make(limits=httpx.Limits(max_connections=7))
        ) as client:
            await many(client, 60)
            await many(client, 60)
        assert server.opened <= 7
        assert len(server.requests) == 120


@EACH
async def test_a_connection_that_broke_is_replaced(make: Callable[..., httpx.AsyncClient]) -> None:
    answers = [b"", ok(), ok()[:-3], b"", ok(), ok(), b"HTTP/1.1 nonsense\r\n\r\n", ok()]
    async with serving(lambda _: answers.pop(0)) as server:
        settings: dict[str, Any] = {"retry": RetryPolicy(first_delay=0), "http_client": make()}
        async with AsyncRetell(KEY, base_url=server.url, **settings) as client:
            for _ in range(4):
                await client.send(get(), {"timeout": 0.2})
    assert not answers


@EACH
async def test_what_may_have_arrived_is_told_from_what_cannot_have(make: Callable[..., httpx.AsyncClient]) -> None:
    async with AsyncRetell(KEY, max_retries=0, http_client=make()) as client:
        async with serving(lambda path: None if "silent" in path else b"") as server:
            view = client.with_options(base_url=server.url)
            with pytest.raises(errors.APITimeoutError) as silent:
                await view.send(get("silent"), {"timeout": 0.05})
            with pytest.raises(errors.APIConnectionError) as hung_up:
                await view.send(get(), {})
            with pytest.raises(errors.OutcomeUnknownError):
                await view.send(CREATE.request(body={}), {})
        with pytest.raises(errors.APIConnectionError) as nobody:
            await view.send(CREATE.request(body={}), {})
    assert (silent.value.sent, hung_up.value.sent, nobody.value.sent) == (True, True, False)
    assert type(nobody.value) is errors.APIConnectionError


@EACH
async def test_what_may_have_arrived_is_not_sent_again_under_the_clients_feet(make: Callable[..., httpx.AsyncClient]) -> None:
    async with (
        serving(lambda path: b"" if "rerun" in path else ok()) as server,
        AsyncRetell(KEY, base_url=server.url, http_client=make()) as client,
    ):
        await client.send(get(), {})
        with pytest.raises(errors.OutcomeUnknownError):
            await client.request("PUT", "/rerun", json={})
    assert len(server.requests) == 2


@EACH
async def test_a_cancelled_request_takes_nothing_with_it(make: Callable[..., httpx.AsyncClient]) -> None:
    async with serving(lambda path: None if "silent" in path else ok()) as server:
        async with AsyncRetell(
            KEY, base_url=server.url, max_connections=2, http_client=make(limits=httpx.Limits(max_connections=2))
        ) as client:
            for _ in range(5):
                async with anyio.create_task_group() as tasks:
                    for _ in range(4):
                        tasks.start_soon(client.send, get("silent"), NO_OPTIONS)
                    await anyio.sleep(0.02)
                    tasks.cancel_scope.cancel()
            await many(client, 10)
        assert server.most_open <= 4  # the server may notice late that one was closed


@EACH
async def test_bodies_large_compressed_and_in_chunks(make: Callable[..., httpx.AsyncClient]) -> None:
    large = b'{"thing_id":"%s"}' % (b"x" * 3_000_000)
    bodies = {
        "large": ok(large),
        "gzip": ok(gzip.compress(large), b"Content-Encoding: gzip\r\n"),
        "chunks": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{"thing_id":\r\n4\r\n"1"}\r\n0\r\n\r\n',
    }
    async with serving(lambda path: bodies[path.rpartition("/")[2]]) as server:
        async with AsyncRetell(KEY, base_url=server.url, http_client=make()) as client:
            assert len((await client.send(get("large"), {})).thing_id) == 3_000_000
            assert len((await client.send(get("gzip"), {})).thing_id) == 3_000_000
            assert (await client.send(get("chunks"), {})).thing_id == "1"
        assert server.opened == 1
        assert all(b"gzip" in request for request in server.requests)


@EACH
async def test_an_upload_arrives_whole(make: Callable[..., httpx.AsyncClient]) -> None:
    async with (
        serving(lambda _: ok(b'{"knowledge_base_id":"1"}')) as server,
        AsyncRetell(KEY, base_url=server.url, http_client=make()) as client,
    ):
        await client.knowledge_base.create(knowledge_base_name="n", knowledge_base_files=[("a.txt", b"text of a file")])
    (request,) = server.requests
    assert b"multipart/form-data" in request
    assert request.count(b"text of a file") == 1


@EACH
async def test_a_proxy_is_used_where_the_environment_names_one(
    make: Callable[..., httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=make()) as client:
            assert (await client.send(get(), {})).thing_id == "1"
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=make(proxy=server.url, trust_env=False)) as client:
            assert (await client.send(get(), {})).thing_id == "1"
    assert [request.split(b"\r\n")[0] for request in server.requests] == [b"GET http://retell.test/get-thing/thing_1 HTTP/1.1"] * 2


async def test_idle_connections_are_closed_after_a_while_and_beyond_a_number() -> None:
    async with serving() as server:
        limits = httpx.Limits(max_connections=10, max_keepalive_connections=3, keepalive_expiry=0.05)
        async with AsyncRetell(KEY, base_url=server.url, http_client=DefaultAsyncHttpxClient(limits=limits)) as client:
            await many(client, 30)
            await anyio.sleep(0.03)
            assert server.open <= 3
            await anyio.sleep(0.05)
            await many(client, 1)
            await anyio.sleep(0.03)
            assert server.open == 1


async def test_a_place_is_waited_for_no_longer_than_asked() -> None:
    async with (
        serving(lambda _: None) as server,
        httpx.AsyncClient(transport=Transport(limits=httpx.Limits(max_connections=1))) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.get, server.url)
        await anyio.sleep(0.02)
        with pytest.raises(httpx.PoolTimeout):
            await client.get(server.url, timeout=httpx.Timeout(5, pool=0.02))
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("http2", [False, True])
async def test_one_limit_holds_for_all_hosts(http2: bool) -> None:
    async with serving() as one, serving() as two:
        limits = httpx.Limits(max_connections=3)
        async with httpx.AsyncClient(transport=Transport(limits=limits, http2=http2)) as client:
            for url in (one.url, two.url, one.url, two.url):
                async with anyio.create_task_group() as tasks:
                    for _ in range(9):
                        tasks.start_soon(client.get, url)
                await anyio.sleep(0.01)
                assert one.open + two.open <= 3


async def test_a_stream_that_is_left_gives_its_connection_back() -> None:
    transport = Transport(limits=httpx.Limits(max_connections=1))
    async with serving(lambda _: ok(b"x" * 1_000_000)) as server, httpx.AsyncClient(transport=transport) as client:
        for _ in range(3):
            async with client.stream("GET", server.url) as response:
                assert response.status_code == 200
        assert len((await client.get(server.url)).content) == 1_000_000


async def test_a_thousand_requests_at_once() -> None:
    async with serving() as server, AsyncRetell(KEY, base_url=server.url) as client:
        await many(client, 1000)
        assert server.opened <= 100
    assert len(server.requests) == 1000


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_aiohttp_under_trio_is_one_clear_error(anyio_backend: str) -> None:
    client = AsyncRetell(KEY, base_url="http://127.0.0.1:1", http_client=DefaultAioHttpClient())
    with pytest.raises(errors.ConfigurationError, match="under asyncio alone"):
        await client.send(get(), {})


def test_without_aiohttp_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["aiohttp"] = None
from retell_async import ConfigurationError, DefaultAioHttpClient
try:
    DefaultAioHttpClient()
except ConfigurationError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'retell-async[aiohttp]'" in said
