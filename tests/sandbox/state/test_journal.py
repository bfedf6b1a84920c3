"""The file of a sandbox: what cannot be written does not happen, what is refused is not touched, and a restart judges as before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.responses import JSONResponse

from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings, SteppedClock
from retell_async.sandbox.common.messages import Refused
from retell_async.sandbox.http.pipeline import receive
from retell_async.sandbox.outgoing.sender import Sender
from retell_async.sandbox.state.journal import Entry, Journal

from ..checked import Api, Json
from ..endpoints import KEY, Endpoints
from ..outgoing.test_sender import CALLER, HOOK, number

pytestmark = pytest.mark.parallel

SETTINGS = Settings(outcomes={"user_hangup": 1}, webhook_key=KEY)


class Disk(Journal):
    """A file on a disk that can be full."""

    full = False

    def add(self, entry: Entry) -> int:
        if self.full:
            raise Refused(500, "the disk is full")
        return super().add(entry)


_opened: list[Journal] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


class Kept(Api):
    def __init__(self, path: Path, clock: Any = None) -> None:
        self.journal = Disk(path, SETTINGS)
        _opened.append(self.journal)
        self.clock = clock or SteppedClock(max(self.journal.last, 1_760_000_000_000))
        self.sandbox = Sandbox(SETTINGS, self.clock, self.journal)


def state(api: Api) -> Any:
    calls = [api.get(f"/v2/get-call/{call['call_id']}") for call in api.calls(limit=1000)]
    return calls, api.get("/v2/list-retell-llms"), api.get("/v2/list-phone-numbers"), api.post("/v2/list-agents", {})


def test_what_cannot_be_written_does_not_happen(tmp_path: Path) -> None:
    api = Kept(tmp_path / "file")
    own = number(api)
    call_id = api.call(own)["call_id"]
    fault = api.sandbox.set_fault(Fault(kind="latency"))
    before = state(api)
    api.journal.full = True
    refusals = [
        api.ask("POST", "/create-retell-llm", {}),
        api.ask("POST", "/v2/create-phone-call", {"from_number": own, "to_number": "+12015550101", "idempotency_key": "key_1"}),
        api.ask("PATCH", f"/update-phone-number/{own}", {"nickname": "Desk"}),
        api.ask("DELETE", f"/v2/delete-call/{call_id}"),
    ]
    assert {(status, body["message"]) for status, body in refusals} == {(500, "the disk is full")}
    for act in (
        lambda: api.sandbox.ring(CALLER, own),
        lambda: api.sandbox.write(CALLER, own, "hello"),
        lambda: api.sandbox.set_fault(Fault(kind="reset")),
        lambda: api.sandbox.remove_fault(fault.id),
        api.sandbox.clear_faults,
    ):
        with pytest.raises(Refused):
            act()
    assert state(api) == before
    assert [active.id for active in api.sandbox.faults] == [fault.id]
    api.journal.full = False
    assert api.call(own, "+12015550101", idempotency_key="key_1")["call_id"] != call_id
    api.llm()
    after = state(api)
    api.journal.close()
    assert state(Kept(tmp_path / "file")) == after


@pytest.mark.anyio
async def test_what_was_heard_waits_for_the_disk_and_is_not_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api, user = Kept(tmp_path / "file"), Endpoints(lambda *_: JSONResponse({}))
    api.call(number(api, webhook_url=HOOK, webhook_events=["call_ended"]))
    outgoing = Sender(api.sandbox, user.transport)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outgoing.advance, 600)
        api.journal.full = True
        while not caplog.records:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.01)
        api.journal.full = False
    assert user.events() == ["call_ended"]
    (delivery,) = api.sandbox.outbox.log
    assert (delivery.state, len(delivery.attempts)) == ("delivered", 1)
    assert "the answer to call_ended waits: the disk is full" in caplog.text


def test_what_is_only_looked_at_needs_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api = Kept(tmp_path / "file")
    own = number(api)
    api.journal._file.execute("PRAGMA query_only = 1")
    assert api.get(f"/get-phone-number/{own}")["phone_number"] == own
    assert "cannot be written" in caplog.text
    status, body = api.ask("POST", "/create-retell-llm", {})
    assert (status, "cannot be written to file: attempt to write a readonly database" in body["message"]) == (500, True)


def foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE customers (name)")
        file.execute("INSERT INTO customers VALUES ('Ada')")
        file.commit()


def foreign_with_a_log(path: Path) -> None:
    """As a program leaves it that was killed."""
    with contextlib.closing(sqlite3.connect(f"{path}.made")) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("CREATE TABLE customers (name)")
        file.commit()
        for ending in ("", "-wal"):
            Path(f"{path}{ending}").write_bytes(Path(f"{path}.made{ending}").read_bytes())


def of_another_version(path: Path) -> None:
    Journal(path, Settings()).close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 1")


def of_other_settings(path: Path) -> None:
    Journal(path, Settings(seed=5)).close()


def text(path: Path) -> None:
    path.write_text("no database " * 100)


def short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def damaged(path: Path) -> None:
    Journal(path, Settings()).close()
    content = bytearray(path.read_bytes())
    content[100:] = os.urandom(len(content) - 100)
    path.write_bytes(content)


@pytest.mark.parametrize("make", [foreign, foreign_with_a_log, of_another_version, of_other_settings, text, short, damaged])
def test_a_file_that_is_refused_is_as_it_was(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "file"
    make(path)
    before = {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"cannot be used|other settings"):
        Journal(path, Settings())
    assert {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()} == before


def test_a_directory_and_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be used: it is a folder"):
        Journal(tmp_path, Settings())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "file", Settings())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("fifo", "symlink")
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_regular_file_stays_what_it_is(tmp_path: Path, linked: bool) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    before = sorted(entry.name for entry in tmp_path.iterdir())
    for refused in (path, Path(os.devnull)):
        with pytest.raises(ValueError, match=f"{refused.name} cannot be used: it is no regular file"):
            Journal(refused, Settings())
    assert pipe.is_fifo()
    assert Path(os.devnull).is_char_device()
    assert path.is_symlink() is linked
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("linked", [False, pytest.param(True, marks=pytest.mark.needs("symlink"))])
def test_the_log_of_a_file_that_is_gone_is_not_played_into_a_new_one(tmp_path: Path, emptied: bool, linked: bool) -> None:
    path = real = tmp_path / "file"
    if linked:
        (tmp_path / "elsewhere").mkdir()
        real = tmp_path / "elsewhere" / "kept"
        path.symlink_to(real)
        real.touch()
    api = Kept(path)
    api.llm()
    log = Path(f"{real}-wal")
    content = log.read_bytes()
    api.journal.close()
    if emptied or linked:
        real.write_bytes(b"")
    else:
        real.unlink()
    log.write_bytes(content)  # as kill -9 leaves it
    with pytest.raises(ValueError, match=rf"file cannot be begun: {log.name} beside it.*remove it too"):
        Journal(path, SETTINGS)
    assert log.read_bytes() == content
    assert not (real.exists() and real.stat().st_size)
    log.unlink()
    again = Kept(path)
    assert again.get("/v2/list-retell-llms")["items"] == []


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    api = Kept(tmp_path / "file")
    api.llm()
    api.journal.close()
    assert Kept(tmp_path / "file").get("/v2/list-retell-llms")["items"]


def test_two_sandboxes_do_not_share_a_file(tmp_path: Path) -> None:
    api = Kept(tmp_path / "file")
    with pytest.raises(ValueError, match="in use by another sandbox"):
        Journal(tmp_path / "file", SETTINGS)
    api.llm()
    api.journal.close()
    Journal(tmp_path / "file", SETTINGS).close()


@pytest.mark.parametrize("cut", [0, 1, 40, 5_000, 40_000])
def test_a_log_that_is_cut_off_brings_back_what_is_left(tmp_path: Path, cut: int) -> None:
    api = Kept(tmp_path / "file")
    for _ in range(40):
        api.llm()
    copy = tmp_path / "copy"
    copy.write_bytes((tmp_path / "file").read_bytes())
    log = (tmp_path / "file-wal").read_bytes()
    Path(f"{copy}-wal").write_bytes(log[: len(log) - cut])
    after = Kept(copy)
    ids = [item["llm_id"] for item in api.get("/v2/list-retell-llms", limit=100)["items"]]
    left = [item["llm_id"] for item in after.get("/v2/list-retell-llms", limit=100)["items"]]
    assert ids[len(ids) - len(left) :] == left
    assert len(left) == 40 or cut
    after.llm()


class Hands:
    """Clocks of the machine that are moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_760_000_000.0
        monkeypatch.setattr("time.time", lambda: self.seconds)
        monkeypatch.setattr("time.monotonic", lambda: self.seconds - 1_750_000_000)


def started(path: Path, speed: float) -> Kept:
    with contextlib.closing(Journal(path, SETTINGS)) as journal:
        last = journal.last
    return Kept(path, RunningClock(speed, last))


@pytest.mark.parametrize(("first", "second"), [(3_600, 1), (1, 3_600), (60, 60), (0.5, 100)])
def test_a_key_is_kept_for_an_hour_of_the_callers_time_over_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: float, second: float
) -> None:
    hands = Hands(monkeypatch)
    api = started(tmp_path / "file", first)
    own = number(api)
    made = api.call(own, idempotency_key="key_1")["call_id"]
    hands.seconds += 1_700
    assert api.call(own, idempotency_key="key_1")["call_id"] == made
    api.journal.close()
    hands.seconds += 100
    api = started(tmp_path / "file", second)
    assert [call["call_id"] for call in api.calls()] == [made]
    hands.seconds += 1_700
    assert api.call(own, idempotency_key="key_1")["call_id"] == made
    api.journal.close()
    api = started(tmp_path / "file", first)
    hands.seconds += 101
    other = api.call(own, idempotency_key="key_1")["call_id"]
    assert other != made
    api.journal.close()
    for speed in (first, second, 7):
        api = started(tmp_path / "file", speed)
        assert {call["call_id"] for call in api.calls()} == {made, other}
        api.journal.close()


def test_what_was_told_of_a_call_is_so_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    api = started(tmp_path / "file", 3_600)
    call_id = api.call(number(api))["call_id"]
    hands.seconds += 1
    told = api.get(f"/v2/get-call/{call_id}")
    assert "call_analysis" in told
    api.journal.close()
    api = started(tmp_path / "file", 1)
    assert api.get(f"/v2/get-call/{call_id}") == told
    api.journal.close()


def test_faults_that_were_set_do_not_keep_a_file_from_its_sandbox(tmp_path: Path) -> None:
    api = Kept(tmp_path / "file")
    fault = api.sandbox.set_fault(Fault(kind="webhook_lost", operation="call_*"))
    api.sandbox.remove_fault(fault.id)
    with pytest.raises(KeyError):
        api.sandbox.remove_fault(fault.id)
    api.sandbox.set_fault(Fault(kind="error"))
    api.journal.close()
    assert len(Kept(tmp_path / "file").sandbox.faults) == 0


def test_the_list_of_requests_is_not_kept(tmp_path: Path) -> None:
    api = Kept(tmp_path / "file")
    receive(api.sandbox, "POST", "/create-retell-llm", authorization="Bearer key", content_type="application/json", content=b"{}").finish()
    assert len(list(api.sandbox.log)) == 1
    api.journal.close()
    again = Kept(tmp_path / "file")
    assert list(again.sandbox.log) == []
    assert len(again.get("/v2/list-retell-llms")["items"]) == 1


@pytest.mark.parametrize("change", [{"seed": 1}, {"concurrency_limit": 7}, {"webhook_url": HOOK}])
def test_a_file_is_bound_to_settings(tmp_path: Path, change: Json) -> None:
    Journal(tmp_path / "file", Settings()).close()
    with pytest.raises(ValueError, match=f"the file belongs to a sandbox of other settings: {next(iter(change))}$"):
        Journal(tmp_path / "file", Settings(**change))


@asynccontextmanager
async def program(path: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    command = [sys.executable, "-m", "retell_async.sandbox", "--port", "0", "--file", str(path), *options]
    begun = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    assert begun.stdout is not None
    try:
        url = (await begun.stdout.readline()).decode().split()[3]
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer any"}, timeout=20) as client:
            yield begun, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            begun.kill()
        await begun.communicate()


@pytest.mark.soak
@pytest.mark.needs("rlimit")
@pytest.mark.asyncio
@pytest.mark.parametrize("room", [0, 100, 4_120, 9_000])
async def test_a_disk_that_is_full_for_a_while(tmp_path: Path, room: int) -> None:
    import resource

    path = tmp_path / "file"
    acknowledged: list[str] = []

    async def create(client: httpx.AsyncClient, prompt: str) -> int:
        answer = await client.post("/create-retell-llm", json={"general_prompt": prompt})
        if answer.status_code == 201:
            acknowledged.append(prompt)
        return answer.status_code

    async def prompts(client: httpx.AsyncClient) -> list[str]:
        return [
            item["general_prompt"] for item in reversed((await client.get("/v2/list-retell-llms", params={"limit": 1000})).json()["items"])
        ]

    async with program(path) as (begun, client):
        for line in range(5):
            await create(client, f"before {line}")
        size = await anyio.Path(f"{path}-wal").stat()
        resource.prlimit(begun.pid, resource.RLIMIT_FSIZE, (size.st_size + room, resource.RLIM_INFINITY))
        statuses = [await create(client, "x" * 3_000) for _ in range(8)]
        assert statuses[-1] == 500
        assert await prompts(client) == acknowledged
        resource.prlimit(begun.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for line in range(5):
            assert await create(client, f"after {line}") == 201
        assert await prompts(client) == acknowledged
    async with program(path) as (_, client):
        assert await prompts(client) == acknowledged


@pytest.mark.soak
@pytest.mark.asyncio
async def test_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "file"
    acknowledged: set[str] = set()
    for turn in range(6):
        async with program(path, "--speed", "100") as (begun, client):
            listed = (await client.get("/v2/list-retell-llms", params={"limit": 1000})).json()["items"]
            assert {item["general_prompt"] for item in listed} >= acknowledged

            async def create(number: int, client: httpx.AsyncClient = client, turn: int = turn) -> None:
                prompt = f"{turn} {number}"
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.post("/create-retell-llm", json={"general_prompt": prompt})).status_code == 201:
                        acknowledged.add(prompt)

            work = asyncio.gather(*map(create, range(60)))
            await asyncio.sleep(0.02 + 0.03 * turn)
            begun.kill()
            await work
    assert acknowledged


@pytest.mark.soak
@pytest.mark.asyncio
async def test_killed_while_it_begins(tmp_path: Path) -> None:
    for turn in range(8):
        command = [sys.executable, "-m", "retell_async.sandbox", "--port", "0", "--file", str(tmp_path / "file")]
        begun = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        await asyncio.sleep(0.4 + 0.1 * turn)
        begun.kill()
        await begun.wait()
    async with program(tmp_path / "file") as (_, client):
        made: Json = (await client.post("/create-retell-llm", json={})).json()
    async with program(tmp_path / "file") as (_, client):
        assert [item["llm_id"] for item in (await client.get("/v2/list-retell-llms")).json()["items"]] == [made["llm_id"]]


@pytest.mark.needs("proc")
def test_a_second_sandbox_takes_no_locks_from_the_process(tmp_path: Path, locks: Callable[[Path], list[str]]) -> None:
    api = Kept(tmp_path / "file")
    before = locks(tmp_path / "file")
    assert before
    with pytest.raises(ValueError, match="in use by another sandbox"):
        Kept(tmp_path / "file")
    assert locks(tmp_path / "file") == before
    api.journal.close()
