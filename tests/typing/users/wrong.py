"""Code that is wrong, each time on a line that says so: a type checker must find these lines and no other."""

from __future__ import annotations

from retell_async import AsyncRetell, Retell


async def main(client: AsyncRetell) -> None:
    await client.agent.create(response_engine={"type": "retell-llm", "llm_id": "llm_1"})  # E: voice_id is missing
    await client.call.retrieve(1)  # E: an id is a str
    await client.call.retrieve("call_1", timeout="fast")  # E: a timeout is a number
    await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", to="x")  # E: no such keyword
    await client.agent.create(response_engine={"type": "retell-llm", "id": "llm_1"}, voice_id="v")  # E: no such key
    await client.agent.create(response_engine={"type": "retell-lm", "llm_id": "llm_1"}, voice_id="v")  # E: no such type
    await client.agent.update("agent_1", language="en_US")  # E: no such language
    await client.llm.create(knowledge_base_ids="kb_1")  # E: several strings, not one
    client.call.list(sort_order="up")  # E: no such order
    client.call.list(filter_criteria={"call_status": {"type": "enum", "op": "is", "value": ["ended"]}})  # E: no such operator
    call = await client.call.retrieve("call_1")
    call.call_idd  # E: no such field
    client.phone  # E: no such resource
    AsyncRetell(api_key="key", max_retry=1)  # E: no such setting


def without_await(client: Retell) -> None:
    client.call.retrieve(1)  # E: an id is a str
    client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", to="x")  # E: no such keyword
    client.call.list(sort_order="up")  # E: no such order
    client.call.retrieve("call_1").call_idd  # E: no such field
    client.call.list().pagination_kee  # E: no such field
    Retell(api_key="key", max_retry=1)  # E: no such setting
