"""Attempts of durable campaigns as spans, in the trace of their key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from retell_async._instrumentation import trace_of

from ..campaigns.durable.test_worker import Bench, bench as bench  # noqa: PLC0414 - a fixture
from .seeing import attributes_of, seeing

pytestmark = pytest.mark.anyio


def _trace(span: Any) -> str:
    return f"{span.context.trace_id:032x}"


async def test_an_attempt_and_all_its_requests_are_in_the_trace_of_its_key(bench: Bench) -> None:
    key = bench.desk.begin()
    with seeing(propagate=True) as seen:
        async with bench.worker() as worker:
            await worker.carry_out(key)
    span = seen.one("campaign attempt")
    assert attributes_of(span) == {
        "retell.campaign.attempt": key,
        "retell.campaign.result": "user_hangup",
        "retell.call_id": "call_0",
    }
    assert _trace(span) == trace_of(key)[3:35]
    inside = seen.children(span)
    assert {"call.create_phone_call"} <= {each.name for each in inside}
    assert {_trace(each) for each in inside} == {_trace(span)}
    assert b"traceparent" not in bench.server.sent[0]
    metrics = seen.metrics()
    assert metrics["retell.campaign.attempts", "user_hangup"] == 1
    assert metrics["retell.calls", "a", "unknown", "user_hangup"] == 1
    assert metrics["retell.call.duration", "a", "unknown"] == 60


async def test_what_another_process_goes_on_with_is_in_the_same_trace_and_is_the_same_request(bench: Bench) -> None:
    key = bench.desk.begin()
    with seeing() as before:
        turn = bench.desk.send(key)
        async with bench.server.client() as client:
            await client.call.create_phone_call(**turn.request)  # and the process is killed
    bench.later(600)
    with seeing(propagate=True) as after:
        async with bench.worker() as worker:
            await worker.carry_out(key)
    assert bench.server.sent[0] == bench.server.sent[1]
    assert _trace(before.one("call.create_phone_call")) == _trace(after.one("campaign attempt")) == trace_of(key)[3:35]


@pytest.mark.parametrize(("statuses", "reason"), [([400], "not_placed"), ([503, 400], "unknown")])
async def test_an_attempt_that_called_nobody(bench: Bench, statuses: list[int], reason: str) -> None:
    key = bench.desk.begin()
    bench.server.acts = False
    bench.server.refuse = [httpx.Response(status, json={"message": "no"}) for status in statuses]
    with seeing() as seen:
        async with bench.worker() as worker:
            await worker.carry_out(key)
    assert attributes_of(seen.one("campaign attempt"))["retell.campaign.result"] == reason
    assert "+1212" not in str([span.to_json() for span in seen.spans])
