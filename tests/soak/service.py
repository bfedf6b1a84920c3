"""A service as users write one: it places what was ordered, follows it by webhooks, and lists calls for what webhooks did not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Literal, TypeVar

import attrs
import httpx
import trio

from retell_async import APIError, AsyncRetell, OutcomeUnknownError, webhooks

from ..engine.clocks import Clocks

__all__ = ["DEADLINE", "READ_DEADLINE", "Address", "Order", "Service"]

T = TypeVar("T")

DEADLINE = 900.0
READ_DEADLINE = 120.0
_SWEPT = 300
_ACKNOWLEDGE_AFTER = 5.0


class Address(httpx.AsyncBaseTransport):
    """Where an ASGI application is reached, which goes on after it has answered, as it does under a server."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.app: Callable[..., Awaitable[None]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.app is None:
            raise httpx.ConnectError("nobody listens", request=request)
        content = await request.aread()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("100.20.5.228", 50_000),
            "server": (request.url.host, 443),
        }
        incoming = [{"type": "http.request", "body": content, "more_body": False}]
        answer = httpx.Response(500, request=request)
        answered = trio.Event()

        async def receive() -> Any:
            if not incoming:
                await trio.sleep_forever()
            return incoming.pop()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status_code = message["status"]
            elif not message.get("more_body", False):
                answered.set()

        async def serve(app: Callable[..., Awaitable[None]]) -> None:
            await app(scope, receive, send)
            assert answered.is_set()

        self._nursery.start_soon(serve, self.app)
        await answered.wait()
        return httpx.Response(answer.status_code, request=request)


@attrs.define
class Order:
    """Somebody who is to be called, once, or a web call that is to be made."""

    name: str
    kind: Literal["phone", "web"]
    to_number: str
    call_id: str | None = None


class Service:
    """Everything that the service does, and what it knows in the end."""

    def __init__(self, client: AsyncRetell, clocks: Clocks, from_number: str, agent_id: str, random: Random) -> None:
        self.client = client
        self._clocks = clocks
        self._from_number = from_number
        self._agent_id = agent_id
        self._random = random
        self._store = webhooks.MemoryStore(2_000)
        self.orders: list[Order] = []
        self.handled: Counter[tuple[str, str]] = Counter()
        """How often a handler ended well, by the event and the call."""
        self.failed = 0
        self.unknown = 0
        """Outcomes that had to be looked up."""
        self.followed: dict[str, str] = {}
        """By the ids of calls: how the service learned that they are over."""
        self.slowest: Counter[str] = Counter()
        """Seconds that the slowest request of a kind took."""
        self.reads: list[tuple[float, float]] = []
        """When each read began, and the seconds that it took."""

    def worker(self, api_key: str | list[str]) -> webhooks.Router:
        """What a process of the service that is started now serves. All of them share what they remember."""
        router = webhooks.Router(api_key, acknowledge_after=_ACKNOWLEDGE_AFTER, max_in_flight=20, store=self._store)

        @router.on("call_ended", "call_analyzed")
        async def follow(event: Any) -> None:
            drawn = self._random.random()
            if drawn < 0.05:
                self.failed += 1
                raise ConnectionError("the database is away")
            await trio.sleep(20 if drawn < 0.1 else drawn)
            self.handled[event.event, event.call.call_id] += 1
            if event.event == "call_analyzed":
                self.followed[event.call.call_id] = "webhook"

        return router

    async def fulfil(self, order: Order) -> None:
        """Place an order's call, however long it takes until it is known that it was placed."""
        while order.call_id is None:
            try:
                placed = await self._timed("place", self._create(order))
            except OutcomeUnknownError:
                self.unknown += 1
                await self._look_up(order)
            except APIError:  # it was not placed
                await trio.sleep(60)
            else:
                order.call_id = placed.call_id

    async def _create(self, order: Order) -> Any:
        metadata = {"order": order.name}
        if order.kind == "web":
            return await self.client.call.create_web_call(agent_id=self._agent_id, metadata=metadata)
        return await self.client.call.create_phone_call(
            from_number=self._from_number, to_number=order.to_number, override_agent_id=self._agent_id, metadata=metadata
        )

    async def _look_up(self, order: Order) -> None:
        criteria: Any = {"metadata": [{"key": "order", "type": "string", "op": "eq", "value": order.name}]}
        while True:
            await trio.sleep(120)
            try:
                found = [call async for call in self.client.call.list(filter_criteria=criteria, deadline=READ_DEADLINE)]
            except APIError:
                continue
            assert len(found) <= 1
            order.call_id = found[0].call_id if found else None
            return

    async def read(self, read: Callable[[], Awaitable[T]]) -> T | None:
        """What a read gives, ``None`` when it failed."""
        begun = self._clocks.monotonic()
        try:
            return await self._timed("read", read())
        except APIError:
            return None
        finally:
            self.reads.append((begun, self._clocks.monotonic() - begun))

    async def sweep(self) -> None:
        """List the latest calls for those whose end no webhook told."""
        calls = self.client.call.list(limit=100, deadline=READ_DEADLINE)
        seen = 0
        try:
            async for call in calls:
                over = call.call_status in {"ended", "not_connected", "error"}
                old = (call.end_timestamp or 0) < (self._clocks.wall() - 600) * 1000
                if over and old and call.call_id not in self.followed:
                    self.followed[call.call_id] = "list"
                seen += 1
                if seen == _SWEPT:
                    return
        except APIError:
            pass  # the next sweep sees them

    async def _timed(self, kind: str, awaited: Awaitable[T]) -> T:
        begun = self._clocks.monotonic()
        try:
            return await awaited
        finally:
            took = self._clocks.monotonic() - begun
            self.slowest[kind] = max(self.slowest[kind], took)  # type: ignore[assignment] # pyright: ignore[reportArgumentType]
