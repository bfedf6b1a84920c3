"""Every tool, called once, in an order in which each finds what it needs. Over whatever connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp import Client

from .workspace import PEOPLE, data

__all__ = ["call_every_tool"]

Json = dict[str, Any]

_PATIENCE = 50


async def call_every_tool(session: Client, pause: Callable[[], Awaitable[None]]) -> dict[str, Json]:
    """Call each tool of a workspace that has a number to call from, and give what it answered.

    :param pause: lets some of the workspace's time go by.
    """
    answers: dict[str, Json] = {}

    async def call(name: str, **arguments: Any) -> Json:
        found: Json = data(await session.call_tool(name, arguments))
        answers[name] = found
        return found

    number = (await call("list_phone_numbers"))["items"][0]["phone_number"]
    voice = (await call("list_voices", limit=3))["items"][0]["voice_id"]
    await call("get_voice", voice_id=voice)
    await call("get_concurrency")

    llm = (await call("create_llm", general_prompt="Be brief."))["llm_id"]
    await call("update_llm", llm_id=llm, general_prompt="Be brief and kind.")
    await call("get_llm", llm_id=llm)
    await call("list_llms")
    agent = (await call("create_agent", response_engine={"type": "retell-llm", "llm_id": llm}, voice_id=voice))["agent_id"]
    await call("update_agent", agent_id=agent, agent_name="Reception")
    await call("publish_agent", agent_id=agent, version=0)
    await call("get_agent", agent_id=agent)
    await call("list_agents")
    await call("compare_agent_versions", agent_id=agent, version_a=0, version_b=0)

    end = {"id": "end", "type": "end", "instruction": {"type": "prompt", "text": "Say goodbye."}}
    flow = (
        await call("create_conversation_flow", start_speaker="agent", nodes=[end], model_choice={"type": "cascading", "model": "gpt-4.1"})
    )["conversation_flow_id"]
    await call("update_conversation_flow", conversation_flow_id=flow, start_speaker="user")
    await call("get_conversation_flow", conversation_flow_id=flow)
    await call("list_conversation_flows")

    placed = (await call("create_phone_call", from_number=number, to_number=PEOPLE, override_agent_id=agent))["call_id"]
    await call("get_call", call_id=placed)
    await call("create_batch_call", from_number=number, tasks=[{"to_number": PEOPLE}])
    await call("create_web_call", agent_id=agent)
    await call("list_calls", limit=2, include_total=True)
    await call("failed_calls")
    await call("cost_by_agent")
    await call("find_in_transcripts", text="appointment")
    await call("describe_schema", path="create_agent.response_engine")

    bought = (await call("create_phone_number", area_code=415))["phone_number"]
    await call("get_phone_number", phone_number=bought)
    await call("update_phone_number", phone_number=bought, nickname="Reception")
    await call("import_phone_number", phone_number="+14155550199", termination_uri="trunk.example.com", sip_trunk_auth_password="hunter22")

    base = (await call("create_knowledge_base", knowledge_base_name="Hours", knowledge_base_texts=[{"title": "Hours", "text": "9 to 5"}]))[
        "knowledge_base_id"
    ]
    await call("list_knowledge_bases")
    await call("add_knowledge_base_sources", knowledge_base_id=base, knowledge_base_texts=[{"title": "Sunday", "text": "closed"}])
    for _ in range(_PATIENCE):
        if sources := (await call("get_knowledge_base", knowledge_base_id=base)).get("knowledge_base_sources"):
            break
        await pause()
    else:
        raise AssertionError("the knowledge base is not read")
    await call("delete_knowledge_base_source", knowledge_base_id=base, source_id=sources[0]["source_id"])
    await call("delete_knowledge_base", knowledge_base_id=base)
    await call("delete_phone_number", phone_number=bought)

    for _ in range(_PATIENCE):
        if (await call("wait_for_call", call_id=placed, until="analyzed", seconds=0.3))["done"]:
            break
        await pause()
    else:
        raise AssertionError("the call is not analysed")
    await call("update_call", call_id=placed, metadata={"seen": "yes"})
    await call("delete_call", call_id=placed)
    await call("delete_agent", agent_id=agent)
    await call("delete_llm", llm_id=llm)
    await call("delete_conversation_flow", conversation_flow_id=flow)
    return answers
