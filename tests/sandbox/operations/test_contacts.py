"""Contacts, the settings for them, the CRM, apps."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async.sandbox import Settings

from ..checked import Api, Json

TAG = {"id": "0123456789abcdef" * 2, "label": "VIP"}
ADA = "+12015550100"


@pytest.fixture
def api() -> Api:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    fields = [{"name": "plan", "type": "enum", "options": ["free", "paid"]}, {"name": "age", "type": "number"}]
    api.post("/update-crm-config", {"contact_tags": [TAG], "custom_fields": fields})
    return api


def contact(api: Api, number: str = ADA, **fields: object) -> str:
    return str(api.post("/create-contact", {"phone_number": number, **fields})["contact_id"])


def found(api: Api, **asked: object) -> list[str]:
    return [item["phone_number"] for item in api.post("/list-contacts", asked)["items"]]


def test_a_contact_from_creation_to_deletion(api: Api) -> None:
    given: Json = {"first_name": "Ada", "custom_fields": {"plan": "free", "age": 3}, "contact_tag_ids": [TAG["id"]]}
    made = api.post("/create-contact", {"phone_number": "(201) 555-0100", **given})
    assert (made["phone_number"], made["contact_tags"], made["do_not_call"]) == (ADA, [TAG], False)
    assert api.refusal("POST", "/create-contact", {"phone_number": ADA})[0] == 400
    path = f"/get-contact/{made['contact_id']}"
    assert api.get(path) == made == api.get("/get-contact-by-phone/201-555-0100")
    changed = api.patch(f"/update-contact/{made['contact_id']}", {"contact_memory": "Likes mornings.", "custom_fields": {"age": None}})
    assert (changed["custom_fields"], changed["contact_memory"], changed["first_name"]) == ({"plan": "free"}, "Likes mornings.", "Ada")
    assert "contact_memory" not in api.patch(f"/update-contact/{made['contact_id']}", {"contact_memory": None})
    api.delete(f"/delete-contact/{made['contact_id']}")
    assert api.refusal("GET", path)[0] == 404
    assert api.refusal("GET", "/get-contact-by-phone/%2B12015550100")[0] == 404
    contact(api)


@pytest.mark.parametrize(
    "body",
    [
        {"phone_number": "nobody"},
        {"custom_fields": {"other": 1}},
        {"custom_fields": {"plan": "gold"}},
        {"custom_fields": {"age": True}},
        {"contact_tag_ids": ["f" * 32]},
    ],
)
def test_contacts_that_cannot_be(api: Api, body: Json) -> None:
    assert api.refusal("POST", "/create-contact", {"phone_number": ADA} | body)[0] == 400


def test_contacts_are_found_by_what_is_known_of_them(api: Api) -> None:
    contact(api, custom_fields={"plan": "free"}, contact_tag_ids=[TAG["id"]])
    contact(api, "+12015550101", first_name="Grace", do_not_call=True)
    contact(api, "+12015550102", custom_fields={"plan": "paid"}, last_name="graceful")
    filters: list[tuple[Json, int]] = [
        ({"contact_tag_ids": {"type": "enum", "op": "in", "value": [TAG["id"]]}}, 1),
        ({"custom_fields": [{"key": "plan", "type": "present", "op": "pr"}]}, 2),
        ({"do_not_call": {"type": "boolean", "op": "eq", "value": True}}, 1),
        ({"external_id": {"type": "present", "op": "np"}}, 3),
        ({"phone_number": {"type": "string", "op": "ew", "value": "0101"}}, 1),
    ]
    for criteria, count in filters:
        assert len(found(api, filter_criteria=criteria)) == count
    assert found(api, search_query="GRACE") == ["+12015550102", "+12015550101"]
    first = api.post("/list-contacts", {"limit": 1, "skip": 1, "sort_order": "asc"})
    assert (first["total"], first["items"][0]["phone_number"]) == (3, "+12015550101")
    assert found(api, pagination_key=first["pagination_key"], sort_order="asc") == ["+12015550102"]
    excluded = api.post("/list-contacts", {"excluded_contact_ids": [first["items"][0]["contact_id"]]})
    assert excluded["total"] == 2


def test_do_not_call_is_honoured_where_it_is_asked_for(api: Api) -> None:
    number, id = api.number(), contact(api, do_not_call=True)
    body = {"from_number": number, "to_number": ADA}
    assert api.refusal("POST", "/v2/create-phone-call", body | {"honor_internal_dnc": True})[0] == 400
    api.post("/v2/create-phone-call", body)
    api.patch(f"/update-contact/{id}", {"do_not_call": False})
    api.post("/v2/create-phone-call", body | {"honor_internal_dnc": True})


def test_who_asks_not_to_be_called_is_not_to_be_called() -> None:
    api = Api(Settings(outcomes={"user_requested_dnc": 1}))
    id = contact(api)
    api.call(api.number())
    assert api.get(f"/get-contact/{id}")["do_not_call"] is False
    api.clock.advance(600)
    assert api.get(f"/get-contact/{id}")["do_not_call"] is True
    assert api.patch(f"/update-contact/{id}", {"do_not_call": False})["do_not_call"] is False


def test_conversations_are_found_by_the_number(api: Api) -> None:
    id, number = contact(api, first_name="Ada"), api.number()
    call = api.call(number)
    engine = {"type": "retell-llm", "llm_id": api.llm()}
    agent_id = api.post("/create-chat-agent", {"response_engine": engine})["agent_id"]
    api.clock.advance(600)
    chat = api.post("/create-sms-chat", {"from_number": number, "to_number": ADA, "override_agent_id": agent_id})
    api.call(number, "+12015550199")
    path = f"/list-contact-conversations/{id}"
    items = api.get(path)["items"]
    assert [item["type"] for item in items] == ["chat", "call"]
    assert (items[0]["chat_id"], items[1]["call_id"], items[1]["sentiment"]) == (chat["chat_id"], call["call_id"], items[1]["sentiment"])
    first = api.get(path, limit=1)
    assert [item["type"] for item in api.get(path, pagination_key=first["pagination_key"])["items"]] == ["call"]
    assert api.get(f"/get-contact/{id}")["conversation_count"] == 2


def test_what_is_known_of_a_contact_fills_in_what_the_agent_says(api: Api) -> None:
    contact(api, first_name="Ada", custom_fields={"plan": "paid"})
    llm_id = api.llm(begin_message="Hello {{first_name}}, your plan is {{plan}}.")
    agent_id = api.post("/create-agent", {"voice_id": "v", "response_engine": {"type": "retell-llm", "llm_id": llm_id}})["agent_id"]
    ids = [
        api.call(api.number(), override_agent_id=agent_id, retell_llm_dynamic_variables=variables)["call_id"]
        for variables in ({}, {"plan": "free"})
    ]
    api.clock.advance(900)
    said = [api.get(f"/v2/get-call/{id}")["transcript"].splitlines()[0] for id in ids]
    assert said == ["Agent: Hello Ada, your plan is paid.", "Agent: Hello Ada, your plan is free."]


def test_a_file_of_contacts_is_imported_line_by_line(api: Api) -> None:
    contact(api, last_name="Lovelace")
    rows = "Phone,Name,Plan,Tag\r\n+1 201 555 0100,Ada,free,x\r\n2015550101,Grace,gold,x\r\n,Nobody,free,x\r\n2015550102,Edith,paid,x\r\n"
    status, uploaded = api.form("/upload-contact-import-file", {}, [("file", ("people.csv", rows.encode(), "text/csv"))])
    assert (status, uploaded["file_name"]) == (201, "people.csv")
    names = {"phone_number": "Phone", "first_name": "Name", "plan": "Plan"}
    mapping = [{"field_name": field, "external_field_name": column} for field, column in names.items()]
    body = {"upload_id": uploaded["upload_id"], "column_mapping": mapping, "contact_tags": [" new ", "new", "VIP"]}
    assert api.get("/get-contact-import") == {"status": "idle"}
    assert api.ask("POST", "/create-contact-import", body)[1]["status"] == "queued"
    assert api.refusal("POST", "/create-contact-import", body)[0] == 400
    api.clock.advance(1.1)
    running = api.get("/get-contact-import")
    assert (running["status"], running["succeeded"] + running["failed"]) == ("running", 2)
    api.clock.advance(5)
    done = api.get("/get-contact-import")
    assert (done["status"], done["succeeded"], done["failed"]) == ("idle", 2, 2)
    ada = api.get("/get-contact-by-phone/%2B12015550100")
    assert (ada["first_name"], ada["last_name"], [tag["label"] for tag in ada["contact_tags"]]) == ("Ada", "Lovelace", ["VIP", "new"])
    assert len(found(api)) == 2


@pytest.mark.parametrize("mapping", [[], [("first_name", "a")], [("phone_number", "a"), ("phone_number", "b")]])
def test_an_import_needs_the_column_of_the_number_once(api: Api, mapping: list[tuple[str, str]]) -> None:
    uploaded = api.form("/upload-contact-import-file", {}, [("file", ("people.csv", b"a,b\n1,2\n", "text/csv"))])[1]
    columns = [{"field_name": field, "external_field_name": column} for field, column in mapping]
    body = {"upload_id": uploaded["upload_id"], "column_mapping": columns}
    assert api.refusal("POST", "/create-contact-import", body)[0] == 400
    assert api.refusal("POST", "/create-contact-import", body | {"upload_id": "upload_0"})[0] == 400


def test_findings_of_past_calls_fill_fields(api: Api) -> None:
    id = contact(api)
    mapping = {"analysis_data_name": "years", "field_name": "age", "update_mode": "fill_if_empty"}
    api.post("/update-crm-config", {"crm_analysis_data_mappings": [mapping]})
    asked: list[Any] = [{"type": "number", "name": "years", "description": "d"}]
    call = api.call(api.number(), agent_override={"agent": {"post_call_analysis_data": asked}})
    api.clock.advance(600)
    years = api.get(f"/v2/get-call/{call['call_id']}")["call_analysis"]["custom_analysis_data"]["years"]
    body = {"backfill_attributes": ["age", "contact_memory"]}
    assert api.ask("POST", "/backfill-contact-analysis-data", body)[0] == 201
    assert api.refusal("POST", "/backfill-contact-analysis-data", body)[0] == 400
    api.clock.advance(5)
    assert api.get("/get-backfill-contact-job-status")["succeeded"] == 1
    fill_variables = api.get(f"/get-contact/{id}")
    assert (fill_variables["custom_fields"]["age"], bool(fill_variables["contact_memory"])) == (years, True)
    assert api.refusal("POST", "/backfill-contact-analysis-data", {"backfill_attributes": ["plan"]})[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {"custom_fields": [{"name": "Big", "type": "string"}]},
        {"custom_fields": [{"name": "contact_x", "type": "string"}]},
        {"custom_fields": [{"name": "a", "type": "enum"}]},
        {"custom_fields": [{"name": "a", "type": "string"}] * 2},
        {"contact_tags": [TAG, TAG | {"label": "Other"}]},
        {"crm_analysis_data_mappings": [{"analysis_data_name": "a", "field_name": "none", "update_mode": "merge"}]},
    ],
)
def test_settings_that_cannot_be(api: Api, body: Json) -> None:
    assert api.refusal("POST", "/update-crm-config", body)[0] == 400


def test_a_crm_is_linked_and_synced(api: Api) -> None:
    id = contact(api)
    assert api.refusal("GET", "/get-crm-schema")[0] == 404
    assert api.refusal("POST", "/run-sync-job")[0] == 400
    app = api.post("/create-app", {"type": "crm", "provider": "hubspot", "auth_config": {"type": "api_key", "api_key": "hidden"}})
    other = api.post("/create-app", {"type": "calendar", "provider": "cal"})
    assert api.refusal("POST", "/update-crm-config", {"app_id": other["app_id"]})[0] == 400
    assert api.refusal("POST", "/update-crm-config", {"app_id": "app_none"})[0] == 404
    assert api.post("/update-crm-config", {"app_id": app["app_id"]})["contact_tags"] == [TAG]
    assert api.get("/get-crm-schema")["provider"] == "hubspot"
    assert api.refusal("GET", "/get-crm-schema", app_id=other["app_id"])[0] == 400
    assert api.get("/get-sync-job-status") == {"status": "idle"}
    assert api.ask("POST", "/run-sync-job")[0] == 201
    api.clock.advance(5)
    assert api.get("/get-sync-job-status")["succeeded"] == 1
    assert api.get(f"/get-contact/{id}")["external_id"].startswith("record_")
    assert api.get("/get-crm-config")["last_sync_timestamp"] < api.clock.now()
    api.delete(f"/delete-app/{app['app_id']}")
    assert "app_id" not in api.get("/get-crm-config")


def test_an_app_keeps_its_secrets_and_knows_who_uses_it(api: Api) -> None:
    sign_in = {"type": "basic", "username": "me", "password": "hidden"}
    app = api.post("/create-app", {"type": "support", "provider": "zendesk", "name": "Desk", "auth_config": sign_in})
    assert (app["auth_config"], app["connection_status"]) == ({"type": "basic", "username": "me"}, "connected")
    assert "hidden" not in str(api.get("/list-apps"))
    assert api.get("/list-apps", privacy_scope="pci")["items"] == []
    id = app["app_id"]
    changed = api.patch(
        f"/update-app/{id}", {"name": "Help", "auth_config": {"type": "oauth2", "client_id": "c", "client_secret": "hidden"}}
    )
    assert (changed["name"], changed["auth_config"]) == ("Help", {"type": "oauth2", "client_id": "c"})
    assert api.post(f"/test-app-auth/{id}") == {"success": True}
    tool = {"type": "integration_app", "name": "t", "app_id": id, "app_tool_template_name": "open_ticket", "provider": "zendesk"}
    engine = {"type": "retell-llm", "llm_id": api.llm(general_tools=[tool])}
    agent_id = api.post("/create-agent", {"voice_id": "v", "response_engine": engine, "agent_name": "Desk"})["agent_id"]
    usages = api.get(f"/list-app-usages/{id}")["items"]
    assert [(usage["agent_id"], usage["agent_versions"]) for usage in usages] == [(agent_id, [0])]
    assert api.refusal("DELETE", f"/delete-app/{id}")[0] == 400
    asked = api.post(f"/get-app-tool-schema/{id}", {"app_tool_template_name": "open_ticket"})
    assert not asked["complete"]
    api.delete(f"/delete-app/{id}", force_delete="true")
    assert api.refusal("GET", f"/get-app/{id}")[0] == 404


def test_there_are_at_most_twenty_apps_of_a_provider(api: Api) -> None:
    for _ in range(20):
        api.post("/create-app", {"type": "calendar", "provider": "cal"})
    assert api.refusal("POST", "/create-app", {"type": "calendar", "provider": "cal"})[0] == 400
    api.post("/create-app", {"type": "calendar", "provider": "google"})
