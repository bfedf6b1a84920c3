"""The example service over real HTTP, with deliveries as Retell signs them."""

from __future__ import annotations

import logging

import httpx
import pytest

from examples.fastapi_service import create_app

from .sending import CALL, KEY, body_of, event_body, inbound_body, served, signed

pytestmark = pytest.mark.asyncio


async def post(client: httpx.AsyncClient, path: str, body: bytes) -> httpx.Response:
    return await client.post(path, content=body, headers=signed(body))


async def test_a_call_from_its_ring_to_its_analysis(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "service")
    async with served(create_app(KEY)) as client:
        answer = await post(client, "/retell/inbound", inbound_body())
        assert answer.json() == {"call_inbound": {"dynamic_variables": {"customer_name": "Ann"}}}

        wrapped = body_of({"name": "lookup_order", "args": {"order_id": "A7"}, "call": {**CALL, "call_status": "ongoing"}})
        answer = await post(client, "/retell/functions/lookup_order", wrapped)
        assert answer.json() == {"status": "on its way", "arrives": "Thursday"}
        answer = await post(client, "/retell/functions/lookup_order", body_of({"order_id": "B1"}))
        assert answer.text == "There is no such order."

        assert (await post(client, "/retell/events", event_body("call_ended"))).status_code == 204
        analyzed = body_of({"event": "call_analyzed", "call": {**CALL, "call_analysis": {"call_summary": "An order was found."}}})
        for _ in range(2):
            assert (await post(client, "/retell/events", analyzed)).status_code == 204
        assert (await client.get("/summaries")).json() == {"call_1": "An order was found."}

        unsigned = await client.post("/retell/events", content=event_body("call_ended", call_id="call_2"))
        assert unsigned.status_code == 401
    assert [record.getMessage() for record in caplog.records if record.name == "service"] == ["call call_1 ended: user_hangup"]


async def test_a_blocked_caller_is_declined() -> None:
    async with served(create_app(KEY)) as client:
        answer = await post(client, "/retell/inbound", inbound_body(from_number="+14155550199"))
        assert answer.json() == {"call_inbound": {"reject": True}}
