"""What the sandbox does with operations that it was never told of."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from retell_async.sandbox.openapi.document import Document
from retell_async.sandbox.service import Sandbox

from ...needed import body_of
from ..checked import DOCUMENT, Json

STRING: Json = {"type": "string"}
CAMPAIGN: Json = {
    "type": "object",
    "properties": {
        "campaign_id": STRING,
        "name": STRING,
        "status": {"type": "string", "enum": ["draft", "running"]},
        "created_timestamp": {"type": "integer"},
        "owner_id": STRING,
    },
    "required": ["campaign_id", "name", "status", "owner_id"],
}
PAGE: Json = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": CAMPAIGN}, "has_more": {"type": "boolean"}, "pagination_key": STRING},
    "required": ["items", "has_more"],
}


def operation(id: str, answer: Json | None, *names: str, takes: bool = False) -> Json:
    content = {} if answer is None else {"content": {"application/json": {"schema": answer}}}
    said: Json = {"operationId": id, "responses": {"200": {"description": "", **content}}}
    said["parameters"] = [{"in": "path", "name": name, "required": True, "schema": STRING} for name in names]
    if takes:
        said["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return said


PATHS: Json = {
    "/create-campaign": {"post": operation("createCampaign", CAMPAIGN, takes=True)},
    "/get-campaign/{campaign_id}": {"get": operation("getCampaign", CAMPAIGN, "campaign_id")},
    "/start-campaign/{campaign_id}": {"post": operation("startCampaign", CAMPAIGN, "campaign_id")},
    "/update-campaign/{campaign_id}": {"patch": operation("updateCampaign", CAMPAIGN, "campaign_id", takes=True)},
    "/delete-campaign/{campaign_id}": {"delete": operation("deleteCampaign", None, "campaign_id")},
    "/v2/list-campaigns": {"post": operation("listCampaigns", PAGE, takes=True)},
    "/get-agent-statistics/{agent_id}": {
        "get": operation("getAgentStatistics", {"type": "object", "properties": {"agent_id": STRING}, "required": ["agent_id"]}, "agent_id")
    },
    "/widgets": {
        "get": operation("listWidgets", {"type": "array", "items": CAMPAIGN}),
        "post": operation("makeWidget", CAMPAIGN, takes=True),
    },
    "/widgets/{id}": {"get": operation("getWidget", CAMPAIGN, "id"), "delete": operation("endWidget", None, "id")},
    "/widgets/{id}/start": {"post": operation("startWidget", CAMPAIGN, "id")},
}


@pytest.fixture
def sandbox() -> Sandbox:
    made = Sandbox()
    document = deepcopy(DOCUMENT)
    document["paths"] |= PATHS
    made._document = Document(document)
    return made


def ask(sandbox: Sandbox, method: str, path: str, body: Json | None = None) -> tuple[int, Any]:
    content = b"" if body is None else json.dumps(body).encode()
    answer = sandbox.answer(method, path, authorization="Bearer key", content_type="application/json", content=content)
    return answer.status, answer.body


def test_what_is_created_is_there_until_it_is_deleted(sandbox: Sandbox) -> None:
    status, made = ask(sandbox, "POST", "/create-campaign", {"name": "autumn"})
    assert (status, made["name"], made["status"]) == (200, "autumn", "draft")
    assert made["campaign_id"]
    assert made["owner_id"]
    id = made["campaign_id"]
    assert ask(sandbox, "GET", f"/get-campaign/{id}")[1]["name"] == "autumn"
    assert ask(sandbox, "POST", f"/start-campaign/{id}")[1]["campaign_id"] == id
    assert ask(sandbox, "PATCH", f"/update-campaign/{id}", {"name": "winter"})[1]["name"] == "winter"
    assert ask(sandbox, "DELETE", f"/delete-campaign/{id}") == (200, None)
    assert ask(sandbox, "GET", f"/get-campaign/{id}")[0] == 404


def test_what_the_caller_says_is_kept_but_for_the_id(sandbox: Sandbox) -> None:
    given = {"name": "winter", "status": "running", "created_timestamp": 1_700_000_000_000, "campaign_id": "mine"}
    made = ask(sandbox, "POST", "/create-campaign", given)[1]
    assert {**made, "campaign_id": "mine", "owner_id": ""} == {**given, "owner_id": ""}
    assert made["campaign_id"] != "mine"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/get-campaign/nobodys"),
        ("POST", "/start-campaign/nobodys"),
        ("PATCH", "/update-campaign/nobodys"),
        ("DELETE", "/delete-campaign/nobodys"),
        ("GET", "/get-agent-statistics/nobodys"),
        ("GET", "/widgets/nobodys"),
        ("POST", "/widgets/nobodys/start"),
    ],
)
def test_an_id_that_nobody_created_is_refused(sandbox: Sandbox, method: str, path: str) -> None:
    assert ask(sandbox, method, path, {} if method == "PATCH" else None)[0] == 404


def test_an_id_of_another_operations_thing_is_known(sandbox: Sandbox) -> None:
    engine = ask(sandbox, "POST", "/create-retell-llm", {})[1]
    agent = {"response_engine": {"type": "retell-llm", "llm_id": engine["llm_id"]}, "voice_id": "11labs-Adrian"}
    id = ask(sandbox, "POST", "/create-agent", agent)[1]["agent_id"]
    assert ask(sandbox, "GET", f"/get-agent-statistics/{id}") == (200, {"agent_id": id})


def test_lists_go_on_page_by_page(sandbox: Sandbox) -> None:
    ids = [ask(sandbox, "POST", "/create-campaign", {"name": str(number)})[1]["campaign_id"] for number in range(5)]
    assert len(set(ids)) == 5
    found: list[str] = []
    asked: Json = {"limit": 2}
    while True:
        page = ask(sandbox, "POST", "/v2/list-campaigns", asked)[1]
        found.extend(item["campaign_id"] for item in page["items"])
        if not page["has_more"]:
            break
        asked["pagination_key"] = page["pagination_key"]
    assert sorted(found) == sorted(ids)


def test_a_list_has_what_is_asked_for_in_the_order_that_is_asked_for(sandbox: Sandbox) -> None:
    for name in ("a", "b", "a"):
        ask(sandbox, "POST", "/create-campaign", {"name": name})

    def listed(**asked: Any) -> list[Json]:
        found: list[Json] = ask(sandbox, "POST", "/v2/list-campaigns", asked)[1]["items"]
        return found

    assert [item["name"] for item in listed(name="b")] == ["b"]
    assert len(listed(name="a", status="draft", limit=9)) == 2
    assert listed(status="running") == []
    ids = [item["campaign_id"] for item in listed(sort_order="ascending")]
    assert [item["campaign_id"] for item in listed(sort_order="descending")] == [*reversed(ids)]


def test_what_answers_of_a_known_operation_have_to_have_now_is_there(sandbox: Sandbox) -> None:
    document = deepcopy(DOCUMENT)
    schemas = document["components"]["schemas"]
    answer = document["paths"]["/create-contact"]["post"]["responses"]
    name = next(iter(answer.values()))["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    added: Json = {"properties": {"consent_status": {"type": "string", "enum": ["none", "given"]}}, "required": ["consent_status"]}
    schemas[name] = {"allOf": [schemas[name], {"type": "object", **added}]}
    sandbox._document = Document(document)
    made = ask(sandbox, "POST", "/create-contact", body_of("createContact", phone_number="+14155550100"))[1]
    assert made["consent_status"] == "none"
    (listed,) = ask(sandbox, "POST", "/list-contacts", {})[1]["items"]
    assert listed["consent_status"] == "none"


def test_paths_without_verbs_are_understood_too(sandbox: Sandbox) -> None:
    id = ask(sandbox, "POST", "/widgets", {"name": "one"})[1]["campaign_id"]
    assert [item["campaign_id"] for item in ask(sandbox, "GET", "/widgets")[1]] == [id]
    assert ask(sandbox, "POST", f"/widgets/{id}/start")[1]["name"] == "one"
    assert ask(sandbox, "DELETE", f"/widgets/{id}")[0] == 200
    assert ask(sandbox, "GET", "/widgets")[1] == []
