"""``retell-async mcp`` as a process: the official client calls every tool over stdio and HTTP, and clients are killed."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.subscriptions import ResourceUpdated

from retell_async.mcp.catalog import tools
from retell_async.sandbox import Fixtures, RunningClock, Sandbox, Served, create_fixtures, serve

from .every_tool import call_every_tool
from .workspace import PEOPLE, Human, data, text

pytestmark = [pytest.mark.soak, pytest.mark.asyncio, pytest.mark.parallel]

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-a-test-0123456789-abcdefghij"
COMMAND = ["-m", "retell_async.cli", "mcp"]
PATIENCE = 30.0


@asynccontextmanager
async def account() -> AsyncGenerator[tuple[Served, Fixtures, dict[str, str]]]:
    """A sandbox on a port, and the environment that names it as the profile ``staging``."""
    sandbox = Sandbox(clock=RunningClock(speed=600))
    fixtures = create_fixtures(sandbox)
    async with serve(sandbox) as served:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RETELL_API_KEY_STAGING": "key_of_staging",
            "RETELL_BASE_URL_STAGING": served.url,
        }
        yield served, fixtures, environment


@contextmanager
def over_http(environment: dict[str, str], *flags: str) -> Generator[str]:
    """The command on a port, and its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, *COMMAND, "--profile", "staging", "--http", "--port", str(port), *flags]
    with subprocess.Popen(
        command, env={**environment, "RETELL_MCP_TOKEN": TOKEN}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=PATIENCE)
            assert TOKEN.encode() not in said
            assert b"Serving staging at" in said


@asynccontextmanager
async def with_token(url: str) -> AsyncGenerator[Any]:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}, timeout=60) as http,
        streamable_http_client(url, http_client=http) as streams,
    ):
        yield streams


def by_stdio(environment: dict[str, str], *flags: str) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=[*COMMAND, "--profile", "staging", *flags], env=environment)


@pytest.mark.parametrize(("way", "mode"), [("stdio", "auto"), ("http", "auto"), ("http", "legacy")])
async def test_every_tool(way: str, mode: str) -> None:
    human = Human()
    async with account() as (_, _, environment):
        if way == "stdio":
            async with Client(by_stdio(environment), mode=mode, elicitation_callback=human) as session:
                answers = await call_every_tool(session, partial(anyio.sleep, 0.1))
        else:
            with over_http(environment) as url:
                async with Client(with_token(url), mode=mode, elicitation_callback=human) as session:
                    answers = await call_every_tool(session, partial(anyio.sleep, 0.1))
    assert answers.keys() == tools().keys()
    assert len(human.questions) == 14
    assert '"staging"' in human.questions[0]


async def test_who_watches_a_call_is_told_that_it_changed() -> None:
    async with account() as (_, fixtures, environment):
        with over_http(environment, "--allow", "money") as url:
            async with Client(with_token(url)) as session:
                arguments = {"from_number": fixtures.phone_number, "to_number": PEOPLE}
                call_id = data(await session.call_tool("create_phone_call", arguments))["call_id"]
                data(await session.call_tool("wait_for_call", {"call_id": call_id, "until": "analyzed"}))
                async with (
                    session.listen(resource_subscriptions=[f"retell://calls/{call_id}"]) as events,
                    anyio.create_task_group() as tasks,
                ):

                    async def change() -> None:
                        for count in itertools.count():
                            data(await session.call_tool("update_call", {"call_id": call_id, "metadata": {"count": count}}))
                            await anyio.sleep(1)

                    tasks.start_soon(change)
                    with anyio.fail_after(PATIENCE):
                        assert await anext(events) == ResourceUpdated(f"retell://calls/{call_id}")
                    tasks.cancel_scope.cancel()


KILLED = """
import asyncio, os, sys
from mcp import Client, StdioServerParameters

async def never(context, params):
    print("asked", flush=True)
    await asyncio.sleep(3600)

async def main():
    command = ["-m", "retell_async.cli", "mcp", "--profile", "staging"]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    async with Client(server, mode="legacy", elicitation_callback=never) as session:
        await session.call_tool("create_phone_call", {"from_number": sys.argv[1], "to_number": sys.argv[2]})

asyncio.run(main())
"""


@pytest.mark.needs("signals", "proc")
async def test_a_client_that_is_killed_while_its_human_is_asked_has_placed_nothing() -> None:
    async with account() as (served, fixtures, environment):
        command = [sys.executable, "-c", KILLED, fixtures.phone_number, PEOPLE]
        async with await anyio.open_process(command, env=environment, stderr=None) as client:
            assert client.stdout is not None
            with anyio.fail_after(PATIENCE):
                assert (await client.stdout.receive()).strip() == b"asked"
            [server] = children(client.pid)
            client.kill()
            with anyio.fail_after(PATIENCE):
                while running(server):  # noqa: ASYNC110 - nothing tells that another process has ended
                    await anyio.sleep(0.05)
        await anyio.sleep(0.2)
        assert [received for received in served.sandbox.log if received.operation == "createPhoneCall"] == []


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.needs("signals")
async def test_the_first_ctrl_c_ends_it_though_its_input_is_open() -> None:
    command = [sys.executable, *COMMAND, "--sandbox"]
    async with await anyio.open_process(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        with anyio.fail_after(PATIENCE):
            await server.stdin.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
            assert await server.stdout.receive() == b'{"jsonrpc":"2.0","id":1,"result":{}}\n'
            server.send_signal(signal.SIGINT)
            assert b"".join([said async for said in server.stderr]).strip() == b"Aborted!"
            assert await server.wait() == 1


async def test_the_sandbox_needs_no_account() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RETELL_")} | {"PYTHONPATH": str(ROOT)}
    server = StdioServerParameters(command=sys.executable, args=[*COMMAND, "--sandbox", "--max-calls", "1"], env=environment)
    human = Human()
    async with Client(server, elicitation_callback=human) as session:
        number = data(await session.call_tool("list_phone_numbers", {}))["items"][0]["phone_number"]
        arguments = {"from_number": number, "to_number": PEOPLE}
        data(await session.call_tool("create_phone_call", arguments))
        assert "--max-calls" in text(await session.call_tool("create_phone_call", arguments))
    assert len(human.questions) == 1
    assert '"sandbox"' in human.questions[0]
