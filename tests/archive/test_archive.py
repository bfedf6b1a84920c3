"""An archive in a file, on a sandbox in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import anyio
import attrs
import httpx
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection

from retell_async import AsyncRetell, ConfigurationError, RetellError, webhooks
from retell_async.archive import Archive, Storage
from retell_async.archive.migrations import VERSIONS
from retell_async.archive.queries.views import VIEWS
from retell_async.archive.schema import metadata, sessions
from retell_async.archive.sync import _from_ms  # pyright: ignore[reportPrivateUsage]
from retell_async.llm import Outcome
from retell_async.sandbox import Settings
from retell_async.testing import LocalRetell

pytestmark = pytest.mark.asyncio

PERSON = "+14155550199"


@asynccontextmanager
async def opened(path: Path, local: LocalRetell | None = None, **settings: Any) -> AsyncGenerator[Archive]:
    if local is not None:
        settings["clock"] = lambda: local.now / 1000
    async with Archive(path / "archive.db", **settings) as archive:
        yield archive


def router_of(archive: Archive, local: LocalRetell) -> webhooks.Router:
    router = webhooks.Router(local.api_key, acknowledge_after=5, store=archive.deliveries)
    archive.receive(router)
    local.send_to(router)
    return router


async def place(local: LocalRetell, client: Any, count: int, **agent: Any) -> None:
    number = local.create_fixtures(webhook_url="https://service.example/events", **agent).phone_number
    for person in range(count):
        to_number = PERSON if person == 0 else f"+1415555{person:04}"
        await client.call.create_phone_call(from_number=number, to_number=to_number, metadata={"session_id": f"s{person // 2}"})
    await local.advance(900)


def event(name: str, **call: Any) -> webhooks.Event:
    return webhooks.parse_event(json.dumps({"event": name, "call": {"call_id": "call_1", "agent_id": "agent_1", **call}}))


def held_in(path: Path) -> bytes:
    """Every byte of the file, and of what SQLite has beside it."""
    return b"".join(file.read_bytes() for file in path.iterdir())


async def test_the_tables_are_those_of_the_migrations(tmp_path: Path) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
            return kind != "table" or (name or "") in metadata.tables

        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts={"include_object": ours}), metadata)
        return found

    async with opened(tmp_path) as archive, archive.connection() as connection:
        assert await connection.run_sync(differences) == []
    async with opened(tmp_path) as archive, archive.database.write() as connection:
        await connection.execute(sa.text(f"UPDATE {VERSIONS} SET version_num = '99'"))
    with pytest.raises(ConfigurationError, match="newer version"):
        async with opened(tmp_path):
            pass


async def test_an_archive_of_the_first_version_is_brought_to_this_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as archive, archive.database.write() as connection:
        for statement in (
            "ALTER TABLE retell_sync DROP COLUMN is_full",
            "ALTER TABLE retell_sync DROP COLUMN from_ms",
            "ALTER TABLE retell_session DROP COLUMN at_ms",
            "ALTER TABLE retell_llm_effect DROP COLUMN action",
            "ALTER TABLE retell_llm_effect DROP COLUMN says_goodbye",
            "INSERT INTO retell_session (session_id, conversation_id) VALUES ('s1', 'call_1')",
            f"UPDATE {VERSIONS} SET version_num = '1'",
            "INSERT INTO retell_sync (kind, since_ms, began_ms, part, cursor) VALUES ('call', 5, 7, 1, 'second')",
        ):
            await connection.execute(sa.text(statement))
    async with opened(tmp_path) as archive, archive.connection() as connection:
        row = (await connection.execute(sa.text("SELECT since_ms, began_ms, part, cursor, is_full, from_ms FROM retell_sync"))).one()
        assert tuple(row) == (5, None, 0, None, 0, None)
        assert await connection.scalar(sa.select(sessions.c.at_ms)) == pytest.approx(time.time() * 1000, abs=60_000)


async def test_events_are_stored_before_they_are_acknowledged_and_handled_after_it(tmp_path: Path) -> None:
    local = LocalRetell(Settings(seed=3))
    local.fault("webhook_duplicate")
    got: list[str] = []
    async with opened(tmp_path, local) as archive, local.client() as client:
        router_of(archive, local)

        @archive.on("call_analyzed")
        async def analysed(event: webhooks.CallAnalyzed) -> None:
            assert await archive.raw(event.call.call_id) is not None
            got.append(event.call.call_id)

        await place(local, client, 6)
        waiting = (await archive.inbox.counts())["waiting"]
        assert waiting > 6
        assert got == []
        await archive.drain()
        assert await archive.inbox.counts() == {"done": waiting}
        assert len(got) == len(set(got)) == 6
        async for call in client.call.list():
            whole = await client.call.retrieve(call.call_id)
            assert await archive.raw(call.call_id) == whole.to_dict()
        assert len(await archive.conversations_of("s0")) == 2
        for view in VIEWS:
            rows = await archive.view(view)
            assert rows, view
            async with archive.connection() as connection:
                assert [dict(row) for row in (await connection.execute(sa.text(f"SELECT * FROM retell_view_{view}"))).mappings()] == rows
            assert await archive.view(view, since=datetime(2090, 1, 1, tzinfo=UTC)) == []
        record = await archive.record(got[0])
        assert record is not None
        assert {one["event"] for one in record["deliveries"]} >= {"call_ended", "call_analyzed"}


async def test_half_a_pair_and_numbers_that_are_none_lose_no_event_and_stop_no_sync(tmp_path: Path) -> None:
    call = r'{"call_id":"call_%s","call_type":"web_call","call_status":"ended","end_timestamp":5,%s}'
    call %= ("%s", r'"transcript":"User: bye \ud83d","metadata":{"n":NaN}')

    def answer(request: httpx.Request) -> httpx.Response:
        one = (call % 1).encode()
        content = one if "get-call" in request.url.path else b'{"items":[%s],"has_more":false}' % one
        return httpx.Response(200, content=content, headers={"content-type": "application/json"})

    got: list[str] = []
    async with opened(tmp_path) as archive, httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        router = webhooks.Router("key_1", acknowledge_after=5, store=archive.deliveries)
        archive.receive(router)

        @archive.on("call_ended", "call_\ud83d")
        async def ended(event: Any) -> None:
            got.append(event.to_dict()["call"]["transcript"])

        async with httpx.AsyncClient(transport=httpx.ASGITransport(router), base_url="http://x") as sender:
            for name in ("call_ended", r"call_\ud83d"):
                body = f'{{"event":"{name}","call":{call % 0}}}'.encode()
                assert (await sender.post("/", content=body, headers={webhooks.HEADER: webhooks.sign(body, "key_1")})).status_code < 300
        async with AsyncRetell(api_key="key_1", http_client=http) as client:
            assert (await archive.sync(client, kinds=["call"], events=True)).events == 1
        await archive.drain()
        assert got == ["User: bye \ud83d"] * 3
        for id in ("call_0", "call_1"):
            assert (await archive.raw(id) or {})["metadata"] == {"n": None}
        assert len(await archive.search("bye")) == 2
        assert await archive.llm_store.begin("call_1", "sms:\ud83d") is None
        assert await archive.llm_store.begin("call_1", "sms:\ud83d") == Outcome("begun")


@pytest.mark.parametrize("where", ["on", "in_transaction"])
async def test_what_a_handler_does_to_its_task_ends_no_work(where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "retell_async.archive")
    got: list[str] = []

    async def give_up() -> None:
        """A time-out as it was written before there was `asyncio.timeout`."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)

    async with opened(tmp_path, attempts=1) as archive:

        async def handle(event: Any, *_: object) -> None:
            await give_up()
            got.append(event.call.call_id)
            if event.call.call_id == "call_2":
                raise asyncio.CancelledError
            if event.call.call_id == "call_3":
                raise SystemExit("of a tool")

        getattr(archive, where)("call_ended")(handle)
        for number in (1, 2, 3, 4):
            await archive.inbox.put(event("call_ended", call_id=f"call_{number}"))
        with anyio.fail_after(10):
            await archive.drain()
        assert sorted(got) == ["call_1", "call_2", "call_3", "call_4"]
        assert await archive.inbox.counts() == {"done": 2, "failed": 2}
        assert {one.key for one in await archive.failed()} == {"call_ended:call_2", "call_ended:call_3"}


async def test_an_error_that_cannot_be_read_is_one_too(tmp_path: Path) -> None:
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async with opened(tmp_path, attempts=1) as archive:

        @archive.on("call_ended")
        async def handle(_: Any) -> None:
            raise Unreadable

        await archive.inbox.put(event("call_ended"))
        await archive.drain()
        assert [one.error for one in await archive.failed()] == ["Unreadable: what it says cannot be read"]


async def test_an_event_that_fails_is_tried_again_and_then_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "retell_async.archive")
    fails = True
    async with opened(tmp_path, attempts=2) as archive:

        @archive.in_transaction("call_ended")
        async def handle(_: webhooks.CallEnded, connection: AsyncConnection) -> None:
            await connection.execute(sa.text("INSERT INTO retell_archive VALUES ('mine', '1')"))
            if fails:
                raise RuntimeError(f"not for {PERSON}")

        assert await archive.inbox.put(event("call_ended"))
        assert not await archive.inbox.put(event("call_ended"))
        with anyio.fail_after(10):
            while not await archive.failed():
                await archive.drain()
        (one,) = await archive.failed()
        assert (one.key, one.attempts) == ("call_ended:call_1", 2)
        assert "RuntimeError" in (one.error or "")
        assert PERSON not in (one.error or "")
        async with archive.connection() as connection:
            assert await connection.scalar(sa.text("SELECT count(*) FROM retell_archive WHERE name = 'mine'")) == 0
        fails = False
        assert await archive.retry(one.key) == 1
        await archive.drain()
        assert await archive.inbox.counts() == {"done": 1}


async def test_what_would_wait_for_the_transaction_of_its_own_handler_is_refused_at_once(tmp_path: Path) -> None:
    """Or it would stop all that writes the file, webhooks too, until the handler's time is up."""
    local, refused, later = LocalRetell(), list[str](), list[asyncio.Future[None]]()
    async with opened(tmp_path, attempts=1) as archive, opened(tmp_path) as again, local.client() as client:
        writing: dict[str, Callable[[], Any]] = {
            "link": lambda: archive.link("order-1", "call_1"),
            "link of another one of the same file": lambda: again.link("order-1", "call_1"),
            "retry": archive.retry,
            "forget": lambda: archive.forget(datetime.fromtimestamp(0, UTC)),
            "erase": lambda: archive.erase(PERSON),
            "sync": lambda: archive.sync(client),
            "put": lambda: archive.inbox.put(event("call_analyzed")),
            "claim": lambda: archive.deliveries.claim("key"),
            "begin": lambda: archive.llm_store.begin("call_1", "key"),
        }

        async def link(begun: anyio.Event) -> None:
            await begun.wait()
            await archive.link("order-2", "call_1")

        over = anyio.Event()

        @archive.in_transaction("call_ended")
        async def handle(event: webhooks.CallEnded, _: AsyncConnection) -> None:
            for name, write in writing.items():
                with pytest.raises(ConfigurationError, match="write through the connection that it is given; or register it with `on`"):
                    await write()
                refused.append(name)
            async with Archive(tmp_path / "other.db") as other:
                await other.link("order-3", event.call.call_id)
            later.append(asyncio.ensure_future(link(over)))

        with anyio.fail_after(10):
            await archive.inbox.put(event("call_ended"))
            await archive.drain()
            over.set()
            await asyncio.gather(*later)
        assert refused == [*writing]
        assert await archive.inbox.counts() == {"done": 1}
        assert await archive.sessions_of("call_1") == ["order-2"]


async def test_what_a_process_had_taken_that_died_is_taken_by_another_one(tmp_path: Path) -> None:
    async with opened(tmp_path, lease=0.05, attempts=2) as first, opened(tmp_path, lease=0.05, attempts=2) as second:
        await first.inbox.put(event("call_ended"))
        (taken,) = await first.inbox.take(5)
        assert await second.inbox.take(5) == []
        await anyio.sleep(0.06)
        (again,) = await second.inbox.take(5)
        assert (taken.attempts, again.attempts) == (1, 2)
        assert not await first.inbox.renew(taken.key)
        await anyio.sleep(0.06)
        assert await first.inbox.take(5) == []  # whoever handles it dies
        (failed,) = await first.failed()
        assert "ended" in (failed.error or "")


async def test_a_router_that_acknowledges_first_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as archive:
        with pytest.raises(ConfigurationError, match="acknowledge_after=5"):
            archive.receive(webhooks.Router("key_1"))


async def test_processes_share_claims(tmp_path: Path) -> None:
    async with opened(tmp_path) as first, opened(tmp_path) as second:
        assert await first.deliveries.claim("a") is webhooks.Claim.MINE
        assert await second.deliveries.claim("a") is webhooks.Claim.IN_PROGRESS
        assert not await second.deliveries.renew("a")
        await second.deliveries.release("a")
        assert await first.deliveries.renew("a")
        await first.deliveries.done("a")
        assert await second.deliveries.claim("a") is webhooks.Claim.DONE


async def test_a_sync_asks_once_for_each_call_and_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    local = LocalRetell(Settings(seed=3))
    async with opened(tmp_path, local) as archive, local.client(max_retries=0) as client:
        await place(local, client, 40)
        broken = local.fault("error", operation="call.retrieve", status=503, probability=0.2, seed=1)
        for _ in range(30):
            try:
                await archive.sync(client, at_once=1, events=True)
                break
            except Exception:  # noqa: BLE001 - cut off
                continue
        assert broken.count > 1
        read = [request for request in local.requests("call.retrieve") if request.status == 200]
        assert len({request.path for request in read}) == len(read)
        local.clear_faults()
        async for call in client.call.list():
            assert await archive.raw(call.call_id) == (await client.call.retrieve(call.call_id)).to_dict()
        asked = len(local.requests())
        assert (await archive.sync(client)).read == 0
        assert len(local.requests()) - asked <= 5
        assert (await archive.inbox.counts())["waiting"] == 80


async def test_an_archive_is_of_one_workspace(tmp_path: Path) -> None:
    """What the second one had before the last pass of the first would never be there."""
    one, other = LocalRetell(Settings(seed=3)), LocalRetell(Settings(seed=4))
    async with opened(tmp_path, one) as archive, one.client() as client, other.client() as stranger:
        await place(one, client, 2)
        await place(other, stranger, 2)
        forbidden = one.fault("error", operation="identity.retrieve", status=403)  # a key that may not ask
        assert (await archive.sync(client)).new == 2
        assert forbidden.count == 1
        one.clear_faults()
        await archive.sync(client)
        asked = len(other.requests())
        with pytest.raises(ConfigurationError, match=r"of another workspace \(org_sandbox_3\) than that of this API key \(org_sandbox_4\)"):
            await archive.sync(stranger)
        assert [request.operation for request in other.requests()[asked:]] == ["getApiKeyInfo"]
        await archive.sync(client)


@pytest.mark.parametrize("breaks", [2, 3])
async def test_a_full_pass_goes_on_with_none_that_looked_at_less(tmp_path: Path, breaks: int) -> None:
    asked: list[list[str]] = []

    def answer(request: httpx.Request) -> Any:
        asked.append(list(json.loads(request.content).get("filter_criteria", ())))
        if len(asked) == breaks:
            raise httpx.ConnectError("")
        return {"items": [{"call_id": "call_1", "call_status": "error", "end_timestamp": 5.0}], "has_more": False}

    async with opened(tmp_path) as archive, answering(answer, max_retries=0) as client:
        await archive.sync(client, kinds=["call"])
        with pytest.raises(RetellError):
            await archive.sync(client, kinds=["call"])
        assert (await archive.sync(client, kinds=["call"], full=True)).seen == 1
        assert asked[breaks:] == [[]]


async def test_a_first_pass_that_was_cut_off_goes_on_as_far_back_as_it_was_told(tmp_path: Path) -> None:
    asked: list[Any] = []

    def answer(request: httpx.Request) -> Any:
        body = json.loads(request.content)
        asked.append((body.get("filter_criteria", {}).get("end_timestamp", {}).get("value"), body.get("pagination_key")))
        call = {"call_id": f"call_{len(asked)}", "call_status": "error", "end_timestamp": 5.0}
        if len(asked) == 2:
            raise httpx.ConnectError("")
        return {"items": [call], "has_more": len(asked) == 1, "pagination_key": "second"}

    async with opened(tmp_path) as archive, answering(answer, max_retries=0) as client:
        with pytest.raises(RetellError):
            await archive.sync(client, kinds=["call"], since=datetime.fromtimestamp(1, UTC))
        await archive.sync(client, kinds=["call"])
        assert asked == [(1000, None), (1000, "second"), (1000, "second"), (None, None)]
        with pytest.raises(ConfigurationError, match="still to come"):
            await archive.sync(client, since=datetime.now(UTC) + timedelta(days=1))


async def test_no_pass_leaves_out_what_none_has_looked_at() -> None:
    overlap, known = 15 * 60_000, 10_000_000
    passes = {
        (None, None, False): None,
        (None, 7, False): 7,
        (None, 7, True): 7,
        (known, None, False): known - overlap,
        (known, 7, False): known - overlap,
        (known, None, True): None,
        (known, 7, True): 7,
        (known, known + 1, True): known - overlap,
    }
    for (before, since, full), from_ms in passes.items():
        assert _from_ms(SimpleNamespace(since_ms=before), since, full=full) == from_ms


def answering(answer: Callable[[httpx.Request], Any], **settings: Any) -> AsyncRetell:
    async def respond(request: httpx.Request) -> httpx.Response:
        found = {"org_id": "org_1"} if request.url.path == "/get-api-key-info" else answer(request)
        return httpx.Response(200, json=await found if isawaitable(found) else found)

    return AsyncRetell(api_key="key_1", http_client=httpx.AsyncClient(transport=httpx.MockTransport(respond)), **settings)


async def test_a_list_that_goes_round_ends_the_sync(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> Any:
        asked.append(request.url.path)
        return {"items": [{"call_id": "call_1", "call_status": "ongoing"}], "has_more": True, "pagination_key": "again"}

    async with opened(tmp_path) as archive, answering(answer) as client:
        for _ in range(2):
            with pytest.raises(ValueError, match="round in a circle"):
                await archive.sync(client, kinds=["call"])
        assert len(asked) < 10


async def test_a_sync_that_lost_its_lease_says_so_and_one_that_cannot_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.archive.sync._LEASE", 0.2)
    listed = {"items": [{"call_id": "call_1", "call_status": "ended", "start_timestamp": 1, "end_timestamp": 5}], "has_more": False}

    async with opened(tmp_path) as archive:

        async def taken_over(_: httpx.Request) -> Any:
            async with archive.database.write() as connection:
                await connection.execute(sa.text("UPDATE retell_sync SET holder = 'another'"))
            await anyio.sleep(5)

        def unreadable(request: httpx.Request) -> Any:
            return listed if "list" in request.url.path else ["nothing"]

        async with answering(taken_over) as client:
            with anyio.fail_after(4), pytest.raises(ConfigurationError, match="another process syncs its calls"):
                await archive.sync(client, kinds=["call"])
        async with archive.database.write() as connection:
            await connection.execute(sa.text("UPDATE retell_sync SET holder = NULL"))
        async with answering(unreadable, max_retries=0) as client:
            with pytest.raises(RetellError):
                await archive.sync(client, kinds=["call"])


async def test_an_analysis_that_comes_late_is_found_by_a_list(tmp_path: Path) -> None:
    local = LocalRetell(Settings(seed=3, outcomes={"user_hangup": 1}))
    async with opened(tmp_path, local) as archive, local.client() as client:
        number = local.create_fixtures().phone_number
        placed = await client.call.create_phone_call(from_number=number, to_number=PERSON)
        while (await client.call.retrieve(placed.call_id)).call_status != "ended":
            await local.advance(1)
        assert (await archive.sync(client)).read == 1
        assert "call_analysis" not in (await archive.raw(placed.call_id) or {})
        await local.advance(60)
        done = await archive.sync(client)
        assert (done.read, done.changed) == (0, 1)
        assert "call_analysis" in (await archive.raw(placed.call_id) or {})


async def test_what_is_only_told_again_has_not_changed(tmp_path: Path) -> None:
    """By a list after it was read alone, and by a list after an event."""
    local = LocalRetell(Settings(seed=3, outcomes={"user_hangup": 1}))
    async with opened(tmp_path, local) as archive, local.client() as client:
        await place(local, client, 2)
        done = await archive.sync(client)
        assert (done.new, done.changed, done.read) == (2, 0, 2)
        router_of(archive, local)
        await place(local, client, 2)
        await archive.drain()
        for _ in range(2):
            done = await archive.sync(client, full=True)
            assert (done.seen, done.new, done.changed, done.read) == (4, 0, 0, 0)


async def test_what_may_not_be_kept_is_nowhere_in_the_file(tmp_path: Path) -> None:
    local = LocalRetell(Settings(seed=3, outcomes={"user_hangup": 1}))
    async with opened(tmp_path, local) as archive, local.client() as client:
        router_of(archive, local)
        await place(local, client, 2, data_storage_setting="basic_attributes_only")
        await archive.drain()
        await archive.sync(client)
        async with archive.connection() as connection:
            assert await connection.scalar(sa.text("SELECT count(*) FROM retell_utterance")) == 0
            assert await connection.scalar(sa.text("SELECT count(*) FROM retell_conversation WHERE storage = 'basic_attributes_only'")) == 2
    assert b"dental practice" not in held_in(tmp_path)


async def test_a_person_is_erased_from_everything_and_does_not_come_back(tmp_path: Path) -> None:
    local = LocalRetell(Settings(seed=3, outcomes={"user_hangup": 1}))
    async with opened(tmp_path, local) as archive, local.client() as client:
        router_of(archive, local)
        await place(local, client, 3)
        await archive.inbox.put(event("transfer_started", transfer_destination=None, metadata={"friend": "(415) 555-0199"}))
        await archive.drain()
        await archive.inbox.put(event("call_ended", transcript=f"User: I am at 415 555 0199, or {PERSON}"))
        store = archive.llm_store
        await store.claim("call_2")
        await store.save("call_2", {"said": PERSON}, 1)
        await archive.link(PERSON, "call_1")
        done = await archive.erase("+1 (415) 555-0199")
        assert len(done.conversations) == 1
        assert done.mentions >= 4
        assert await archive.raw(done.conversations[0]) is None
        assert (await archive.raw("call_1") or {})["metadata"] == {"friend": "[erased]"}
        await archive.drain()
        await archive.sync(client, full=True)
        assert await archive.raw(done.conversations[0]) is None
        with pytest.raises(ConfigurationError, match="country code"):
            await archive.erase("0199")
    held = held_in(tmp_path)
    assert not any(form in held for form in (b"4155550199", b"555 0199", b"555-0199"))


async def test_what_is_old_is_forgotten_and_does_not_come_back(tmp_path: Path) -> None:
    local = LocalRetell(Settings(seed=3))
    async with opened(tmp_path, local) as archive, local.client() as client:
        await place(local, client, 4)
        await archive.sync(client)
        assert await archive.forget(datetime.fromtimestamp(local.now / 1000, UTC)) == 4
        await archive.sync(client, full=True)
        assert await archive.view("cost") == []


async def test_what_is_forgotten_does_not_come_back_by_an_event_without_its_end(tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    old = {"start_timestamp": now - 3_660_000, "end_timestamp": now - 3_600_000}
    begun = {"start_timestamp": now - 3_660_000, "end_timestamp": now - 60_000}
    async with opened(tmp_path) as archive:
        await archive.inbox.put(event("call_ended", **old))
        await archive.inbox.put(event("call_ended", **begun, call_id="call_2"))
        await archive.drain()
        assert await archive.forget(datetime.now(UTC) - timedelta(minutes=30)) == 1
        del old["end_timestamp"], begun["end_timestamp"]
        await archive.inbox.put(event("call_started", **old, call_status="ongoing"))
        await archive.inbox.put(
            event("call_started", **begun, call_id="call_2", agent_name="Ann")
        )  # one that is there, since it ended later
        registered = {"event": "call_started", "event_timestamp": now - 3_660_000, "call": {"call_id": "call_3"}}
        await archive.inbox.put(webhooks.parse_event(json.dumps(registered)))
        await archive.drain()
        assert [await archive.record(id) for id in ("call_1", "call_3")] == [None, None]
        assert (await archive.record("call_2") or {})["agent_name"] == "Ann"


async def test_what_is_of_no_call_that_is_known_is_forgotten_too(tmp_path: Path) -> None:
    async with opened(tmp_path, attempts=1) as archive:
        router = webhooks.Router("key_1")

        @archive.function(router, "book")
        async def book(call: webhooks.FunctionCall) -> str:
            return f"private {call.args['at']}"

        @archive.in_transaction("call_ended")
        async def broken(event: webhooks.Event, connection: AsyncConnection) -> None:
            raise ValueError("a bug")

        await archive.inbox.put(event("call_ended", transcript="User: private\n"))
        await archive.drain()
        run = router._functions["book"]
        await run(webhooks.parse_function(json.dumps({"name": "book", "args": {"at": "ten"}, "call": {"call_id": "call_2"}})))
        await archive.link("private", "call_3")
        assert await archive.forget(datetime.now(UTC) - timedelta(hours=1)) == 0
        assert (len(await archive.failed()), await archive.sessions_of("call_3")) == (1, ["private"])  # its call may still be told of
        await anyio.sleep(0.01)
        assert await archive.forget(datetime.now(UTC)) == 0
        async with archive.connection() as connection:
            for table in metadata.sorted_tables:
                assert "private" not in str((await connection.execute(sa.select(table))).all())
        assert await archive.failed() == []


async def test_nothing_is_forgotten_that_is_still_to_come(tmp_path: Path) -> None:
    now = [2_000.0]
    async with opened(tmp_path, clock=lambda: now[0]) as archive:
        with pytest.raises(ConfigurationError, match="still to come"):
            await archive.forget(datetime.fromtimestamp(now[0] + 1, UTC))
        await archive.forget(datetime.fromtimestamp(now[0], UTC))
        now[0] = 1_000.0  # the clock was wrong
        await archive.forget(datetime.fromtimestamp(now[0], UTC))
        await archive.inbox.put(event("call_ended", end_timestamp=1_500_000))
        await archive.drain()
        assert await archive.raw("call_1") is not None


async def test_a_number_in_calls_of_others_is_named_as_long_as_the_api_has_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as archive:
        for name in ("call_ended", "call_analyzed"):
            await archive.inbox.put(event(name, transcript=f"User: My friend is at {PERSON}.", call_id="call_2"))
            await archive.drain()
            assert attrs.asdict(await archive.erase(PERSON)) == {"conversations": [], "mentions": 1, "mentioned": ["call_2"]}
            assert PERSON not in json.dumps(await archive.raw("call_2"))


async def test_what_this_version_does_not_know_is_kept_with_everything_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as archive:
        for storage in get_args(Storage):
            about = {"call_id": storage, "data_storage_setting": storage, "new_field": "said", "scrubbed_new_field": "[NAME]"}
            await archive.inbox.put(event("call_ended", **about))
        await archive.drain()
        kept = {storage: {name for name in await archive.raw(storage) or {} if "new" in name} for storage in get_args(Storage)}
        assert kept == {
            "everything": {"new_field", "scrubbed_new_field"},
            "everything_except_pii": {"scrubbed_new_field"},
            "basic_attributes_only": set(),
        }


async def test_calls_without_a_time_are_forgotten_too(tmp_path: Path) -> None:
    call = {"call_type": "phone_call", "call_status": "not_connected", "to_number": PERSON}
    listed = [{**call, "call_id": "call_1"}, {**call, "call_id": "call_2"}, {**call, "call_id": "call_3", "end_timestamp": 5.0}]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"items": listed, "has_more": False})

    async with opened(tmp_path) as archive, httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = AsyncRetell(api_key="key_1", http_client=http)
        await archive.inbox.put(event("call_ended", **call))
        await archive.drain()
        await archive.sync(client, kinds=["call"])
        assert await archive.forget(datetime.now(UTC)) == 3
        await archive.sync(client, kinds=["call"], full=True)
        assert not await archive.inbox.put(event("call_analyzed", **call))
        assert [await archive.record(f"call_{number}") for number in (1, 2, 3)] == [None] * 3


async def test_functions_and_side_effects_are_tool_calls(tmp_path: Path) -> None:
    async with opened(tmp_path) as archive:
        router = webhooks.Router("key_1", acknowledge_after=5)

        @archive.function(router, "book")
        async def book(call: webhooks.FunctionCall) -> dict[str, Any]:
            if call.args["at"] == "never":
                raise ValueError("full")
            return {"booked": call.args["at"]}

        invocation = {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "book", "arguments": '{"at": "ten"}'}
        call = {"call_id": "call_1", "agent_id": "agent_1", "transcript_with_tool_calls": [invocation]}
        run = router._functions["book"]
        await run(webhooks.parse_function(json.dumps({"name": "book", "args": {"at": "ten"}, "call": call})))
        with pytest.raises(ValueError, match="full"):
            await run(webhooks.parse_function(json.dumps({"at": "never"})))
        store = archive.llm_store
        assert await store.begin("call_1", "sms:+1") is None
        assert await store.begin("call_1", "sms:+1") == Outcome("begun")
        done = Outcome("done", {"id": 7}, action={"end_call": True}, says_goodbye=True)
        await store.finish("call_1", "sms:+1", done)
        assert await store.begin("call_1", "sms:+1") == done
        result = {"role": "tool_call_result", "tool_call_id": "t1", "content": "cut off", "successful": True}
        await archive.inbox.put(event("call_ended", transcript_with_tool_calls=[invocation, result], end_timestamp=5))
        await archive.drain()
        out = io.StringIO()
        await archive.export("tool_calls", out, format="jsonl")
        rows = {row["source"] + row["state"]: row for row in map(json.loads, out.getvalue().splitlines())}
        assert rows.keys() == {"functiondone", "functionfailed", "oncedone"}
        assert rows["functiondone"]["result"] == '{"booked":"ten"}'
        assert rows["functionfailed"]["error"] == "ValueError: full"
        assert rows["oncedone"]["name"] == "sms"


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("네 안녕하세요 감사합니다", "안녕하세요"),
        ("はい ありがとうございます", "ありがとうございます"),
        ("नमस्ते आप कैसे हैं", "नमस्ते"),
        ("মাফ নমস্কার আপনি", "নমস্কার"),
        ("வணக்கம் நன்றி", "வணக்கம்"),
        ("สวัสดีครับ", "สวัสดีครับ"),
        ("мой друг", "МОЙ"),
        ("καλημέρα σας", "ΚΑΛΗΜΈΡΑ"),
        ("mañana por la tarde", "manana tarde"),
        ("İstanbul'a gidiyorum", "istanbul"),
        ("łódź jest", "ŁÓDŹ"),
        ("你好 世界", "你好"),
    ],
)
async def test_words_of_any_script_are_found(tmp_path: Path, said: str, asked: str) -> None:
    async with opened(tmp_path) as archive:
        await archive.inbox.put(event("call_ended", transcript=f"User: {said}"))
        await archive.drain()
        assert [found.text for found in await archive.search(asked)] == [said]


async def test_what_is_written_out_can_be_read_by_others(tmp_path: Path) -> None:
    arguments = ['{"price":NaN}', r'{"text":"\ud83d"}', "[" * 20_000, "[" * 900 + "]" * 900, '{"a":1}', "no JSON"]
    called = [{"role": "tool_call_invocation", "tool_call_id": f"t{at}", "name": "q", "arguments": one} for at, one in enumerate(arguments)]
    said = {"role": "user", "content": "one\rtwo\r\nthree, four"}
    async with opened(tmp_path) as archive:
        await archive.inbox.put(event("call_ended", transcript_with_tool_calls=[said, *called], metadata={"half": "\ud83d", "n": 10**30}))
        await archive.drain()
        lines, table, records = io.StringIO(), io.StringIO(), io.StringIO()
        assert await archive.export("tool_calls", lines, format="jsonl") == len(arguments)
        assert await archive.export("utterances", table) == 1
        assert await archive.export("records", records, format="jsonl") == 1

    def none(constant: str) -> None:
        raise AssertionError(constant)

    rows = [json.loads(line, parse_constant=none) for line in lines.getvalue().splitlines()]
    assert [row["arguments"] for row in rows[:3]] == [{"price": None}, {"text": "\ufffd"}, "[" * 20_000]
    assert [row["arguments"] for row in rows[4:]] == [{"a": 1}, "no JSON"]
    assert json.loads(records.getvalue().encode())["metadata"] == {"half": "\ufffd", "n": 10**30}
    assert "\r" not in table.getvalue()
    assert "one\ntwo\nthree, four" in table.getvalue()


async def test_tables_are_written_out(tmp_path: Path) -> None:
    from pyarrow import parquet

    local = LocalRetell(Settings(seed=3))
    async with opened(tmp_path, local) as archive, local.client() as client:
        await place(local, client, 4)
        await archive.sync(client)
        out = io.StringIO()
        assert await archive.export("calls", out) == 4
        assert out.getvalue().count("\n") == 5
        file = tmp_path / "utterances.parquet"
        count = await archive.export("utterances", file, format="parquet")
        assert parquet.read_table(file).num_rows == count > 0
        assert await archive.export("records", io.StringIO(), format="jsonl") == 4
        with pytest.raises(ConfigurationError, match="jsonl"):
            await archive.export("records", out)
        assert await archive.export("calls", str(tmp_path / "calls.csv")) == 4
        assert (tmp_path / "calls.csv").read_text() == out.getvalue()
        with pytest.raises(ConfigurationError):
            await archive.export("calls", str(tmp_path / "archive.db"))
        found = await archive.search("practice")
        assert found
        assert "practice" in found[0].text
        assert len(await archive.search("practice", limit=10**20)) >= len(found)


async def test_numbers_that_cannot_be_are_one_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as archive:
        for limit in (0, -5):
            with pytest.raises(ConfigurationError, match="limit must be at least 1"):
                await archive.search("hello", limit=limit)
        with pytest.raises(ConfigurationError, match="no clock is -9600 hours from UTC"):
            await archive.view("cost", utc_offset=timedelta(days=-400))
        assert await archive.view("cost", utc_offset=timedelta(hours=14)) == []


@pytest.mark.needs("proc")
async def test_whoever_opens_a_file_again_takes_no_locks_from_the_process(tmp_path: Path, locks: Callable[[Path], list[str]]) -> None:
    async with opened(tmp_path):
        before = locks(tmp_path / "archive.db")
        assert before  # without them another process takes itself for the only one, and removes the log in which this one writes
        async with opened(tmp_path):
            pass
        assert locks(tmp_path / "archive.db") == before


async def test_a_file_is_one_database_and_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_text("hello, this is text" * 100)
    with pytest.raises(ConfigurationError, match=r"archive\.db: it is no database of SQLite"):
        async with opened(tmp_path):
            pass
    (tmp_path / "archive.db").unlink()
    async with opened(tmp_path):
        pass
    os.link(tmp_path / "archive.db", tmp_path / "second.db")
    with pytest.raises(ConfigurationError, match="several names"):
        async with opened(tmp_path):
            pass
