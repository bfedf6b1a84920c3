"""Tunnels through proxies that break before there is a way to the server: nothing waits for them afterwards, and nothing was sent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import trio

from retell_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncRetell,
    DefaultAsyncHttpxClient,
    OutcomeUnknownError,
    RateLimit,
    RetryPolicy,
)
from retell_async._http.given.threads import ThreadedClient
from retell_async._http.transport import _by_httpx
from retell_async._http.way import drop_abandoned

from ...engine.example import KEY
from ...engine.virtual import run

BODY = b'{"call_id":"call_1","call_type":"web_call","access_token":"t"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Network:
    """A proxy that opens every tunnel, and what happens to TLS in them: `how`, for the first `broken` of them."""

    def __init__(self, how: str, broken: int, of: ModuleType = httpcore) -> None:
        self.how = how
        self.broken = broken
        self.of = of
        self.tunnels = 0
        self.open = 0
        self.requests = 0

    async def connect_tcp(self, *_: Any, **__: Any) -> Stream:
        return Stream(self)


class Stream:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.buffer: list[bytes] = []
        self.secure = self.closed = False
        network.open += 1

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await anyio.lowlevel.checkpoint()
        if buffer.startswith(b"CONNECT"):
            self.buffer = [b"HTTP/1.1 200 OK\r\n\r\n"]
        elif buffer.endswith(b"\r\n\r\n") and self.secure:
            self.network.requests += 1
            self.buffer = [ANSWER]

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self.buffer.pop(0)

    async def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Stream:
        network = self.network
        network.tunnels += 1
        self.secure = True
        if network.tunnels <= network.broken:
            if network.how == "ends":
                raise network.of.ConnectError
            with anyio.move_on_after(timeout):
                await anyio.sleep_forever()
            raise network.of.ConnectTimeout
        return self

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.network.open -= not self.closed
        self.closed = True

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return SimpleNamespace(setsockopt=lambda *_: None)
        return False if info == "is_readable" else None


PROXY = "http://proxy.test:3128"
ONE: Any = {"proxy": PROXY, "limits": httpx.Limits(max_connections=1)}


class Wrapped(httpx.AsyncHTTPTransport):
    """A transport of a user's own."""


MAKES: dict[str, Callable[[], Any]] = {
    "default": lambda: DefaultAsyncHttpxClient(**ONE),
    "default with a header": lambda: DefaultAsyncHttpxClient(headers={"x-mine": "1"}, **ONE),
    "default over http2": lambda: DefaultAsyncHttpxClient(http2=True, **ONE),
    "httpx": lambda: httpx.AsyncClient(**ONE),
    "httpx mounted": lambda: httpx.AsyncClient(mounts={"https://": httpx.AsyncHTTPTransport(**ONE)}),
    "httpx, a class of one's own": lambda: httpx.AsyncClient(transport=Wrapped(**ONE)),
    "httpx2": lambda: httpx2.AsyncClient(proxy=PROXY, limits=httpx2.Limits(max_connections=1)),
}
EACH = pytest.mark.parametrize("name", MAKES)


@pytest.fixture
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Network:
    how, broken = request.param
    name = request.node.callspec.params.get("name", "")
    of = httpcore2 if name == "httpx2" else httpcore
    made = Network(how, broken, of)
    monkeypatch.setattr(f"{of.__name__}._async.connection_pool.AutoBackend", lambda: made)
    return made


def client_of(name: str, **settings: Any) -> AsyncRetell:
    settings = {"max_connections": 100, "timeout": 2.0, "retry": RetryPolicy(first_delay=0.01), "max_retries": 0, **settings}
    return AsyncRetell(KEY, base_url="https://api.test", http_client=MAKES[name](), **settings)


@EACH
@pytest.mark.parametrize("network", [("ends", 3), ("silent", 3)], indirect=True, ids=["ends", "silent"])
def test_the_next_request_has_a_tunnel_of_its_own(name: str, network: Network) -> None:
    async def main() -> None:
        async with client_of(name) as client:
            for _ in range(3):
                with pytest.raises(APIConnectionError, match=r"host https://api\.test") as caught:
                    await client.call.create_web_call(agent_id="a")
                assert not isinstance(caught.value, OutcomeUnknownError)
                assert network.open == 0
            with trio.fail_after(1):
                assert (await client.call.create_web_call(agent_id="a")).call_id == "call_1"
        assert network.tunnels == 4
        assert network.open == 0

    run(main)


@EACH
@pytest.mark.parametrize("network", [("silent", 1)], indirect=True, ids=["silent"])
def test_who_waits_behind_a_request_that_is_cancelled_in_its_tunnel_goes_on(name: str, network: Network) -> None:
    async def main() -> None:
        async with client_of(name, timeout=None) as client, trio.open_nursery() as tasks:
            with trio.move_on_after(1):
                async with trio.open_nursery() as cancelled:
                    cancelled.start_soon(client.call.retrieve, "call_1")
                    await trio.sleep(0.5)
                    tasks.start_soon(client.call.retrieve, "call_1")
                    await trio.sleep_forever()
            with trio.fail_after(1):
                await client.call.retrieve("call_1")
        assert network.tunnels <= 3
        assert network.requests == 2
        assert network.open == 0

    run(main)


@pytest.mark.parametrize("network", [("ends", 2)], indirect=True, ids=["ends"])
def test_the_same_while_a_tool_looks_at_the_requests_below(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def seen(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await send(self, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", seen)

    async def main() -> None:
        async with client_of("default", max_retries=2) as client:
            with trio.fail_after(1):
                assert (await client.call.create_web_call(agent_id="a")).call_id == "call_1"

    run(main)
    assert network.tunnels == 3


@pytest.mark.parametrize("of", [httpcore, httpcore2])
@pytest.mark.anyio
async def test_the_same_for_a_client_that_does_not_await(of: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network("ends", 2, of)

    class Blocking:
        """The stream of the network, for a thread."""

        def __init__(self, stream: Stream) -> None:
            self.stream = stream
            self.get_extra_info = stream.get_extra_info

        def __getattr__(self, name: str) -> Any:
            def method(*args: Any, **settings: Any) -> Any:
                result = trio.run(lambda: getattr(self.stream, "aclose" if name == "close" else name)(*args, **settings))
                return self if result is self.stream else result

            return method

    backend = SimpleNamespace(connect_tcp=lambda *_, **__: Blocking(Stream(network)))
    monkeypatch.setattr(f"{of.__name__}._sync.connection_pool.SyncBackend", lambda: backend)
    kind: Any = httpx if of is httpcore else httpx2
    given = kind.Client(proxy=PROXY, limits=kind.Limits(max_connections=1))
    client = AsyncRetell(KEY, base_url="https://api.test", http_client=ThreadedClient(given), timeout=2.0, max_retries=0)
    async with client:
        for _ in range(2):
            with pytest.raises(APIConnectionError) as caught:
                await client.call.create_web_call(agent_id="a")
            assert not isinstance(caught.value, OutcomeUnknownError)
            assert network.open == 0
        with anyio.fail_after(5):
            assert (await client.call.create_web_call(agent_id="a")).call_id == "call_1"


@pytest.mark.parametrize("name", [name for name in MAKES if name not in {"httpx2", "httpx, a class of one's own"}])
@pytest.mark.parametrize("network", [("silent", 9)], indirect=True, ids=["silent"])
def test_a_deadline_in_a_tunnel_says_that_nothing_was_sent(name: str, network: Network) -> None:
    async def main() -> None:
        async with client_of(name, timeout=None) as client:
            with pytest.raises(APITimeoutError) as caught:
                await client.call.create_web_call(agent_id="a", deadline=3)
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert not caught.value.sent
        where = "host https://api.test, proxy http://proxy.test:3128"
        assert str(caught.value).startswith(f"Request timed out: no connection within the deadline of 3 s; {where}")

    run(main)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 300),
        ({"rate_limit": RateLimit(max_wait=20)}, 20),
        ({"rate_limit": RateLimit(max_wait=None)}, 300),
        ({"rate_limit": RateLimit(max_wait=0)}, 300),
        ({"timeout": httpx.Timeout(5, pool=7)}, 7),
    ],
)
@pytest.mark.parametrize("make", [httpx.AsyncClient, DefaultAsyncHttpxClient])
@pytest.mark.parametrize("network", [("silent", 9)], indirect=True, ids=["silent"])
def test_no_wait_for_a_connection_is_without_bound(
    make: Callable[..., httpx.AsyncClient], settings: dict[str, Any], seconds: float, network: Network
) -> None:
    async def main() -> None:
        shared = make(**ONE)  # somebody else has its only connection
        async with trio.open_nursery() as tasks:
            tasks.start_soon(lambda: shared.get("https://elsewhere.test", timeout=None))
            await trio.sleep(6)
            start = trio.current_time()
            client = AsyncRetell(KEY, base_url="https://api.test", http_client=shared, max_retries=2, **settings)
            with pytest.raises(APITimeoutError, match=f"no free connection within {seconds} s: all that the HTTP client may open"):
                await client.call.create_web_call(agent_id="a")
            assert trio.current_time() - start == pytest.approx(seconds)
            tasks.cancel_scope.cancel()

    run(main)


@pytest.mark.anyio
async def test_what_is_in_use_is_not_taken_for_abandoned() -> None:
    class Connection:
        def __init__(self, state: str) -> None:
            self.state = state
            self.closed = False

        def is_idle(self) -> bool:
            return self.state == "idle"

        def is_available(self) -> bool:
            return self.state in {"idle", "available"}

        def is_closed(self) -> bool:
            return self.state == "closed"

        def has_expired(self) -> bool:
            return False

        async def aclose(self) -> None:
            self.closed = True

    connections = {state: Connection(state) for state in ("idle", "available", "used", "abandoned")}
    transport = httpx.AsyncHTTPTransport()
    pool: Any = transport._pool
    sent = httpx.Request("GET", "http://retell.test")
    request: Any = type("Request", (), {"connection": connections["used"], "request": sent, "is_queued": lambda _: False})()
    pool._requests, pool._connections = [request], list(connections.values())
    await drop_abandoned(transport, object())
    assert [connection.state for connection in pool.connections] == ["idle", "available", "used"]
    assert [connection.state for connection in connections.values() if connection.closed] == ["abandoned"]


@pytest.mark.anyio
@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_proxy_of_socks_that_says_nothing_is_waited_for_as_long_as_for_a_connection(is_cancelled: bool) -> None:
    closed: list[bool] = []
    raw = socket.socket()

    class Stream:
        def get_extra_info(self, _: str) -> socket.socket:
            return raw

        async def aclose(self) -> None:
            closed.append(True)
            raw.close()

    class Silent(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            told = request.extensions["trace"]
            await told("socks5.connect_tcp.complete", {"return_value": Stream()})
            await told("socks5.setup_socks5_connection.started", {})
            await anyio.sleep(30)
            raise AssertionError

    request = httpx.Request("GET", "https://retell.test", extensions={"timeout": {"connect": 10.0 if is_cancelled else 0.05}})
    with anyio.move_on_after(0.05 if is_cancelled else 10) as scope:
        with pytest.raises(httpx.ConnectTimeout):
            await _by_httpx(Silent(), request)
        assert not is_cancelled
    assert (scope.cancelled_caught, closed) == (is_cancelled, [True])
