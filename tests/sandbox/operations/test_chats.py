"""Chats, over the API and by SMS, and an agent tried out."""

from __future__ import annotations

import pytest

from retell_async.sandbox import Settings

from ...needed import body_of
from ..checked import Api, Json


@pytest.fixture
def api() -> Api:
    return Api(Settings(custom_attributes={"team"}))


def chat_agent(api: Api, begin_message: str | None = None, **fields: object) -> str:
    engine = {"type": "retell-llm", "llm_id": api.llm(begin_message=begin_message)}
    return str(api.post("/create-chat-agent", {"response_engine": engine, **fields})["agent_id"])


def write(api: Api, chat_id: str, content: str) -> list[Json]:
    messages: list[Json] = api.post("/create-chat-completion", {"chat_id": chat_id, "content": content})["messages"]
    return messages


def chats(api: Api, **asked: object) -> list[str]:
    return [item["chat_id"] for item in api.post("/v3/list-chats", asked)["items"]]


def test_a_chat_from_its_first_word_to_its_analysis(api: Api) -> None:
    agent_id = chat_agent(api, "Hello {{name}}!", post_chat_analysis_data=[{"type": "boolean", "name": "happy", "description": "d"}])
    chat = api.post("/create-chat", {"agent_id": agent_id, "retell_llm_dynamic_variables": {"name": "Ada"}, "metadata": {"job": 1}})
    assert (chat["chat_status"], chat["chat_type"], chat["transcript"]) == ("ongoing", "api_chat", "Agent: Hello Ada!\n")
    api.clock.advance(3)
    said = write(api, chat["chat_id"], "Is there a place free?")
    assert [message["role"] for message in said] == ["agent"]
    found = api.get(f"/get-chat/{chat['chat_id']}")
    assert [message["role"] for message in found["message_with_tool_calls"]] == ["agent", "user", "agent"]
    assert len({message["message_id"] for message in found["message_with_tool_calls"]}) == 3
    assert api.refusal("PUT", f"/rerun-chat-analysis/{chat['chat_id']}")[0] == 422

    ended = write(api, chat["chat_id"], "That is all, goodbye")
    assert [message["role"] for message in ended] == ["agent", "tool_call_invocation", "tool_call_result"]
    assert api.refusal("POST", "/create-chat-completion", {"chat_id": chat["chat_id"], "content": "Hello?"})[0] == 400
    assert api.refusal("PATCH", f"/end-chat/{chat['chat_id']}")[0] == 422
    found = api.get(f"/get-chat/{chat['chat_id']}")
    assert (found["chat_status"], found["end_timestamp"], "chat_analysis" in found) == ("ended", api.clock.now(), False)
    api.clock.advance(10)
    found = api.get(f"/get-chat/{chat['chat_id']}")
    assert isinstance(found["chat_analysis"]["custom_analysis_data"]["happy"], bool)
    assert api.ask("PUT", f"/rerun-chat-analysis/{chat['chat_id']}") == (201, found)
    listed = api.post("/v3/list-chats", {"include_total": True})
    assert (listed["total"], listed["items"][0]["metadata"]) == (1, {"job": 1})
    assert "message_with_tool_calls" not in listed["items"][0]
    api.delete(f"/delete-chat/{chat['chat_id']}")
    assert api.refusal("GET", f"/get-chat/{chat['chat_id']}")[0] == 422


def test_a_chat_ends_when_nobody_writes(api: Api) -> None:
    chat_id = api.post("/create-chat", {"agent_id": chat_agent(api, end_chat_after_silence_ms=600_000)})["chat_id"]
    api.clock.advance(500)
    write(api, chat_id, "Still here")
    api.clock.advance(599)
    assert api.get(f"/get-chat/{chat_id}")["chat_status"] == "ongoing"
    api.clock.advance(1)
    assert api.get(f"/get-chat/{chat_id}")["chat_status"] == "ended"
    silent = {"disconnection_reason": {"type": "enum", "op": "in", "value": ["inactivity"]}}
    assert chats(api, filter_criteria=silent) == [chat_id]


def test_what_is_kept_of_a_chat_can_be_changed(api: Api) -> None:
    chat_id = api.post("/create-chat", {"agent_id": chat_agent(api, "Hello")})["chat_id"]
    path = f"/update-chat/{chat_id}"
    changed = api.patch(path, {"metadata": {"a": 1}, "custom_attributes": {"team": "red", "unknown": 1}})
    assert (changed["metadata"], changed["custom_attributes"]) == ({"a": 1}, {"team": "red"})
    of_team = {"custom_attributes": [{"key": "team", "type": "string", "op": "eq", "value": "red"}]}
    assert chats(api, filter_criteria=of_team) == [chat_id]
    api.patch(path, {"data_storage_setting": "basic_attributes_only"})
    assert api.refusal("PATCH", path, {"data_storage_setting": "everything"})[0] == 400
    assert api.refusal("PATCH", path, {"metadata": {"a": "x" * 50_000}})[0] == 400
    assert api.refusal("PATCH", path, {"other": 1})[0] == 400
    assert "transcript" in api.get(f"/get-chat/{chat_id}")
    api.post("/create-chat-completion", {"chat_id": chat_id, "content": "bye"})
    assert "transcript" not in api.get(f"/get-chat/{chat_id}")


def test_sms_chats(api: Api) -> None:
    agents = [{"agent_id": chat_agent(api), "weight": 1}]
    number = api.number()
    body = body_of("createSmsChat", from_number=number, to_number="+12015550100")
    assert api.refusal("POST", "/create-sms-chat", body)[0] == 400
    api.patch(f"/update-phone-number/%2B{number[1:]}", {"outbound_sms_agents": agents})
    made = [api.post("/create-sms-chat", body | {"to_number": f"+1201555{line:04}"}) for line in range(100, 110)]
    assert {len(chat["message_with_tool_calls"]) for chat in made} == {1}
    api.clock.advance(900)
    later = [api.get(f"/get-chat/{chat['chat_id']}") for chat in made]
    assert {message["role"] for chat in later for message in chat["message_with_tool_calls"]} == {"agent", "user"}
    user = {"user_number": {"type": "string", "op": "eq", "value": "+12015550103"}}
    assert chats(api, filter_criteria=user) == [made[3]["chat_id"]]
    assert api.refusal("POST", "/create-sms-chat", body | {"to_number": "12"})[0] == 400
    assert api.refusal("POST", "/create-sms-chat", body | {"from_number": "+14155550199"})[0] == 422
    api.post("/create-contact", {"phone_number": "+12015550100", "do_not_call": True})
    assert api.refusal("POST", "/create-sms-chat", body | {"honor_internal_dnc": True})[0] == 400
    api.post("/create-sms-chat", body)


def test_lists_page_and_sort(api: Api) -> None:
    agent_id = chat_agent(api)
    made = [api.post("/create-chat", {"agent_id": agent_id})["chat_id"] for _ in range(5)]
    first = api.post("/v3/list-chats", {"limit": 2, "sort_order": "ascending", "skip": 1})
    assert [item["chat_id"] for item in first["items"]] == made[1:3]
    assert chats(api, limit=9, sort_order="ascending", pagination_key=first["pagination_key"]) == made[3:]
    assert api.refusal("POST", "/v3/list-chats", {"skip": 1, "pagination_key": first["pagination_key"]})[0] == 400


def test_the_playground_goes_on_with_what_it_is_given(api: Api) -> None:
    states = [{"name": "ask", "state_prompt": "Ask."}]
    llm_id = api.llm(states=states, starting_state="ask", default_dynamic_variables={"a": "1"})
    agent_id = api.post("/create-agent", {"voice_id": "v", "response_engine": {"type": "retell-llm", "llm_id": llm_id}})["agent_id"]
    path = f"/agent-playground-completion/{agent_id}"
    answer = api.post(path, {"messages": [{"role": "user", "content": "Hello"}], "dynamic_variables": {"b": "2"}})
    assert (answer["call_ended"], answer["current_state"], answer["dynamic_variables"]) == (False, "ask", {"a": "1", "b": "2"})
    assert api.post(path, {"messages": [{"role": "user", "content": "Bye"}]})["call_ended"] is True
    engine = {"type": "custom-llm", "llm_websocket_url": "wss://example.com"}
    custom = api.post("/create-agent", {"voice_id": "v", "response_engine": engine})["agent_id"]
    assert api.refusal("POST", f"/agent-playground-completion/{custom}", {"messages": []})[0] == 400
