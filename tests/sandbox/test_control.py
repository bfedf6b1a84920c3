"""The sandbox's own interface beside the API's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings, SteppedClock, control, create_app, furnish
from retell_async.sandbox.persistence import Journal

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=SteppedClock())


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(sandbox)), base_url="http://sandbox") as client:
        yield client


async def call(http: httpx.AsyncClient, sandbox: Sandbox, to_number: str) -> str:
    number = sandbox.store.numbers.entries[0][1].id if sandbox.store.numbers.entries else furnish(sandbox).phone_number
    answer = await http.post(
        "/v2/create-phone-call", json={"from_number": number, "to_number": to_number}, headers={"Authorization": "Bearer k"}
    )
    return str(answer.json()["call_id"])


async def test_faults_are_set_shown_and_removed(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    fault = {"kind": "error", "operation": "listVoices", "status": 503, "times": 1}
    assert (await http.post("/sandbox/faults", json=fault)).json() == {"id": 1, "struck": 0, "fault": fault}
    assert (await http.post("/sandbox/faults", json={"kind": "reset", "operation": "getAgent"})).json()["id"] == 2
    assert (await http.get("/list-voices", headers={"Authorization": "Bearer k"})).status_code == 503
    assert [item["struck"] for item in (await http.get("/sandbox/faults")).json()["items"]] == [1, 0]
    assert (await http.delete("/sandbox/faults/2")).status_code == 204
    assert (await http.delete("/sandbox/faults/2")).status_code == 404
    assert (await http.delete("/sandbox/faults/x")).status_code == 404
    assert len(sandbox.faults) == 1
    assert (await http.delete("/sandbox/faults")).status_code == 204
    assert len(sandbox.faults) == 0


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"kind": "crash"}', '{"kind": "error", "status": "many"}', '{"kind": "error", "a": 1}']
)
async def test_a_fault_that_makes_no_sense(http: httpx.AsyncClient, content: str) -> None:
    answer = await http.post("/sandbox/faults", content=content)
    assert (answer.status_code, answer.json()["status"]) == (400, "error")


async def test_what_was_received(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    call_id = await call(http, sandbox, "+12015550100")
    await call(http, sandbox, "+12015550101")
    await call(http, sandbox, "+12015550101")
    await http.get(f"/v2/get-call/{call_id}?a=1&b=", headers={"Authorization": "Bearer k"})
    await http.get("/nothing", headers={"Authorization": "Bearer k"})
    body = (await http.get("/sandbox/requests")).json()
    assert body["count"] == 5
    assert [(item["operation"], item["status"]) for item in body["items"]] == [
        (None, 404),
        ("getCall", 200),
        *[("createPhoneCall", 201)] * 3,
    ]
    assert body["items"][1]["query"] == {"a": "1", "b": ""}
    assert body["items"][2]["body"]["to_number"] == "+12015550101"
    assert "Bearer" not in str(body)
    some = (await http.get("/sandbox/requests", params={"operation": "createPhoneCall", "limit": "2"})).json()["items"]
    assert [item["number"] for item in some] == [3, 2]
    for limit in ("0", "1001", "x"):
        assert (await http.get("/sandbox/requests", params={"limit": limit})).status_code == 400
    assert (await http.get("/sandbox/calls")).json() == {"placed": {"+12015550100": 1, "+12015550101": 2}}
    assert (await http.get(f"/sandbox/calls/{call_id}")).json()["call_id"] == call_id
    assert (await http.get("/sandbox/calls/call_9")).status_code == 404
    assert (await http.delete("/sandbox/requests")).status_code == 204
    assert (await http.get("/sandbox/requests")).json() == {"count": 5, "items": []}


async def test_what_was_sent_and_who_rang(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = furnish(sandbox, webhook_url="http://127.0.0.1:9/events").phone_number
    rung = (await http.post("/sandbox/calls", json={"from_number": "+12015550100", "to_number": number})).json()
    assert rung["over"]
    assert (await http.get(f"/sandbox/calls/{rung['call_id']}")).json()["direction"] == "inbound"
    await http.post("/sandbox/clock", json={"advance": 7200})
    sandbox.store.agenda.catch_up(sandbox.store.now())
    items = (await http.get("/sandbox/deliveries", params={"limit": "2"})).json()["items"]
    assert [(item["event"], item["state"], item["about"]) for item in items] == [
        ("call_analyzed", "pending", rung["call_id"]),
        ("call_ended", "pending", rung["call_id"]),
    ]
    assert len((await http.get("/sandbox/state")).json()["deliveries"]) == 3
    wrong = {"from_number": "+12015550100", "to_number": "+12015550101"}
    assert (await http.post("/sandbox/calls", json=wrong)).status_code == 404
    assert (await http.post("/sandbox/calls", json={})).status_code == 400


async def test_faults_end_with_the_process_and_what_they_did_does_not(tmp_path: Path) -> None:
    settings = Settings()

    def opened() -> tuple[Sandbox, SteppedClock, Journal]:
        clock, journal = SteppedClock(), Journal(tmp_path / "sandbox.db", settings)
        return Sandbox(settings, clock, journal), clock, journal

    first, clock, journal = opened()
    first.set_fault(Fault(kind="webhook_duplicate", operation="call_started"))
    first.remove_fault(first.set_fault(Fault(kind="webhook_lost")).id)
    number = furnish(first, webhook_url="http://127.0.0.1:9/events").phone_number
    first.ring("+12015550100", number)
    clock.advance(7200)
    first.store.agenda.catch_up(first.store.now())
    first.set_fault(Fault(kind="reset"))
    sent = [errand.name for errand in first.store.errands.log]
    assert sent == ["call_started", "call_started", "call_ended", "call_analyzed"]
    journal.close()
    again, clock, journal = opened()
    clock.advance(7200)
    again.store.agenda.catch_up(again.store.now())
    assert len(again.faults) == 0
    assert [errand.name for errand in again.store.errands.log] == sent
    journal.close()


async def test_the_clock(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    before = (await http.get("/sandbox/clock")).json()
    assert before == {"now": sandbox.store.now(), "speed": 0}
    assert (await http.post("/sandbox/clock", json={"advance": 60})).json()["now"] == before["now"] + 60_000
    for wrong in (-1, "1", None, True, 1e300):
        assert (await http.post("/sandbox/clock", json={"advance": wrong})).status_code == 400
    running = create_app(Sandbox(clock=RunningClock(5)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(running), base_url="http://sandbox") as other:
        assert (await other.get("/sandbox/clock")).json()["speed"] == 5
        assert (await other.post("/sandbox/clock", json={"advance": 60})).status_code == 409


async def test_the_page_comes_whole_and_from_here(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(linked) == ["/sandbox/page.css", "/sandbox/page.js", "data:,"]
    for path in linked[1:]:
        assert (await http.get(path)).status_code == 200
    assert "//" not in re.sub(
        r"^\s*/?\*.*|// .*", "", (await http.get("/sandbox/page.js")).text.replace("https://", "!"), flags=re.MULTILINE
    )


async def test_what_the_page_shows(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await call(http, sandbox, "+12015550100")
    await http.post("/sandbox/faults", json={"kind": "reset", "probability": 0.5})
    state = (await http.get("/sandbox/state")).json()
    assert state["account"]["calls"] == state["account"]["active_calls"] == state["account"]["agents"] == 1
    assert [agent["agent_name"] for agent in state["agents"]] == ["Appointments"]
    assert [item["to_number"] for item in state["calls"]] == ["+12015550100"]
    assert [item["operation"] for item in state["requests"]] == ["createPhoneCall"]
    assert state["faults"] == [{"id": 1, "struck": 0, "fault": {"kind": "reset", "probability": 0.5}}]


async def test_every_path_is_documented(http: httpx.AsyncClient) -> None:
    documented = set(re.findall(r"^``(GET|POST|DELETE) /sandbox/([a-z]+(?:/\{)?)", str(control.__doc__), flags=re.MULTILINE))
    assert documented == {(method, path.removesuffix("}")) for method, path in control._HANDLERS}
    assert (await http.get("/sandbox/other")).status_code == 404
    assert (await http.put("/sandbox/faults", json={})).status_code == 404
    assert (await http.post("/")).status_code == 404
