"""What an API client needs beyond what aiohttp and httpx-aiohttp give: nothing is sent twice, nothing that was cut off is a success."""

from __future__ import annotations

import asyncio
import gc
import gzip
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._http.clients import DefaultAioHttpClient

from ..engine.example import CREATE, DELETE, KEY, NO_OPTIONS, UPLOAD, get
from .test_transport import ok, serving

pytestmark = [
    pytest.mark.parallel,
    pytest.mark.anyio,
    pytest.mark.soak,
    pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]),
]


def client_of(url: str, **settings: Any) -> AsyncRetell:
    return AsyncRetell(KEY, base_url=url, max_retries=0, http_client=DefaultAioHttpClient(**settings))


class Raw:
    """A server that does with each connection what it is told."""

    def __init__(self, talk: Callable[[SocketStream, int], Any]) -> None:
        self.talk = talk
        self.number = 0

    async def __aenter__(self) -> str:
        self.listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        self.tasks.start_soon(self.listener.serve, self.serve)
        return f"http://127.0.0.1:{self.listener.extra(SocketAttribute.local_port)}"

    async def serve(self, stream: SocketStream) -> None:
        self.number += 1
        async with stream:
            await self.talk(stream, self.number)

    async def __aexit__(self, *failure: object) -> None:
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)
        await self.listener.aclose()


async def reset(stream: SocketStream) -> None:
    stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(stream)


async def test_a_request_that_was_read_and_then_reset_may_have_been_carried_out(anyio_backend: Any) -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await stream.receive()
        await reset(stream)

    async with Raw(talk) as url, client_of(url) as client:
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await client.send(CREATE.request(body={"a": 1}), {})
    assert isinstance(caught.value.__cause__, errors.APIConnectionError)
    assert caught.value.__cause__.sent


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "POST"])
async def test_nothing_is_sent_twice_on_a_connection_that_breaks_under_it(anyio_backend: Any, verb: str) -> None:
    seen: list[bytes] = []

    async def talk(stream: SocketStream, _: int) -> None:
        seen.append(await stream.receive())
        await stream.send(ok())
        seen.append(await stream.receive())
        await reset(stream)

    async with Raw(talk) as url, client_of(url) as client:
        await client.send(get(), {})
        with pytest.raises(errors.APIConnectionError):
            await client.request(verb, "/x", json=None if verb in {"GET", "DELETE"} else {})
    assert [request.split(b" ")[0].decode() for request in seen] == ["GET", verb]


async def test_a_connection_that_was_closed_meanwhile_is_not_used(anyio_backend: Any) -> None:
    raws: list[Any] = []

    async def talk(stream: SocketStream, _: int) -> None:
        raws.append(stream.extra(SocketAttribute.raw_socket))
        while True:
            try:
                await stream.receive()
            except anyio.EndOfStream:
                return
            await stream.send(ok())

    server = Raw(talk)
    async with server as url, client_of(url) as client:
        for number in range(1, 6):
            await client.send(CREATE.request(body={}), {})
            assert server.number == number
            with socket.socket(fileno=os.dup(raws[-1].fileno())) as raw:
                raw.shutdown(socket.SHUT_WR)  # and the event loop has no time to notice


async def test_a_late_answer_is_not_taken_for_that_of_the_next_request(anyio_backend: Any) -> None:
    async def talk(stream: SocketStream, number: int) -> None:
        while True:
            try:
                await stream.receive()
            except anyio.EndOfStream:
                return
            await stream.send(ok(b'{"thing_id":"%d"}' % number))
            if number == 1:
                await anyio.sleep(0.02)
                await stream.send(ok(b'{"thing_id":"late"}'))

    async with Raw(talk) as url, client_of(url) as client:
        assert (await client.send(get(), {})).thing_id == "1"
        await anyio.sleep(0.1)
        assert (await client.send(get(), {})).thing_id == "2"


async def test_an_interim_answer_does_not_end_the_wait_for_the_answer(anyio_backend: Any) -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        await anyio.sleep(10)

    async with Raw(talk) as url, client_of(url, timeout=0.2) as client:
        with anyio.fail_after(5), pytest.raises(errors.APITimeoutError):
            await client.send(CREATE.request(body={}), {})


async def test_connections_are_kept_open_by_what_lies_between(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    send = aiohttp.ClientRequest.send

    async def look(request: aiohttp.ClientRequest, conn: Any) -> aiohttp.ClientResponse:
        seen.append(conn.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        return await send(request, conn)

    monkeypatch.setattr(aiohttp.ClientRequest, "send", look)
    async with serving() as server, client_of(server.url) as client:
        await client.send(get(), {})
    assert seen == [1]


async def test_cookies_are_not_kept(anyio_backend: Any) -> None:
    async with serving(lambda _: ok(more=b"Set-Cookie: of=somebody; Path=/\r\n")) as server, client_of(server.url) as client:
        for _ in range(2):
            await client.send(get(), {})
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_redirects_are_not_followed(anyio_backend: Any) -> None:
    answer = b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    async with serving(lambda _: answer) as server, client_of(server.url) as client:
        with pytest.raises(errors.APIStatusError, match="307"):
            await client.request("POST", "/x", json={})
    assert len(server.requests) == 1


async def test_a_request_arrives_as_it_was_written(anyio_backend: Any) -> None:
    async with serving() as server, client_of(server.url) as client:
        await client.request("GET", "/a%3Ab/%2B1%7E%2E/c?x=%2B1%27&y=%7B")
        await client.request("POST", "/x")
        await client.send(DELETE.request(path={"thing_id": "1"}), {"extra_headers": {"X-Own": "1"}})
    assert server.requests[0].startswith(b"GET /a%3Ab/%2B1%7E%2E/c?x=%2B1%27&y=%7B HTTP/1.1\r\n")
    assert b"content-type" not in server.requests[1].lower()
    assert b"x-own: 1\r\n" in server.requests[2].lower()
    for request in server.requests:
        names = [line.split(b":")[0].lower() for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
        assert len(names) == len(set(names))
        assert names.count(b"user-agent") == names.count(b"accept") == 1


# Uploads


def body_of(length: int | None, *parts: bytes) -> httpx.Request:
    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    headers = {} if length is None else {"Content-Length": str(length)}
    return httpx.Request("POST", "http://127.0.0.1:1/", headers=headers, content=stream())


@pytest.mark.parametrize(("length", "match"), [(5, "longer"), (500_000, "shorter")])
async def test_a_body_of_another_length_than_announced_is_no_success(anyio_backend: Any, length: int, match: str) -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await stream.receive()
        await anyio.sleep(0.1)
        await stream.send(ok())
        await anyio.sleep(1)

    async with Raw(talk) as url, DefaultAioHttpClient() as client:
        request = body_of(length, b"x" * 10, b"y" * 10)
        request.url = httpx.URL(url)
        with pytest.raises(httpx.LocalProtocolError, match=match):
            await client.send(request)


async def test_a_body_without_a_length_arrives_whole(anyio_backend: Any) -> None:
    received: list[bytes] = []

    async def talk(stream: SocketStream, _: int) -> None:
        while not b"".join(received).endswith(b"0\r\n\r\n"):
            received.append(await stream.receive())
        await stream.send(ok())

    async with Raw(talk) as url, DefaultAioHttpClient() as client:
        request = body_of(None, b"x" * 10, b"y" * 10)
        request.url = httpx.URL(url)
        assert (await client.send(request)).status_code == 200
    head, _, body = b"".join(received).partition(b"\r\n\r\n")
    assert head.lower().count(b"transfer-encoding: chunked") == 1
    assert body == b"a\r\nxxxxxxxxxx\r\na\r\nyyyyyyyyyy\r\n0\r\n\r\n"


@pytest.mark.parametrize("kind", ["file", "JSON"])
@pytest.mark.parametrize("ends", ["answers and closes", "answers and stays"])
async def test_an_upload_that_is_answered_before_it_arrived_is_no_success(anyio_backend: Any, kind: str, ends: str) -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await stream.receive(1000)
        await stream.send(ok())
        if ends == "answers and stays":
            await anyio.sleep_forever()

    request = (
        UPLOAD.request(body={"knowledge_base_files": [("a", b"x" * 30_000_000)]})
        if kind == "file"
        else CREATE.request(body={"a": "x" * 30_000_000})
    )
    async with Raw(talk) as url, client_of(url) as client:
        with pytest.raises(errors.OutcomeUnknownError):
            await client.send(request, {"timeout": 5})


async def test_a_refusal_of_an_upload_that_is_not_read_is_that_refusal(anyio_backend: Any) -> None:
    async def talk(stream: SocketStream, _: int) -> None:
        await stream.receive(1000)
        await stream.send(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\n{}")
        await anyio.sleep(0.5)

    async with Raw(talk) as url, client_of(url) as client:
        with pytest.raises(errors.APIStatusError, match="413"):
            await client.send(UPLOAD.request(body={"knowledge_base_files": [("a", b"x" * 30_000_000)]}), {"timeout": 5})


@pytest.mark.parametrize(("size", "match"), [(30_000_000, "could not be sent in time"), (1, "no answer in time")])
async def test_an_upload_that_nobody_reads_ends_in_time(anyio_backend: Any, size: int, match: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with client_of(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            with pytest.raises(errors.OutcomeUnknownError, match=match) as caught, anyio.fail_after(5):
                await client.send(CREATE.request(body={"a": "x" * size}), {"timeout": 0.3})
    assert isinstance(caught.value.__cause__, errors.APITimeoutError)


async def test_a_compressed_file_is_uploaded_as_what_is_in_it_or_not_at_all(anyio_backend: Any, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b"text " * 50_000)
    said = ""
    async with serving() as server, client_of(server.url) as client:
        with gzip.open(tmp_path / "a.gz", "rb") as opened:
            try:
                await client.send(UPLOAD.request(body={"knowledge_base_files": [("a.txt", opened)]}), {"timeout": 1})
            except errors.APIError as error:
                said = str(error)
    assert "Content-Length" in said or server.requests[0].count(b"text ") == 50_000


async def test_an_error_while_a_file_is_read_is_that_error(anyio_backend: Any) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"x" * 10
        raise ZeroDivisionError("the disk is gone")

    async with serving() as server, DefaultAioHttpClient() as client:
        with pytest.raises(ZeroDivisionError, match="the disk is gone"):
            await client.post(server.url, content=stream(), headers={"Content-Length": "500"})


# Event loops, processes, closing


def test_each_event_loop_has_connections_of_its_own(anyio_backend: Any) -> None:
    client = client_of("http://127.0.0.1:1")

    async def one() -> None:
        async with serving() as server:
            view = client.with_options(base_url=server.url)
            await view.send(get(), {})
            await view.send(get(), {})
            assert server.opened == 1

    async def last() -> None:
        await one()
        await client.aclose()

    for main in (one, one, last):
        anyio.run(main)


def test_loops_of_several_threads_work_at_once_over_one_http_client_and_are_one_clear_error_over_one_client(anyio_backend: Any) -> None:
    http_client = DefaultAioHttpClient()
    client = AsyncRetell(KEY, http_client=http_client)
    refused: list[Exception] = []

    async def one() -> None:
        async with serving() as server:
            for _ in range(20):
                assert (await http_client.get(server.url)).status_code == 200
            try:
                async with anyio.create_task_group() as tasks:
                    for _ in range(20):
                        tasks.start_soon(client.with_options(base_url=server.url).send, get(), NO_OPTIONS)
            except* errors.ConfigurationError as group:
                refused.extend(group.exceptions)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, lambda: asyncio.run(one()))
        await client.aclose()

    anyio.run(all_of_them)
    gc.collect()
    assert all("in use in another event loop" in str(error) for error in refused)


@pytest.mark.needs("fork")
@pytest.mark.parametrize("how", ["closed", "collected", "collected unused"])
async def test_a_forked_child_leaves_the_connections_of_its_parent_alone(anyio_backend: Any, how: str) -> None:
    async def use(client: AsyncRetell) -> None:
        with pytest.raises(errors.APIConnectionError):
            await client.with_options(base_url="http://127.0.0.1:1").send(get(), {})

    async def close(client: AsyncRetell) -> None:
        await use(client)
        await client.aclose()

    async def nothing(client: AsyncRetell) -> None:
        pass

    async with serving() as server:
        held = [client_of(server.url, limits=httpx.Limits(keepalive_expiry=60))]
        await held[0].send(get(), {})
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio._set_running_loop(None)
                asyncio.run({"closed": close, "collected": use, "collected unused": nothing}[how](held.pop()))
                gc.collect()
                code = 0
            finally:
                os._exit(code)
        with anyio.fail_after(30):
            await anyio.to_thread.run_sync(os.waitpid, child, 0, abandon_on_cancel=True)
        for _ in range(3):
            await held[0].send(get(), {"timeout": 2})
        assert server.opened == 1
        await held[0].aclose()


async def test_whoever_waits_for_a_connection_of_a_client_that_is_closed_gets_an_error(anyio_backend: Any) -> None:
    async with serving(lambda _: None) as server:
        client = client_of(server.url, limits=httpx.Limits(max_connections=1))
        failed: list[Exception] = []

        async def one() -> None:
            try:
                await client.send(get(), {})
            except errors.RetellError as error:
                failed.append(error)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one)
                tasks.start_soon(one)
                await anyio.sleep(0.1)
                await client.aclose()
        assert len(failed) == 2
    with pytest.raises(errors.RetellError, match="closed"):
        await client.send(get(), {})


# Settings


async def test_proxies_of_the_environment_and_their_exceptions(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy, serving() as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://user:p%40ss@"))
        async with client_of("http://retell.test") as client:
            await client.send(get(), {})
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with client_of(server.url) as client:
            await client.send(get(), {})
    assert len(server.requests) == 1
    (request,) = proxy.requests
    assert request.startswith(b"GET http://retell.test/get-thing/thing_1 HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dxnlcjpwqhnz\r\n" in request.lower()


async def test_a_tunnel_that_a_proxy_refuses_is_known_not_to_be_one(anyio_backend: Any) -> None:
    heads: list[bytes] = []

    async def talk(stream: SocketStream, _: int) -> None:
        heads.append(await stream.receive())
        await stream.send(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")

    async with Raw(talk) as url, client_of("https://retell.test", proxy=url.replace("://", "://user:pass@"), trust_env=False) as client:
        with pytest.raises(errors.APIConnectionError) as caught:
            await client.send(CREATE.request(body={}), {})
    assert type(caught.value) is errors.APIConnectionError
    assert not caught.value.sent
    assert heads[0].startswith(b"CONNECT retell.test:443 HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dxnlcjpwyxnz\r\n" in heads[0].lower()
    assert KEY.encode() not in heads[0]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"http2": True}, "no HTTP/2"),
        ({"proxy": "socks5://user:pa55word@127.0.0.1:1"}, "socks"),
        ({"proxy": "ftp://user:pa55word@127.0.0.1:1"}, "proxy cannot be one"),
        ({"proxy": "http://user:pa55word@127.0.0.1:port"}, "proxy cannot be one"),
    ],
)
async def test_what_cannot_work_is_refused_when_the_client_is_made(anyio_backend: Any, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=match) as caught:
        DefaultAioHttpClient(**settings)
    assert "pa55word" not in str(caught.value)


async def test_every_setting_of_httpx_is_taken(anyio_backend: Any) -> None:
    seen: list[str] = []

    async def note(request: httpx.Request) -> None:
        seen.append(request.method)

    mounted = httpx.MockTransport(lambda _: httpx.Response(200, json={"thing_id": "mounted"}))
    settings: dict[str, Any] = {
        "event_hooks": {"request": [note]},
        "headers": {"X-Own": "1"},
        "mounts": {"http://mounted.test": mounted},
        "limits": httpx.Limits(max_connections=None, keepalive_expiry=None),
        "timeout": 7,
        "cookies": {"a": "b"},
    }
    async with serving() as server, client_of(server.url, **settings) as client:
        await client.send(get(), {})
        assert (await client.with_options(base_url="http://mounted.test").send(get(), {})).thing_id == "mounted"
    assert seen == ["GET", "GET"]
    assert b"x-own: 1" in server.requests[0].lower()
    assert b"cookie: a=b" in server.requests[0].lower()


def test_the_transport_may_be_ones_own(anyio_backend: Any) -> None:
    own = httpx.MockTransport(lambda _: httpx.Response(200))
    assert DefaultAioHttpClient(transport=own)._transport is own
