"""Deliveries as spans and metrics: what came of each, what they say of calls, and the trace of the call that they are about."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from retell_async import telemetry, webhooks
from retell_async._instrumentation import trace_of
from retell_async.webhooks import FunctionCall, InboundAnswer, InboundCall, InboundChat, MemoryStore, Router

from ..webhooks.exchanges import deliver
from ..webhooks.sending import CALL, KEY, body_of, event_body, inbound_body
from .seeing import Seen, attributes_of, seeing

pytestmark = pytest.mark.anyio

TRACE = "00-11111111111111111111111111111111-2222222222222222-01"


def call(**more: Any) -> dict[str, Any]:
    return {**CALL, **more}


async def fine(_: object) -> None:
    """A handler."""


async def broken(_: object) -> None:
    raise ValueError("+14155550101 is not to be called")


async def test_a_delivery_is_a_span_in_the_trace_of_its_call() -> None:
    inside: list[Any] = []

    async def handle(event: webhooks.Event) -> None:
        inside.append(trace.get_current_span().get_span_context())

    router = Router(KEY)
    router.on("call_ended")(handle)
    with seeing() as seen, seen.tracer.start_as_current_span("POST /events") as server:
        await deliver(router, body_of({"event": "call_ended", "call": call(metadata={"traceparent": TRACE})}))
    span = seen.one("webhook call_ended")
    assert span.kind is SpanKind.CONSUMER
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int("1" * 32, 16), int("2" * 16, 16))
    assert [link.context for link in span.links] == [server.get_span_context()]
    assert inside == [span.context]
    assert attributes_of(span) == {
        "retell.event": "call_ended",
        "retell.call_id": "call_1",
        "retell.agent_id": "agent_1",
        "retell.direction": "inbound",
        "retell.disconnection_reason": "user_hangup",
        "retell.webhook.outcome": "handled",
    }


@pytest.mark.parametrize("metadata", [None, {}, {"traceparent": "mine"}, {"traceparent": 7}, "text"])
async def test_a_delivery_of_a_call_without_a_trace_stays_where_it_came(metadata: Any) -> None:
    router = Router(KEY)
    router.on()(fine)
    with seeing() as seen, seen.tracer.start_as_current_span("POST /events"):
        await deliver(router, body_of({"event": "call_ended", "call": call(metadata=metadata)}))
    assert seen.children(seen.one("POST /events")) == [seen.one("webhook call_ended")]


async def test_a_campaigns_calls_are_known_by_their_token() -> None:
    router = Router(KEY)
    with seeing() as seen:
        await deliver(router, body_of({"event": "call_started", "call": call(metadata={"retell_async_token": "spring-1"})}))
    span = seen.one("webhook call_started")
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == trace_of("spring-1")[3:35]


async def test_what_came_of_each_delivery() -> None:
    router = Router(KEY, max_in_flight=1, max_waiting=0)
    going, go = anyio.Event(), anyio.Event()

    @router.on("transfer_started")
    async def slow(_: object) -> None:
        going.set()
        await go.wait()

    router.on("call_ended")(fine)
    router.on("call_analyzed")(broken)

    with seeing() as seen:
        for _ in range(2):
            await deliver(router, event_body())
        await deliver(router, event_body("call_analyzed"))
        await deliver(router, event_body("call_started"))
        await deliver(router, b"{}", headers={})
        await deliver(router, event_body(), path="/elsewhere")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, router, event_body("transfer_started"))
            await going.wait()
            await deliver(router, event_body(call_id="call_2"))
            go.set()
        await router.aclose()
        await deliver(router, event_body(call_id="call_3"))
    outcomes = [(span.name, attributes_of(span)["retell.webhook.outcome"], attributes_of(span).get("error.type")) for span in seen.spans]
    assert outcomes == [
        ("webhook call_ended", "handled", None),
        ("webhook call_ended", "duplicate", None),
        ("webhook call_analyzed", "failed", "ValueError"),
        ("webhook call_started", "unhandled", None),
        ("webhook unknown", "refused", "Refused"),
        ("webhook unknown", "refused", "Refused"),
        ("webhook call_ended", "late", "late"),
        ("webhook transfer_started", "handled", None),
        ("webhook call_ended", "late", "late"),
    ]
    assert seen.spans[2].status.status_code is StatusCode.ERROR
    assert "5550101" not in str([span.to_json() for span in seen.spans])
    metrics = seen.metrics()
    assert metrics["retell.webhook.deliveries", "handled"] == 2
    assert metrics["retell.webhook.retries", "duplicate"] == 1
    assert (metrics["retell.webhook.failures", "failed"], metrics["retell.webhook.failures", "late"]) == (1, 2)
    assert metrics["retell.webhook.failures", "refused"] == 2
    assert metrics["retell.calls", "agent_1", "inbound", "user_hangup"] == 1  # call_1: told of five times, and the others were late


async def test_a_delivery_that_another_process_handles_is_in_progress() -> None:
    store = MemoryStore()
    await store.claim("call_ended:call_1")
    router = Router(KEY, store=store)
    router.on("call_ended")(fine)
    with seeing() as seen:
        await deliver(router, event_body())
    assert attributes_of(seen.one("webhook call_ended"))["retell.webhook.outcome"] == "in_progress"


async def test_what_is_handled_after_the_answer_is_in_the_span_too() -> None:
    router = Router(KEY)
    go = anyio.Event()

    @router.on("call_ended")
    async def handle(_: object) -> None:
        await go.wait()

    with seeing() as seen:
        async with router:
            await deliver(router, event_body())
            assert not seen.spans
            go.set()
    assert attributes_of(seen.one("webhook call_ended"))["retell.webhook.outcome"] == "handled"


async def test_handlers_that_the_end_of_the_server_cancels() -> None:
    router = Router(KEY, shutdown_timeout=0.0)

    @router.on("call_ended")
    async def handle(_: object) -> None:
        await anyio.sleep_forever()

    with seeing() as seen:
        async with router:
            await deliver(router, event_body())
    span = seen.one("webhook call_ended")
    assert attributes_of(span)["retell.webhook.outcome"] == "cancelled"
    assert attributes_of(span)["error.type"] == "cancelled"


async def test_inbound_requests_and_functions() -> None:
    router = Router(KEY)

    @router.inbound
    async def answer(request: InboundCall | InboundChat) -> InboundAnswer:
        return request.accept()

    @router.function("look_up")
    async def look_up(function: FunctionCall) -> str:
        if function.args.get("broken"):
            raise KeyError("x")
        return "found"

    with seeing() as seen:
        for _ in range(2):
            await deliver(router, inbound_body())
        with_call = {"name": "look_up", "args": {}, "call": call(metadata={"traceparent": TRACE})}
        await deliver(router, body_of(with_call), path="/functions/look_up")
        await deliver(router, body_of({"name": "look_up", "args": {"broken": True}}), path="/functions/look_up")
    outcomes = [(span.name, attributes_of(span)["retell.webhook.outcome"]) for span in seen.spans]
    assert outcomes == [
        ("webhook call_inbound", "handled"),
        ("webhook call_inbound", "duplicate"),
        ("function look_up", "handled"),
        ("function look_up", "failed"),
    ]
    assert attributes_of(seen.spans[2])["retell.function"] == "look_up"
    assert seen.spans[2].parent is not None
    assert not [name for name in seen.metrics() if name[0] == "retell.calls"]  # a call that goes on


ANALYZED = call(
    direction="outbound",
    duration_ms=61_500,
    call_cost={"product_costs": [], "total_duration_seconds": 62, "total_duration_unit_price": 0.1, "combined_cost": 12.5},
    latency={"e2e": {"p50": 800, "num": 2, "values": [700, 900]}, "llm": {"p50": 400, "num": 1}, "tts": {"p50": 120, "values": [100, 140]}},
    call_analysis={"call_successful": True},
)


async def test_what_events_say_of_a_call_is_measured_once() -> None:
    router = Router(KEY)
    ended = {name: value for name, value in ANALYZED.items() if name not in {"call_analysis", "call_cost"}}
    with seeing() as seen:
        await deliver(router, body_of({"event": "call_started", "call": call(call_status="ongoing", disconnection_reason=None)}))
        for _ in range(2):
            await deliver(router, body_of({"event": "call_ended", "call": ended}))
            await deliver(router, body_of({"event": "call_analyzed", "call": ANALYZED}))
    metrics = {name: value for name, value in seen.metrics().items() if name[0].startswith("retell.call.") or name[0] == "retell.calls"}
    whose = ("agent_1", "outbound")
    assert metrics == pytest.approx(
        {
            ("retell.calls", *whose, "user_hangup"): 1,
            ("retell.call.duration", *whose): 61.5,
            ("retell.call.cost.cents", *whose): 12.5,
            ("retell.call.e2e.latency", *whose): 1.6,
            ("retell.call.llm.latency", *whose): 0.4,
            ("retell.call.tts.latency", *whose): 0.24,
            ("retell.call.analyzed", *whose): 1,
            ("retell.call.success", *whose): 1,
        }
    )


async def test_agents_and_reasons_beyond_a_number_have_no_label_of_their_own() -> None:
    router = Router(KEY)
    with seeing(most_agents=3) as seen:
        for number in range(50):
            told = call(call_id=f"call_{number}", agent_id=f"agent_{number}", disconnection_reason=f"reason_{number}")
            await deliver(router, body_of({"event": "call_ended", "call": told}))
    counts = {name[1:]: value for name, value in seen.metrics().items() if name[0] == "retell.calls"}
    assert len(counts) == 4
    assert counts["other", "inbound", "other"] == 47


async def test_a_web_call_and_one_of_which_little_is_known() -> None:
    router = Router(KEY)
    web = {
        "call_type": "web_call",
        "call_id": "call_1",
        "agent_id": "agent_1",
        "agent_version": 0,
        "call_status": "error",
        "access_token": "t",
    }
    with seeing() as seen:
        await deliver(router, body_of({"event": "call_ended", "call": web}))
        await deliver(router, body_of({"event": "call_ended", "call": {"call_id": "call_2", "call_status": "ended"}}))
    counts = {name[1:]: value for name, value in seen.metrics().items() if name[0] == "retell.calls"}
    assert counts == {("agent_1", "web", "unknown"): 1, ("unknown", "unknown", "unknown"): 1}


async def test_what_was_sent_is_not_kept_while_it_waits() -> None:
    """Events that wait are kept as bytes, since a parsed one is some ten times as large; so here too."""
    from retell_async import telemetry
    from retell_async._instrumentation import DeliveryActivity

    activities: list[DeliveryActivity] = []
    sent: list[Any] = []

    def watch(what: Any) -> None:
        activities.append(what)
        sent.append(what.sent)

    router = Router(KEY)
    with telemetry.instrumented(watch):
        await deliver(router, event_body())
    assert isinstance(sent[0], webhooks.CallEnded)
    assert [activity.sent for activity in activities] == [None]


ODD: dict[str, Any] = {
    "latency": [[], 5, {"e2e": 5}, {"e2e": {"values": [None, "1", True, -1, 10**400]}}, {"e2e": {"values": 5, "p50": "100"}}],
    "call_cost": [5, [], {"combined_cost": -5}, {"combined_cost": "5"}, {"combined_cost": 10**400}, {"combined_cost": True}],
    "duration_ms": ["60000", -1, [], {}, 10**400],
    "agent_id": [5, [], {}, "\ud83d"],
    "direction": [5, [], {}],
    "disconnection_reason": [5, [], {}, "\ud83d"],
    "call_status": [5, [], {}],
    "call_analysis": [5, [], {"call_successful": []}, {"call_successful": "no"}],
    "call_id": [5, [], {}, "\ud83d"],
    "metadata": [5, [], {"traceparent": []}],
}
GOOD = {
    "call_type": "phone_call",
    "direction": "outbound",
    "call_status": "ended",
    "disconnection_reason": "user_hangup",
    "duration_ms": 60_000,
    "call_cost": {"combined_cost": 12},
    "latency": {"e2e": {"values": [1000]}, "llm": {"p50": 500}},
    "call_analysis": {"call_successful": True},
}
FIGURES = {"calls": "call_status", "call.duration": "duration_ms", "call.cost.cents": "call_cost", "call.e2e.latency": "latency"}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
async def test_an_odd_value_costs_the_figure_that_it_spoils_and_nothing_else(
    name: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen, registry = Seen(), CollectorRegistry()
    with telemetry.instrumented(seen.hook(), telemetry.PrometheusHook(registry)):
        await deliver(Router(KEY), json.dumps({"event": "call_ended", "call": call(**{**GOOD, name: value})}).encode())
    assert "hook of the telemetry" not in caplog.text
    seen.one("webhook call_ended").to_json().encode()
    measured = {metric for metric, *_ in seen.metrics()}
    text = generate_latest(registry)
    assert "retell.webhook.deliveries" in measured
    assert b"retell_webhook_deliveries_total{" in text
    if name != "call_id":
        for figure, of in FIGURES.items():
            assert f"retell.{figure}" in measured or of == name
