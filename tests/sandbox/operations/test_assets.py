"""LLMs, agents, phone numbers, voices: created, read, listed, changed and deleted."""

from __future__ import annotations

import pytest

from ...needed import path_of
from ..checked import Api, Json


@pytest.fixture
def api() -> Api:
    return Api()


def test_an_llm_from_creation_to_deletion(api: Api) -> None:
    made = api.post("/create-retell-llm", {"general_prompt": "Be kind.", "begin_message": None, "model_temperature": 0.2})
    assert (made["version"], made["is_published"], made["begin_message"]) == (0, False, None)
    path = f"/get-retell-llm/{made['llm_id']}"
    assert api.get(path) == made == api.get(path, version=0)

    api.clock.advance(5)
    changed = api.patch(f"/update-retell-llm/{made['llm_id']}", {"general_prompt": None, "llm_id": "llm_other", "is_transfer_llm": True})
    assert changed == made | {"general_prompt": None, "last_modification_timestamp": made["last_modification_timestamp"] + 5_000}
    assert api.get(path) == changed

    api.delete(f"/delete-retell-llm/{made['llm_id']}")
    assert api.refusal("GET", path) == (422, "llm_id was not found")


def test_an_llm_in_use_is_not_deleted_unless_forced(api: Api) -> None:
    agent = api.get(f"/get-agent/{api.agent()}")
    path = f"/delete-retell-llm/{agent['response_engine']['llm_id']}"
    assert api.refusal("DELETE", path)[0] == 400
    assert api.refusal("DELETE", path, force_delete="perhaps")[0] == 400
    api.delete(path, force_delete="true")


def test_states_need_a_starting_state(api: Api) -> None:
    states = [{"name": "ask", "state_prompt": "Ask."}]
    assert api.refusal("POST", "/create-retell-llm", {"states": states}) == (400, "body.starting_state is needed with states")
    api.post("/create-retell-llm", {"states": states, "starting_state": "ask"})


def test_an_agent_from_creation_to_deletion(api: Api) -> None:
    engine = {"type": "retell-llm", "llm_id": api.llm()}
    made = api.post("/create-agent", {"voice_id": "retell-Cimo", "response_engine": engine, "agent_name": "Front desk"})
    path = f"/get-agent/{made['agent_id']}"
    for reference in ("latest", "latest_published", "a-tag", "0"):
        assert api.get(path, version=reference) == made
    assert api.refusal("GET", path, version=1) == (422, "the agent has no such version")

    changed = api.patch(f"/update-agent/{made['agent_id']}", {"agent_name": "Back office", "version": 9}, version="latest")
    assert (changed["agent_name"], changed["version"]) == ("Back office", 0)
    api.delete(f"/delete-agent/{made['agent_id']}")
    assert api.refusal("GET", path)[0] == 422


@pytest.mark.parametrize(
    ("engine", "status"),
    [
        ({"type": "retell-llm", "llm_id": "llm_none"}, 422),
        ({"type": "conversation-flow", "conversation_flow_id": "flow_none"}, 422),
        ({"type": "retell-llm"}, 400),
        ({"type": "other", "llm_id": "llm_none"}, 400),
        ({"type": "custom-llm", "llm_websocket_url": "wss://example.com"}, 201),
    ],
)
def test_an_agent_needs_an_engine_that_exists(api: Api, engine: Json, status: int) -> None:
    assert api.ask("POST", "/create-agent", {"voice_id": "retell-Cimo", "response_engine": engine})[0] == status


def test_agents_are_listed_as_summaries_and_found_by_name(api: Api) -> None:
    ids = [api.agent(agent_name=name) for name in ("Alpha", "Beta", "alphabet")]
    api.agent()
    assert [item["agent_name"] for item in api.post("/v2/list-agents")["items"]] == ["", "alphabet", "Beta", "Alpha"]
    found = api.post("/v2/list-agents", {"filter_criteria": {"query": "ALPHA"}}, sort_order="ascending")
    assert [item["agent_id"] for item in found["items"]] == [ids[0], ids[2]]
    assert api.post("/v2/list-agents", {"filter_criteria": {"query": ids[1][6:]}})["items"][0]["agent_id"] == ids[1]
    chat = {"filter_criteria": {"channel": {"type": "string", "op": "eq", "value": "chat"}}}
    assert api.post("/v2/list-agents", chat)["items"] == []


def test_pages_go_on_where_the_last_one_ended_whatever_comes_and_goes(api: Api) -> None:
    ids = [api.llm() for _ in range(7)]
    first = api.get("/v2/list-retell-llms", limit=3)
    assert [item["llm_id"] for item in first["items"]] == ids[:3:-1]
    api.delete(f"/delete-retell-llm/{ids[4]}")
    api.llm()
    second = api.get("/v2/list-retell-llms", limit=3, pagination_key=first["pagination_key"])
    assert [item["llm_id"] for item in second["items"]] == ids[3:0:-1]
    third = api.get("/v2/list-retell-llms", limit=1, pagination_key=second["pagination_key"])
    assert [item["llm_id"] for item in third["items"]] == ids[:1]
    assert not third["has_more"]
    assert "pagination_key" not in third


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"sort_order": "up"}, {"pagination_key": "no key"}])
def test_lists_refuse_what_they_do_not_understand(api: Api, query: Json) -> None:
    assert api.refusal("GET", "/v2/list-retell-llms", **query)[0] == 400


def test_a_number_from_creation_to_deletion(api: Api) -> None:
    agents = [{"agent_id": api.agent(), "weight": 0.25}, {"agent_id": api.agent(), "weight": 0.75}]
    made = api.post("/create-phone-number", {"area_code": 628, "outbound_agents": agents, "number_provider": "telnyx"})
    assert made["phone_number"] == "+16285550100"
    assert made["phone_number_pretty"] == "+1 (628) 555-0100"
    assert made["phone_number_type"] == "retell-telnyx"
    assert api.post("/create-phone-number", {"area_code": 628})["phone_number"] == "+16285550101"
    path = "/get-phone-number/%2B16285550100"
    assert api.get(path) == made

    sent = {"nickname": "Desk", "termination_uri": "sip.example.com", "auth_password": "secret", "fallback_number": "+16285550101"}
    changed = api.patch("/update-phone-number/%2B16285550100", sent)
    assert changed["sip_outbound_trunk_config"] == {"termination_uri": "sip.example.com"}
    assert "secret" not in str(changed)
    changed = api.patch("/update-phone-number/%2B16285550100", {"auth_username": "me", "phone_number": "+1", "inbound_agents": None})
    assert changed["sip_outbound_trunk_config"] == {"termination_uri": "sip.example.com", "auth_username": "me"}
    assert changed["phone_number"] == "+16285550100"

    assert len(api.get("/v2/list-phone-numbers")["items"]) == 2
    api.delete("/delete-phone-number/%2B16285550100")
    assert api.refusal("GET", path) == (422, "the phone number was not found")


@pytest.mark.parametrize(
    "body",
    [
        {"phone_number": "4155550100"},
        {"area_code": 41},
        {"outbound_agents": [{"agent_id": "agent_none", "weight": 1}]},
        {"outbound_agents": [{"agent_id": "agent_none", "weight": 0}]},
        {"inbound_agents": [{"weight": 1}]},
        {"phone_number": "+14155550111", "fallback_number": "+14155550111"},
        {"country_code": "FR"},
    ],
)
def test_numbers_that_cannot_be_had(api: Api, body: Json) -> None:
    assert api.refusal("POST", "/create-phone-number", body)[0] == 400


def test_weights_must_sum_to_one(api: Api) -> None:
    agent_id = api.agent()
    assert "sum to 1" in api.refusal("POST", "/create-phone-number", {"outbound_agents": [{"agent_id": agent_id, "weight": 0.5}]})[1]


def test_a_number_is_had_once_and_its_fallback_has_none(api: Api) -> None:
    api.post("/create-phone-number", {"phone_number": "+14155550122"})
    assert api.refusal("POST", "/create-phone-number", {"phone_number": "+14155550122"})[0] == 400
    api.post("/create-phone-number", {"phone_number": "+14155550123", "fallback_number": "+14155550122"})
    assert api.refusal("POST", "/create-phone-number", {"fallback_number": "+14155550123"})[0] == 400


def test_voices(api: Api) -> None:
    answer = api.get(path_of("listVoices"))
    voices = answer if isinstance(answer, list) else answer["items"]
    assert len(voices) > 5
    assert all(api.get(f"/get-voice/{voice['voice_id']}") == voice for voice in voices)
    assert api.refusal("GET", "/get-voice/nobody")[0] == 422


def test_updates_of_what_is_not_there(api: Api) -> None:
    for path in ("/update-agent/agent_none", "/update-retell-llm/llm_none", "/update-phone-number/%2B14155550199"):
        assert api.refusal("PATCH", path, {})[0] == 422
    for path in ("/delete-agent/agent_none", "/delete-retell-llm/llm_none", "/delete-phone-number/%2B14155550199"):
        assert api.refusal("DELETE", path)[0] == 422
