"""Three processes on Postgres, killed at random, under lost, late and repeated webhooks: what must hold whatever becomes of them.

``ARCHIVE_CALLS=10000 pytest -s -o faulthandler_timeout=0 tests/archive/test_processes.py`` runs it at full size, for more than half an
hour; ``make soak`` with 60.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
import sqlalchemy as sa
from anyio import to_thread

from retell_async import AsyncRetell
from retell_async.archive import Archive
from retell_async.archive.policy import storable, storage_of
from retell_async.sandbox import Fault, RunningClock, Sandbox, Settings, serve

from ..campaigns.durable.test_postgres import address as address  # noqa: PLC0414 - a fixture
from .child import ATTEMPTS

pytestmark = [
    pytest.mark.parallel,
    pytest.mark.soak,
    pytest.mark.asyncio,
    pytest.mark.needs("signals"),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set"),  # where the package that carries Postgres looks
]

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "child.py"
CALLS = int(os.environ.get("ARCHIVE_CALLS", "60"))
PROCESSES = 3
AT_ONCE = 8  # requests of a sync
KILL_EVERY = (2.0, 6.0) if CALLS < 1000 else (20.0, 60.0)  # seconds; a process needs some to start
PACE, SPEED = (50.0, 20.0) if CALLS < 1000 else (8.0, 4.0)  # calls a second, and how fast the sandbox's time goes
FAULTS = (
    "webhook_duplicate:probability=0.1,seed=1",
    "webhook_late:probability=0.1,seconds=20,seed=2",
    "webhook_lost:probability=0.05,seed=3",
    "error:operation=getCall,probability=0.02,status=503,seed=4",
    "reset:operation=listCalls,probability=0.1,seed=5",
)


class Counting(Sandbox):
    """A sandbox that counts what a sync asks for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lists = 0
        self.read = Counter[str]()

    def answer(self, method: str, path: str, **request: Any) -> Any:
        answer = super().answer(method, path, **request)
        if answer.status == 200 and "/get-call/" in path:
            self.read[path.rpartition("/")[2]] += 1
        self.lists += path.endswith("/list-calls")
        return answer


class Service:
    """Processes behind one address, of which each may die at any moment."""

    def __init__(self, address: str, begun: float) -> None:
        self.kills = 0
        self._arguments = (address, str(begun))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        child = _child("serve", self._arguments[0], str(port), self._arguments[1])
        self._processes[port] = child
        assert child.stdout is not None
        await to_thread.run_sync(child.stdout.readline)

    async def kill_one(self) -> None:
        """Kill one of the processes, and start another one in its place."""
        port = random.choice(list(self._processes))
        child = self._processes.pop(port)
        await _kill(child)
        self.kills += 1
        await anyio.sleep(0.5)
        await self.start()

    def end(self) -> None:
        for child in self._processes.values():
            child.kill()
            child.communicate()

    async def balance(self, stream: anyio.abc.SocketStream) -> None:
        """Hand a connection to one of the processes; if none takes it, it is refused."""
        async with stream:
            for port in random.sample(list(self._processes), len(self._processes)):
                try:
                    other = await anyio.connect_tcp("127.0.0.1", port)
                except OSError:
                    continue
                async with other, anyio.create_task_group() as tasks:
                    tasks.start_soon(_pump, other, stream, tasks.cancel_scope)
                    await _pump(stream, other, tasks.cancel_scope)
                return


async def _pump(source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, scope: anyio.CancelScope) -> None:
    try:
        async for chunk in source:
            await sink.send(chunk)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()


def _child(what: str, address: str, where: str, begun: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(CHILD), what, address, where, begun, str(SPEED)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})


async def _kill(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    await to_thread.run_sync(child.communicate)


@asynccontextmanager
async def service(address: str, begun: float) -> AsyncGenerator[tuple[Service, str]]:
    running = Service(address, begun)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    try:
        for _ in range(PROCESSES):
            await running.start()
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, running.balance)
            yield running, f"http://127.0.0.1:{port}"
            tasks.cancel_scope.cancel()
    finally:
        running.end()


async def test_every_call_and_every_event_is_there_whatever_dies(address: str) -> None:
    begun = time.time()
    sandbox = Counting(Settings(seed=11, concurrency_limit=CALLS), RunningClock(SPEED))
    async with Archive(address) as archive, archive.database.write() as connection:
        await connection.execute(sa.text("CREATE TABLE handled (key text)"))
    async with (
        service(address, begun) as (running, receiver),
        serve(sandbox) as served,
        AsyncRetell("key_1", base_url=served.url) as client,
    ):
        for fault in FAULTS[:3]:
            sandbox.set_fault(Fault.parse(fault))
        await _place(client, sandbox, running, f"{receiver}/events")
        for fault in FAULTS[3:]:
            sandbox.set_fault(Fault.parse(fault))
        told_of = await _told(address)
        lists, read = sandbox.lists, sandbox.read.total()
        first = _child("sync", address, served.url, str(begun))
        with anyio.move_on_after(120):  # it is killed in the middle of what it has to read
            while sandbox.read.total() - read < CALLS // 1000 and first.poll() is None:  # noqa: ASYNC110 - the sandbox tells nobody
                await anyio.sleep(0.01)
        cut_off = first.poll() is None
        await _kill(first)
        second = _child("sync", address, served.url, str(begun))
        out, _ = await to_thread.run_sync(second.communicate)
        assert second.returncode == 0
        asked, lists = sandbox.read.total() - read, sandbox.lists - lists
        sandbox.clear_faults()
        await _handled(address)
        print(f"\n{CALLS} calls, {running.kills} kills of {PROCESSES} processes; webhooks told of {told_of}")
        print(f"sync{', cut off once' if cut_off else ''}: {lists} lists, {asked} reads; the second one: {out.decode().splitlines()[-1]}")
        assert lists + asked <= CALLS
        again = sum(count - 1 for count in sandbox.read.values())
        assert again <= (AT_ONCE if cut_off else 0)  # those that were just being read when it was killed
        await _check(address, sandbox)


async def _place(client: AsyncRetell, sandbox: Sandbox, running: Service, receiver: str) -> None:
    """Place calls while processes die, and wait until all are over and told of."""
    numbers = []
    for setting in ("everything", "basic_attributes_only"):
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(
            response_engine={"type": "retell-llm", "llm_id": llm.llm_id},
            voice_id="retell-Cimo",
            webhook_url=receiver,
            data_storage_setting=setting,
        )
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        numbers.append(number.phone_number)
    limiter = anyio.CapacityLimiter(8)

    async def place(place: int) -> None:
        async with limiter:
            metadata = {"session_id": f"s{place // 2}", **({"poison": True} if place % 100 == 7 else {})}
            to_number = f"+1212{2000000 + place}"
            await client.call.create_phone_call(from_number=numbers[place % 10 == 0], to_number=to_number, metadata=metadata)

    async def kill() -> None:
        while True:
            await anyio.sleep(random.uniform(*KILL_EVERY))
            await running.kill_one()

    async with anyio.create_task_group() as killing:
        killing.start_soon(kill)
        async with anyio.create_task_group() as placing:
            for each in range(CALLS):
                await anyio.sleep(1 / PACE)
                placing.start_soon(place, each)
        store = sandbox.store
        while any(call.plan.analyzed > store.now() for _, call in store.calls.entries):  # noqa: ASYNC110 - the sandbox tells nobody
            await anyio.sleep(1)
        await anyio.sleep(3)
        killing.cancel_scope.cancel()


async def _told(address: str) -> dict[str, int]:
    async with Archive(address) as archive:
        return await archive.inbox.counts()


async def _handled(address: str) -> None:
    async with Archive(address) as archive:
        with anyio.fail_after(1200):
            while (await archive.inbox.counts()).keys() & {"waiting", "running"}:  # noqa: ASYNC110 - nor does another process
                await anyio.sleep(1)


async def _check(address: str, sandbox: Sandbox) -> None:
    async with Archive(address) as archive:
        different = 0
        for _, call in sandbox.store.calls.entries:
            data = sandbox.answer("GET", f"/v2/get-call/{call.id}", authorization="Bearer key_1").body
            different += storable(data, storage_of(data)) != await archive.raw(call.id)
        assert different == 0
        deliveries = await archive.inbox.list()
        async with archive.connection() as connection:
            handled = Counter((await connection.scalars(sa.text("SELECT key FROM handled"))).all())
        states = Counter(one.state for one in deliveries)
        print(f"{len(deliveries)} events: {dict(states)}; handled more than once: {sum(count > 1 for count in handled.values())}")
        for one in deliveries:
            assert handled[one.key] == (one.state == "done"), one
            assert one.state in {"done", "failed"}
            assert one.attempts <= ATTEMPTS
        keys = {one.key for one in deliveries}
        for _, call in sandbox.store.calls.entries:
            assert {f"call_ended:{call.id}", f"call_analyzed:{call.id}"} <= keys
        poisoned = {one.conversation_id for one in deliveries if one.state == "failed"}
        assert len(poisoned) >= CALLS // 100
        for id in poisoned:
            assert (await archive.raw(id or "") or {})["metadata"].get("poison"), id
