"""What pools of httpcore miss, under clients of the user's and where a tool wants to see requests pass through httpx."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import respx
from anyio.abc import SocketAttribute, SocketStream
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from retell_async import APIConnectionError, AsyncRetell, DefaultAsyncHttpxClient, Retell

from ...engine.example import KEY
from ..test_transport import ok

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def instrumented() -> Iterator[None]:
    HTTPXClientInstrumentor().instrument()
    try:
        yield
    finally:
        HTTPXClientInstrumentor().uninstrument()


@contextmanager
def passing() -> Iterator[None]:
    with respx.mock(assert_all_called=False) as mock:
        mock.route().pass_through()
        yield


@contextmanager
def alone() -> Iterator[None]:
    yield


LIMITS = {"max_connections": 1}
WAYS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "httpx": (lambda: httpx.AsyncClient(limits=httpx.Limits(**LIMITS)), alone),
    "httpx2": (lambda: httpx2.AsyncClient(limits=httpx2.Limits(**LIMITS)), alone),
    "default with OpenTelemetry": (lambda: None, instrumented),
    "default with respx": (lambda: None, passing),
    "DefaultAsyncHttpxClient with OpenTelemetry": (lambda: DefaultAsyncHttpxClient(limits=httpx.Limits(**LIMITS)), instrumented),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    make, about = WAYS[request.param]
    with about():
        yield make


def call(id: str) -> bytes:
    return ok(b'{"call_id":"%s","call_type":"web_call","agent_id":"a","call_status":"ended","access_token":"t"}' % id.encode())


@asynccontextmanager
async def serving(talk: Callable[[SocketStream], Any]) -> AsyncIterator[str]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def answering(*more: bytes) -> AsyncIterator[str]:
    """A server whose answers say by their id which call was asked for, each with more behind it."""

    async def talk(stream: SocketStream) -> None:
        async with stream:
            while True:
                try:
                    asked = await stream.receive()
                except anyio.EndOfStream:
                    return
                await stream.send(call(asked.split(b" ")[1].rpartition(b"/")[2].decode()) + b"".join(more))

    async with serving(talk) as url:
        yield url


async def test_what_comes_behind_an_answer_is_not_the_next_one(way: Callable[[], Any]) -> None:
    async with (
        answering(call("another")) as url,
        AsyncRetell(KEY, base_url=url, max_connections=1, max_retries=0, http_client=way()) as client,
    ):
        for id in ("call_1", "call_2", "call_3"):
            assert (await client.call.retrieve(id)).call_id == id
            async with client.call.with_streaming_response.retrieve(id) as streamed:
                assert (await streamed.json())["call_id"] == id


@pytest.mark.parametrize("make", [httpx.Client, httpx2.Client])
async def test_so_it_is_without_await(make: Callable[[], Any]) -> None:
    def ask(url: str) -> list[str]:
        with Retell(KEY, base_url=url, max_retries=0, http_client=make()) as client:
            return [client.call.retrieve(id).call_id for id in ("call_1", "call_2", "call_3")]

    async with answering(call("another")) as url:
        assert await anyio.to_thread.run_sync(ask, url) == ["call_1", "call_2", "call_3"]


@pytest.mark.parametrize("opens_stream", [False, True])
async def test_a_cancellation_while_httpcore_closes_an_answer_costs_no_place(
    way: Callable[[], Any], opens_stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[object] = []

    def interrupt(connection: Any) -> None:
        closed = connection._response_closed

        async def interrupted(self: Any) -> None:
            if not cancelled:
                task = asyncio.current_task()
                cancelled.append(task)
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)  # as the lock does that it takes here
            await closed(self)

        monkeypatch.setattr(connection, "_response_closed", interrupted)

    for connection in (httpcore.AsyncHTTP11Connection, httpcore2.AsyncHTTP11Connection):
        interrupt(connection)
    async with answering() as url, AsyncRetell(KEY, base_url=url, max_connections=1, max_retries=0, http_client=way()) as client:

        async def ask() -> None:
            if not opens_stream:
                await client.call.retrieve("call_1")
                return
            async with client.call.with_streaming_response.retrieve("call_1") as streamed:
                await streamed.read()

        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(ask())
        assert len(cancelled) == 1
        with anyio.fail_after(5):
            assert (await client.call.retrieve("call_2")).call_id == "call_2"


async def test_a_key_and_a_number_stay_out_of_what_httpx2_says_of_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    number = "+14155550199"

    async def echo(stream: SocketStream) -> None:
        async with stream:
            await stream.send((await stream.receive()).replace(b"\r\n", b"; ") + b"\r\n\r\n")

    async with serving(echo) as url, AsyncRetell(KEY, base_url=url, max_retries=0, http_client=httpx2.AsyncClient()) as client:
        with pytest.raises(APIConnectionError) as caught:
            await client.phone_number.retrieve(number)
    async with answering() as url, AsyncRetell(KEY, base_url=url, http_client=httpx2.AsyncClient()) as client:
        await client.phone_number.retrieve(number)
    assert any(record.name.startswith("httpcore2.") for record in caplog.records)
    assert any(record.name == "httpx2" for record in caplog.records)
    said = caplog.text + "".join(traceback.format_exception(caught.value))
    assert KEY not in said
    assert number not in said
