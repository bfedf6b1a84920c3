"""What stands in for httpx's or aiohttp's sending says nothing of when a request leaves: what fails there may have arrived."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import aiohttp
import httpx
import pytest
import respx

from retell_async import AsyncRetell, DefaultAioHttpClient, DefaultAsyncHttpxClient, OutcomeUnknownError, Retell, RetryPolicy

pytestmark = pytest.mark.anyio

MAKERS: dict[str, Callable[[], Any]] = {
    "default": lambda: None,
    "DefaultAsyncHttpxClient": DefaultAsyncHttpxClient,
    "DefaultAioHttpClient": DefaultAioHttpClient,
    "httpx": httpx.AsyncClient,
}
AFTER_SENDING = [httpx.ReadTimeout, httpx.ReadError, httpx.WriteTimeout, httpx.WriteError, httpx.RemoteProtocolError]
POLICY = RetryPolicy(first_delay=0.001)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # which aiohttp needs


async def create(http: Any) -> None:
    """Ask for what may not be asked for twice."""
    async with AsyncRetell("key_1", base_url="http://retell.test", http_client=http, retry=POLICY) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.call.create_web_call(agent_id="agent_1")


@pytest.mark.parametrize("failure", AFTER_SENDING)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_a_method_of_a_class_that_is_replaced(make: Callable[[], Any], failure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []

    async def send(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise failure("broken", request=request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", send)
    await create(make())
    assert len(sent) == 1


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
@pytest.mark.parametrize("failure", AFTER_SENDING)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_respx(make: Callable[[], Any], failure: Any, using: str) -> None:
    with respx.mock(using=using) as mock:
        route = mock.post(path__regex="create-web-call$").mock(side_effect=failure)
        await create(make())
        assert route.call_count == 1


def test_respx_and_synchronous_code() -> None:
    with respx.mock() as mock:
        route = mock.post(path__regex="create-web-call$").mock(side_effect=httpx.ReadTimeout)
        with Retell("key_1", base_url="http://retell.test", retry=POLICY) as client, pytest.raises(OutcomeUnknownError):
            client.call.create_web_call(agent_id="agent_1")
        assert route.call_count == 1


@pytest.mark.parametrize(
    "failure",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.SocketTimeoutError(),
        aiohttp.ClientOSError(104, "reset"),
        aiohttp.ClientPayloadError("cut off"),
        TimeoutError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_session_of_aiohttp_whose_method_is_replaced(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    async def send(session: aiohttp.ClientSession, method: str, url: str, **settings: Any) -> aiohttp.ClientResponse:
        sent.append(url)
        raise failure

    monkeypatch.setattr(aiohttp.ClientSession, "_request", send)
    await create(DefaultAioHttpClient())
    assert len(sent) == 1


def of_another_package(function: Any) -> Any:
    return FunctionType(function.__code__, {**function.__globals__, "__name__": "another.tool"}, closure=function.__closure__)


@pytest.mark.parametrize("kind", ["a fake", "a wrapper of another tool"])
@pytest.mark.parametrize(("owner", "name"), [(httpx.AsyncClient, "send"), (httpx.AsyncHTTPTransport, "handle_async_request")])
async def test_what_keeps_requests_of_aiohttp_from_going_out_does_so_while_a_tool_looks_at_httpx(
    owner: type[Any], name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As aioresponses does in the tests of a program that has Sentry or OpenTelemetry: nothing may go out by another way."""
    seen: list[str] = []
    inner = getattr(owner, name)

    @functools.wraps(inner)
    async def look(*args: Any, **settings: Any) -> Any:
        seen.append("httpx")
        return await inner(*args, **settings)

    async def send(session: aiohttp.ClientSession, method: str, url: str, **settings: Any) -> aiohttp.ClientResponse:
        seen.append("aiohttp")
        raise aiohttp.ServerDisconnectedError

    instead = send if kind == "a fake" else functools.wraps(aiohttp.ClientSession._request)(of_another_package(send))
    monkeypatch.setattr(owner, name, look)
    monkeypatch.setattr(aiohttp.ClientSession, "_request", instead)
    await create(DefaultAioHttpClient())
    assert seen == ["httpx", "aiohttp"]
