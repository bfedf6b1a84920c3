"""A program whose workers are forked from a process that has used its client: ``forking.py URL BACKEND inside|between``.

It prints, as JSON, what each process did and how many sockets the first one holds at its end. The parent forks while its event loop runs
(``inside``), or between two runs of event loops (``between``).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx

from retell_async import AsyncRetell, RetryPolicy

GENERATIONS = 5
WORKERS = 3
CALLS = 20
DROPPED = 10


def client_of(url: str) -> AsyncRetell:
    return AsyncRetell(
        "key_of_the_workers", base_url=url, timeout=httpx.Timeout(10, read=1.0), max_retries=6, retry=RetryPolicy(first_delay=0.1)
    )


async def work(client: AsyncRetell, name: int, done: list[Any]) -> None:
    """Place calls and read others, all at once; note for each what came of it and how long it took."""

    async def one(which: int) -> None:
        begun = time.monotonic()
        try:
            if which % 2:
                number = f"+1{2_000_000_000 + name * 1_000 + which}"
                id = (await client.call.create_phone_call(from_number="+14155550100", to_number=number)).call_id
            else:
                id = (await client.call.retrieve(wanted := f"call_{name}_{which}")).call_id
                assert id == wanted, "this is the answer to another request"
        except Exception as error:  # noqa: BLE001 - it is told
            id = f"{type(error).__name__}: {error}"
            done.append([None, id, time.monotonic() - begun])
        else:
            done.append([which % 2, id, time.monotonic() - begun])

    async with anyio.create_task_group() as tasks:
        for which in range(2 * CALLS):
            tasks.start_soon(one, which)


def fork(client: AsyncRetell, name: int, backend: str) -> tuple[int, int]:
    """A worker with the client that it inherits: its process id, and where it writes what it did."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    done: list[Any] = []
    try:
        if backend == "asyncio":  # anyio.run takes the loop of the parent for one that runs here
            asyncio.run(work(client, name, done))
        else:
            anyio.run(work, client, name, done, backend=backend)
    except BaseException as error:  # noqa: BLE001 - it is told
        done.append([None, f"{type(error).__name__}: {error}", 0.0])
    finally:
        os.write(writer, json.dumps(done).encode())
        os._exit(0)


def end_of(workers: list[tuple[int, int]]) -> list[Any]:
    done: list[Any] = []
    for pid, reader in workers:
        with os.fdopen(reader, "rb") as told:
            done += json.load(told)
        os.waitpid(pid, 0)
    return done


async def drop(url: str) -> None:
    """One client a request, and nobody closes them."""
    for number in range(DROPPED):
        await client_of(url).call.retrieve(f"call_{number}")


def sockets() -> int:
    number = 0
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(OSError):
            held = socket.socket(fileno=os.dup(int(descriptor.name)))
            number += held.family == socket.AF_INET
            held.close()
    return number


def main(url: str, backend: str, where: str) -> None:
    warnings.simplefilter("ignore", ResourceWarning)
    warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, from Python 3.12 on
    client = client_of(url)
    done: list[Any] = []

    async def generation(number: int) -> None:
        name = number * (WORKERS + 1)
        workers = [fork(client, name + which, backend) for which in range(1, WORKERS + 1)] if where == "inside" else []
        await work(client, name, done)
        await drop(url)
        done.extend(await anyio.to_thread.run_sync(end_of, workers))

    async def inside() -> None:
        await work(client, 900, done)
        for number in range(GENERATIONS):
            await generation(number)
        await end()

    async def end() -> None:
        await client.aclose()
        gc.collect()
        await anyio.sleep(0.5)
        print(json.dumps({"done": done, "sockets": sockets()}))

    if where == "inside":
        anyio.run(inside, backend=backend)
    else:
        anyio.run(work, client, 900, done, backend=backend)
        for number in range(GENERATIONS):
            workers = [fork(client, number * (WORKERS + 1) + which, backend) for which in range(1, WORKERS + 1)]
            anyio.run(generation, number, backend=backend)
            done.extend(end_of(workers))
        anyio.run(end, backend=backend)


main(*sys.argv[1:])
