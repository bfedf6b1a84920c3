"""Agents, LLMs and flows, as scripts set them up."""

from __future__ import annotations

import json
import os
from typing import Any

from retell import Retell
from retell.types import AgentResponse, ConversationFlowResponse, LlmResponse, agent_create_params
from retell.types.llm_create_params import GeneralToolEndCallTool, LlmCreateParams

client = Retell(api_key=os.environ["RETELL_API_KEY"])


def program_set_up_an_agent() -> None:
    llm = client.llm.create(
        model="gpt-4.1",
        general_prompt="You confirm appointments.",
        begin_message="Hi, this is the practice.",
        general_tools=[
            {"type": "end_call", "name": "end_call", "description": "When all is said."},
            {
                "type": "custom",
                "name": "find_slot",
                "url": "https://example.com/slots",
                "description": "Finds a free slot.",
                "speak_during_execution": True,
                "speak_after_execution": True,
                "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
            },
        ],
        states=[
            {"name": "greet", "state_prompt": "Greet.", "edges": [{"destination_state_name": "book", "description": "wants one"}]},
            {"name": "book"},
        ],
        starting_state="greet",
        model_temperature=0.2,
    )
    assert isinstance(llm, LlmResponse)
    assert llm.general_tools is not None
    assert [tool.name for tool in llm.general_tools] == ["end_call", "find_slot"]
    assert llm.api_model_temperature == 0.2
    agent = client.agent.create(
        response_engine={"type": "retell-llm", "llm_id": llm.llm_id},
        voice_id="retell-Cimo",
        agent_name="Appointments",
        language="en-US",
        webhook_url="https://example.com/hook",
        boosted_keywords=["Retell", "dentist"],
        post_call_analysis_data=[
            {"type": "string", "name": "day", "description": "The day.", "examples": ["Monday"]},
            {"type": "enum", "name": "mood", "description": "The mood.", "choices": ["good", "bad"]},
        ],
        pronunciation_dictionary=[{"word": "actually", "alphabet": "ipa", "phoneme": "ˈæktʃuəli"}],
        voicemail_option={"action": {"type": "static_text", "text": "Call us back."}},
    )
    assert isinstance(agent, AgentResponse)
    assert agent.response_engine.type == "retell-llm"
    assert agent.response_engine.to_dict()["llm_id"] == llm.llm_id
    print(agent.agent_id, agent.voice_id)


def program_typed_params_built_elsewhere() -> None:
    tool = GeneralToolEndCallTool(type="end_call", name="end_call", description="Ends it.")
    given: LlmCreateParams = {"general_prompt": "Be brief.", "general_tools": [tool], "model": "gpt-4.1"}
    llm = client.llm.create(**given)
    engine: agent_create_params.ResponseEngineResponseEngineRetellLm = {"type": "retell-llm", "llm_id": llm.llm_id}
    wanted: dict[str, Any] = {"agent_name": "From a file", "voice_speed": 1.1, "interruption_sensitivity": 0.8}
    settings = json.loads(json.dumps(wanted))
    agent = client.agent.create(response_engine=engine, voice_id="retell-Cimo", **settings)
    assert agent.voice_speed == 1.1
    listed = client.agent.list()
    assert agent.agent_id in {each.agent_id for each in listed.items}


def program_change_publish_and_look_back() -> None:
    llm = client.llm.create(general_prompt="First.")
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
    before = agent.version
    updated = client.agent.update(agent_id=agent.agent_id, agent_name="Renamed", voice_temperature=0.5)
    assert updated.agent_name == "Renamed"
    assert client.llm.update(llm.llm_id, general_prompt="Second.").general_prompt == "Second."
    assert client.agent.publish(agent.agent_id, version=before or 0) is None
    assert client.agent.retrieve(agent.agent_id, version=before or 0).is_published
    versions = client.agent.list_versions(agent.agent_id)
    assert len(versions.items) >= 1
    exported = [{"id": item.agent_id, "name": item.agent_name} for item in client.agent.list(limit=50).items]
    assert {"id": agent.agent_id, "name": "Renamed"} in exported
    assert client.agent.delete(agent.agent_id) is None


def program_a_conversation_flow() -> None:
    flow = client.conversation_flow.create(
        start_speaker="agent",
        model_choice={"type": "cascading", "model": "gpt-4.1"},
        global_prompt="Be friendly.",
        start_node_id="start",
        nodes=[
            {
                "id": "start",
                "type": "conversation",
                "instruction": {"type": "prompt", "text": "Ask what they want."},
                "edges": [
                    {"id": "e1", "destination_node_id": "end", "transition_condition": {"type": "prompt", "prompt": "They are done."}},
                ],
            },
            {"id": "end", "type": "end", "instruction": {"type": "static_text", "text": "Bye."}},
        ],
        tools=[],
    )
    assert isinstance(flow, ConversationFlowResponse)
    assert flow.nodes is not None
    print([node.__dict__["id"] for node in flow.nodes])
    for node in flow.nodes:
        if node.type == "conversation":
            assert node.model_dump()["edges"][0]["destination_node_id"] == "end"
    again = client.conversation_flow.retrieve(flow.conversation_flow_id)
    assert again.to_dict()["nodes"] == flow.to_dict()["nodes"]
    agent = client.agent.create(
        response_engine={"type": "conversation-flow", "conversation_flow_id": flow.conversation_flow_id}, voice_id="retell-Cimo"
    )
    assert agent.response_engine.type == "conversation-flow"
    client.agent.delete(agent.agent_id)
    client.conversation_flow.delete(flow.conversation_flow_id)


def program_voices() -> None:
    voices = client.voice.list()
    assert voices
    assert isinstance(voices, list)
    english = [voice for voice in voices if voice.provider]
    by_name = {voice.voice_name: voice.voice_id for voice in english}
    first = voices[0]
    assert client.voice.retrieve(first.voice_id).voice_id == first.voice_id
    assert by_name[first.voice_name] == first.voice_id
    assert len(voices[:10]) <= 10
