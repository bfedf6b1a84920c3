"""A program that uses a client, forks, and uses it in both processes; it says what it saw on its last line, as JSON.

Arguments: the URL of a server that answers with the last part of the path, the event loop, the client, what the child does, and a file of
trusted certificates.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import httpx
import trio
import uvloop

from retell_async import AsyncRetell, DefaultAioHttpClient, DefaultAsyncHttpxClient, RetellError

from ..engine.example import KEY, get

URL, BACKEND, KIND, DOES, TRUSTED = sys.argv[1:]

streams: list[httpx.Response] = []
"""Answers that were not read when the process forked."""


def make() -> AsyncRetell:
    if KIND == "own":
        return AsyncRetell(KEY, base_url=URL, max_retries=0, timeout=5, max_connections=4)
    trusted = ssl.create_default_context(cafile=TRUSTED or None)
    limits = httpx.Limits(max_connections=4)
    if KIND == "httpx":
        http_client = httpx.AsyncClient(verify=trusted, limits=limits)
    elif KIND == "aiohttp":
        http_client = DefaultAioHttpClient(verify=trusted, limits=limits)
    elif KIND == "mounted":
        http_client = DefaultAsyncHttpxClient(limits=limits, mounts={"http://": httpx.AsyncHTTPTransport(limits=limits)})
    else:
        http_client = DefaultAsyncHttpxClient(verify=trusted, limits=limits, http2=KIND == "http2")
    return AsyncRetell(KEY, base_url=URL, max_retries=0, timeout=5, http_client=http_client)


async def use(client: AsyncRetell, name: str) -> None:
    """Send many requests, each of which must get its own answer."""

    async def one(number: int) -> None:
        mine = f"{name}-{number}"
        thing = await client.send(get(mine), {"extra_headers": {"x-process": str(os.getpid())}})
        assert thing.thing_id == mine, (thing.thing_id, mine)

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(one, number)


def run(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a new event loop, from within another one's process if need be."""
    if BACKEND == "trio":
        trio.run(job)
        return
    asyncio.events._set_running_loop(None)  # what the parent's loop left behind
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if BACKEND == "uvloop" else None) as runner:
        runner.run(job())


def child(holder: list[AsyncRetell]) -> str:
    """What the child does with the client that it inherited."""

    async def job() -> None:
        if DOES == "use":
            await use(holder[0], "child")
        elif DOES == "close":
            await holder[0].aclose()
        elif DOES == "use and close":
            await use(holder[0], "child")
            await holder[0].aclose()
        elif DOES == "close a stream":
            await streams[0].aclose()
        else:
            holder.clear()
            gc.collect()

    try:
        run(job)
    except BaseExceptionGroup as group:
        refused = group.subgroup(RetellError)
        if refused is None:
            raise
        return type(refused.exceptions[0]).__name__
    return "fine"


def forked(holder: list[AsyncRetell]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        said = child(holder)
    except BaseException as error:  # noqa: BLE001 - it goes to the parent
        said = repr(error)
    os.write(writing, said.encode())
    os._exit(0)


def within_a_loop() -> dict[str, Any]:
    """Fork in the middle of an event loop, with connections that are idle, and one that is not."""
    holder = [make()]
    seen: dict[str, Any] = {}

    async def job() -> None:
        await use(holder[0], "before")
        if DOES == "close a stream":
            own = DefaultAsyncHttpxClient()
            streams.append(await own.send(own.build_request("GET", f"{URL}/slow"), stream=True))
        pid, reading = forked(holder)
        await anyio.to_thread.run_sync(os.waitpid, pid, 0)
        seen["child"] = os.read(reading, 1000).decode()
        start = time.monotonic()
        for stream in streams:
            assert json.loads(await stream.aread()) == {"thing_id": "slow"}
        await use(holder[0], "after")
        seen["seconds"] = time.monotonic() - start
        await holder[0].aclose()

    run(job)
    return seen


def between_loops() -> dict[str, Any]:
    """Fork between two runs of an event loop, as servers do that start workers."""
    holder = [make()]
    run(lambda: use(holder[0], "before"))
    pid, reading = forked(holder)
    start = time.monotonic()

    async def job() -> None:
        await use(holder[0], "parent")
        await holder[0].aclose()

    run(job)
    seconds = time.monotonic() - start
    os.waitpid(pid, 0)
    return {"child": os.read(reading, 1000).decode(), "seconds": seconds}


print(json.dumps(between_loops() if BACKEND == "trio" else within_a_loop()))
