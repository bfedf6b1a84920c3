"""Tools that monitor or fake requests see those of an `httpx.Client` that a `Retell` sends with, each once, with their own packages."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx
import pytest
import respx
import sentry_sdk
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_httpx import HTTPXMock
from sentry_sdk import integrations
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.transport import Transport

from retell_async import APIStatusError, DefaultHttpxClient, Retell

from ..engine.example import KEY

pytestmark = [pytest.mark.soak, pytest.mark.parallel]
URL = "http://retell.test"
EXPECTED = [("GET", 200), ("POST", 422), ("GET", 200)]


def serve(request: httpx.Request) -> httpx.Response:
    return httpx.Response(422 if request.method == "POST" else 200, json={})


def requests_of_all_kinds(http_client: httpx.Client) -> None:
    with Retell(KEY, base_url=URL, max_retries=0, http_client=http_client) as client:
        client.agent.retrieve("a")
        with pytest.raises(APIStatusError):
            client.call.create_web_call(agent_id="a")
        with client.agent.with_streaming_response.retrieve("a") as response:
            response.read()


class Kept(Transport):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events += [item.payload.json for item in envelope.items if item.payload.json is not None]


@pytest.fixture
def kept() -> Generator[Kept]:
    send = httpx.AsyncClient.send, httpx.Client.send
    installed = set(integrations._installed_integrations), set(integrations._processed_integrations)
    transport = Kept()
    sentry_sdk.init(
        dsn="https://public@sentry.test/1",
        transport=transport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[HttpxIntegration()],
    )
    yield transport
    sentry_sdk.init()
    httpx.AsyncClient.send, httpx.Client.send = send  # type: ignore[method-assign]
    integrations._installed_integrations.intersection_update(installed[0])
    integrations._processed_integrations.intersection_update(installed[1])


def test_sentry(kept: Kept) -> None:
    with sentry_sdk.start_transaction(name="test"):
        requests_of_all_kinds(httpx.Client(transport=httpx.MockTransport(serve)))
    (transaction,) = [event for event in kept.events if event.get("type") == "transaction"]
    spans = [span["data"] for span in transaction["spans"] if span["op"] == "http.client"]
    assert [(span["http.method"], span["http.response.status_code"]) for span in spans] == EXPECTED
    assert KEY not in repr(kept.events)


def test_opentelemetry() -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    http_client = httpx.Client(transport=httpx.MockTransport(serve))
    HTTPXClientInstrumentor.instrument_client(http_client, tracer_provider=provider)
    with provider.get_tracer("test").start_as_current_span("outer") as outer:
        requests_of_all_kinds(http_client)
    own = [span for span in spans.get_finished_spans() if span.name != "outer"]
    found = [dict(span.attributes or {}) for span in own]
    assert [(span["http.method"], span["http.status_code"]) for span in found] == EXPECTED
    assert all(span.parent is not None and span.parent.span_id == outer.get_span_context().span_id for span in own)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_respx() -> None:
    with respx.mock(base_url=URL) as router:
        router.route().mock(side_effect=serve)
        requests_of_all_kinds(httpx.Client())
        assert len(router.calls) == len(EXPECTED)


def test_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_callback(serve, is_reusable=True)
    requests_of_all_kinds(DefaultHttpxClient())
    assert [request.method for request in httpx_mock.get_requests()] == [method for method, _ in EXPECTED]
