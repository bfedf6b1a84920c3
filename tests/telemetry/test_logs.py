"""Lines in logs, and the call and the trace in which other lines are written."""

from __future__ import annotations

import logging
import sys
from typing import Any

import httpx
import pytest
import structlog

from retell_async import RetryPolicy, telemetry
from retell_async._engine.circuit import CircuitBreaker
from retell_async.webhooks import Event, Router

from ..engine.example import client_of
from ..webhooks.exchanges import deliver
from ..webhooks.sending import KEY, event_body
from .seeing import Seen
from .test_requests import FAST, NUMBERS, PLACED, serving

pytestmark = pytest.mark.anyio


async def test_lines_of_the_standard_library(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "retell_async")
    with telemetry.instrumented(telemetry.LoggingHook()):
        async with client_of(serving(httpx.Response(503), PLACED), max_retries=1, retry=FAST, hooks=()) as client:
            await client.call.create_phone_call(**NUMBERS)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if hasattr(record, "retell")]
    assert [level for level, _ in lines] == ["DEBUG", "DEBUG", "INFO"]
    assert "http_response_status_code=503 error_type=503" in lines[0][1]
    assert lines[2][1].startswith("request: activity=call.create_phone_call seconds=0.")
    assert lines[2][1].endswith("attempts=2 call_id=call_1")
    fields: dict[str, Any] = vars(caplog.records[-1])["retell"]
    assert (fields["activity"], fields["attempts"], fields["call_id"]) == ("call.create_phone_call", 2, "call_1")
    assert "55501" not in caplog.text


async def test_what_fails_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with telemetry.instrumented(telemetry.LoggingHook("mine")):
        async with client_of(serving(httpx.Response(404))) as client:
            with pytest.raises(Exception, match="404"):
                await client.call.retrieve("call_1")
    (record,) = [record for record in caplog.records if record.name == "mine"]
    assert (record.levelname, vars(record)["retell"]["error_type"]) == ("WARNING", "NotFoundError")


async def test_events_of_structlog() -> None:
    retry = RetryPolicy(first_delay=0.0, circuit_breaker=CircuitBreaker(failures=1, open_for=1000.0))
    with structlog.testing.capture_logs() as lines, telemetry.instrumented(telemetry.StructlogHook()):
        async with client_of(serving(httpx.Response(503), PLACED), max_retries=1, retry=retry, hooks=()) as client:
            await client.call.create_phone_call(**NUMBERS)
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("debug", "attempt"),
        ("warning", "circuit breaker"),
        ("info", "retry"),
        ("debug", "attempt"),
        ("info", "circuit breaker"),
        ("info", "request"),
    ]
    assert (lines[1]["state"], lines[1]["failures"], lines[1]["operation"]) == ("open", 1, "createPhoneCall")
    assert (lines[-1]["activity"], lines[-1]["call_id"]) == ("call.create_phone_call", "call_1")
    assert "55501" not in str(lines)


async def test_structlog_may_hand_its_fields_on_to_the_standard_library(caplog: pytest.LogCaptureFixture) -> None:
    """By its own recipe, fields become attributes of the record, and none may be one that every record has."""
    caplog.set_level(logging.DEBUG)
    logger = structlog.wrap_logger(
        logging.getLogger("mine"),
        processors=[telemetry.add_context, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    retry = RetryPolicy(first_delay=0.0, circuit_breaker=CircuitBreaker(failures=1, open_for=1000.0))
    with telemetry.instrumented(telemetry.StructlogHook(logger)):
        async with client_of(serving(httpx.Response(503), PLACED), max_retries=1, retry=retry, hooks=()) as client:
            await client.call.create_phone_call(**NUMBERS)
        await deliver(Router(KEY), event_body())
    lines = [record for record in caplog.records if record.name == "mine"]
    assert [line.getMessage() for line in lines] == [
        *("attempt", "circuit breaker", "retry", "attempt", "circuit breaker", "request", "webhook")
    ]
    assert vars(lines[-1])["activity"] == "webhook call_ended"


async def test_lines_of_the_program_name_the_call_and_the_trace(caplog: pytest.LogCaptureFixture) -> None:
    router = Router(KEY)
    said: list[Any] = []

    @router.on("call_ended")
    async def handle(event: Event) -> None:
        logging.getLogger("the program").warning("it is over")
        said.append(telemetry.add_context(None, "info", {"event": "it is over", "call_id": "mine"}))
        said.append(telemetry.add_context(None, "info", {"event": "it is over"}))

    seen = Seen()
    caplog.handler.addFilter(context := telemetry.ContextFilter())
    try:
        with telemetry.instrumented(seen.hook()):
            await deliver(router, event_body())
            logging.getLogger("the program").warning("elsewhere")
    finally:
        caplog.handler.removeFilter(context)
    span = seen.one("webhook call_ended").context
    assert span is not None
    inside, outside = [vars(record) for record in caplog.records if record.name == "the program"]
    trace = {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    assert {name: inside[name] for name in ("call_id", "trace_id", "span_id")} == {"call_id": "call_1", **trace}
    assert [outside[name] for name in ("call_id", "trace_id", "span_id")] == ["", "", ""]
    assert said == [{"event": "it is over", "call_id": "mine", **trace}, {"event": "it is over", "call_id": "call_1", **trace}]


def test_without_structlog_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "structlog", None)
    with pytest.raises(ModuleNotFoundError, match="pip install structlog"):
        telemetry.StructlogHook()
    telemetry.StructlogHook(structlog.get_logger("mine"))


async def test_a_number_in_the_place_of_an_id_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = Seen()
    with telemetry.instrumented(telemetry.LoggingHook(), seen.hook()):
        async with client_of(serving(httpx.Response(404))) as client:
            for id in ("call_+14155550123", "+14155550123"):
                with pytest.raises(Exception, match="404"):
                    await client.call.retrieve(id)
    told = f"{caplog.text} {[(span.name, dict(span.attributes or {})) for span in seen.spans]}"
    assert "5550123" not in told
    assert told.count("call_+141") > 2


async def test_a_name_that_was_sent_begins_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "retell_async")
    with telemetry.instrumented(telemetry.LoggingHook()):
        await deliver(Router(KEY), event_body("odd\n09:16 billing CRITICAL \x1b[2J"))
    (line,) = [record.getMessage() for record in caplog.records if hasattr(record, "retell")]
    assert r"webhook odd\n09:16 billing CRITICAL \x1b[2J" in line
