"""Operations of the API as spans and metrics: over a server that is a function, under asyncio and trio, and without await."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, cast

import anyio
import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from retell_async import (
    APITimeoutError,
    AsyncRetell,
    ConfigurationError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimit,
    Retell,
    RetryPolicy,
    telemetry,
)
from retell_async._instrumentation import Activity, RequestActivity
from retell_async.raw.api.call import create_phone_call

from ..engine.example import BASE_URL, KEY, client_of
from .seeing import attributes_of, seeing

pytestmark = pytest.mark.anyio

FAST = RetryPolicy(first_delay=0.0)
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550101"}
CALL = {"call_type": "phone_call", "call_id": "call_1", "agent_id": "agent_1", "agent_version": 1, "call_status": "registered", **NUMBERS}
Serve = Callable[[httpx.Request], httpx.Response]


def serving(*steps: httpx.Response | Exception) -> Serve:
    """A server that takes one step a request; the last step is taken for ever."""
    left = list(steps)

    def serve(_: httpx.Request) -> httpx.Response:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)

    return serve


PLACED = httpx.Response(201, json=CALL)


async def test_an_operation_is_a_span_and_its_attempts_are_its_children() -> None:
    with seeing() as seen:
        async with client_of(serving(httpx.Response(503), httpx.Response(500), PLACED), max_retries=2, retry=FAST) as client:
            await client.call.create_phone_call(**NUMBERS, metadata={"patient": "+14155550199"})
    span = seen.one("call.create_phone_call")
    first, second, third = seen.named("POST /v2/create-phone-call")
    assert span.kind is SpanKind.INTERNAL
    assert span.parent is None
    assert attributes_of(span) == {
        "retell.operation": "createPhoneCall",
        "http.request.method": "POST",
        "url.template": "/v2/create-phone-call",
        "server.address": "retell.test",
        "server.port": 80,
        "retell.attempts": 3,
        "retell.call_id": "call_1",
    }
    assert [event.name for event in span.events] == ["retry", "retry"]
    assert seen.children(span) == [first, second, third]
    assert [attributes_of(each).get("http.request.resend_count") for each in (first, second, third)] == [None, 1, 2]
    assert [attributes_of(each).get("error.type") for each in (first, second, third)] == ["503", "500", None]
    assert [attributes_of(each)["http.response.status_code"] for each in (first, second, third)] == [503, 500, 201]
    assert [each.status.status_code for each in (first, second, third)] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert {each.kind for each in (first, second, third)} == {SpanKind.CLIENT}
    metrics = seen.metrics()
    assert metrics["retell.requests", "ok"] == 1
    assert metrics["retell.request.retries", "InternalServerError"] == 2
    assert metrics["retell.request.duration", "ok"] > 0


async def test_no_number_no_body_and_no_key_is_in_a_span_or_a_metric() -> None:
    secret = {"message": f"call +14155550101 with {KEY}"}
    with seeing(propagate=True) as seen:
        async with client_of(serving(httpx.Response(422, json=secret))) as client:
            with pytest.raises(Exception, match="422"):
                await client.call.create_phone_call(**NUMBERS, metadata={"patient": "Ann"})
            with pytest.raises(Exception, match="422"):
                await client.phone_number.retrieve("+14155550101")
            with pytest.raises(Exception, match="422"):
                await client.request("GET", "/numbers/+14155550101", params={"token": KEY})
    told = str([(span.to_json(), span.name) for span in seen.spans]) + str(seen.metrics())
    assert len(seen.spans) == 6
    assert "error.type" in told
    for unsaid in ("5550101", "5550100", KEY, "Ann", "message"):
        assert unsaid not in told


@pytest.mark.parametrize(
    ("step", "error", "type"),
    [
        (httpx.Response(404), NotFoundError, "NotFoundError"),
        (httpx.ConnectTimeout(""), APITimeoutError, "APITimeoutError"),
        (httpx.ReadTimeout(""), OutcomeUnknownError, "OutcomeUnknownError"),
        (httpx.Response(418), Exception, "418"),
    ],
)
async def test_what_went_wrong_is_the_type_of_the_error(step: httpx.Response | Exception, error: type[Exception], type: str) -> None:
    with seeing() as seen:
        async with client_of(serving(step)) as client:
            with pytest.raises(error):
                await client.call.create_web_call(agent_id="agent_1")
    span = seen.one("call.create_web_call")
    assert attributes_of(span)["error.type"] == type
    assert span.status.status_code is StatusCode.ERROR
    assert not span.events  # no traceback, in which anything may stand
    assert seen.metrics()["retell.requests", type] == 1


async def test_the_call_is_known_by_the_path_or_by_the_answer() -> None:
    with seeing() as seen:
        async with client_of(serving(httpx.Response(201, json={**CALL, "call_id": "call_2"}))) as client:
            await client.call.retrieve("call_1")
            await client.call.with_raw_response.create_phone_call(**NUMBERS)
            async with client.call.with_streaming_response.create_phone_call(**NUMBERS) as response:
                await response.read()
    assert attributes_of(seen.one("call.retrieve"))["retell.call_id"] == "call_1"
    assert [attributes_of(span).get("retell.call_id") for span in seen.named("call.create_phone_call")] == ["call_2", None]


async def test_a_page_is_an_operation() -> None:
    page = {"items": [{**CALL, "call_id": "call_1"}], "has_more": True, "pagination_key": "key"}
    with seeing() as seen:
        async with client_of(serving(httpx.Response(200, json=page), httpx.Response(200, json={"items": [], "has_more": False}))) as client:
            assert len([call async for call in client.call.list()]) == 1
    assert len(seen.named("call.list")) == 2


async def test_the_span_of_the_program_is_above_and_that_of_the_operation_is_current_inside() -> None:
    from opentelemetry import trace

    inside: list[int] = []

    def serve(_: httpx.Request) -> httpx.Response:
        inside.append(trace.get_current_span().get_span_context().span_id)
        return PLACED

    with seeing() as seen:
        async with client_of(serve) as client:
            with seen.tracer.start_as_current_span("book") as outer:
                await client.call.create_phone_call(**NUMBERS)
                assert trace.get_current_span() is outer
    (attempt,) = seen.named("POST /v2/create-phone-call")
    assert seen.children(seen.one("book")) == [seen.one("call.create_phone_call")]
    assert attempt.context is not None
    assert inside == [attempt.context.span_id]


async def test_many_at_once_do_not_mix() -> None:
    async def serve(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.001 * (int(json.loads(request.content)["to_number"][-2:]) % 7))
        return httpx.Response(201, json={**CALL, "call_id": f"call_{json.loads(request.content)['to_number'][-2:]}"})

    async def book(number: int) -> None:
        with seen.tracer.start_as_current_span(f"book {number}"):
            await client.call.create_phone_call(from_number="+14155550100", to_number=f"+141555501{number}")

    http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    with seeing() as seen:
        async with AsyncRetell(KEY, base_url=BASE_URL, http_client=http) as client, anyio.create_task_group() as tasks:
            for number in range(10, 40):
                tasks.start_soon(book, number)
    for number in range(10, 40):
        (operation,) = seen.children(seen.one(f"book {number}"))
        assert attributes_of(operation)["retell.call_id"] == f"call_{number}"
        assert len(seen.children(operation)) == 1


def test_without_await_the_callers_span_is_above_too() -> None:
    with (
        seeing() as seen,
        Retell(KEY, base_url=BASE_URL, http_client=httpx.Client(transport=httpx.MockTransport(serving(PLACED)))) as client,
    ):
        with seen.tracer.start_as_current_span("book"):
            client.call.create_phone_call(**NUMBERS)
        client.call.retrieve("call_1")
    (operation,) = seen.children(seen.one("book"))
    assert operation.name == "call.create_phone_call"
    assert [span.name for span in seen.children(operation)] == ["POST /v2/create-phone-call"]
    assert seen.one("call.retrieve").parent is None


async def test_limits_and_waits_are_events_and_metrics() -> None:
    slow = httpx.Response(429, json={"message": "slow"}, headers={"retry-after-ms": "200"})  # longer than a busy machine stalls
    with seeing() as seen:
        async with client_of(serving(slow, PLACED)) as client:
            await client.call.create_phone_call(**NUMBERS)
    span = seen.one("call.create_phone_call")
    assert [event.name for event in span.events] == ["rate limited", "waited"]
    assert [attributes_of(each).get("http.request.resend_count") for each in seen.children(span)] == [None, 1]
    metrics = seen.metrics()
    limit = create_phone_call.OPERATION.limit
    assert metrics["retell.request.limited", limit] == 1
    assert metrics["retell.request.wait", limit] > 0.01


async def test_what_the_account_says_of_its_calls_is_a_gauge() -> None:
    said = {"current_concurrency": 7, "concurrency_limit": 20, "base_concurrency": 20, "purchased_concurrency": 0}
    with seeing() as seen:
        async with client_of(serving(httpx.Response(200, json=said))) as client:
            await client.concurrency.retrieve()
    metrics = seen.metrics()
    assert (metrics[("retell.concurrency.current",)], metrics[("retell.concurrency.limit",)]) == (7, 20)


async def test_a_cancelled_operation_ends_its_span() -> None:
    async def serve(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    with seeing() as seen:
        async with AsyncRetell(KEY, base_url=BASE_URL, http_client=http) as client:
            with anyio.move_on_after(0.01):
                await client.call.retrieve("call_1")
    assert attributes_of(seen.one("call.retrieve"))["error.type"] == "cancelled"


async def test_a_hook_that_fails_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __enter__(self) -> None:
            raise ValueError("on entering")

        def __exit__(self, *_: object) -> None:
            raise ValueError("on leaving")

    def fails(what: object) -> Any:
        if isinstance(what, RequestActivity):
            return Broken()
        raise ValueError("at once")

    seen: list[Activity] = []

    def sees(what: object) -> None:
        if isinstance(what, Activity):
            seen.append(what)

    with telemetry.instrumented(fails, sees), caplog.at_level(logging.ERROR, "retell_async"):
        async with client_of(serving(httpx.Response(503), PLACED), max_retries=1, retry=FAST) as client:
            assert (await client.call.create_phone_call(**NUMBERS)).call_id == "call_1"
    assert len(seen) == 3
    assert len(caplog.records) == 4  # entering, two attempts, a retry
    assert all("a hook of the telemetry failed" in record.message for record in caplog.records)


async def test_nothing_is_made_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("an activity was made")

    monkeypatch.setattr(Activity, "__init__", made)
    monkeypatch.setattr(RequestActivity, "__init__", made)
    assert telemetry.active_hooks() == ()
    async with client_of(serving(httpx.Response(503), PLACED), max_retries=1, retry=FAST, rate_limit=RateLimit(100)) as client:
        await client.call.create_phone_call(**NUMBERS)


def test_what_cannot_be_called_is_no_hook() -> None:
    before = telemetry.active_hooks()
    with pytest.raises(ConfigurationError, match="'prometheus' cannot be called"):
        telemetry.instrument(cast("Any", "prometheus"))
    assert telemetry.active_hooks() == before


async def test_hooks_are_set_and_taken_away() -> None:
    seen: list[object] = []
    async with client_of(serving(PLACED)) as client:
        telemetry.instrument(seen.append)
        try:
            await client.call.create_phone_call(**NUMBERS)
        finally:
            telemetry.uninstrument()
        count = len(seen)
        await client.call.create_phone_call(**NUMBERS)
    assert [type(each).__name__ for each in seen] == ["RequestActivity", "AttemptActivity"]
    assert len(seen) == count
