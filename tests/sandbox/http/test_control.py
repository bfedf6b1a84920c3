"""The sandbox's own interface beside the API's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings, SteppedClock, create_app, create_fixtures
from retell_async.sandbox.http import control
from retell_async.sandbox.state.journal import Journal

from ...needed import path_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=SteppedClock())


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(sandbox)), base_url="http://sandbox") as client:
        yield client


async def call(http: httpx.AsyncClient, sandbox: Sandbox, to_number: str) -> str:
    number = sandbox.store.numbers.entries[0][1].id if sandbox.store.numbers.entries else create_fixtures(sandbox).phone_number
    answer = await http.post(
        "/v2/create-phone-call", json={"from_number": number, "to_number": to_number}, headers={"Authorization": "Bearer k"}
    )
    return str(answer.json()["call_id"])


async def test_faults_are_set_shown_and_removed(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    fault = {"kind": "error", "operation": "listVoices", "status": 503, "times": 1}
    assert (await http.post("/sandbox/faults", json=fault)).json() == {"id": 1, "struck": 0, "fault": fault}
    assert (await http.post("/sandbox/faults", json={"kind": "reset", "operation": "getAgent"})).json()["id"] == 2
    assert (await http.get(path_of("listVoices"), headers={"Authorization": "Bearer k"})).status_code == 503
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
    number = create_fixtures(sandbox, webhook_url="http://127.0.0.1:9/events").phone_number
    rung = (await http.post("/sandbox/calls", json={"from_number": "+12015550100", "to_number": number})).json()
    assert rung["over"]
    assert (await http.get(f"/sandbox/calls/{rung['call_id']}")).json()["direction"] == "inbound"
    await http.post("/sandbox/clock", json={"advance": 7200})
    sandbox.store.scheduler.run_due(sandbox.store.now())
    items = (await http.get("/sandbox/deliveries", params={"limit": "2"})).json()["items"]
    assert [(item["event"], item["state"], item["about"]) for item in items] == [
        ("call_analyzed", "pending", rung["call_id"]),
        ("call_ended", "pending", rung["call_id"]),
    ]
    assert len((await http.get("/sandbox/state")).json()["deliveries"]) == 3
    of_it = (await http.get("/sandbox/deliveries", params={"about": rung["call_id"]})).json()["items"]
    assert [item["event"] for item in of_it] == ["call_analyzed", "call_ended", "call_started"]
    assert (await http.get("/sandbox/deliveries", params={"about": "call_9"})).json()["items"] == []
    unknown = {"from_number": "+12015550100", "to_number": "+12015550101"}
    assert (await http.post("/sandbox/calls", json=unknown)).status_code == 404
    for wrong in (
        {},
        {"from_number": "", "to_number": number},
        *({"from_number": "1", "to_number": number, "headers": h} for h in ("a", {"a": 1})),
    ):
        assert (await http.post("/sandbox/calls", json=wrong)).status_code == 400
    rung = (
        await http.post("/sandbox/calls", json={"from_number": "+12015550100", "to_number": number, "headers": {"X-Customer": "7"}})
    ).json()
    assert (await http.get(f"/sandbox/calls/{rung['call_id']}")).json()["retell_llm_dynamic_variables"] == {"customer": "7"}


async def test_faults_end_with_the_process_and_what_they_did_does_not(tmp_path: Path) -> None:
    settings = Settings()

    def opened() -> tuple[Sandbox, SteppedClock, Journal]:
        clock, journal = SteppedClock(), Journal(tmp_path / "sandbox.db", settings)
        return Sandbox(settings, clock, journal), clock, journal

    first, clock, journal = opened()
    first.set_fault(Fault(kind="webhook_duplicate", operation="call_started"))
    first.remove_fault(first.set_fault(Fault(kind="webhook_lost")).id)
    number = create_fixtures(first, webhook_url="http://127.0.0.1:9/events").phone_number
    first.ring("+12015550100", number)
    clock.advance(7200)
    first.store.scheduler.run_due(first.store.now())
    first.set_fault(Fault(kind="reset"))
    sent = [delivery.name for delivery in first.outbox.log]
    assert sent == ["call_started", "call_started", "call_ended", "call_analyzed"]
    journal.close()
    again, clock, journal = opened()
    clock.advance(7200)
    again.store.scheduler.run_due(again.store.now())
    assert len(again.faults) == 0
    assert [delivery.name for delivery in again.outbox.log] == sent
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
        before = (await other.get("/sandbox/clock")).json()["now"]
        after = (await other.post("/sandbox/clock", json={"advance": 3600})).json()["now"]
        assert 3_600_000 <= after - before < 3_700_000


class _SomeClock:
    speed = 1.0

    def now(self) -> int:
        return 1_760_000_000_000

    def seconds_until(self, moment: int) -> float | None:
        return None

    def watch(self, moved: Callable[[], None]) -> None:
        pass


async def test_a_clock_of_the_users_own_is_left_alone() -> None:
    transport = httpx.ASGITransport(create_app(Sandbox(clock=_SomeClock())))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        assert (await http.post("/sandbox/clock", json={"advance": 60})).status_code == 409


async def test_from_one_thing_that_happens_to_the_next(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    assert (await http.post("/sandbox/clock", json={"advance": "next"})).status_code == 409
    call_id = await call(http, sandbox, "+12015550100")
    plan = next(iter(sandbox.store.calls.newest_first())).plan
    seen = []
    while (moved := await http.post("/sandbox/clock", json={"advance": "next"})).status_code == 200:
        seen.append(moved.json()["now"])
    assert seen == [moment for moment in (plan.start, plan.end, plan.analyzed) if moment is not None]
    assert (await http.get(f"/sandbox/calls/{call_id}")).json()["call_analysis"]
    assert moved.json()["message"] == "nothing is going to happen by itself"


async def test_the_page_comes_whole_and_from_here(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(linked) == ["/sandbox/page.css", "/sandbox/page.js", "data:,"]
    for path in linked[1:]:
        assert (await http.get(path)).status_code == 200
    script = (await http.get("/sandbox/page.js")).text
    assert "//" not in re.sub(r"^\s*/?\*.*|// .*", "", script, flags=re.MULTILINE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(", script)
    ids = set(re.findall(r'\bid="([^"]+)"', page.text))
    assert set(re.findall(r'\bat\("([^"]+)"\)', script)) - ids == {"detail-said"}
    for name in ("calls", "deliveries", "requests", "agents"):
        assert {name, f"{name}-count", f"{name}-empty", f"{name}-pages"} <= ids


async def test_what_the_page_shows(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await call(http, sandbox, "+12015550100")
    await http.post("/sandbox/faults", json={"kind": "reset", "probability": 0.5})
    state = (await http.get("/sandbox/state")).json()
    assert state["account"]["calls"] == state["account"]["active_calls"] == state["account"]["agents"] == 1
    assert [agent["agent_name"] for agent in state["agents"]] == ["Appointments"]
    assert [item["to_number"] for item in state["calls"]] == ["+12015550100"]
    assert [item["operation"] for item in state["requests"]] == ["createPhoneCall"]
    assert [item["phone_number"] for item in state["numbers"]] == [entry.id for entry in sandbox.store.numbers]
    assert state["older"] == {"agents": None, "calls": None, "deliveries": None, "requests": None}
    assert state["faults"] == [{"id": 1, "struck": 0, "fault": {"kind": "reset", "probability": 0.5}}]


async def test_every_path_is_documented(http: httpx.AsyncClient) -> None:
    documented = re.findall(r"^``(GET|POST|DELETE) /sandbox/([a-z]+[a-z_/{}]*)``", str(control.__doc__), flags=re.MULTILINE)
    paths = {(method, re.sub(r"\{[a-z_]+\}", "{}", path).replace("files/{}/{}", "files/{}")) for method, path in documented}
    assert paths == set(control._HANDLERS)
    assert (await http.get("/sandbox/other")).status_code == 404
    assert (await http.put("/sandbox/faults", json={})).status_code == 404
    assert (await http.post("/")).status_code == 404
