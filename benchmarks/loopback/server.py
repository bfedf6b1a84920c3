"""A server on loopback for benchmarks and tests, which creates calls, loses answers and keeps a limit as it is told.

It runs in a process of its own, with the standard library alone: ``server.py '{"faults": 0.05}'`` prints its port, and ends when its
standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, deque
from random import Random
from typing import Any

_CREATES = {
    "/v2/create-phone-call": ("phone", "call_id"),
    "/v3/create-web-call": ("web", "call_id"),
    "/create-batch-call": ("batch", "batch_call_id"),
    "/create-sms-chat": ("sms", "chat_id"),
}
_REASONS = {200: b"OK", 201: b"Created", 429: b"Too Many Requests", 500: b"Internal Server Error"}


class World:
    """What the server is told, and what has become of it.

    :param faults: the part of requests that suffers each of the four faults: an answer that comes after `delay` seconds, a connection that
        is reset, a 500 and a 429. The first is always carried out, the last never, the others every second time. Which request suffers what
        depends on what it asks for and on how often that was asked for before, so it is the same in every run.
    :param retry_after: seconds, as the 429 answers give them.
    :param limit: so many requests are let through in any second; ``None`` for all.
    :param latency: seconds that each answer takes.
    """

    def __init__(
        self,
        *,
        faults: float = 0.0,
        delay: float = 1.0,
        retry_after: str = "1",
        limit: int | None = None,
        latency: float = 0.0,
        pages: int = 0,
        items: int = 0,
        seed: int = 1,
    ) -> None:
        self.faults = faults
        self.delay = delay
        self.retry_after = retry_after
        self.limit = limit
        self.latency = latency
        self.pages = pages
        self.items = items
        self.seed = seed
        self.asked: Counter[str] = Counter()
        self.passed: deque[float] = deque()
        self.made: Counter[str] = Counter()  # how often each thing was made that should be made once
        self.by_key: dict[str, Any] = {}
        self.by_token: dict[str, Any] = {}
        self.statuses: Counter[str] = Counter()
        self.connections = 0

    def stats(self) -> dict[str, Any]:
        kinds = Counter(name.partition(" ")[0] for name in self.made)
        return {
            "made": dict(kinds),
            "twice": sum(number > 1 for number in self.made.values()),
            "statuses": dict(self.statuses),
            "connections": self.connections,
        }

    def over_limit(self, now: float) -> bool:
        if self.limit is None:
            return False
        while self.passed and self.passed[0] <= now - 1.0:
            self.passed.popleft()
        if len(self.passed) >= self.limit:
            return True
        self.passed.append(now)
        return False

    def fault(self, path: str, body: dict[str, Any]) -> tuple[str, bool]:
        """What a request suffers, if anything, and whether it is carried out all the same."""
        if not self.faults:
            return "", True
        body = {name: value for name, value in body.items() if name != "idempotency_key"}
        request = f"{path} {json.dumps(body)}"
        self.asked[request] += 1
        seeded = Random(f"{self.seed} {self.asked[request]} {request}")
        drawn = seeded.random()
        names = ("delay", "reset", "fail", "refuse")
        fault = next((name for number, name in enumerate(names, 1) if drawn < number * self.faults), "")
        return fault, fault in {"", "delay"} or (fault != "refuse" and seeded.random() < 0.5)

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Make a thing, unless it was made under the same key."""
        kind, field = _CREATES[path]
        key = body.get("idempotency_key")
        if key is not None and key in self.by_key:
            return self.by_key[key]
        metadata = body.get("metadata") or {}
        name = f"{kind} {metadata.get('name') or body.get('name') or body.get('to_number')}"
        self.made[name] += 1
        thing = {
            field: f"{kind}_{len(self.made)}_{self.made[name]}",
            "name": name,
            "call_type": "web_call" if kind == "web" else "phone_call",
            "call_status": "registered",
            "agent_id": "agent_1",
            "access_token": "token",
            "metadata": metadata,
        }
        if key is not None:
            self.by_key[key] = thing
        for token in metadata.values():
            self.by_token[str(token)] = thing
        return thing

    def read(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/stats":
            return self.stats()
        if path == "/v3/list-calls" and self.pages:
            at = int(body.get("pagination_key", 0))
            items = [{"call_type": "web_call", "call_id": f"call_{at}_{number}", "text": "x" * 100} for number in range(self.items)]
            more = {"has_more": True, "pagination_key": str(at + 1)} if at + 1 < self.pages else {"has_more": False}
            return {"items": items, **more}
        if path == "/v3/list-calls":
            wanted = [criterion["value"] for criterion in body["filter_criteria"]["metadata"]]
            return {"items": [self.by_token[token] for token in wanted if token in self.by_token], "has_more": False}
        return {"call_id": path.rpartition("/")[2], "agent_id": "agent_1", "call_type": "web_call", "call_status": "ended"}


class Connection(asyncio.Protocol):
    def __init__(self, world: World) -> None:
        self.world = world
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.world.connections += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.answer(head.split(b" ", 2)[1].decode(), json.loads(body) if body else {})

    def answer(self, path: str, body: dict[str, Any]) -> None:
        world = self.world
        if path == "/stats":
            self.send(200, world.stats())
            return
        if world.over_limit(asyncio.get_running_loop().time()):
            self.send(429, {"status": "error", "message": "Account rate limited"})
            return
        fault, acts = world.fault(path, body)
        if fault == "refuse":
            self.send(429, {"status": "error", "message": "Account rate limited"})
            return
        creates = path in _CREATES
        thing = (world.create(path, body) if creates else world.read(path, body)) if acts else None
        if fault == "reset":
            self.transport.abort()
        elif fault == "fail":
            self.send(500, {"status": "error", "message": "Internal server error"})
        elif fault == "delay" or world.latency:
            delay = world.delay if fault else world.latency
            asyncio.get_running_loop().call_later(delay, self.send, 201 if creates else 200, thing)
        else:
            self.send(201 if creates else 200, thing)

    def send(self, status: int, body: Any) -> None:
        self.world.statuses[str(status)] += 1
        if self.transport.is_closing():
            return
        content = json.dumps(body, separators=(",", ":")).encode()
        more = b"retry-after: %s\r\n" % self.world.retry_after.encode() if status == 429 else b""
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
            % (status, _REASONS[status], more, len(content), content)
        )


async def main(settings: dict[str, Any]) -> None:
    world = World(**settings)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(world), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    await loop.connect_read_pipe(lambda: _UntilEnd(ended), sys.stdin)
    await ended.wait()


class _UntilEnd(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self.ended = ended

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.ended.set()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
