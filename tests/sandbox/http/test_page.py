"""What the page is made of: lists in pages, one thing in full, and the form of a fault."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs
import httpx
import pytest

from retell_async import webhooks
from retell_async.sandbox import Fault, Sandbox, Sender, Settings, SteppedClock, create_app, create_fixtures
from retell_async.sandbox.faults.fault import FaultKind
from retell_async.sandbox.http.control_views import fault_fields, page
from retell_async.sandbox.state.journal import Journal

from ...needed import path_of

pytestmark = pytest.mark.anyio

KEY = {"Authorization": "Bearer k"}
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Settings(seed=3), SteppedClock())


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(sandbox)), base_url="http://sandbox") as client:
        yield client


async def place(http: httpx.AsyncClient, from_number: str, to_number: str, **fields: object) -> str:
    body = {"from_number": from_number, "to_number": to_number, **fields}
    return str((await http.post("/v2/create-phone-call", json=body, headers=KEY)).json()["call_id"])


def test_a_page_of_what_is_newest() -> None:
    assert page([], int, None, 2) == ([], None)
    assert page([9, 8], int, None, 2) == ([9, 8], None)
    assert page([9, 8, 5], int, None, 2) == ([9, 8], 8)
    assert page([9, 8, 5], int, 8, 2) == ([5], None)
    assert page([9, 5], int, 8, 2) == ([5], None)
    assert page([9, 8], int, 1, 2) == ([], None)


async def test_every_call_can_be_reached_whether_it_connected_or_not(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = create_fixtures(sandbox).phone_number
    made = [await place(http, number, f"+1201555{1000 + n}") for n in range(130)]
    await http.post("/sandbox/clock", json={"advance": 3600})
    made += [await place(http, number, "+12015550199")]
    seen, query = list[dict[str, Any]](), dict[str, str]()
    while True:
        state = (await http.get("/sandbox/state", params=query)).json()
        assert len(state["calls"]) <= 50
        seen += state["calls"]
        if state["older"]["calls"] is None:
            break
        query = {"calls": str(state["older"]["calls"])}
    assert [item["call_id"] for item in seen] == made[::-1]
    statuses = {item["call_status"] for item in seen}
    assert {"not_connected", "ended", "registered"} <= statuses
    assert [item["created"] for item in seen] == sorted((item["created"] for item in seen), reverse=True)
    assert any("start_timestamp" not in item for item in seen[:50])
    for wrong in ("x", "-1", "1" * 19):
        assert (await http.get("/sandbox/state", params={"calls": wrong})).status_code == 400
    few = (await http.get("/sandbox/state", params={"limit": "3"})).json()
    assert [len(few["calls"]), len(few["requests"])] == [3, 3]


async def test_requests_deliveries_and_agents_have_pages_too(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = create_fixtures(sandbox, webhook_url="http://127.0.0.1:9/events").phone_number
    for _ in range(5):
        sandbox.ring("+12015550100", number)
        create_fixtures(sandbox)
        await http.get(path_of("listVoices"), headers=KEY)
    await http.post("/sandbox/clock", json={"advance": 3600})
    sandbox.store.scheduler.run_due(sandbox.store.now())
    for name, id in (("requests", "number"), ("deliveries", "id"), ("agents", "agent_id")):
        whole = [item[id] for item in (await http.get("/sandbox/state")).json()[name]]
        first = (await http.get("/sandbox/state", params={"limit": "2"})).json()
        then = (await http.get("/sandbox/state", params={"limit": "1000", name: str(first["older"][name])})).json()
        assert [item[id] for item in first[name] + then[name]] == whole
        assert len(whole) >= 5


async def test_a_call_with_much_metadata_does_not_weigh_on_the_list(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = create_fixtures(sandbox, agent_name=EVIL).phone_number
    metadata = {"note": "x" * 40_000, "markup": EVIL}
    call_id = await place(http, number, "+12015550100", metadata=metadata, retell_llm_dynamic_variables={"name": EVIL})
    state = await http.get("/sandbox/state")
    assert len(state.content) < 5_000
    assert state.headers["content-type"] == "application/json"
    assert state.headers["x-content-type-options"] == "nosniff"
    assert state.json()["calls"][0]["agent_name"] == EVIL
    call = (await http.get(f"/sandbox/calls/{call_id}")).json()
    assert (call["metadata"], call["retell_llm_dynamic_variables"]) == (metadata, {"name": EVIL})


async def test_a_request_with_all_that_was_sent_and_answered(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await http.post("/create-agent?a=<b>", json={"agent_name": 5}, headers=KEY)
    request = (await http.get("/sandbox/requests/1")).json()
    assert (request["operation"], request["status"], request["query"]) == ("createAgent", 400, {"a": "<b>"})
    assert json.loads(request["sent"]["text"]) == {"agent_name": 5}
    assert "agent_name" in json.loads(request["answered"]["text"])["message"]
    assert "Bearer" not in str(request)
    for wrong in ("0", "2", "x", "٣"):
        assert (await http.get(f"/sandbox/requests/{wrong}")).status_code == 404


@pytest.mark.parametrize(
    "content", [b"[" * 60_000, b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"\xff\xfe", b'{"a":' * 900 + b"1" + b"}" * 900]
)
async def test_no_body_keeps_the_log_from_being_read(sandbox: Sandbox, content: bytes) -> None:
    transport = httpx.ASGITransport(create_app(sandbox), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        await http.post("/v2/create-phone-call", content=content, headers={**KEY, "content-type": "application/json"})
        assert (await http.get("/sandbox/state")).status_code == 200
        request = (await http.get("/sandbox/requests/1")).json()
        assert request["sent"]["bytes"] == len(content)
        assert len(request["sent"]["text"]) >= len(content) - 1
        assert (await http.get("/sandbox/requests")).status_code == 200


async def test_what_a_fault_cut_off_is_shown_as_it_was_sent(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.set_fault(Fault(kind="malformed", operation="listVoices"))
    sent = await http.get(path_of("listVoices"), headers=KEY)
    request = (await http.get("/sandbox/requests/1")).json()
    assert request["answered"]["text"] == sent.text[: len(request["answered"]["text"])]
    assert request["faults"] == ["malformed"]


async def test_answers_are_kept_of_the_last_requests_only(
    http: httpx.AsyncClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retell_async.sandbox.state.request_log._ANSWERS", 2)
    for _ in range(3):
        await http.get("/get-concurrency", headers=KEY)
    answers = [(await http.get(f"/sandbox/requests/{number}")).json()["answered"] for number in (1, 2, 3)]
    assert [answer is None for answer in answers] == [True, False, False]


class Endpoint:
    """The user's own endpoint: it keeps what it is sent and answers what it is told to."""

    def __init__(self) -> None:
        self.received: list[httpx.Request] = []
        self.status = 200

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        return httpx.Response(self.status, text=EVIL * 1_000)


async def test_a_delivery_with_payload_signature_and_answer_and_sent_again(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    endpoint = Endpoint()
    outgoing = Sender(sandbox, httpx.MockTransport(endpoint))
    number = create_fixtures(sandbox, webhook_url="http://127.0.0.1:9/events").phone_number
    sandbox.ring("+12015550100", number)
    endpoint.status = 500
    await outgoing.advance(7200)
    first = (await http.get("/sandbox/deliveries")).json()["items"][-1]
    assert (first["event"], first["state"]) == ("call_started", "failed")
    delivery = (await http.get(f"/sandbox/deliveries/{first['id']}")).json()
    body = endpoint.received[0].content.decode()
    assert delivery["payload"] == {"bytes": len(body), "text": body}
    assert len(delivery["attempts"]) == 4
    for attempt in delivery["attempts"]:
        assert attempt["status"] == 500
        webhooks.verify(body, sandbox.store.webhook_key, attempt["signature"])
        assert attempt["signs_this"]
        assert 0 < len(attempt["answer"]["text"]) <= 4096
        assert attempt["answer"]["text"] == (EVIL * 1_000)[: attempt["answer"]["bytes"]]

    endpoint.status, before = 200, len(endpoint.received)
    sent_again = await http.post(f"/sandbox/deliveries/{first['id']}/again")
    assert sent_again.json()["id"] != first["id"]
    await outgoing.settle()
    assert [request.content.decode() for request in endpoint.received[before:]] == [body]
    again = (await http.get(f"/sandbox/deliveries/{sent_again.json()['id']}")).json()
    assert (again["state"], again["about"], again["payload"]) == ("delivered", first["about"], delivery["payload"])
    assert (await http.get("/sandbox/deliveries")).json()["items"][0]["id"] == again["id"]
    for path in ("/sandbox/deliveries/errand_99/again", "/sandbox/deliveries/x/again"):
        assert (await http.post(path)).status_code == 404
    assert (await http.get("/sandbox/deliveries/x")).status_code == 404


async def test_a_payload_that_has_changed_since_is_said_to_have(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    outgoing = Sender(sandbox, httpx.MockTransport(Endpoint()))
    number = create_fixtures(sandbox, webhook_url="http://127.0.0.1:9/events").phone_number
    contact = sandbox.ring("+12015550100", number)
    await outgoing.advance(7200)
    update = await http.patch(f"/v2/update-call/{contact.call_id}", json={"metadata": {"a": 1}}, headers=KEY)
    assert update.status_code == 200
    delivery = (await http.get(f"/sandbox/deliveries/{(await http.get('/sandbox/deliveries')).json()['items'][0]['id']}")).json()
    assert '"metadata":{"a":1}' in delivery["payload"]["text"]
    assert [attempt["signs_this"] for attempt in delivery["attempts"]] == [False]


async def test_an_inbound_request_that_is_sent_again_makes_no_second_call(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    endpoint = Endpoint()
    outgoing = Sender(sandbox, httpx.MockTransport(endpoint))
    number = create_fixtures(sandbox).phone_number
    asked = {"inbound_webhook_url": "http://127.0.0.1:9/inbound"}
    assert (await http.patch(f"/update-phone-number/{number}", json=asked, headers=KEY)).status_code == 200
    rung = (await http.post("/sandbox/calls", json={"from_number": "+12015550100", "to_number": number})).json()
    assert rung == {"over": False, "call_id": None}
    await outgoing.settle()
    (item,) = (await http.get("/sandbox/deliveries")).json()["items"]
    await http.post(f"/sandbox/deliveries/{item['id']}/again")
    await outgoing.settle()
    assert len(endpoint.received) == 2
    assert (await http.get("/sandbox/state")).json()["account"]["calls"] == 1


async def test_what_was_sent_again_outlives_the_process(tmp_path: Path) -> None:
    def opened(journal: Journal) -> Sandbox:
        return Sandbox(Settings(), SteppedClock(max(journal.last, 1_760_000_000_000)), journal)

    journal = Journal(tmp_path / "sandbox.db", Settings())
    first = opened(journal)
    number = create_fixtures(first, webhook_url="http://127.0.0.1:9/events").phone_number
    first.ring("+12015550100", number)
    outgoing = Sender(first, httpx.MockTransport(Endpoint()))
    await outgoing.advance(7200)
    first.send_again(first.outbox.log[0].id)
    await outgoing.settle()
    seen = [(delivery.id, delivery.name, [attempt.result for attempt in delivery.attempts]) for delivery in first.outbox.log]
    assert [name for _, name, _ in seen] == ["call_started", "call_ended", "call_analyzed", "call_started"]
    journal.close()
    journal = Journal(tmp_path / "sandbox.db", Settings())
    again = opened(journal)
    assert [(delivery.id, delivery.name, [attempt.result for attempt in delivery.attempts]) for delivery in again.outbox.log] == seen
    journal.close()


async def test_a_call_is_ended(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = create_fixtures(sandbox).phone_number
    sandbox.set_fault(Fault(kind="error", operation="stopCall"))
    ids = [await place(http, number, f"+1201555{1000 + n}") for n in range(20)]
    before = sandbox.log.count
    assert (await http.post(f"/sandbox/calls/{ids[0]}/end")).status_code == 409
    await http.post("/sandbox/clock", json={"advance": 20})
    ongoing = [item["call_id"] for item in (await http.get("/sandbox/state")).json()["calls"] if item["call_status"] == "ongoing"]
    ended = (await http.post(f"/sandbox/calls/{ongoing[0]}/end")).json()
    assert (ended["call_status"], ended["disconnection_reason"]) == ("ended", "manual_stopped")
    assert (await http.post(f"/sandbox/calls/{ongoing[0]}/end")).status_code == 409
    assert (await http.post("/sandbox/calls/call_9/end")).status_code == 404
    assert sandbox.log.count == before


async def test_the_form_of_a_fault_has_every_field_and_every_choice(http: httpx.AsyncClient) -> None:
    about = (await http.get("/sandbox/faults")).json()
    assert about["fields"] == json.loads(json.dumps(fault_fields()))
    assert {"createPhoneCall", "listCalls"} <= set(about["operations"])
    assert "call_ended" in about["events"]
    fields = {field["name"]: field for field in about["fields"]}
    assert list(fields) == [field.name for field in attrs.fields(Fault)]
    hints = get_type_hints(Fault)
    for name, field in fields.items():
        if get_origin(hints[name]) is Literal:
            assert (field["type"], tuple(field["choices"])) == ("choice", get_args(hints[name]))
        assert field["optional"] is (type(None) in get_args(hints[name]))
        if name != "kind":
            assert field["default"] == attrs.fields_dict(Fault)[name].default
    assert fields["acted"]["type"] == "boolean"
    assert (fields["times"]["type"], fields["seconds"]["type"], fields["operation"]["type"]) == ("integer", "number", "text")


@pytest.mark.parametrize("kind", get_args(FaultKind))
async def test_what_the_form_sends_sets_a_fault_of_each_kind(http: httpx.AsyncClient, kind: str) -> None:
    shown = [field for field in fault_fields() if field["kinds"] is None or kind in field["kinds"]]
    sent = {field["name"]: field["default"] for field in shown} | {"kind": kind}
    assert (await http.post("/sandbox/faults", json=sent)).json()["fault"] == {"kind": kind}


def test_the_fields_that_matter_to_some_kinds_are_fields_and_kinds() -> None:
    kinds = {field["name"]: field["kinds"] for field in fault_fields()}
    assert "error" in kinds["status"]
    assert kinds["probability"] is None
    assert {kind for matters_to in kinds.values() for kind in matters_to or ()} <= {*get_args(FaultKind)}
