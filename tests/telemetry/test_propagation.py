"""The trace that a call's metadata names: the same whenever the same request is sent, and nothing that was not asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from retell_async import OutcomeUnknownError, RetryPolicy, telemetry
from retell_async._engine.idempotency import new_key, renewed, traced
from retell_async._instrumentation import is_traceparent, trace_in, trace_of
from retell_async.campaigns import Contact, Number, Rules, Settings
from retell_async.campaigns.calls import request_of
from retell_async.raw.api.call import create_phone_call

from ..engine.example import client_of
from .seeing import attributes_of, seeing
from .test_requests import CALL, FAST, NUMBERS, PLACED, serving

pytestmark = pytest.mark.anyio

Body = dict[str, Any]


class Bodies:
    """A server that takes these steps, and keeps what it was sent."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self.serve = serving(*steps)
        self.sent: list[Body] = []
        self.contents: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(request.content))
        self.contents.append(request.content)
        return self.serve(request)


def ids(span: Any) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


async def test_a_call_carries_the_trace_of_its_operation_when_that_is_asked() -> None:
    server = Bodies(httpx.Response(503), PLACED)
    with seeing(propagate=True) as seen:
        async with client_of(server, max_retries=1, retry=FAST) as client:
            await client.call.create_phone_call(**NUMBERS, metadata={"appointment": 4711})
    first, second = server.sent
    assert first == second
    assert first["metadata"] == {"appointment": 4711, "traceparent": ids(seen.one("call.create_phone_call"))}


@pytest.mark.parametrize("own", [trace_of("appointment-4711"), "order-17"])
async def test_what_the_caller_has_put_in_its_place_stays(own: str) -> None:
    """Metadata that was copied from another call too, whose trace it names: nobody can tell the two apart."""
    server = Bodies(PLACED, PLACED)
    with seeing(propagate=True):
        async with client_of(server) as client:
            await client.call.create_phone_call(**NUMBERS, metadata={"traceparent": own})
            await client.call.create_phone_call(**NUMBERS, metadata={"traceparent": own}, idempotency_key=new_key(trace_of("another")))
    assert [body["metadata"] for body in server.sent] == [{"traceparent": own}] * 2


async def test_calls_without_a_key_carry_it_and_nothing_else_does() -> None:
    web = {"call_type": "web_call", "call_id": "call_1", "agent_id": "agent_1", "agent_version": 1, "call_status": "registered"}
    server = Bodies(httpx.Response(201, json={**web, "chat_id": "chat_1"}))
    with seeing(propagate=True) as seen:
        async with client_of(server) as client:
            await client.call.create_web_call(agent_id="agent_1")
            await client.call.register_phone_call(agent_id="agent_1")
            await client.chat.create(agent_id="agent_1")
    assert [body.get("metadata", {}).get("traceparent") for body in server.sent] == [
        ids(seen.one("call.create_web_call")),
        ids(seen.one("call.register_phone_call")),
        None,
    ]


@pytest.mark.parametrize("watched", [nullcontext, seeing])
async def test_nothing_is_put_in_unless_it_is_asked(watched: Callable[[], AbstractContextManager[object]]) -> None:
    server = Bodies(PLACED)
    with watched():
        async with client_of(server) as client:
            await client.call.create_phone_call(**NUMBERS)
            await client.call.create_phone_call(**NUMBERS, metadata={"retell_async_token": "copied"})
    assert "metadata" not in server.sent[0]
    assert server.sent[1]["metadata"] == {"retell_async_token": "copied"}


@pytest.mark.parametrize("again", [nullcontext, seeing, lambda: seeing(propagate=True)], ids=["off", "without propagation", "on"])
@pytest.mark.parametrize("policy", ["raise", "reconcile"])
async def test_a_request_that_is_sent_again_under_its_key_is_the_same_wherever_that_is(
    again: Callable[[], AbstractContextManager[object]], policy: Any
) -> None:
    """Another process, in another trace, with telemetry or without, repeats what the error of the first one tells."""
    retry = RetryPolicy(first_delay=0.0, on_unknown_outcome=policy, reconcile_within=0.0)
    server = Bodies(httpx.ReadTimeout(""), PLACED)
    with seeing(propagate=True) as seen:
        async with client_of(server, retry=retry) as client:
            with pytest.raises(OutcomeUnknownError) as caught:
                await client.call.create_phone_call(**NUMBERS, metadata={"appointment": 4711})
    error = caught.value
    metadata: Body = {"appointment": 4711} | ({"retell_async_token": error.token} if error.token else {})
    with again():
        async with client_of(server, retry=retry) as client:
            await client.call.create_phone_call(
                **NUMBERS, metadata=metadata, idempotency_key=error.idempotency_key or "", idempotency_key_since=error.since
            )
    assert server.contents[0] == server.contents[1]
    assert server.sent[0]["metadata"]["traceparent"] == ids(seen.one("call.create_phone_call"))


@pytest.mark.parametrize("others", [{}, {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}, {"traceparent": "mine"}])
async def test_under_a_key_of_ones_own_the_request_is_what_it_was(others: Body) -> None:
    own: Body = {**NUMBERS, "idempotency_key": "appointment-4711", "metadata": {"appointment": 4711, **others}}
    server = Bodies(PLACED)
    for watched in (nullcontext(), seeing(propagate=True), seeing(propagate=True)):
        with watched:
            async with client_of(server) as client:
                await client.call.create_phone_call(**own)
    assert server.sent == [own] * 3


def test_a_key_that_makes_way_for_another_leaves_its_trace_to_it() -> None:
    """A request that waits too long before it leaves gets another key; its metadata stays, and is sent again under that one."""
    trace = trace_of("a trace")
    key = new_key(trace)
    other = renewed(key)
    request = create_phone_call.OPERATION.request(body=NUMBERS)
    assert other != key
    assert traced(request, other, None) == traced(request, key, None)
    assert traced(request, key, None).body == {**NUMBERS, "metadata": {"traceparent": trace}}
    assert traced(request, renewed(new_key()), trace) == request
    assert traced(request, None, trace) == traced(request, key, None)


async def test_metadata_for_a_key_of_ones_own_is_made_of_the_key_alone() -> None:
    key = "appointment-4711"
    metadata = telemetry.trace_metadata(key)
    assert metadata == telemetry.trace_metadata(key) == {"traceparent": trace_of(key)}
    assert metadata != telemetry.trace_metadata("appointment-4712")
    with seeing(propagate=True) as seen:
        async with client_of(Bodies(PLACED)) as client:
            await client.call.create_phone_call(**NUMBERS, idempotency_key=key, metadata=metadata)
            with seen.tracer.start_as_current_span("book"):
                await client.call.create_phone_call(**NUMBERS, idempotency_key=key, metadata=metadata)
    alone, inside = seen.named("call.create_phone_call")
    trace = int(metadata["traceparent"][3:35], 16)
    assert alone.context is not None
    assert alone.context.trace_id == trace
    assert [span.name for span in seen.children(seen.one("book"))] == ["call.create_phone_call"]
    assert [link.context.trace_id for link in inside.links] == [trace]


@given(st.text(min_size=1))
def test_any_key_names_a_trace(key: str) -> None:
    assert is_traceparent(trace_of(key))
    assert trace_of(key) == trace_of(key)


@pytest.mark.parametrize(
    "metadata",
    [
        *(None, "text", [], {}, {"traceparent": 1}, {"traceparent": ""}, {"retell_async_token": ""}, {"retell_async_token": 7}),
        *(
            {"traceparent": trace}
            for trace in (f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", f"ff-{'1' * 32}-{'1' * 16}-01")
        ),
        *(
            {"traceparent": trace}
            for trace in (f"00-{'A' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'1' * 16}-01-x", f"00-{'1' * 32}-{'1' * 16}-01\n")
        ),
    ],
)
def test_metadata_that_names_no_trace(metadata: Any) -> None:
    assert trace_in(metadata) is None


def test_the_token_of_a_campaign_names_the_trace_of_its_attempt() -> None:
    """Nothing is added to what a campaign sends: whichever process sends it, and again, it is what stands in the database."""
    contact = Contact(id="1", number="+14155550101", zones=("America/Los_Angeles",), metadata={"appointment": 4711})
    settings = Settings(rules=Rules(numbers=[Number("+14155550100")]))
    with seeing(propagate=True):
        metadata = request_of(contact, settings, "+14155550100", "spring-abc-1")["metadata"]
    assert metadata == {"appointment": 4711, "retell_async_token": "spring-abc-1"}
    assert trace_in(metadata) == trace_of("spring-abc-1")


async def test_what_is_dispatched_carries_its_trace_too() -> None:
    server = Bodies(httpx.Response(201, json={**CALL, "call_status": "ended"}))
    with seeing(propagate=True) as seen:
        async with client_of(server) as client, client.dispatch([NUMBERS], until="placed", live=1, keep_free=None) as outcomes:
            assert [outcome.status async for outcome in outcomes] == ["placed"]
    span = seen.one("call.create_phone_call")
    assert server.sent[0]["metadata"]["traceparent"] == ids(span)
    assert attributes_of(span)["retell.call_id"] == "call_1"
