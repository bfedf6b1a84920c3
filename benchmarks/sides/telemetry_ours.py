"""One request with telemetry and without, and the same spans and metrics made by hand, batch by batch in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median
from time import perf_counter, process_time

import httpx
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from retell_async import AsyncRetell, telemetry

_ROUNDS = 40
_BATCH = 25
_CALL = {"call_type": "phone_call", "call_id": "call_1", "agent_id": "agent_1", "agent_version": 1, "call_status": "registered"}
_OPERATION: dict[str, str | int] = {
    "retell.operation": "createPhoneCall",
    "http.request.method": "POST",
    "url.template": "/v2/create-phone-call",
    "server.address": "retell.test",
    "server.port": 80,
}
_ATTEMPT = {name: value for name, value in _OPERATION.items() if name != "retell.operation"}


def prepare(_argument: str) -> Callable[[], dict[str, float]]:
    return lambda: asyncio.run(_measure())


async def _measure() -> dict[str, float]:
    tracers = TracerProvider(shutdown_on_exit=False)
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(201, json=_CALL)))
    hook = telemetry.OpenTelemetryHook(tracer_provider=tracers, meter_provider=meters, propagate=True)
    by_hand = _by_hand(tracers, meters)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncRetell("key", base_url="http://retell.test", http_client=http))

        async def request() -> None:
            await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")

        async def with_spans_by_hand() -> None:
            await request()
            by_hand()

        never = [await _batch(request) for _ in range(_ROUNDS)]
        more, alone, off = list[float](), list[float](), list[float]()
        for _ in range(_ROUNDS + 1):
            before = await _batch(request)
            telemetry.instrument(hook)
            on = await _batch(request)
            telemetry.uninstrument()
            made = await _batch(with_spans_by_hand)
            after = await _batch(request)
            # Each is compared with what was measured beside it.
            more.append(on - before)
            alone.append(made - after)
            off.append(before)
    # The first round warms up.
    return {"never": median(never), "off": median(off[1:]), "more": median(more[1:]), "alone": median(alone[1:])}


async def _batch(once: Callable[[], Awaitable[None]]) -> float:
    start = process_time()
    for _ in range(_BATCH):
        await once()
    return (process_time() - start) / _BATCH


def _by_hand(tracers: TracerProvider, meters: MeterProvider) -> Callable[[], None]:
    """What makes the spans and metrics of one request, as one writes it."""
    tracer = tracers.get_tracer("by hand")
    meter = meters.get_meter("by hand")
    requests = meter.create_counter("requests")
    duration = meter.create_histogram("duration", "s", explicit_bucket_boundaries_advisory=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0])

    def make() -> None:
        start = perf_counter()
        with tracer.start_as_current_span("call.create_phone_call", attributes=_OPERATION) as operation:
            with tracer.start_as_current_span("POST /v2/create-phone-call", kind=SpanKind.CLIENT, attributes=_ATTEMPT) as attempt:
                attempt.set_attribute("http.response.status_code", 201)
            operation.set_attributes({"retell.attempts": 1, "retell.call_id": "call_1"})
        requests.add(1, {"reason": "ok"})
        duration.record(perf_counter() - start, {"reason": "ok"})

    return make
