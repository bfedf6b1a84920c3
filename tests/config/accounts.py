"""Accounts with everything that an account can hold."""

from __future__ import annotations

from typing import Any

from retell_async import AsyncRetell
from retell_async.config import document
from retell_async.config.kinds import mapped
from retell_async.testing import LocalRetell

from ..sandbox.samples import whole

Json = dict[str, Any]
KEY = "sk-0123456789abcdefghij0123456789"
"""Looks like a key, and is in the account only."""


def sample(method: str) -> Json:
    """A body with everything that the document knows for a method."""
    body: Json = whole(document._schema(method))
    return body


def _nodes(body: Json) -> Json:
    nodes = [node | {"id": f"node_{number}"} for number, node in enumerate(body["nodes"])]
    parts = [part | _nodes(part) for part in body.get("components", ())]
    return {"nodes": nodes, "start_node_id": "node_0"} | ({"components": parts} if parts else {})


def _referring(body: Json, **ids: str) -> Json:
    """A body whose references lead to objects that are there."""

    def id_of(field: str, _: str) -> str:
        return ids[field.removesuffix("s") if field.endswith("_ids") else field]

    found: Json = mapped(body, id_of)
    return found


async def fill(local: LocalRetell, *, number: bool = True) -> None:
    """Make one object of each kind with every field and every alternative, which refer to each other in circles, and some plain ones."""
    async with local.client() as client:
        voice = (
            await client.voice.add_resource(provider_voice_id="elevenlabs_public_0", public_user_id="user_0", voice_name="Front desk")
        ).voice_id
        bases = [
            (
                await client.knowledge_base.create(knowledge_base_name=name, knowledge_base_urls=[f"https://{name}.example"])
            ).knowledge_base_id
            for name in ("prices", "hours")
        ]
        ids = {"voice_id": voice, "fallback_voice_id": voice, "knowledge_base_id": bases[0], "component_id": "local"}
        llm = (await client.llm.create(general_prompt="Be brief.", start_speaker="agent")).llm_id
        ids["llm_id"] = llm
        engine = {"type": "retell-llm", "llm_id": llm}
        agent = (await client.agent.create(response_engine=engine, voice_id=voice, agent_name="Whole agent")).agent_id  # type: ignore[arg-type]
        ids["agent_id"] = agent
        component = sample("conversation_flow_component.create") | {"name": "Shared"}
        made = await client.conversation_flow_component.create(**_referring(component | _nodes(component), **ids))
        ids["component_id"] = made.conversation_flow_component_id
        flow = sample("conversation_flow.create")
        flow_id = (await client.conversation_flow.create(**_referring(flow | _nodes(flow), **ids))).conversation_flow_id
        ids["conversation_flow_id"] = flow_id
        await client.llm.update(llm, **_headers(_referring(sample("llm.update"), **ids)))
        await client.agent.update(
            agent, **_referring(sample("agent.update"), **ids) | {"response_engine": engine, "agent_name": "Whole agent"}
        )
        flow_engine = {"type": "conversation-flow", "conversation_flow_id": flow_id}
        chat = _referring(sample("chat_agent.create"), **ids) | {"response_engine": flow_engine, "agent_name": "Whole chat"}
        chat_id = (await client.chat_agent.create(**chat)).agent_id
        await plain(client, bases[1])
        for one in (engine, flow_engine):
            case = _referring(sample("tests.create_test_case_definition"), **ids) | {
                "response_engine": one,
                "name": f"Case of {one['type']}",
            }
            await client.tests.create_test_case_definition(**case)
        if number:
            weights = [{"agent_id": agent, "weight": 0.25, "agent_version": "latest"}, {"agent_id": agent, "weight": 0.75}]
            bought = await client.phone_number.create(area_code=415, inbound_agents=weights, nickname="Main line")  # type: ignore[arg-type]
            await client.phone_number.update(bought.phone_number, inbound_sms_agents=[{"agent_id": chat_id, "weight": 1}])
    await local.advance(10)


async def plain(client: AsyncRetell, base: str) -> None:
    """Agents as people have them: of one name, in a circle, with a custom LLM, with none."""
    made: list[tuple[str, str]] = []
    for name in ("Sales", "Sales", "Support"):
        llm = (
            await client.llm.create(general_prompt=f"You are {name}.\n${{literal}} and $${{{{ that }}}}", knowledge_base_ids=[base])
        ).llm_id
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm}, voice_id="11labs-Adrian", agent_name=name)
        made.append((llm, agent.agent_id))
    for (llm, _), (_, other) in zip(made, [*made[1:], made[0]], strict=True):
        swap = {"type": "agent_swap", "name": "hand_over", "agent_id": other, "post_call_analysis_setting": "both_agents"}
        await client.llm.update(llm, general_tools=[swap])  # type: ignore[list-item]
    await client.agent.create(response_engine={"type": "custom-llm", "llm_websocket_url": "wss://llm.example/ws"}, voice_id="openai-Echo")
    await client.llm.create(general_prompt="Nobody has me.\n" * 40)


def _headers(body: Json) -> Json:
    """With a key where people have keys."""
    for tool in body["general_tools"]:
        if "headers" in tool:
            tool["headers"] = {"Authorization": f"Bearer {KEY}", "X-Team": "north"}
    return body
