"""The example service over real HTTP, behind an agent of the sandbox: events, inbound calls and functions arrive as Retell sends them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from examples.fastapi_service import create_app
from retell_async import AsyncRetell
from retell_async.raw.params import AgentWeightParam
from retell_async.sandbox import Sandbox, Served, Settings, SteppedClock, serve

from .sending import KEY, event_body, served

pytestmark = [pytest.mark.asyncio, pytest.mark.soak, pytest.mark.parallel]

ANN = "+14155550100"
BLOCKED = "+14155550199"


@asynccontextmanager
async def example() -> AsyncIterator[tuple[httpx.AsyncClient, Served, AsyncRetell, str]]:
    """The service, a sandbox that knows it, a client of the sandbox, and the number whose calls the service has to do with."""
    async with (
        served(create_app(KEY)) as service,
        serve(Sandbox(Settings(api_key=KEY, outcomes={"user_hangup": 1}), SteppedClock())) as sandbox,
        AsyncRetell(KEY, base_url=sandbox.url) as client,
    ):
        url = f"{service.base_url}/retell"
        llm = await client.llm.create(
            begin_message="Hello {{customer_name}}.",
            general_tools=[
                {
                    "type": "custom",
                    "name": "lookup_order",
                    "url": f"{url}/functions/lookup_order",
                    "parameters": {"type": "object", "properties": {"order_id": {"type": "string", "description": "The order."}}},
                    "response_variables": {"arrives": "arrives"},
                }
            ],
        )
        agent = await client.agent.create(
            response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo", webhook_url=f"{url}/events"
        )
        weighted: list[AgentWeightParam] = [{"agent_id": agent.agent_id, "weight": 1}]
        number = await client.phone_number.create(
            area_code=212, inbound_agents=weighted, outbound_agents=weighted, inbound_webhook_url=f"{url}/inbound"
        )
        yield service, sandbox, client, number.phone_number


async def test_an_outbound_call_from_its_order_to_its_analysis(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "service")
    async with example() as (service, sandbox, client, number):
        orders = {"+12015550101": "A7", "+12015550102": "B1"}
        calls = [
            await client.call.create_phone_call(from_number=number, to_number=to_number, retell_llm_dynamic_variables={"order_id": order})
            for to_number, order in orders.items()
        ]
        await sandbox.advance(600)
        found, unknown = [await client.call.retrieve(call.call_id) for call in calls]
        assert found.collected_dynamic_variables == {"arrives": "Thursday"}
        results = [
            [item.to_dict()["content"] for item in call.transcript_with_tool_calls or () if item.to_dict()["role"] == "tool_call_result"]
            for call in (found, unknown)
        ]
        assert results == [['{"status":"on its way","arrives":"Thursday"}'], ["There is no such order."]]
        assert found.call_analysis is not None
        assert unknown.call_analysis is not None
        followed = (await service.get("/calls")).json()
        assert {each["call_id"]: each["summary"] for each in followed} == {
            found.call_id: found.call_analysis.call_summary,
            unknown.call_id: unknown.call_analysis.call_summary,
        }
        assert {delivery.state for delivery in sandbox.sandbox.outbox.log} == {"delivered"}
    said = sorted(record.getMessage() for record in caplog.records if record.name == "service")
    assert said == sorted(f"call {call.call_id} ended: user_hangup" for call in calls)


async def test_who_calls_is_known_or_declined() -> None:
    async with example() as (_, sandbox, client, number):
        taken, declined = sandbox.sandbox.ring(ANN, number), sandbox.sandbox.ring(BLOCKED, number)
        await sandbox.advance(600)
        assert (declined.over, declined.call_id) == (True, None)
        assert taken.call_id is not None
        call = await client.call.retrieve(taken.call_id)
        assert (call.transcript or "").startswith("Agent: Hello Ann.\n")
        assert call.to_dict()["direction"] == "inbound"


async def test_what_nobody_signed_is_refused() -> None:
    async with served(create_app(KEY)) as client:
        answer = await client.post("/retell/events", content=event_body("call_ended", call_id="call_2"))
        assert answer.status_code == 401


async def test_who_asks_while_retell_cannot_be_reached_is_told_so() -> None:
    async with served(create_app(KEY, base_url="http://127.0.0.1:9")) as client:
        answer = await client.get("/calls/call_1/transcript")
        assert answer.status_code == 502
        assert "Connection error" in answer.json()["detail"]
