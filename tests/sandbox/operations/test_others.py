"""Knowledge bases, tests, voices, assets, exports, calls that are going on, and what a newer document brings."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from retell_async.sandbox import Sandbox, Settings, SteppedClock
from retell_async.sandbox.openapi.document import Document
from retell_async.sandbox.operations.account.account import order_export

from ...needed import path_of
from ..checked import DOCUMENT, Api, Json

PDF = ("guide.pdf", b"%PDF", "application/pdf")


@pytest.fixture
def api() -> Api:
    return Api(Settings(outcomes={"user_hangup": 1}, custom_attributes={"team"}))


def test_a_knowledge_base_is_read_before_it_can_be_used(api: Api) -> None:
    fields = {"knowledge_base_name": "Guide", "enable_auto_refresh": "true", "knowledge_base_urls": '["https://example.com"]'}
    texts = '[{"title": "One", "text": "1"}]'
    status, made = api.form("/create-knowledge-base", fields | {"knowledge_base_texts": texts}, [("knowledge_base_files", PDF)])
    assert (status, made["status"], made["enable_auto_refresh"]) == (201, "in_progress", True)
    assert "knowledge_base_sources" not in made
    id = made["knowledge_base_id"]
    api.clock.advance(10)
    ready = api.get(f"/get-knowledge-base/{id}")
    assert ready["status"] == "complete"
    assert [source["type"] for source in ready["knowledge_base_sources"]] == ["text", "url", "document"]
    assert (ready["knowledge_base_sources"][2]["filename"], ready["knowledge_base_sources"][2]["file_size"]) == ("guide.pdf", 4)
    more = {"knowledge_base_texts[][title]": ["Two", "Three"], "knowledge_base_texts[][text]": ["2", "3"]}
    assert api.form(f"/add-knowledge-base-sources/{id}", {}, [("x", ("", b"", ""))])[0] == 400
    assert (
        api.form(f"/add-knowledge-base-sources/{id}", {"knowledge_base_urls[]": ["https://a.example", "https://b.example"]}, [("x", PDF)])[
            0
        ]
        == 201
    )
    assert api.form("/add-knowledge-base-sources/none", more, [("x", PDF)])[0] == 400
    api.clock.advance(10)
    path = f"/delete-knowledge-base-source/{id}/source"
    left = api.ask("DELETE", f"{path}/{ready['knowledge_base_sources'][0]['source_id']}")[1]
    assert len(left["knowledge_base_sources"]) == 4
    assert api.refusal("DELETE", f"{path}/none")[0] == 422
    assert len(api.get("/list-knowledge-bases")) == 1
    api.delete(f"/delete-knowledge-base/{id}")
    assert api.refusal("GET", f"/get-knowledge-base/{id}")[0] == 422


@pytest.mark.parametrize(
    "fields",
    [
        {"knowledge_base_name": "x" * 40},
        {"knowledge_base_name": "Guide", "min_chunk_size": "1500", "max_chunk_size": "1000"},
        {"knowledge_base_name": "Guide", "max_chunk_size": "many"},
        {"knowledge_base_name": "Guide", "knowledge_base_texts": '[{"title": "One"}]'},
        {"knowledge_base_name": "Guide", "knowledge_base_urls": [f"https://{n}.example" for n in range(501)]},
        {"knowledge_base_files": "text", "knowledge_base_name": "Guide"},
        {},
    ],
)
def test_knowledge_bases_that_cannot_be(api: Api, fields: Json) -> None:
    assert api.form("/create-knowledge-base", fields, [("knowledge_base_files", PDF)])[0] == 400


@pytest.mark.parametrize(
    "content", [b"", b"--x\r\nrubbish", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\r\n--x--\r\n']
)
def test_forms_that_are_none(content: bytes) -> None:
    answer = Sandbox().answer(
        "POST", "/create-asset", authorization="Bearer k", content_type="multipart/form-data; boundary=x", content=content
    )
    assert answer.status == 400
    long = f"multipart/form-data; boundary={'x' * 300}"
    assert Sandbox().answer("POST", "/create-asset", authorization="Bearer k", content_type=long, content=content).status == 400
    assert Sandbox().answer("POST", "/create-asset", authorization="Bearer k", content_type="application/json", content=b"{}").status == 400


def test_pictures_and_sounds_are_taken(api: Api) -> None:
    status, asset = api.form("/create-asset", {}, [("file", ("logo.PNG", b"png", "image/png"))])
    assert (status, asset["content_type"], asset["file_size"]) == (201, "image/png", 3)
    assert api.form("/create-asset", {}, [("file", ("hold.mp3", b"mp3", "audio/mpeg"))])[1]["file_name"] == "hold.pcm"
    assert api.form("/create-asset", {}, [("file", PDF)])[0] == 400
    assert api.form("/create-asset", {}, [("file", ("logo.png", b"", "image/png"))])[0] == 400


def test_voices_are_cloned_and_found(api: Api) -> None:
    cloned = api.form("/clone-voice", {"voice_name": "Mine", "voice_provider": "cartesia"}, [("files", ("a.wav", b"a", "audio/wav"))])
    assert (cloned[0], cloned[1]["voice_name"]) == (201, "Mine")
    two = [("files[]", ("a.wav", b"a", "audio/wav")), ("files[]", ("b.wav", b"b", "audio/wav"))]
    assert api.form("/clone-voice", {"voice_name": "Mine", "voice_provider": "cartesia"}, two)[0] == 400
    voice = api.post("/search-community-voice", {"search_query": "guide", "voice_provider": "cartesia"})["voices"][0]
    body = {"provider_voice_id": voice["provider_voice_id"], "voice_provider": "cartesia", "voice_name": "Guide"}
    added = api.post("/add-community-voice", body)
    assert api.get(f"/get-voice/{added['voice_id']}") == added
    assert api.refusal("POST", "/add-community-voice", body | {"voice_provider": "elevenlabs"})[0] == 400
    answer = api.get(path_of("listVoices"))
    assert (answer if isinstance(answer, list) else answer["items"])[-2:] == [cloned[1], added]


def test_tests_run_to_their_end(api: Api) -> None:
    llm_id = api.llm()
    engine = {"type": "retell-llm", "llm_id": llm_id}
    body = {"response_engine": engine, "name": "Books", "user_prompt": "You want Thursday.", "metrics": ["books"]}
    case = api.post("/create-test-case-definition", body)
    id = case["test_case_definition_id"]
    batch = api.post("/create-batch-test", {"response_engine": engine, "test_case_definition_ids": [id] * 20})
    assert (batch["status"], batch["total_count"]) == ("in_progress", 20)
    assert api.ask("PUT", f"/update-test-case-definition/{id}", {"name": "Changed"})[1]["name"] == "Changed"
    path = f"/v2/list-test-runs/{batch['test_case_batch_job_id']}"
    assert {run["status"] for run in api.get(path)["items"]} == {"pending"}
    api.clock.advance(5)
    assert {"pending", "in_progress"} <= {run["status"] for run in api.get(path)["items"]}
    api.clock.advance(60)
    done = api.get(f"/get-batch-test/{batch['test_case_batch_job_id']}")
    assert (done["status"], done["pass_count"] + done["fail_count"] + done["error_count"]) == ("complete", 20)
    runs = api.get(path, limit=5)
    assert runs["items"][0]["test_case_definition_snapshot"]["name"] == "Books"
    assert api.get(f"/get-test-run/{runs['items'][0]['test_case_job_id']}") == runs["items"][0]
    of_llm = {"type": "retell-llm", "llm_id": llm_id}
    assert [item["name"] for item in api.get("/v2/list-test-case-definitions", **of_llm)["items"]] == ["Changed"]
    assert len(api.get("/v2/list-batch-tests", **of_llm)["items"]) == 1
    assert api.get("/v2/list-batch-tests", **of_llm, version=3)["items"] == []
    assert api.refusal("GET", "/v2/list-batch-tests", type="conversation-flow", llm_id=llm_id)[0] == 400
    api.delete(f"/delete-test-case-definition/{id}")
    assert api.refusal("POST", "/create-batch-test", {"response_engine": engine, "test_case_definition_ids": [id]})[0] == 400
    assert api.refusal("POST", "/create-test-case-definition", body | {"response_engine": engine | {"llm_id": "llm_none"}})[0] == 400


def test_exports_pass_through_their_states(api: Api) -> None:
    order_export(api.sandbox.store, "chat", "Europe/Berlin")
    seen: list[Json] = []
    for _ in range(4):
        seen += api.get("/v2/list-export-requests")["items"]
        api.clock.advance(4)
    assert [export["status"] for export in seen] == ["created", "processing", "processing", "completed"]
    assert ["url" in export for export in seen] == [False, False, False, True]
    api.clock.advance(7 * 86_400)
    assert api.get("/v2/list-export-requests")["items"] == []


def ongoing(api: Api) -> str:
    call_id = str(api.call(api.number())["call_id"])
    while api.get(f"/v2/get-call/{call_id}")["call_status"] != "ongoing":
        api.clock.advance(0.5)
    return call_id


def test_a_call_is_changed_while_it_goes_on_and_after(api: Api) -> None:
    call_id = ongoing(api)
    live, after = f"/v2/update-live-call/{call_id}", f"/v2/update-call/{call_id}"
    assert api.refusal("PATCH", after, {"metadata": {}})[0] == 400
    api.clock.advance(2)
    api.patch(live, {"fields_to_override": {"metadata": {"a": 1}}, "call_control": {"additional_context": "The door is open."}})
    assert api.refusal("PATCH", live, {"call_control": {"trigger_response": False}})[0] == 400
    assert [item["call_id"] for item in api.calls(filter_criteria={"metadata": [{"key": "a", "type": "number", "op": "eq", "value": 1}]})]
    api.clock.advance(600)
    assert api.refusal("PATCH", live, {})[0] == 422
    said = api.get(f"/v2/get-call/{call_id}")["transcript_with_tool_calls"]
    assert [item["content"] for item in said if item["role"] == "injected"] == ["The door is open."]
    api.patch(after, {"metadata": {"a": 2}, "custom_attributes": {"team": "red", "other": 1}})
    of_team: Any = {"custom_attributes": [{"key": "team", "type": "string", "op": "eq", "value": "red"}]}
    assert [item["metadata"] for item in api.calls(filter_criteria=of_team)] == [{"a": 2}]
    assert api.calls(filter_criteria={"metadata": [{"key": "a", "type": "number", "op": "eq", "value": 1}]}) == []
    assert "transcript" not in api.patch(after, {"data_storage_setting": "basic_attributes_only"})
    assert api.refusal("PATCH", after, {"data_storage_setting": "everything"})[0] == 400
    assert api.refusal("PATCH", after, {"metadata": {"a": "x" * 50_000}})[0] == 400
    assert api.refusal("PATCH", "/v2/update-live-call/call_none", {})[0] == 404


def test_somebody_listens_and_takes_over(api: Api) -> None:
    call_id = ongoing(api)
    participant = api.post(f"/v2/listen-live-call/{call_id}")["participant_id"]
    path = f"/v2/take-over-live-call/{call_id}"
    assert api.refusal("POST", path, {"participant_id": "nobody"})[0] == 404
    assert api.post(path, {"participant_id": participant}) == {"success": True}
    call = api.get(f"/v2/get-call/{call_id}")
    assert (call["call_status"], call["disconnection_reason"]) == ("ended", "call_take_over")
    assert api.refusal("POST", f"/v2/listen-live-call/{call_id}")[0] == 400


def test_a_deleted_call_is_nowhere(api: Api) -> None:
    number = api.number()
    call = api.call(number, idempotency_key="key-1")
    api.delete(f"/v2/delete-call/{call['call_id']}")
    assert api.refusal("GET", f"/v2/get-call/{call['call_id']}")[0] == 422
    assert api.calls() == api.calls(filter_criteria={"from_number": {"type": "string", "op": "eq", "value": number}}) == []
    assert api.get("/get-concurrency")["current_concurrency"] == 0
    assert api.call(number, idempotency_key="key-1")["call_id"] != call["call_id"]


def test_a_registered_call_and_a_rerun_analysis(api: Api) -> None:
    agent_id = api.agent()
    call = api.post("/v2/register-phone-call", {"agent_id": agent_id, "direction": "inbound", "from_number": "+12015550100"})
    assert (call["direction"], call["from_number"], call["to_number"]) == ("inbound", "+12015550100", "")
    path = f"/rerun-call-analysis/{call['call_id']}"
    assert api.refusal("PUT", path)[0] == 422
    assert api.refusal("PUT", "/rerun-call-analysis/call_none")[0] == 404
    api.clock.advance(600)
    asked = [{"type": "enum", "name": "mood", "description": "d", "choices": ["good"]}]
    api.patch(f"/update-agent/{agent_id}", {"post_call_analysis_data": asked})
    assert api.ask("PUT", path)[1]["call_analysis"]["custom_analysis_data"] == {"mood": "good"}


def test_slots_are_kept_for_inbound_calls_and_bursts() -> None:
    api = Api(Settings(concurrency_limit=3, reserved_inbound_concurrency=1))
    number, agent_id = api.number(), api.agent()
    for _ in range(2):
        api.call(number)
    assert api.refusal("POST", "/v2/create-phone-call", {"from_number": number, "to_number": "+12015550100"})[0] == 429
    api.post("/v2/register-phone-call", {"agent_id": agent_id, "direction": "inbound"})
    burst = Api(Settings(concurrency_limit=3, concurrency_burst=True))
    number = burst.number()
    for _ in range(9):
        burst.call(number)
    assert burst.refusal("POST", "/v2/create-phone-call", {"from_number": number, "to_number": "+12015550100"})[0] == 429
    shown = burst.get("/get-concurrency")
    assert (shown["current_concurrency"], shown["concurrency_burst_limit"]) == (9, 9)
    with pytest.raises(ValueError, match="reserved"):
        Settings(concurrency_limit=3, reserved_inbound_concurrency=3)


def test_when_the_trial_is_over_what_costs_is_not_done() -> None:
    api = Api(Settings(trial_over=True))
    body = {"from_number": api.number(), "to_number": "+12015550100"}
    assert api.refusal("POST", "/v2/create-phone-call", body)[0] == 402
    assert api.refusal("POST", "/create-chat-agent", {"response_engine": {"type": "retell-llm", "llm_id": api.llm()}})[0] == 402


def test_imported_numbers(api: Api) -> None:
    body = {
        "phone_number": "+4930555100",
        "termination_uri": "sip.example.com",
        "sip_trunk_auth_username": "me",
        "sip_trunk_auth_password": "p",
    }
    made = api.post("/import-phone-number", body)
    trunk = {"termination_uri": "sip.example.com", "auth_username": "me"}
    assert (made["phone_number_type"], made["sip_outbound_trunk_config"]) == ("custom", trunk)
    assert api.refusal("POST", "/import-phone-number", body)[0] == 400
    assert api.refusal("POST", "/import-phone-number", body | {"phone_number": "100"})[0] == 400
    api.post("/import-phone-number", body | {"phone_number": "100", "ignore_e164_validation": True})


def test_mcp_servers_have_tools(api: Api) -> None:
    llm_id = api.llm(mcps=[{"name": "desk", "url": "https://example.com"}])
    agent_id = api.post("/create-agent", {"voice_id": "v", "response_engine": {"type": "retell-llm", "llm_id": llm_id}})["agent_id"]
    assert {tool["name"] for tool in api.get(f"/get-mcp-tools/{agent_id}", mcp_id="desk")} == {"look_up", "place_order"}
    assert api.refusal("GET", f"/get-mcp-tools/{agent_id}", mcp_id="other")[0] == 422
    assert api.refusal("GET", f"/get-mcp-tools/{agent_id}")[0] == 400


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox of a document with a resource that nobody has heard of yet."""
    data = copy.deepcopy(DOCUMENT)
    schema = {"$ref": "#/components/schemas/Widget"}
    data["components"]["schemas"]["Widget"] = {
        "type": "object",
        "required": ["widget_id", "name", "kind", "created_timestamp", "parts"],
        "properties": {
            "widget_id": {"type": "string"},
            "name": {"type": "string"},
            "kind": {"type": "string", "enum": ["round", "square"]},
            "created_timestamp": {"type": "integer"},
            "parts": {"type": "array", "items": {"type": "string"}},
            "note": {"type": "string"},
        },
    }
    page = {
        "type": "object",
        "required": ["items", "has_more"],
        "properties": {"items": {"type": "array", "items": schema}, "has_more": {"type": "boolean"}},
    }
    sent = {"required": True, "content": {"application/json": {"schema": {"type": "object", "properties": {"name": {"type": "string"}}}}}}
    errors = {"401": {"description": ""}, "404": {"description": ""}, "400": {"description": ""}}

    def operation(id: str, answer: Json | None, status: str = "200", body: Json | None = None) -> Json:
        shown = {"description": ""} | ({} if answer is None else {"content": {"application/json": {"schema": answer}}})
        return {"operationId": id, "responses": {status: shown, **errors}} | ({} if body is None else {"requestBody": body})

    data["paths"] |= {
        "/create-widget": {"post": operation("createWidget", schema, "201", sent)},
        "/v2/list-widgets": {"get": operation("listWidgets", page)},
        "/get-widget/{widget_id}": {"get": operation("getWidget", schema)},
        "/update-widget/{widget_id}": {"patch": operation("updateWidget", schema, body=sent)},
        "/delete-widget/{widget_id}": {"delete": operation("deleteWidget", None, "204")},
        "/polish-widget/{widget_id}": {"post": operation("polishWidget", schema)},
    }
    document = Document(data)
    monkeypatch.setattr("retell_async.sandbox.service.packaged_document", lambda: document)
    return Sandbox(clock=SteppedClock())


def test_what_a_newer_document_brings_is_answered_by_what_it_says(newer: Sandbox) -> None:
    def ask(method: str, path: str, content: bytes = b"") -> tuple[int, Any]:
        answer = newer.answer(method, path, authorization="Bearer k", content_type="application/json", content=content)
        return answer.status, answer.body

    status, made = ask("POST", "/create-widget", b'{"name": "One", "more": 1}')
    assert status == 201
    assert made == {"widget_id": made["widget_id"], "name": "One", "kind": "round", "created_timestamp": newer.store.now(), "parts": []}
    path = f"/{{}}-widget/{made['widget_id']}"
    assert ask("GET", path.format("get")) == (200, made)
    assert ask("PATCH", path.format("update"), b'{"name": "Two"}') == (200, made | {"name": "Two"})
    assert ask("GET", "/v2/list-widgets") == (200, {"items": [made | {"name": "Two"}], "has_more": False})
    assert ask("POST", path.format("polish")) == (200, made | {"name": "Two"})
    assert ask("POST", "/polish-widget/nobodys")[0] == 404
    assert ask("PATCH", path.format("update"), b'{"name": 2}')[0] == 400
    assert ask("DELETE", path.format("delete")) == (204, None)
    assert ask("GET", path.format("get"))[0] == 404
    assert ask("GET", "/v2/list-widgets")[1]["items"] == []
