"""Who may use the sandbox from a browser: its own page, and no other site's."""

from __future__ import annotations

import argparse

import httpx
import pytest

from retell_async import AsyncRetell
from retell_async.sandbox import Fault, Sandbox, SteppedClock, create_app, create_fixtures, serve
from retell_async.sandbox.__main__ import _parser

from ...needed import path_of

pytestmark = pytest.mark.parallel

CHANGES = [
    ("POST", "/sandbox/faults", {"kind": "reset"}),
    ("DELETE", "/sandbox/faults", None),
    ("DELETE", "/sandbox/faults/1", None),
    ("DELETE", "/sandbox/requests", None),
    ("POST", "/sandbox/clock", {"advance": 60}),
    ("POST", "/sandbox/calls", {"from_number": "+12015550100", "to_number": "+14155550100"}),
    ("POST", "/sandbox/calls/call_1/end", {}),
    ("POST", "/sandbox/deliveries/errand_1/again", {}),
]
FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1:3000"},
    {"origin": "http://localhost:8888"},
    {"origin": "http://[::1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://127.0.0.1:8888", "sec-fetch-site": "cross-site"},
    {"host": "evil.example"},
    {"host": "evil.example:8888", "origin": "http://evil.example:8888", "sec-fetch-site": "same-origin"},
    {"host": "127.0.0.1.evil.example:8888"},
    {"host": "localhost.evil.example"},
    {"host": "127.0.0.1@evil.example"},
    {"host": "10.0.0.1:8888"},
    {"host": "[::1"},
    {"host": "sandbox"},
]


def client(sandbox: Sandbox, *hosts: str, server: tuple[str, int] | None = ("127.0.0.1", 8888)) -> httpx.AsyncClient:
    """Speaks with an application as a server would have it that listens on an address, or, with none, in the same process."""
    app = create_app(sandbox, hosts)

    async def served(scope, receive, send):  # type: ignore[no-untyped-def]
        await app({**scope, "server": server or scope["server"]}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://127.0.0.1:8888")


@pytest.fixture
def sandbox() -> Sandbox:
    sandbox = Sandbox(clock=SteppedClock())
    sandbox.set_fault(Fault(kind="latency", operation="listVoices"))
    return sandbox


@pytest.mark.anyio
@pytest.mark.parametrize("headers", FOREIGN)
async def test_nothing_is_changed_for_another_site(sandbox: Sandbox, headers: dict[str, str]) -> None:
    before = sandbox.store.now()
    async with client(sandbox) as http:
        for method, path, body in CHANGES:
            answer = await http.request(method, path, json=body, headers=headers)
            assert (answer.status_code, answer.json()["status"]) == (403, "error"), path
    assert [active.id for active in sandbox.faults] == [1]
    assert sandbox.store.now() == before
    assert not sandbox.store.calls.entries


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", "/sandbox/page.js", "/sandbox/state", "/sandbox/requests", "/sandbox/nothing"])
async def test_nothing_is_read_by_a_name_that_is_not_the_sandboxs(sandbox: Sandbox, path: str) -> None:
    async with client(sandbox) as http:
        refused = await http.get(path, headers={"host": "evil.example"})
        assert refused.status_code == 403
        assert "--allow-host" in refused.json()["message"]
        assert (await http.get(path)).status_code != 403


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8888", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        *({"host": host, "origin": f"http://{host.lower()}"} for host in ("localhost:8888", "LOCALHOST", "localhost.:8888", "[::1]:8888")),
        {"host": "127.3.2.1"},
        {"host": "retell.localhost:8888", "origin": "https://retell.localhost:8888"},
    ],
)
async def test_this_machine_may_change_everything(sandbox: Sandbox, headers: dict[str, str]) -> None:
    async with client(sandbox) as http:
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers=headers)).status_code == 200
        assert (await http.delete("/sandbox/faults", headers=headers)).status_code == 204
        assert (await http.get("/", headers=headers)).status_code == 200


@pytest.mark.anyio
async def test_names_that_the_sandbox_was_told(sandbox: Sandbox) -> None:
    async with client(sandbox, "Sandbox", "10.0.0.1") as http:
        for host, status in (("sandbox:8888", 200), ("SANDBOX", 200), ("10.0.0.1:80", 200), ("10.0.0.2", 403), ("sandbox.example", 403)):
            assert (await http.get("/sandbox/clock", headers={"host": host})).status_code == status, host


@pytest.mark.anyio
async def test_where_all_addresses_are_listened_on_all_may_be_used(sandbox: Sandbox) -> None:
    for every in ("0.0.0.0", "::"):
        async with client(sandbox, every, server=("10.0.0.1", 8888)) as http:
            for host, status in (
                ("10.0.0.1:8888", 200),
                ("192.168.1.7", 200),
                ("[fd00::1]:8888", 200),
                ("localhost", 200),
                ("evil.example", 403),
            ):
                assert (await http.get("/sandbox/clock", headers={"host": host})).status_code == status, host
    async with client(sandbox, server=("10.0.0.1", 8888)) as http:
        assert (await http.get("/sandbox/clock", headers={"host": "10.0.0.1:8888"})).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["http://retell.sandbox", "http://testserver", "http://sandbox:80", "https://test"])
async def test_in_one_process_any_name_will_do(sandbox: Sandbox, url: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(sandbox)), base_url=url) as http:
        assert (await http.post("/sandbox/clock", json={"advance": 1})).status_code == 200
        origin = {"origin": url.removesuffix(":80")}
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers=origin)).status_code == 200
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers={"origin": "http://evil.example"})).status_code == 403


@pytest.mark.anyio
async def test_the_api_is_for_programs_by_any_name_and_for_no_page_from_elsewhere(sandbox: Sandbox) -> None:
    key = {"authorization": "Bearer made_up"}
    async with client(sandbox, "app.example") as http:
        for host in ("127.0.0.1:8888", "retell:8888", "api.example"):
            assert (await http.post("/create-retell-llm", json={}, headers={**key, "host": host})).status_code == 201
        for origin in ("http://localhost:3000", "https://app.example", "http://[::1]:80"):
            assert (await http.post("/create-retell-llm", json={}, headers={**key, "origin": origin})).status_code == 201
        made, logged = len(sandbox.store.llms), sandbox.log.count
        for origin in ("http://evil.example", "null", "", "http://localhost.evil.example", "http://[::1", "file://"):
            refused = await http.post("/create-retell-llm", json={}, headers={**key, "origin": origin})
            assert refused.status_code == 403, origin
        rebound = {**key, "host": "evil.example:8888", "origin": "http://evil.example:8888"}
        assert (await http.post("/create-retell-llm", json={}, headers=rebound)).status_code == 403
        assert (await http.get(path_of("listVoices"), headers={**key, "origin": "http://evil.example"})).status_code == 200
        assert (await http.post("/create-retell-llm", json={}, headers={"content-type": "text/plain"})).status_code == 401
    assert (len(sandbox.store.llms), sandbox.log.count - 2) == (made, logged)


def test_the_command_line_takes_names() -> None:
    asked: argparse.Namespace = _parser().parse_args(["--allow-host", "sandbox", "--allow-host", "app.example"])
    assert asked.allow_host == ["sandbox", "app.example"]


@pytest.mark.soak
@pytest.mark.anyio
async def test_over_a_socket() -> None:
    sandbox = Sandbox(clock=SteppedClock())
    async with serve(sandbox) as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.get("/")).status_code == 200
        assert (await http.get("/", headers={"host": "evil.example"})).status_code == 403
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers={"host": "evil.example"})).status_code == 403
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers={"origin": "http://evil.example"})).status_code == 403
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers={"origin": served.url})).status_code == 200
        by_name = served.url.replace("127.0.0.1", "localhost").removeprefix("http://")
        assert (await http.post("/sandbox/clock", json={"advance": 1}, headers={"host": by_name})).status_code == 200
        number = create_fixtures(sandbox).phone_number
        async with AsyncRetell("key", base_url=served.url) as retell:
            assert (await retell.call.create_phone_call(from_number=number, to_number="+12015550100")).call_id
