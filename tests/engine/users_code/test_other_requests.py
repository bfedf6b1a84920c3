"""Code of the user's that runs while a request is sent asks others meanwhile: what becomes of that is not the outcome of the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import httpcore
import httpx
import httpx2
import pytest

from retell_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncRetell,
    AuthenticationError,
    ConfigurationError,
    DefaultAioHttpClient,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    Retell,
    RetellError,
    RetryPolicy,
)

from ...http.test_transport import serving
from ..example import KEY
from ..virtual import run

CREATED = b'{"call_id":"call_1","call_type":"web_call","access_token":"t","agent_id":"a","call_status":"registered"}'
ANSWER = b"HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(CREATED),
    CREATED,
)
QUICK = RetryPolicy(first_delay=0)

Hook = Callable[[Any], Awaitable[None]]


class Network(httpcore.AsyncMockBackend):
    """Where each connection brings one request, which is answered."""

    def __init__(self) -> None:
        super().__init__([ANSWER])
        self.requests = 0

    async def connect_tcp(self, *arguments: Any, **settings: Any) -> httpcore.AsyncNetworkStream:
        self.requests += 1
        return await super().connect_tcp(*arguments, **settings)

    def transport(self) -> httpx.AsyncHTTPTransport:
        transport = httpx.AsyncHTTPTransport()
        transport._pool = httpcore.AsyncConnectionPool(network_backend=self)
        return transport


class Unseen(httpx.AsyncBaseTransport):
    """A transport of which nobody can see when a request goes out."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._network.requests += 1
        return httpx.Response(201, content=CREATED)


def seen(network: Network, **hooks: list[Hook]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=network.transport(), event_hooks=hooks)


def unseen(network: Network, **hooks: list[Hook]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Unseen(network), event_hooks=hooks)


def over_httpx2(network: Network, **hooks: list[Hook]) -> Any:
    def serve(_: httpx2.Request) -> httpx2.Response:
        network.requests += 1
        return httpx2.Response(201, content=CREATED)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(serve), event_hooks=hooks)


Give = Callable[..., Any]

GIVEN = pytest.mark.parametrize("give", [seen, unseen, over_httpx2])


def away(_: Any) -> httpx.Response:
    raise httpx.ConnectError("the other service is away")


def full(_: Any) -> httpx.Response:
    raise httpx.PoolTimeout("the other pool is full")


def says(status: int) -> Callable[[Any], httpx.Response]:
    return lambda _: httpx.Response(status, headers={"location": "/elsewhere", "retry-after": "900"}, json={})


def asking(answer: Callable[[Any], httpx.Response], library: Any = httpx) -> Hook:
    """A hook that asks another service, and insists on its answer."""

    def serve(request: Any) -> Any:
        try:
            made = answer(request)
        except httpx.RequestError as error:
            raise getattr(library, type(error).__name__)(str(error)) from None
        return library.Response(made.status_code, headers=made.headers.multi_items(), content=made.content)

    async def hook(_: Any) -> None:
        async with library.AsyncClient(transport=library.MockTransport(serve)) as other:
            (await other.post("http://other.test/audit")).raise_for_status()

    return hook


def asking_retell(answer: Callable[[Any], httpx.Response]) -> Hook:
    """The same, by a client of another account."""

    async def hook(_: Any) -> None:
        own = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with AsyncRetell("key_other", base_url="http://other.test", http_client=own, max_retries=0) as other:
            await other.agent.retrieve("agent_1")

    return hook


async def closed(_: Any) -> None:
    other = AsyncRetell("key_other")
    await other.aclose()
    await other.agent.retrieve("agent_1")


async def by_hand(_: Any) -> None:
    raise httpx.ConnectError("the collector is away")


HOOKS: dict[str, Hook] = {
    "ConnectError": asking(away),
    "PoolTimeout": asking(full),
    **{str(status): asking(says(status)) for status in (302, 401, 404, 422, 429, 500)},
    "by httpx2, ConnectError": asking(away, httpx2),
    "by httpx2, 429": asking(says(429), httpx2),
    "Retell, ConnectError": asking_retell(away),
    "Retell, 404": asking_retell(says(404)),
    "Retell, closed": closed,
    "by hand": by_hand,
}

EACH = pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)


def outcome(given: Any, policy: RetryPolicy = QUICK) -> RetellError:
    async def main() -> RetellError:
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=given, retry=policy, hooks=()) as client:
            with pytest.raises(RetellError) as caught:
                await client.call.create_web_call(agent_id="a")
            return caught.value

    return run(main)


@GIVEN
@EACH
def test_after_a_request_has_left_its_outcome_is_unknown(give: Give, hook: Hook) -> None:
    network = Network()
    error = outcome(give(network, response=[hook]))
    assert isinstance(error, OutcomeUnknownError)
    assert not isinstance(error, APIStatusError)
    assert "no free connection" not in str(error)
    assert network.requests == 1
    assert error.__cause__ is not None
    assert error.__cause__.__cause__ is not None  # which says what went wrong elsewhere


@pytest.mark.parametrize("hook", [each for name, each in HOOKS.items() if name != "Retell, closed"])
def test_what_fails_before_is_not_sent_and_no_answer_of_retell(hook: Hook) -> None:
    network = Network()
    error = outcome(seen(network, request=[hook]))
    assert isinstance(error, APIConnectionError)
    assert not isinstance(error, OutcomeUnknownError)
    assert not error.sent
    assert network.requests == 0


def test_a_limit_of_another_service_holds_nothing_back() -> None:
    network = Network()

    async def main() -> None:
        start = anyio.current_time()
        given = seen(network, response=[asking(says(429))])
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=given, retry=QUICK, hooks=()) as client:
            with pytest.raises(APIConnectionError, match="429"):
                await client.agent.retrieve("agent_1")
            assert anyio.current_time() - start < 1

    run(main)
    assert network.requests == 3


def test_what_a_transport_of_ones_own_says_of_the_request_itself_counts() -> None:
    network = Network()

    class Refusing(Unseen):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await super().handle_async_request(request)
            again = httpx.Request(request.method, request.url)
            return httpx.Response(401, request=again, json={}).raise_for_status()

    assert isinstance(outcome(httpx.AsyncClient(transport=Refusing(network))), AuthenticationError)

    class Away(Unseen):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await super().handle_async_request(request)
            raise httpx.ConnectError("no")

    error = outcome(httpx.AsyncClient(transport=Away(network), event_hooks={"response": [by_hand]}))
    assert isinstance(error, APIConnectionError)
    assert not error.sent
    assert network.requests == 1 + 3


def test_a_transport_that_goes_on_to_another_host_has_sent_it() -> None:
    network = Network()
    first = network.transport()

    class Failover(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.inner = first

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await (await self.inner.handle_async_request(request)).aread()  # too late for it
            raise httpx.ConnectTimeout("the other one is down")

    error = outcome(httpx.AsyncClient(transport=Failover()))
    assert isinstance(error, OutcomeUnknownError)
    assert isinstance(error, APITimeoutError)
    assert "ConnectTimeout: the other one is down" in str(error)
    assert network.requests == 1


@pytest.mark.parametrize("error", [httpx.ConnectError("no"), httpx.PoolTimeout("no"), RetellError("no"), NotFoundError])
@pytest.mark.parametrize("pieces", [0, 3])
def test_a_body_that_breaks_off(error: Any, pieces: int) -> None:
    if error is NotFoundError:
        error = NotFoundError("no", response=httpx.Response(404, request=httpx.Request("GET", "http://other.test")), body=None)
    network = Network()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b"x" * 1000
        raise error

    async def main() -> RetellError:
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=seen(network), hooks=()) as client:
            with pytest.raises(OutcomeUnknownError) as caught:  # httpx sends the headers first
                await client.post("/x", content=body(), cast_to=object)
            return caught.value

    failure = run(main)
    assert not isinstance(failure, APIStatusError)
    assert "no free connection" not in str(failure)
    assert network.requests == 1


def test_under_a_request_hook_that_is_not_set_up() -> None:
    async def hook(_: httpx.Request) -> None:
        raise ConfigurationError("a setting is missing")

    network = Network()
    assert isinstance(outcome(seen(network, request=[hook])), ConfigurationError)
    assert network.requests == 0


def test_a_client_that_does_not_await() -> None:
    asked: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(201, content=CREATED)

    def audit(_: httpx.Response) -> None:
        with httpx.Client(transport=httpx.MockTransport(says(429))) as other:
            other.post("http://other.test").raise_for_status()

    def by_hand(_: httpx.Response) -> None:
        raise httpx.ConnectError("the collector is away")

    for hook in (audit, by_hand):
        given = httpx.Client(transport=httpx.MockTransport(serve), event_hooks={"response": [hook]})
        with Retell(KEY, base_url="http://retell.test", http_client=given) as client, pytest.raises(OutcomeUnknownError) as caught:
            client.call.create_web_call(agent_id="a")
        assert not isinstance(caught.value, RateLimitError)
    assert len(asked) == 2


@pytest.mark.soak
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["request", "response"])
async def test_over_aiohttp(anyio_backend: str, kind: str) -> None:
    async with serving() as server:
        given = DefaultAioHttpClient(event_hooks={kind: [asking(away)]})
        async with AsyncRetell(KEY, base_url=server.url, http_client=given, retry=QUICK, hooks=()) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.call.create_web_call(agent_id="a")
    assert caught.value.sent is isinstance(caught.value, OutcomeUnknownError) is (kind == "response")
    assert len(server.requests) == (kind == "response")
