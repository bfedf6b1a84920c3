"""The client's own connections: what servers do that is allowed and seldom, and what they should not do."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import respx
from anyio.abc import SocketAttribute, SocketStream

from benchmarks.loopback import serving as elsewhere
from retell_async._client import AsyncRetell
from retell_async._core.errors import APIConnectionError, APIStatusError, APITimeoutError, OutcomeUnknownError
from retell_async._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
from retell_async._http.wire import streams as _wire

from ..engine.example import CREATE, KEY, NO_OPTIONS, UPLOAD, get
from .test_transport import EACH, ok, serving

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]


@EACH
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok(),
        b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"thing_id":"1"}',
        b'HTTP/1.0 200 OK\r\n\r\n{"thing_id":"1"}',
        b'HTTP/1.1 200\r\nContent-Length: 16\r\n\r\n{"thing_id":"1"}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10;x=1\r\n{"thing_id":"1"}\r\n0\r\nX-Trailer: 1\r\n\r\n',
    ],
    ids=["103", "close", "1.0", "no reason", "trailer"],
)
async def test_seldom_answers(make: Callable[..., httpx.AsyncClient], answer: bytes) -> None:
    once = [answer]

    def respond(_: str) -> bytes:
        return once.pop() if once else ok()

    async with serving(respond) as server, AsyncRetell(KEY, base_url=server.url, max_retries=0, http_client=make()) as client:
        closes = b"Content-Length" not in answer and b"chunked" not in answer
        if closes:
            server.close_after = 1
        for _ in range(2):
            assert (await client.send(get(), {})).thing_id == "1"
    assert server.opened == (2 if closes else 1)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_for_what_must_not_be_sent_twice() -> None:
    async with serving() as server, AsyncRetell(KEY, base_url=server.url, max_retries=0) as client:
        for _ in range(10):
            server.close_after = len(server.requests) + 1
            await client.send(CREATE.request(body={}), {})
            while server.open:
                await anyio.lowlevel.checkpoint()
    assert server.opened == 10


async def test_what_comes_without_being_asked_for_is_never_taken_for_an_answer() -> None:
    async with (
        serving(lambda path: ok() + ok(b'{"thing_id":"of nobody"}') if path.endswith("two") else ok()) as server,
        AsyncRetell(KEY, base_url=server.url) as client,
    ):
        assert (await client.send(get("two"), {})).thing_id == "1"
        assert (await client.send(get(), {})).thing_id == "1"
    assert server.opened == 2


@pytest.mark.parametrize(
    ("anyio_backend", "make"),
    [("asyncio", DefaultAsyncHttpxClient), ("asyncio", DefaultAioHttpClient), ("asyncio", httpx.AsyncClient), ("trio", httpx.AsyncClient)],
)
@pytest.mark.parametrize("answer", [b"%b", b"Authorization: Bearer %b", b"HTTP/1.1 200 OK\r\nauthorization %b"])
async def test_a_key_that_something_else_than_http_repeats_stands_nowhere(make: Callable[..., httpx.AsyncClient], answer: bytes) -> None:
    key = "9f8e7d6c5b4a39281706aa55"
    async with (
        serving(lambda _: answer % key.encode() + b"\r\n\r\n") as server,
        AsyncRetell(key, base_url=server.url, max_retries=0, http_client=make()) as client,
    ):
        with pytest.raises(APIConnectionError) as caught:
            await client.send(get(), {})
    shown = "".join(traceback.format_exception(caught.value))
    assert key not in shown
    assert "400" not in shown.replace(server.url, "")


@EACH
@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"],
    ids=["other protocol", "long head"],
)
async def test_no_http_is_an_error_that_leaves_the_outcome_open(make: Callable[..., httpx.AsyncClient], answer: bytes) -> None:
    async with serving(lambda _: answer) as server, AsyncRetell(KEY, base_url=server.url, max_retries=0, http_client=make()) as client:
        with pytest.raises(APIConnectionError) as caught:
            await client.send(get(), {})
        assert caught.value.sent
        with pytest.raises(OutcomeUnknownError):
            await client.send(CREATE.request(body={}), {})


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"no HTTP\r\n\r\n"])
async def test_another_protocol_is_said_to_be_no_http(answer: bytes) -> None:
    async with serving(lambda _: answer) as server, AsyncRetell(KEY, base_url=server.url, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="the answer is no HTTP: illegal status line"):
            await client.send(get(), {})


async def test_an_answer_that_breaks_off_is_not_said_to_be_something_else_than_http() -> None:
    async with (
        serving(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") as server,
        AsyncRetell(KEY, base_url=server.url) as client,
    ):
        server.close_after = 1
        with pytest.raises(APIConnectionError, match="the answer is broken: peer closed connection without sending complete") as caught:
            await client.send(get(), {"max_retries": 0})
    assert "no HTTP" not in str(caught.value)


@EACH
async def test_a_body_that_is_not_encoded_as_it_says_is_one_error(make: Callable[..., httpx.AsyncClient]) -> None:
    answer = ok(b"no gzip", b"Content-Encoding: gzip\r\n")
    refusal = b"HTTP/1.1 422 Unprocessable\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip"
    async with (
        serving(lambda path: refusal if "refused" in path else answer) as server,
        AsyncRetell(KEY, base_url=server.url, max_retries=0, http_client=make()) as client,
    ):
        with pytest.raises(APIConnectionError, match="not be read whole") as caught:
            await client.send(get(), {})
        assert caught.value.status_code == 200
        with pytest.raises(APIStatusError) as refused:
            await client.send(get("refused"), {})
        assert refused.value.status_code == 422


REFUSAL = b'HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 19\r\n\r\n{"message":"large"}'


async def refuse(stream: SocketStream) -> None:
    """Answer as soon as a request begins, and close."""
    async with stream:
        await stream.receive(1000)
        await stream.send(REFUSAL)
        await stream.send_eof()
        # Closed with something unread, a connection is reset, and the answer with it.
        async for _ in stream:
            pass


@EACH
async def test_an_answer_before_the_whole_request_was_sent_counts(make: Callable[..., httpx.AsyncClient]) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with AsyncRetell(KEY, base_url=url, max_retries=0, http_client=make()) as client:
            for request in (
                CREATE.request(body={"text": "x" * 5_000_000}),
                UPLOAD.request(body={"knowledge_base_files": [b"x" * 5_000_000]}),
            ):
                with pytest.raises(APIStatusError, match=r"413 - .*large"):
                    await client.send(request, {})
        tasks.cancel_scope.cancel()


async def answer_and_reset(stream: SocketStream) -> None:
    """Say that it is done as soon as a request begins, and take no more of it."""
    async with stream:
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the system takes many megabytes for it
        await stream.receive(1000)
        await stream.send(ok())
        await anyio.sleep(0.1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_what_did_not_leave_whole_is_no_success() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer_and_reset)
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with AsyncRetell(KEY, base_url=url, max_retries=0) as client:
            for request in (
                CREATE.request(body={"text": "x" * 8_000_000}),
                UPLOAD.request(body={"knowledge_base_files": [b"x" * 8_000_000]}),
            ):
                with pytest.raises(OutcomeUnknownError):
                    await client.send(request, {})
        tasks.cancel_scope.cancel()


async def test_a_server_that_takes_nothing_is_waited_for_no_longer_than_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        url = f"http://127.0.0.1:{nobody_accepts.getsockname()[1]}"
        async with AsyncRetell(KEY, base_url=url, max_retries=0) as client:
            for request in (
                CREATE.request(body={"text": "x" * 50_000_000}),
                UPLOAD.request(body={"knowledge_base_files": [b"x" * 50_000_000]}),
            ):
                with pytest.raises(OutcomeUnknownError) as caught:
                    await client.send(request, {"timeout": httpx.Timeout(30, write=0.2)})
                assert isinstance(caught.value.__cause__, APITimeoutError)
                assert caught.value.__cause__.message == f"Request timed out: the request could not be sent in time; host {url}"


async def test_paths_are_sent_as_httpx_sends_them() -> None:
    async with serving() as server, AsyncRetell(KEY, base_url=f"{server.url}/base%20path/", default_query={"q": "ä b"}) as client:
        paths = ["/plain", "/with space/ä?x=1 2", "/a/../b", "/a/./b?c=/../d", "/%41%2F", "/x?a=b&c=%20"]
        for path in paths:
            await client.request("GET", path)
    sent = [request.split(b" ", 2)[1].decode() for request in server.requests]
    assert sent == [
        httpx.URL(f"{server.url}/base%20path{path}{'&' if '?' in path else '?'}q=%C3%A4%20b").raw_path.decode() for path in paths
    ]


async def test_the_headers_of_a_request() -> None:
    async with serving() as server, AsyncRetell(KEY, base_url=server.url, default_headers={"accept-encoding": "identity"}) as client:
        await client.send(get(), {"extra_headers": {"host": "other.test"}})
        await client.request("POST", "/empty")
        await client.send(CREATE.request(body={"name": "ä"}), {})
    heads = [request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:] for request in server.requests]
    fields = [{name.lower(): value for name, _, value in (line.partition(": ") for line in head)} for head in heads]
    assert all(len(head) == len(each) for head, each in zip(heads, fields, strict=True))
    assert [each["host"] for each in fields] == ["other.test", server.url.removeprefix("http://"), server.url.removeprefix("http://")]
    assert [each.get("content-length") for each in fields] == [None, "0", "13"]
    assert {each["accept-encoding"] for each in fields} == {"identity"}
    assert {each["connection"] for each in fields} == {"keep-alive"}


# An event loop that ends leaves its connections to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", [lambda: None, DefaultAioHttpClient], ids=["own", "aiohttp"])
def test_a_client_outlives_the_event_loop_in_which_it_was_used(make: Callable[[], httpx.AsyncClient | None]) -> None:
    async def use(client: AsyncRetell) -> None:
        for _ in range(2):
            assert (await client.call.create_web_call(agent_id="agent_1")).call_id

    with elsewhere.serving() as url:
        client = AsyncRetell(KEY, base_url=url, max_retries=0, http_client=make())
        for _ in range(3):
            asyncio.run(use(client))
        asyncio.run(client.aclose())
        assert elsewhere.stats(url)["statuses"]["201"] == 6
    del client
    gc.collect()


# Tools that look at what httpx does see what this client does.


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize(
    ("anyio_backend", "make"),
    [
        ("asyncio", lambda: None),
        ("trio", lambda: None),
        ("asyncio", DefaultAsyncHttpxClient),
        ("asyncio", httpx.AsyncClient),
        ("asyncio", DefaultAioHttpClient),
    ],
    ids=["own", "own, trio", "default", "httpx", "aiohttp"],
)
async def test_respx_sees_the_client(make: Callable[[], httpx.AsyncClient | None], used_before: bool) -> None:
    async with serving() as server, AsyncRetell(KEY, base_url=server.url, http_client=make()) as client:
        if used_before:
            await client.send(get(), {})
        with respx.mock:
            route = respx.get(f"{server.url}/get-thing/thing_1").respond(json={"thing_id": "made up"})
            assert (await client.send(get(), {})).thing_id == "made up"
            assert route.called
        assert (await client.send(get(), {})).thing_id == "1"
    assert len(server.requests) == 1 + used_before


@pytest.mark.parametrize("make", [DefaultAsyncHttpxClient, httpx.AsyncClient, DefaultAioHttpClient])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_respx_sees_what_would_go_by_a_proxy(anyio_backend: str, make: Callable[..., httpx.AsyncClient]) -> None:
    client = AsyncRetell(KEY, base_url="https://retell.test", max_retries=0, http_client=make(proxy="http://127.0.0.1:9"))
    async with client:
        with respx.mock:
            respx.get("https://retell.test/get-thing/thing_1").respond(json={"thing_id": "made up"})
            assert (await client.send(get(), {})).thing_id == "made up"
        with pytest.raises(APIConnectionError):
            await client.send(get(), {})


async def test_a_tool_that_wraps_the_method_of_httpx_sees_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = httpx.AsyncHTTPTransport.handle_async_request

    async def traced(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return await original(self, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", traced)
    async with serving() as server, AsyncRetell(KEY, base_url=server.url) as client:
        assert (await client.send(get(), {})).thing_id == "1"
    assert seen == ["/get-thing/thing_1"]


@EACH
async def test_what_a_user_does_to_their_client_later_counts(make: Callable[..., httpx.AsyncClient]) -> None:
    own = make()
    seen: list[str] = []

    async def hook(request: httpx.Request) -> None:
        seen.append(request.url.path)

    async with serving() as server, AsyncRetell(KEY, base_url=server.url, http_client=own) as client:
        await client.send(get(), {})
        own.headers["X-Own"] = "1"
        await client.send(get(), {})
        del own.headers["X-Own"]
        own.cookies.set("session", "2")
        await client.send(get(), {})
        own.cookies.clear()
        own.event_hooks["request"].append(hook)
        await client.send(get(), {})
    first, with_header, with_cookie, _ = (request.lower() for request in server.requests)
    assert b"x-own" not in first
    assert b"cookie" not in first
    assert b"x-own: 1\r\n" in with_header
    assert b"cookie: session=2\r\n" in with_cookie
    assert seen == ["/get-thing/thing_1"]


@EACH
async def test_settings_of_a_users_client_count(make: Callable[..., httpx.AsyncClient]) -> None:
    async with serving() as server:
        own = make(headers={"X-Own": "1"}, cookies={"session": "2"})
        async with AsyncRetell(KEY, base_url=server.url, http_client=own) as client:
            await client.send(get(), {})
    (request,) = server.requests
    assert b"x-own: 1\r\n" in request.lower()
    assert b"cookie: session=2\r\n" in request.lower()


# Which of several addresses is connected to.


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_address_that_answers_is_used(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> None:
    async def found(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "retell.test"
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET6, kind, 6, "", ("::1", port, 0, 0)), (socket.AF_INET, kind, 6, "", ("127.0.0.1", port))]

    async with serving() as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        async with AsyncRetell(KEY, base_url=server.url.replace("127.0.0.1", "retell.test")) as client:
            assert (await client.send(get(), NO_OPTIONS)).thing_id == "1"
    assert server.opened == 1
    assert b"host: retell.test:" in server.requests[0].lower()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_host_goes_over_the_wire_in_ascii(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> None:
    looked_up: list[str] = []

    async def found(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with serving() as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        async with AsyncRetell(KEY, base_url=server.url.replace("127.0.0.1", "büro.test")) as client:
            await client.send(get(), NO_OPTIONS)
            await client.send(UPLOAD.request(body={"knowledge_base_files": [b"x"]}), NO_OPTIONS)
    assert looked_up == ["xn--bro-hoa.test"]
    assert all(b"host: xn--bro-hoa.test:" in request.lower() for request in server.requests)


def test_families_are_tried_in_turn() -> None:
    six, four = int(socket.AF_INET6), int(socket.AF_INET)
    found = [(six, "6a"), (six, "6b"), (six, "6a"), (six, "6c"), (four, "4a")]
    assert _wire.in_turn(found) == ["6a", "4a", "6b", "6c"]
    assert _wire.in_turn([(four, "4a"), (four, "4b")]) == ["4a", "4b"]


class Wire:
    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_a_slow_address_is_overtaken_and_a_dead_one_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wire, "_SLOW", 0.01)

    async def never() -> Any:
        await anyio.sleep_forever()

    async def dead() -> Any:
        raise ConnectionRefusedError("dead")

    async def late() -> Any:
        await anyio.sleep(0.05)
        return Wire("late")

    async def fine() -> Any:
        return Wire("fine")

    assert (await _wire.first([never, dead, fine])).name == "fine"  # type: ignore[attr-defined]
    assert (await _wire.first([late, never])).name == "late"  # type: ignore[attr-defined]
    with pytest.raises(ConnectionRefusedError, match="dead"):
        await _wire.first([dead, dead])


async def test_of_two_connections_one_is_closed_and_so_is_one_that_nobody_waits_for_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wire, "_SLOW", 0.0)
    made: list[Wire] = []

    async def connect() -> Any:
        # A connection that is made in the moment in which the attempt is called off.
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
        made.append(Wire("made"))
        return made[-1]

    won: Any = await _wire.first([connect, connect])
    assert [wire.closed for wire in made] == [wire is not won for wire in made]
    assert len(made) == 2
    made.clear()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await _wire.first([connect])
    assert [wire.closed for wire in made] == [True]
