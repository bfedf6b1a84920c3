"""What the code blocks find: a client of a sandbox with one agent, one number and one call, and what a webhook of it looks like."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from retell_async import AsyncRetell, webhooks
from retell_async.sandbox import RunningClock, Sandbox, serve

__all__ = ["KEY", "TYPES", "prelude"]

KEY = "key_of_the_docs"

TYPES = "client: AsyncRetell, api_key: str, body: bytes, headers: dict[str, str]"
"""The names that a block may use without defining them, as parameters of a function."""


@asynccontextmanager
async def prelude(patch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[dict[str, Any], dict[str, str]], None]:
    """The names that a block finds, and the ids that stand for those of the examples."""
    async with serve(Sandbox(clock=RunningClock(speed=3600))) as sandbox, AsyncRetell(KEY, base_url=sandbox.url) as client:
        patch.setenv("RETELL_API_KEY", KEY)
        patch.setenv("RETELL_BASE_URL", sandbox.url)
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        call = await client.call.create_phone_call(from_number=number.phone_number, to_number="+14155550123")
        body = json.dumps({"event": "call_ended", "call": call.to_dict()}).encode()
        found = {
            "AsyncRetell": AsyncRetell,
            "client": client,
            "api_key": KEY,
            "body": body,
            "headers": {"content-type": "application/json", webhooks.HEADER: webhooks.sign(body, KEY)},
        }
        ids = {"call_1": call.call_id, "agent_1": agent.agent_id, "llm_1": llm.llm_id, "+14155550100": number.phone_number}
        yield found, ids
