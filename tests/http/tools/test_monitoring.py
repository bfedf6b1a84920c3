"""Tools that monitor, record or fake requests see each of them once, with the packages of Sentry and OpenTelemetry themselves."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from types import CodeType
from typing import Any

import aiohttp
import httpx
import pytest
import sentry_sdk
import wrapt
from httpx._utils import URLPattern
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk import integrations
from sentry_sdk.integrations.aiohttp import AioHttpIntegration
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.transport import Transport as SentryTransport

from retell_async._client import AsyncRetell
from retell_async._core.errors import APIConnectionError, APIError, APIStatusError
from retell_async._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient

from ...engine.example import CREATE, KEY, NO_OPTIONS, UPLOAD, get
from ..test_transport import Server, ok, serving

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]

MakeClient = Callable[[], httpx.AsyncClient | None]

EACH = pytest.mark.parametrize(
    ("anyio_backend", "make"),
    [
        ("asyncio", lambda: None),
        ("trio", lambda: None),
        ("asyncio", DefaultAsyncHttpxClient),
        ("asyncio", httpx.AsyncClient),
        ("asyncio", DefaultAioHttpClient),
    ],
    ids=["default", "default, trio", "DefaultAsyncHttpxClient", "httpx", "aiohttp"],
)

REFUSAL = b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 2\r\n\r\n{}"


def answer(path: str) -> bytes:
    return REFUSAL if "refused" in path else ok()


@asynccontextmanager
async def client_to(server: Server, http_client: httpx.AsyncClient | None) -> AsyncGenerator[AsyncRetell]:
    async with AsyncRetell(KEY, base_url=server.url, max_retries=0, http_client=http_client) as client:
        yield client


async def requests_of_all_kinds(client: AsyncRetell) -> list[tuple[str, int]]:
    """Send some, and say what a tool should have seen of them."""
    await client.send(get(), {})
    await client.send(CREATE.request(body={}), {})
    with pytest.raises(APIStatusError):
        await client.send(get("refused"), {})
    await client.send(UPLOAD.request(body={"knowledge_base_name": "n", "knowledge_base_files": [("a", b"text")]}), {})
    async with client.stream(get(), NO_OPTIONS) as response:
        await response.read()
    return [("GET", 200), ("POST", 200), ("GET", 422), ("POST", 200), ("GET", 200)]


# OpenTelemetry


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


@pytest.fixture
def instrumentor() -> Generator[HTTPXClientInstrumentor]:
    instrumentor = HTTPXClientInstrumentor()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def seen_by(spans: InMemorySpanExporter) -> list[tuple[Any, Any]]:
    seen = [(dict(span.attributes or {})) for span in spans.get_finished_spans()]
    spans.clear()
    return [(span.get("http.method"), span.get("http.status_code")) for span in seen]


def traced(server: Server) -> list[bool]:
    carried = [b"traceparent: 00-" in request.lower() for request in server.requests]
    server.requests.clear()
    return carried


GLOBAL = pytest.mark.parametrize(
    ("anyio_backend", "make"),
    [("asyncio", lambda: None), ("trio", lambda: None), ("asyncio", DefaultAsyncHttpxClient), ("asyncio", httpx.AsyncClient)],
    ids=["default", "default, trio", "DefaultAsyncHttpxClient", "httpx"],
)


@GLOBAL
@pytest.mark.parametrize("when", ["before the client", "after its first request"])
async def test_opentelemetry_sees_each_request_once(
    make: MakeClient, when: str, spans: InMemorySpanExporter, provider: TracerProvider, instrumentor: HTTPXClientInstrumentor
) -> None:
    async with serving(answer) as server:
        if when == "before the client":
            instrumentor.instrument(tracer_provider=provider)
        async with client_to(server, make()) as client:
            if when != "before the client":
                await client.send(get(), {})
                assert not any(traced(server))
                instrumentor.instrument(tracer_provider=provider)
            expected = await requests_of_all_kinds(client)
            assert seen_by(spans) == expected
            assert traced(server) == [True] * len(expected)
            instrumentor.uninstrument()
            await client.send(get(), {})
            assert not seen_by(spans)
            assert traced(server) == [False]


@pytest.mark.parametrize("make", [DefaultAsyncHttpxClient, httpx.AsyncClient, DefaultAioHttpClient])
@pytest.mark.parametrize("when", ["before the client", "after its first request"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_opentelemetry_sees_each_request_of_one_client_once(
    anyio_backend: str, make: Callable[[], httpx.AsyncClient], when: str, spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    http_client = make()
    async with serving(answer) as server:
        if when == "before the client":
            HTTPXClientInstrumentor.instrument_client(http_client, tracer_provider=provider)
        async with client_to(server, http_client) as client:
            if when != "before the client":
                await client.send(get(), {})
                server.requests.clear()
                HTTPXClientInstrumentor.instrument_client(http_client, tracer_provider=provider)
            expected = await requests_of_all_kinds(client)
            assert seen_by(spans) == expected
            assert traced(server) == [True] * len(expected)
            HTTPXClientInstrumentor.uninstrument_client(http_client)
            await client.send(get(), {})
            assert not seen_by(spans)
            assert traced(server) == [False]


# Sentry


class Kept(SentryTransport):
    """Keeps what would be sent to Sentry."""

    def __init__(self) -> None:
        super().__init__({})
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events += [item.payload.json for item in envelope.items if item.payload.json is not None]


@pytest.fixture
def kept() -> Generator[Kept]:
    # Its integrations patch for good, and do nothing while no client of Sentry has them.
    sends, session = (httpx.AsyncClient.send, httpx.Client.send), aiohttp.ClientSession.__init__
    installed = set(integrations._installed_integrations), set(integrations._processed_integrations)
    transport = Kept()
    sentry_sdk.init(
        dsn="https://public@sentry.test/1",
        transport=transport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[HttpxIntegration(), AioHttpIntegration()],
    )
    yield transport
    sentry_sdk.init()
    httpx.AsyncClient.send, httpx.Client.send = sends  # type: ignore[method-assign]
    aiohttp.ClientSession.__init__ = session  # type: ignore[method-assign]
    integrations._installed_integrations.intersection_update(installed[0])
    integrations._processed_integrations.intersection_update(installed[1])


@EACH
async def test_sentry_sees_each_request_once(make: MakeClient, kept: Kept) -> None:
    async with serving(answer) as server, client_to(server, make()) as client:
        with sentry_sdk.start_transaction(name="test"):
            expected = await requests_of_all_kinds(client)
        (transaction,) = [event for event in kept.events if event.get("type") == "transaction"]
        spans = [span for span in transaction["spans"] if span["op"] == "http.client"]
        assert [(span["data"]["http.method"], span["data"]["http.response.status_code"]) for span in spans] == expected
        assert all(b"sentry-trace: " in request.lower() for request in server.requests)
        assert KEY not in repr(kept.events)


@EACH
async def test_what_sentry_sends_of_a_failure_has_no_key_in_its_local_variables(make: MakeClient, kept: Kept) -> None:
    async with serving(lambda path: None if "silent" in path else b"") as server, client_to(server, make()) as client:
        for path, timeout in (("silent", 0.05), ("cut", 5.0)):
            try:
                await client.send(get(path), {"timeout": timeout})
            except APIError as error:
                sentry_sdk.capture_exception(error)
    assert len(kept.events) == 2
    assert "'vars'" in repr(kept.events)
    assert KEY not in repr(kept.events)


# Whatever else there is


@wrapt.decorator
async def passing(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    Counting.number += 1
    return await wrapped(*args, **kwargs)


class Counting:
    number = 0


@pytest.fixture
def counting() -> type[Counting]:
    Counting.number = 0
    return Counting


@EACH
@pytest.mark.parametrize("name", ["send", "_send_single_request"])
async def test_a_wrapper_on_the_class_is_gone_through_while_it_is_there(
    make: MakeClient, name: str, counting: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(answer) as server, client_to(server, make()) as client:
        await client.send(get(), {})
        with monkeypatch.context() as patch:
            patch.setattr(httpx.AsyncClient, name, passing(getattr(httpx.AsyncClient, name)))
            expected = await requests_of_all_kinds(client)
            assert counting.number == len(expected)
        await client.send(get(), {})
        assert counting.number == len(expected)


@EACH
async def test_a_wrapper_of_request_sees_what_is_not_streamed(
    make: MakeClient, counting: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(answer) as server, client_to(server, make()) as client:
        monkeypatch.setattr(httpx.AsyncClient, "request", passing(httpx.AsyncClient.request))
        await client.send(get(), {})
        await client.send(CREATE.request(body={"a": 1}), {})
        await client.send(UPLOAD.request(body={"knowledge_base_files": [("a", b"text")]}), {})
        assert counting.number == 3
        assert server.requests[1].endswith(b'{"a":1}')
        assert all(
            f"authorization: Bearer {KEY}".encode() in request.replace(b"Authorization", b"authorization") for request in server.requests
        )


def around(function: Any) -> Any:
    """A wrapper as vcrpy makes it."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        Counting.number += 1
        return await function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("wrapper", [around, passing], ids=["function", "wrapt"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(httpx.AsyncClient, "send"), (httpx.AsyncClient, "_send_single_request"), (httpx.AsyncHTTPTransport, "handle_async_request")],
)
async def test_a_tool_of_both_httpx_and_aiohttp_sees_each_request_once(
    owner: type[Any], name: str, wrapper: Any, anyio_backend: str, counting: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vcrpy, Datadog and New Relic are; a request that goes over aiohttp passes both places."""
    async with serving(answer) as server, client_to(server, DefaultAioHttpClient()) as client:
        await client.send(get(), {})
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, wrapper(getattr(owner, name)))
            patch.setattr(aiohttp.ClientSession, "_request", wrapper(aiohttp.ClientSession._request))
            expected = await requests_of_all_kinds(client)
            assert counting.number == len(expected)
        with monkeypatch.context() as patch:
            patch.setattr(aiohttp.ClientSession, "_request", wrapper(aiohttp.ClientSession._request))
            await client.send(get(), {})
            assert counting.number == len(expected) + 1
        await client.send(get(), {})
        assert counting.number == len(expected) + 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("owner", "name"), [(httpx.AsyncClient, "send"), (httpx.AsyncHTTPTransport, "handle_async_request")])
async def test_a_tool_that_is_told_by_aiohttp_sees_no_request_of_httpx_again(
    owner: type[Any], name: str, anyio_backend: str, counting: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = aiohttp.ClientSession.__init__

    async def count(*_: Any) -> None:
        counting.number += 1

    def init(session: aiohttp.ClientSession, **settings: Any) -> None:
        config = aiohttp.TraceConfig()
        config.on_request_start.append(count)
        make(session, trace_configs=[config], **settings)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)
    async with serving(answer) as server:
        async with client_to(server, DefaultAioHttpClient()) as client:
            await client.send(get(), {})
            assert counting.number == 1
        monkeypatch.setattr(owner, name, passing(getattr(owner, name)))
        async with client_to(server, DefaultAioHttpClient()) as client:
            await client.send(get(), {})
            assert counting.number == 2


async def refuse(self: object, request: object, **settings: object) -> None:
    raise ZeroDivisionError


def called_instead(code: CodeType) -> CodeType:
    """Code as ddtrace puts it in the place of a function's: it seems to be of the same function and calls one among its constants."""
    constants = tuple(refuse if value == "stands for it" else value for value in wrapper.__code__.co_consts)
    made = wrapper.__code__.replace(co_consts=constants, co_name=code.co_name)
    return made.replace(co_qualname=code.co_qualname, co_filename=code.co_filename)


def wrapper(*arguments: Any, **settings: Any) -> Any:
    call: Any = "stands for it"
    return call(*arguments, **settings)


@pytest.mark.parametrize(
    "change",
    [lambda _: refuse.__code__, lambda code: refuse.__code__.replace(co_filename=code.co_filename), called_instead],
    ids=["another's", "of the same file", "with a wrapper among its constants"],
)
@pytest.mark.parametrize("used_before", [True, False])
async def test_a_function_whose_code_is_replaced_is_gone_through(change: Callable[[CodeType], CodeType], *, used_before: bool) -> None:
    send = httpx.AsyncClient.send
    code = send.__code__
    async with serving() as server, client_to(server, None) as client:
        if used_before:
            await client.send(get(), {})
        send.__code__ = change(code)
        try:
            with pytest.raises(APIConnectionError) as caught:
                await client.send(get(), {})
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
        finally:
            send.__code__ = code
        await client.send(get(), {})


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("make", [DefaultAsyncHttpxClient, httpx.AsyncClient, DefaultAioHttpClient])
async def test_a_wrapped_transport_or_method_of_one_client_is_gone_through(
    anyio_backend: str, make: Callable[[], httpx.AsyncClient], counting: type[Counting]
) -> None:
    async with serving(answer) as server:
        http_client = make()
        async with client_to(server, http_client) as client:
            await client.send(get(), {})
            http_client.send = passing(http_client.send)  # type: ignore[method-assign]
            await client.send(get(), {})
            assert counting.number == 1
            del http_client.send
            await client.send(get(), {})
            assert counting.number == 1

            class Wrapped(httpx.AsyncBaseTransport):
                def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
                    self.inner = inner

                async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                    counting.number += 1
                    return await self.inner.handle_async_request(request)

                async def aclose(self) -> None:
                    await self.inner.aclose()

            http_client._transport = Wrapped(http_client._transport)
            await client.send(get(), {})
            assert counting.number == 2
            http_client._mounts = {URLPattern("all://"): Wrapped(http_client._transport)}
            await client.send(get(), {})
            assert counting.number == 4
