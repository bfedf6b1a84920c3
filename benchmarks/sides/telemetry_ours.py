"""One request with telemetry and without, and the same spans and metrics made by hand, batch by batch in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
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
    by_hand = _by_hand(tracers, meters)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncRetell("key", base_url="http://retell.test", http_client=http))

        async def request() -> None:
            await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")

        async def request_of_a_trace(traceparent: str) -> None:
            metadata = {"traceparent": traceparent}
            await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", metadata=metadata)

        never = [await _batch(request) for _ in range(_ROUNDS)]
        found = {"never": median(never)}
        for name, propagate in (("", False), (", propagated", True)):
            hook = telemetry.OpenTelemetryHook(tracer_provider=tracers, meter_provider=meters, propagate=propagate)
            more, alone, off = list[float](), list[float](), list[float]()
            for _ in range(_ROUNDS + 1):
                before = await _batch(request)
                telemetry.instrument(hook)
                on = await _batch(request)
                telemetry.uninstrument()
                made = await _batch(partial(by_hand, request_of_a_trace if propagate else lambda _: request()))
                after = await _batch(request)
                # Each is compared with what was measured beside it.
                more.append(on - before)
                alone.append(made - after)
                off.append(before)
            # The first round warms up.
            found |= {"off": median(off[1:]), f"more{name}": median(more[1:]), f"alone{name}": median(alone[1:])}
    return found


async def _batch(once: Callable[[], Awaitable[None]]) -> float:
    start = process_time()
    for _ in range(_BATCH):
        await once()
    return (process_time() - start) / _BATCH


def _by_hand(tracers: TracerProvider, meters: MeterProvider) -> Callable[[Callable[[str], Awaitable[None]]], Awaitable[None]]:
    """What makes the spans and metrics of one request, as one writes it. The request is given its trace."""
    tracer = tracers.get_tracer("by hand")
    meter = meters.get_meter("by hand")
    requests = meter.create_counter("requests")
    duration = meter.create_histogram("duration", "s", explicit_bucket_boundaries_advisory=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0])

    async def make(request: Callable[[str], Awaitable[None]]) -> None:
        start = perf_counter()
        with tracer.start_as_current_span("call.create_phone_call", attributes=_OPERATION) as operation:
            context = operation.get_span_context()
            traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
            with tracer.start_as_current_span("POST /v2/create-phone-call", kind=SpanKind.CLIENT, attributes=_ATTEMPT) as attempt:
                await request(traceparent)
                attempt.set_attribute("http.response.status_code", 201)
            operation.set_attributes({"retell.attempts": 1, "retell.call_id": "call_1"})
        requests.add(1, {"reason": "ok"})
        duration.record(perf_counter() - start, {"reason": "ok"})

    return make
