"""A sandbox that is stopped, by force or not, and goes on where it was."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from retell_async.sandbox import Sandbox, Settings, SteppedClock
from retell_async.sandbox.__main__ import main
from retell_async.sandbox.outgoing.sender import Sender
from retell_async.sandbox.state.journal import Entry, Journal

from ...webhooks.sending import served
from ..checked import Api
from ..endpoints import KEY, Endpoints
from ..outgoing.test_sender import CALLER, HOOK, TOOL, VARIABLES, number

pytestmark = pytest.mark.parallel

SETTINGS = Settings(outcomes={"user_hangup": 3, "dial_busy": 1}, webhook_key=KEY)


class Kept(Api):
    """An account in a file."""

    def __init__(self, path: Path, settings: Settings = SETTINGS) -> None:
        journal = Journal(path, settings)
        self.clock = SteppedClock(max(journal.last, 1_760_000_000_000))
        self.sandbox = Sandbox(settings, self.clock, journal)
        self.journal = journal

    def reopened(self, path: Path) -> Kept:
        self.journal.close()
        return Kept(path)


def everything(api: Api) -> Any:
    calls = [api.get(f"/v2/get-call/{call['call_id']}") for call in api.calls(limit=1000)]
    return calls, api.post("/v2/list-agents", {}), api.get("/v2/list-phone-numbers"), api.get("/v2/list-retell-llms")


@pytest.mark.anyio
async def test_all_that_was_there_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    api, user = Kept(path), Endpoints(lambda body, _: JSONResponse({"orders": [{"status": "sent"}]}))
    from_number = number(api, {"general_tools": [TOOL]}, webhook_url=HOOK)
    api.patch(f"/update-phone-number/{from_number}", {"inbound_webhook_url": HOOK})
    outgoing = Sender(api.sandbox, user.transport)
    for line in range(100, 120):
        api.call(from_number, f"+1201555{line:04}", retell_llm_dynamic_variables=VARIABLES, idempotency_key=f"key_{line}")
        await outgoing.advance(5)
    contact = api.sandbox.ring(CALLER, from_number)
    await outgoing.advance(1)
    api.delete(f"/v2/delete-call/{api.calls()[-1]['call_id']}")
    assert api.refusal("POST", "/v2/create-phone-call", {"from_number": "+12015550000", "to_number": "+12015550001"})[0] == 422
    before, sent = everything(api), user.counts()

    after = api.reopened(path)
    assert everything(after) == before
    assert contact.call_id is not None
    assert after.get(f"/v2/get-call/{contact.call_id}")["direction"] == "inbound"
    again = after.call(from_number, "+12015550119", idempotency_key="key_119")
    assert again["call_id"] in {call["call_id"] for call in before[0]}
    await Sender(after.sandbox, user.transport).advance(900)
    assert user.counts() >= sent
    assert set(user.counts().values()) == {1}
    analyzed = {about for event, about in user.counts() if event == "call_analyzed"}
    assert analyzed >= {call["call_id"] for call in after.calls(limit=1000)}
    assert after.call(from_number, "+12015550160")["call_id"] not in analyzed
    after.journal.close()


@pytest.mark.anyio
async def test_what_was_not_delivered_is_tried_again_as_often_as_is_left(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    api, user = Kept(path), Endpoints(lambda *_: PlainTextResponse("not now", 503))
    api.call(number(api, webhook_url=HOOK, webhook_events=["call_ended"]))
    outgoing = Sender(api.sandbox, user.transport)
    while len(user.received) < 2:
        await outgoing.advance(1)
    after = api.reopened(path)
    (delivery,) = after.sandbox.outbox.log
    assert (delivery.state, len(delivery.attempts)) == ("pending", 2)
    await Sender(after.sandbox, user.transport).advance(60)
    assert len(user.received) == 4
    assert delivery.state == "failed"
    after.journal.close()


def test_the_key_that_signs_and_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    api = Kept(path, Settings())
    api.llm()
    api.journal.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    after = Kept(path, Settings())
    assert after.sandbox.store.webhook_key == "key"
    after.journal.close()


@pytest.mark.parametrize("other", [Settings(seed=1), Settings(outcomes={"dial_busy": 1}), Settings(webhook_url=HOOK)])
def test_a_file_of_other_settings(tmp_path: Path, other: Settings) -> None:
    path = tmp_path / "sandbox.db"
    Journal(path, Settings(api_key="one")).close()
    Journal(path, Settings(api_key="two")).close()
    with pytest.raises(ValueError, match=r"other settings: (seed|outcomes|webhook_url)$"):
        Journal(path, other)


def test_files_that_are_no_journal_or_in_use(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    journal = Journal(path, Settings())
    with pytest.raises(ValueError, match="locked"):
        Journal(path, Settings())
    journal.close()
    (tmp_path / "text").write_text("no database, " * 100)
    with pytest.raises(ValueError, match="not a database"):
        Journal(tmp_path / "text", Settings())
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(ValueError, match="another version"):
        Journal(path, Settings())
    with pytest.raises(OSError, match="No such file"):
        Journal(tmp_path / "nowhere" / "sandbox.db", Settings())


@pytest.mark.parametrize("data", [{"status": 409}, {"path": "/create-something"}, None])
def test_a_journal_that_this_version_would_not_have_written(tmp_path: Path, data: dict[str, Any] | None) -> None:
    journal = Journal(tmp_path / "sandbox.db", Settings())
    request = {"method": "POST", "path": "/create-retell-llm", "query": "", "content_type": "application/json"}
    journal.add(Entry(1, "request", request, b"{}", 201))
    status = (data or {}).pop("status", 201)
    journal.add(Entry(2, "dream", {}) if data is None else Entry(2, "request", request | data, b"{}", status))
    with pytest.raises(ValueError, match="this version"):
        Sandbox(journal=journal)
    journal.close()


def test_the_command_says_why_a_file_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Journal(tmp_path / "sandbox.db", Settings()).close()
    assert main(["--port", "0", "--seed", "5", "--file", str(tmp_path / "sandbox.db")]) == 1
    assert capsys.readouterr().err == "The sandbox cannot start: the file belongs to a sandbox of other settings: seed\n"


@asynccontextmanager
async def process(path: Path, hook: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """The sandbox as a program, and a client for it. Leaving ends it, if it has not ended."""
    options = ["--port", "0", "--speed", "60", "--seed", "11", "--webhook-url", hook, "--webhook-key", KEY, "--file", str(path)]
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "retell_async.sandbox", *options, stdout=asyncio.subprocess.PIPE)
    assert started.stdout is not None
    try:
        url = (await started.stdout.readline()).decode().split()[3]
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer any"}, timeout=20) as client:
            yield started, client
    finally:
        if started.returncode is None:
            started.terminate()
        await started.communicate()


async def made(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_server_that_is_killed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    path, user = tmp_path / "sandbox.db", Endpoints()
    async with served(user.app) as own:
        hook = f"{own.base_url}/hook"
        async with process(path, hook) as (server, client):
            llm = await made(client, "/create-retell-llm", {})
            engine = {"type": "retell-llm", "llm_id": llm["llm_id"]}
            agent = await made(client, "/create-agent", {"voice_id": "retell-Cimo", "response_engine": engine})
            agents = [{"agent_id": agent["agent_id"], "weight": 1}]
            own_number = (await made(client, "/create-phone-number", {"outbound_agents": agents}))["phone_number"]

            async def place(line: int, client: httpx.AsyncClient) -> str:
                body = {"from_number": own_number, "to_number": f"+1201555{line:04}", "idempotency_key": f"job_{line}"}
                return str((await made(client, "/v2/create-phone-call", body))["call_id"])

            placed = await asyncio.gather(*(place(line, client) for line in range(100, 220)))
            await user.until(lambda: user.events().count("call_ended") >= 20)
            late = asyncio.gather(*(place(line, client) for line in range(220, 300)), return_exceptions=True)
            await asyncio.sleep(0.02)
            server.kill()
            placed += [call_id for call_id in await late if isinstance(call_id, str)]
            await server.wait()
        assert user.events().count("call_analyzed") < len(placed)
        before = user.counts()

        async with process(path, hook) as (_, client):
            assert [await place(line, client) for line in range(100, 110)] == placed[:10]
            listed = await client.post("/v3/list-calls", json={"limit": 1000})
            calls = {call["call_id"] for call in listed.json()["items"]}
            assert calls >= set(placed)
            async with asyncio.timeout(30):
                await user.until(lambda: {about for event, about in user.counts() if event == "call_analyzed"} >= calls)
    counts = user.counts()
    assert {about for event, about in counts if event == "call_ended"} == calls
    assert user.refused == 0
    # What was under way when the server was killed may come twice, and only that.
    twice = [key for key, count in counts.items() if count > 1]
    assert all(counts[key] == 2 and before[key] == 1 for key in twice)
    assert len(twice) <= 64


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_program_that_is_stopped_goes_on_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    async with process(path, HOOK) as (_, client):
        llm = await made(client, "/create-retell-llm", {})
        await asyncio.sleep(0.3)
        second = await made(client, "/create-retell-llm", {})
    async with process(path, HOOK) as (_, client):
        third = await made(client, "/create-retell-llm", {})
        listed = (await client.get("/v2/list-retell-llms")).json()["items"]
    assert [item["llm_id"] for item in listed] == [third["llm_id"], second["llm_id"], llm["llm_id"]]
    times = [item["last_modification_timestamp"] for item in listed]
    assert times == sorted(times, reverse=True)
    assert times[1] - times[2] > 10_000
    with closing(sqlite3.connect(path)) as file, file:
        rows = file.execute("SELECT data FROM entries WHERE what = 'request'").fetchall()
    file.close()
    assert [json.loads(data)["path"] for (data,) in rows] == ["/create-retell-llm"] * 3
