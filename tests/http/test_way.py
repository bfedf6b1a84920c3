"""The way of a request: that it says when it goes out and can be held back then, and what an error says of where it was to go."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from anyio.abc import SocketAttribute, SocketStream
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from retell_async import APIConnectionError, APITimeoutError, AsyncRetell, DefaultAioHttpClient, DefaultAsyncHttpxClient, RateLimit
from retell_async._core.encode import encode
from retell_async._http.exchange import Http
from retell_async._http.way import Departure

from ..engine.example import CREATE, KEY, NO_OPTIONS, UPLOAD, get
from ..needed import nothing_listed, path_of
from .test_tls import serving_http2
from .test_transport import Server, ok, serving

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]

PASSWORD = "pa55-word"


class ForgottenError(Exception):
    """What a test raises in place of sending."""


class Wrapper(httpx.AsyncBaseTransport):
    """Passes requests on."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = [inner]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner[0].handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner[0].aclose()


Make = Callable[[], httpx.AsyncClient | None]

MAKES: dict[str, Make] = {
    "own": lambda: None,
    "default": DefaultAsyncHttpxClient,
    "default with a header": lambda: DefaultAsyncHttpxClient(headers={"x-mine": "1"}),
    "default over http2": lambda: DefaultAsyncHttpxClient(http2=True),
    "httpx": httpx.AsyncClient,
    "httpx mounted": lambda: httpx.AsyncClient(mounts={"http://": httpx.AsyncHTTPTransport()}),
    "httpx wrapped": lambda: httpx.AsyncClient(transport=Wrapper(httpx.AsyncHTTPTransport())),
    "aiohttp": DefaultAioHttpClient,
    "aiohttp wrapped": lambda: httpx.AsyncClient(transport=Wrapper(DefaultAioHttpClient()._transport)),
}

EACH = pytest.mark.parametrize(
    ("anyio_backend", "make"),
    [
        pytest.param(backend, make, id=f"{name}, {backend}")
        for name, make in MAKES.items()
        for backend in ("asyncio", "trio")
        if not ("aiohttp" in name and backend == "trio")
    ],
)


class Leaving:
    """Notes how many requests the server had at the moment, and raises if it is told to."""

    def __init__(self, server: Server, error: Exception | None = None) -> None:
        self.server = server
        self.error = error
        self.seen: list[tuple[int, int]] = []

    def __call__(self) -> None:
        self.seen.append((self.server.opened, len(self.server.requests)))
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def http_of(client: httpx.AsyncClient | None) -> AsyncGenerator[Http]:
    http = Http(client, max_connections=10)
    try:
        yield http
    finally:
        await http.aclose()


async def exchange(http: Http, url: str, request: Any = None, leaves: Callable[[], None] | None = None, *, stream: bool = False) -> int:
    encoded = encode(get() if request is None else request, base_url=url, headers=[{"Authorization": f"Bearer {KEY}"}])
    answer = await http.exchange(encoded, 5.0, stream=stream, departure=Departure(leaves))
    if stream:
        await answer.response.aread()
        await answer.response.aclose()
    return answer.status_code


UPLOADED = UPLOAD.request(body={"knowledge_base_files": [("a", b"x" * 300_000)]})


@pytest.mark.soak
@EACH
async def test_it_says_once_that_a_request_goes_out_when_there_is_a_connection(make: Make) -> None:
    async with serving() as server, http_of(make()) as http:
        for number, (request, stream) in enumerate([(get(), False), (CREATE.request(body={}), False), (UPLOADED, False), (get(), True)]):
            leaves = Leaving(server)
            assert await exchange(http, server.url, request, leaves, stream=stream) == 200
            assert len(leaves.seen) == 1
            opened, requests = leaves.seen[0]
            assert requests == number
            assert server.opened - opened <= 1  # the server may not have looked yet


@pytest.mark.soak
@EACH
async def test_what_is_held_back_then_is_not_sent_and_the_client_goes_on(make: Make) -> None:
    async with serving() as server, http_of(make()) as http:
        for request, stream in ((get(), False), (CREATE.request(body={}), False), (UPLOADED, False), (get(), True)):
            before = len(server.requests)
            error = ForgottenError()
            with pytest.raises(ForgottenError) as caught:
                await exchange(http, server.url, request, Leaving(server, error), stream=stream)
            assert caught.value is error
            assert not hasattr(error, "__notes__")
            assert KEY not in "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            assert await exchange(http, server.url, request, stream=stream) == 200
            await anyio.sleep(0.02)
            assert len(server.requests) == before + 1


@pytest.mark.soak
@EACH
async def test_the_same_under_a_tool_that_looks_at_requests(make: Make) -> None:
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument()
    try:
        async with serving() as server, http_of(make()) as http:
            leaves = Leaving(server)
            await exchange(http, server.url, leaves=leaves)
            assert [requests for _, requests in leaves.seen] == [0]
            with pytest.raises(ForgottenError):
                await exchange(http, server.url, leaves=Leaving(server, ForgottenError()))
            await exchange(http, server.url)
            assert len(server.requests) == 2
    finally:
        instrumentor.uninstrument()


async def translate(send: Callable[..., Awaitable[Any]], *args: Any, **settings: Any) -> Any:
    try:
        return await send(*args, **settings)
    except ForgottenError as error:
        raise httpx.ReadError("something") from error


async def group(send: Callable[..., Awaitable[Any]], *args: Any, **settings: Any) -> Any:
    try:
        return await send(*args, **settings)
    except ForgottenError as error:
        raise ExceptionGroup("several", [error]) from None


async def answer(send: Callable[..., Awaitable[Any]], *args: Any, **settings: Any) -> Any:
    try:
        return await send(*args, **settings)
    except ForgottenError:
        return httpx.Response(200, json={}, request=httpx.Request("GET", "http://retell.test"))


async def repeat(send: Callable[..., Awaitable[Any]], *args: Any, **settings: Any) -> Any:
    for _ in range(2):
        try:
            return await send(*args, **settings)
        except ForgottenError:
            continue
    return await send(*args, **settings)


@pytest.mark.soak
@EACH
@pytest.mark.parametrize("does", [translate, group, answer, repeat])
async def test_whatever_a_tool_makes_of_it_nothing_is_sent(
    make: Make, does: Callable[..., Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = httpx.AsyncClient._send_single_request

    async def sent(*args: Any, **settings: Any) -> Any:
        return await does(send, *args, **settings)

    async with serving() as server, http_of(make()) as http:
        monkeypatch.setattr(httpx.AsyncClient, "_send_single_request", sent)
        error = ForgottenError()
        leaves = Leaving(server, error)
        with pytest.raises(ForgottenError) as caught:
            await exchange(http, server.url, leaves=leaves)
        assert caught.value is error
        assert len(leaves.seen) == 1
        assert await exchange(http, server.url, leaves=Leaving(server)) == 200
        await anyio.sleep(0.02)
        assert len(server.requests) == 1


async def test_where_nobody_can_say_it_is_before_the_request_is_handed_over() -> None:
    order: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        order.append("answers")
        return httpx.Response(200, json={})

    async with http_of(httpx.AsyncClient(transport=httpx.MockTransport(respond))) as http:
        await exchange(http, "http://retell.test", leaves=lambda: order.append("leaves"))
        assert order == ["leaves", "answers"]
        with pytest.raises(ForgottenError):
            await exchange(http, "http://retell.test", leaves=Leaving(Server(lambda _: None), ForgottenError()))
    assert order == ["leaves", "answers"]


@pytest.mark.soak
async def test_a_pool_that_cannot_be_seen_is_known_by_what_it_says() -> None:
    order: list[str] = []
    inner = httpx.AsyncHTTPTransport()

    class Hiding(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            order.append("is handed over")
            return await inner.handle_async_request(request)

        async def aclose(self) -> None:
            await inner.aclose()

    async with serving() as server, http_of(httpx.AsyncClient(transport=Hiding())) as http:
        for _ in range(2):
            await exchange(http, server.url, leaves=lambda: order.append("leaves"))
    assert order == ["leaves", "is handed over", "is handed over", "leaves"]


@pytest.mark.soak
@pytest.mark.parametrize("make", [httpx.AsyncClient, DefaultAsyncHttpxClient])
async def test_over_http2_what_is_held_back_takes_nothing_with_it(
    make: Callable[..., httpx.AsyncClient], tmp_path: Path, anyio_backend_name: str
) -> None:
    authority = trustme.CA()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    spoken: list[str] = []
    async with (
        serving_http2(authority, tmp_path, anyio_backend_name, spoken) as url,
        http_of(make(verify=trusted, http2=True)) as http,
    ):
        for number in range(3):
            with pytest.raises(ForgottenError):
                await exchange(http, url, leaves=Leaving(Server(lambda _: None), ForgottenError()))
            seen: list[int] = []
            assert await exchange(http, url, leaves=lambda seen=seen: seen.append(len(spoken))) == 200  # type: ignore[misc]
            assert seen == [number]
    assert spoken == ["2"] * 3


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("make", [DefaultAsyncHttpxClient, httpx.AsyncClient, DefaultAioHttpClient])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_through_a_proxy_it_goes_out_when_there_is_a_way_to_the_server(
    anyio_backend: str, make: Callable[..., httpx.AsyncClient], scheme: str
) -> None:
    seen: list[int] = []
    async with serving(lambda _: b"") as proxy, http_of(make(proxy=proxy.url)) as http:
        with pytest.raises(APIConnectionError) as caught:
            await exchange(http, f"{scheme}://retell.test", CREATE.request(body={}), lambda: seen.append(len(proxy.requests)))
    tunnel = scheme == "https"
    assert seen == ([] if tunnel else [0])
    assert caught.value.sent is not tunnel
    assert len(proxy.requests) == 1


# A known limit, as the server counts


@pytest.mark.soak
@pytest.mark.parametrize("name", ["own", "default", "httpx", "httpx mounted", "httpx wrapped", "aiohttp", "aiohttp wrapped"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_known_limit_holds_where_a_connection_opens_slowly(anyio_backend: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[float] = []

    def respond(_: str) -> bytes:
        arrived.append(time.monotonic())
        return ok()

    loop = asyncio.get_running_loop()
    getaddrinfo, looked_up = loop.getaddrinfo, 0

    async def slow(*args: Any, **settings: Any) -> Any:
        nonlocal looked_up
        looked_up += 1
        if looked_up == 1:
            await asyncio.sleep(1.2)
        return await getaddrinfo(*args, **settings)

    monkeypatch.setattr(loop, "getaddrinfo", slow)
    async with (
        serving(respond) as server,
        AsyncRetell(
            KEY, base_url=server.url.replace("127.0.0.1", "localhost"), http_client=MAKES[name](), rate_limit=RateLimit(1, per=0.5)
        ) as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(4):
            tasks.start_soon(client.send, get(), NO_OPTIONS)
    arrived.sort()
    assert len(arrived) == 4
    assert all(later - earlier > 0.48 for earlier, later in itertools.pairwise(arrived))


# What an error says


def client_to(url: str, make: Callable[..., httpx.AsyncClient], **settings: Any) -> AsyncRetell:
    return AsyncRetell(KEY, base_url=url, max_retries=0, http_client=make(trust_env=False, **settings))


ANY = pytest.mark.parametrize("make", [DefaultAsyncHttpxClient, httpx.AsyncClient, DefaultAioHttpClient])
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@asynccontextmanager
async def nobody() -> AsyncGenerator[str]:
    """Where no connection is accepted."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.soak
@ANY
@ON_ASYNCIO
async def test_an_error_names_the_host(anyio_backend: str, make: Callable[..., httpx.AsyncClient]) -> None:
    async with nobody() as there, client_to(f"http://{there}", make) as client:
        with pytest.raises(APIConnectionError, match=f"; host http://{there} ") as caught:
            await client.send(get("+14155550100"), {})
    assert "55550" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert "proxy" not in str(caught.value)
    async with serving(lambda path: None if "silent" in path else b"") as server, client_to(server.url, make) as client:
        with pytest.raises(APIConnectionError, match=f"; host {server.url} "):
            await client.send(get(), {})
        with pytest.raises(APITimeoutError, match=f"no answer in time; host {server.url} "):
            await client.send(get("silent"), {"timeout": 0.1})


@pytest.mark.soak
@ANY
@pytest.mark.parametrize("scheme", ["http", "https"])
@ON_ASYNCIO
async def test_an_error_names_the_proxy_without_its_password(
    anyio_backend: str, make: Callable[..., httpx.AsyncClient], scheme: str
) -> None:
    async with nobody() as there, client_to(f"{scheme}://retell.test", make, proxy=f"http://user:{PASSWORD}@{there}") as client:
        with pytest.raises(APIConnectionError, match=f"; host {scheme}://retell.test, proxy http://{there} ") as caught:
            await client.send(get(), {})
    assert not caught.value.sent
    assert PASSWORD not in f"{caught.value} {caught.value.message}"
    async with serving(lambda _: b"") as proxy, client_to(f"{scheme}://retell.test", make, proxy=proxy.url) as client:
        with pytest.raises(APIConnectionError, match=f"[a-z]; host {scheme}://retell.test, proxy {proxy.url} "):
            await client.send(get(), {})


@pytest.mark.soak
@pytest.mark.parametrize("make", [lambda: None, DefaultAsyncHttpxClient, httpx.AsyncClient, DefaultAioHttpClient])
@ON_ASYNCIO
async def test_an_error_names_the_proxy_of_the_environment(anyio_backend: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async with nobody() as there:
        monkeypatch.setenv("http_proxy", f"http://user:{PASSWORD}@{there}")
        async with AsyncRetell(KEY, base_url="http://retell.test", max_retries=0, http_client=make()) as client:
            with pytest.raises(APIConnectionError, match=f"; host http://retell.test, proxy http://{there} ") as caught:
                await client.send(get(), {})
    assert PASSWORD not in str(caught.value)


@pytest.mark.soak
@ANY
@ON_ASYNCIO
async def test_the_wrong_scheme_gets_a_hint(anyio_backend: str, make: Callable[..., httpx.AsyncClient]) -> None:
    async def refuse(stream: SocketStream) -> None:
        async with stream:
            hello = await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n" if hello[0] == 22 else b"\x15\x03\x03\x00\x02\x02\x32")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        there = f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with client_to(f"https://{there}", make) as client:
            with pytest.raises(APIConnectionError, match="speaks no TLS: is it http:// in place of https://") as caught:
                await client.send(get(), {})
            assert not caught.value.sent
        async with client_to(f"http://{there}", make) as client:
            with pytest.raises(APIConnectionError, match="may speak TLS: is it https:// in place of http://"):
                await client.send(get(), {})
        tasks.cancel_scope.cancel()


async def test_an_error_of_a_transport_that_is_not_known_names_the_host() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    async with AsyncRetell(
        KEY, base_url="https://retell.test/v1", max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(fail))
    ) as client:
        with pytest.raises(APIConnectionError, match=r"ZeroDivisionError; host https://retell\.test "):
            await client.send(get(), {})


async def test_what_a_transport_remembers_is_not_gone_through() -> None:
    looked_at: list[int] = []

    class Remembered(list[int]):
        def __iter__(self) -> Iterator[int]:
            for one in range(1_000_000):
                looked_at.append(one)
                yield one

    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=nothing_listed("listVoices")))
    transport.__dict__["seen"] = Remembered()
    async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=transport)) as client:
        assert [*await client.voice.list()] == []
    assert 0 < len(looked_at) < 10_000


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [DefaultAsyncHttpxClient, DefaultAioHttpClient])
async def test_clients_to_give_are_classes(kind: type[httpx.AsyncClient]) -> None:
    class Mine(kind):  # type: ignore[valid-type, misc]
        pass

    client = Mine(timeout=3.0)
    assert issubclass(kind, httpx.AsyncClient)
    assert isinstance(client, kind)
    assert not isinstance(httpx.AsyncClient(), kind)
    assert client.timeout == httpx.Timeout(3.0)
    await client.aclose()


@pytest.mark.anyio
async def test_a_transport_may_be_given_to_the_usual_client() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=nothing_listed("listVoices")))
    given = DefaultAsyncHttpxClient(transport=transport)
    assert isinstance(given, DefaultAsyncHttpxClient)
    async with AsyncRetell("key_x", base_url="http://retell.test", http_client=given) as client:
        assert [*await client.voice.list()] == []


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [DefaultAsyncHttpxClient, httpx.AsyncClient])
@pytest.mark.parametrize("replaced", [False, True])
async def test_parameters_of_a_client_stand_beside_those_of_a_request(
    kind: type[httpx.AsyncClient], replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=str(request.url)))
    given = kind(transport=transport, params={"tenant": "7"})
    if replaced:
        monkeypatch.setattr(given, "request", given.request)
    async with AsyncRetell(KEY, base_url="http://retell.test", http_client=given, default_query={"d": 1}) as client:
        assert await client.get("/x?y=1", cast_to=object) == "http://retell.test/x?tenant=7&y=1&d=1"
        own: Any = await client.get("/x", cast_to=object, options={"params": {"tenant": "8"}})
        assert dict(httpx.URL(own).params) == {"tenant": "8", "d": "1"}


async def test_what_a_subclass_does_itself_is_done() -> None:
    seen: list[str] = []

    class Watching(DefaultAsyncHttpxClient):
        async def send(self, request: httpx.Request, **about: Any) -> httpx.Response:
            seen.append(request.url.path)
            return httpx.Response(200, json=nothing_listed("listVoices"), request=request)

    async with AsyncRetell("key_x", base_url="http://retell.test", http_client=Watching()) as client:
        assert [*await client.voice.list()] == []
    assert seen == [path_of("listVoices")]
