"""Versions of agents, what they answer with, and what holds it together."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async.sandbox.operations.agents.agents import tag

from ..checked import Api, Json

NODE = {"id": "start", "type": "end"}


@pytest.fixture
def api() -> Api:
    return Api()


def flow(api: Api, **fields: object) -> str:
    body = {"nodes": [NODE], "start_speaker": "agent", **fields}
    return str(api.post("/create-conversation-flow", body)["conversation_flow_id"])


def test_a_published_version_stays_as_it_is(api: Api) -> None:
    agent_id = api.agent(agent_name="One")
    llm_id = api.get(f"/get-agent/{agent_id}")["response_engine"]["llm_id"]
    assert api.post(f"/publish-agent-version/{agent_id}", {"version": 0, "version_title": "First"}) is None
    assert api.get(f"/get-agent/{agent_id}")["is_published"] is True
    assert api.refusal("PATCH", f"/update-agent/{agent_id}", {"agent_name": "Two"})[0] == 412
    assert api.refusal("PATCH", f"/update-retell-llm/{llm_id}", {"general_prompt": "Be short."})[0] == 412
    assert api.refusal("POST", f"/repair-agent/{agent_id}")[0] == 409

    draft = api.post(f"/create-agent-version/{agent_id}", {"base_version": 0})
    assert (draft["version"], draft["base_version"], draft["is_published"]) == (1, 0, False)
    assert draft["response_engine"] == {"type": "retell-llm", "llm_id": llm_id, "version": 1}
    assert "version_title" not in draft
    assert api.patch(f"/update-agent/{agent_id}", {"agent_name": "Two"})["version"] == 1
    assert api.patch(f"/update-retell-llm/{llm_id}", {"general_prompt": "Be short."})["version"] == 1
    assert "general_prompt" not in api.get(f"/get-retell-llm/{llm_id}", version=0)
    for reference, name in (("latest_published", "One"), ("latest", "Two"), (0, "One")):
        assert api.get(f"/get-agent/{agent_id}", version=reference)["agent_name"] == name

    listed = api.get(f"/list-agent-versions/{agent_id}", limit=1)
    assert (listed["items"][0]["version"], listed["items"][0]["base_version"], listed["has_more"]) == (1, 0, True)
    rest = api.get(f"/list-agent-versions/{agent_id}", pagination_key=listed["pagination_key"])["items"]
    assert [(item["version"], item["is_published"], item["version_title"]) for item in rest] == [(0, True, "First")]


def test_numbers_of_versions_are_never_given_twice(api: Api) -> None:
    agent_id = api.agent()
    api.post(f"/create-agent-version/{agent_id}", {"base_version": 0})
    api.delete(f"/delete-agent-version/{agent_id}", version=1)
    assert api.post(f"/create-agent-version/{agent_id}", {"base_version": 0})["version"] == 2
    api.delete(f"/delete-agent-version/{agent_id}", version=0)
    assert api.refusal("DELETE", f"/delete-agent-version/{agent_id}", version=2)[0] == 400
    assert api.refusal("DELETE", f"/delete-agent-version/{agent_id}", version=9)[0] == 404
    assert api.refusal("DELETE", f"/delete-agent-version/{agent_id}")[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/create-agent-version/agent_none", {"base_version": 0}),
        ("POST", "/publish-agent-version/agent_none", {"version": 0}),
        ("GET", "/list-agent-versions/agent_none", None),
        ("POST", "/create-agent-version/{agent}", {"base_version": 5}),
        ("POST", "/publish-agent-version/{agent}", {"version": 5}),
    ],
)
def test_versions_that_are_not_there(api: Api, method: str, path: str, body: Json | None) -> None:
    assert api.refusal(method, path.format(agent=api.agent()), body)[0] == 404


def test_a_tag_is_followed_and_frozen_into_calls(api: Api) -> None:
    agent_id = api.agent()
    api.post(f"/publish-agent-version/{agent_id}", {"version": 0})
    api.post(f"/create-agent-version/{agent_id}", {"base_version": 0})
    tag(api.sandbox.store, agent_id, "production", 0)
    assert api.get(f"/get-agent/{agent_id}", version="production")["assigned_tags"] == ["production"]
    assert api.get(f"/get-agent/{agent_id}", version="staging")["version"] == 1
    assert api.post("/v2/list-agents")["items"][0]["tags"] == {"production": {"version": 0}}
    number = api.number()
    call = api.call(number, override_agent_id=agent_id, override_agent_version="production")
    assert (call["agent_version"], call["agent_tag"]) == (0, "production")
    assert "agent_tag" not in api.call(number, override_agent_id=agent_id)
    of_tag = {"agent_tag": {"type": "enum", "op": "in", "value": ["production"]}}
    assert [item["call_id"] for item in api.calls(filter_criteria=of_tag)] == [call["call_id"]]
    with pytest.raises(LookupError):
        tag(api.sandbox.store, agent_id, "production", 7)


def test_chat_agents_and_voice_agents_are_apart(api: Api) -> None:
    engine = {"type": "retell-llm", "llm_id": api.llm()}
    chat = api.post("/create-chat-agent", {"response_engine": engine, "agent_name": "Writer"})["agent_id"]
    voice = api.agent(agent_name="Speaker")
    assert api.refusal("GET", f"/get-agent/{chat}")[0] == 422
    assert api.refusal("GET", f"/get-chat-agent/{voice}")[0] == 422
    assert api.refusal("DELETE", f"/delete-chat-agent/{voice}")[0] == 422
    assert [item["channel"] for item in api.post("/v2/list-agents")["items"]] == ["voice", "chat"]
    only: dict[str, Any] = {"filter_criteria": {"channel": {"type": "string", "op": "eq", "value": "chat"}}}
    assert [item["agent_name"] for item in api.post("/v2/list-agents", only)["items"]] == ["Writer"]
    assert api.refusal("POST", "/create-phone-number", {"outbound_agents": [{"agent_id": chat, "weight": 1}]})[0] == 400
    assert api.refusal("POST", "/v3/create-web-call", {"agent_id": chat})[0] == 422
    assert api.refusal("POST", "/create-chat", {"agent_id": voice})[0] == 422


def test_a_deleted_agent_leaves_its_numbers(api: Api) -> None:
    one, two, three = (api.agent() for _ in range(3))
    agents = [{"agent_id": id, "weight": weight} for id, weight in ((one, 0.5), (two, 0.25), (three, 0.25))]
    number = api.post("/create-phone-number", {"outbound_agents": agents, "inbound_agents": [{"agent_id": one, "weight": 1}]})[
        "phone_number"
    ]
    api.delete(f"/delete-agent/{one}")
    left = api.get(f"/get-phone-number/%2B{number[1:]}")
    assert left["outbound_agents"] == [{"agent_id": two, "weight": 0.5}, {"agent_id": three, "weight": 0.5}]
    assert left["inbound_agents"] == []


def test_a_flow_from_creation_to_deletion(api: Api) -> None:
    flow_id = flow(api)
    path = f"/get-conversation-flow/{flow_id}"
    assert api.get(path) == api.get(path, version=0) == api.get("/v2/list-conversation-flows")["items"][0]
    assert api.refusal("GET", path, version=1)[0] == 404
    api.clock.advance(1)
    assert api.patch(f"/update-conversation-flow/{flow_id}", {"global_prompt": "Be kind."})["nodes"] == [NODE]
    engine = {"type": "conversation-flow", "conversation_flow_id": flow_id}
    agent_id = api.post("/create-agent", {"voice_id": "v", "response_engine": engine})["agent_id"]
    assert api.refusal("DELETE", f"/delete-conversation-flow/{flow_id}")[0] == 400
    api.post(f"/publish-agent-version/{agent_id}", {"version": 0})
    assert api.refusal("PATCH", f"/update-conversation-flow/{flow_id}", {})[0] == 412
    assert api.post(f"/create-agent-version/{agent_id}", {"base_version": 0})["response_engine"]["version"] == 1
    api.delete(f"/delete-conversation-flow/{flow_id}", force_delete="true")
    assert api.refusal("GET", path)[0] == 404
    assert api.refusal("PATCH", f"/update-conversation-flow/{flow_id}", {})[0] == 422


@pytest.mark.parametrize("nodes", [[NODE, NODE], [{"id": "end"}], [{"type": "none", "id": "a"}]])
def test_flows_that_cannot_be(api: Api, nodes: list[Json]) -> None:
    assert api.refusal("POST", "/create-conversation-flow", {"nodes": nodes, "start_speaker": "agent"})[0] == 400


def test_a_flow_begins_at_one_of_its_nodes(api: Api) -> None:
    body = {"nodes": [NODE], "start_speaker": "agent", "start_node_id": "elsewhere"}
    assert api.refusal("POST", "/create-conversation-flow", body) == (400, "start_node_id is the id of no node")


def test_a_component_knows_the_flows_that_use_it(api: Api) -> None:
    made = api.post("/create-conversation-flow-component", {"name": "Ask", "nodes": [NODE]})
    id = made["conversation_flow_component_id"]
    assert made["linked_conversation_flow_ids"] == []
    edge = {"id": "e", "transition_condition": {"type": "prompt", "prompt": "Else"}}
    node = {"id": "ask", "type": "component", "component_type": "shared", "component_id": id, "else_edge": edge}
    flow_id = flow(api, nodes=[node])
    path = f"/get-conversation-flow-component/{id}"
    assert api.get(path)["linked_conversation_flow_ids"] == [flow_id]
    changed = api.patch(f"/update-conversation-flow-component/{id}", {"name": "Ask again"})
    assert (changed["name"], changed["linked_conversation_flow_ids"]) == ("Ask again", [flow_id])
    assert api.get("/v2/list-conversation-flow-components")["items"] == [changed]
    api.delete(f"/delete-conversation-flow-component/{id}")
    assert api.refusal("GET", path)[0] == 404
