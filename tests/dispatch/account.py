"""An account in virtual time that places calls, ends them, and tells of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import trio

from retell_async import AsyncRetell
from retell_async.raw.models import PhoneCallResponse

from ..engine.virtual import Server, run

__all__ = ["FROM", "Account", "request"]

Json = dict[str, Any]
FROM = "+14155550100"
PLACE, ROOM, LIST, GET = "create-phone-call", "get-concurrency", "list-calls", "get-call"


def request(number: int = 0, **more: Any) -> Json:
    return {"from_number": FROM, "to_number": f"+1415555{number:04}", **more}


class Account:
    """Calls last some seconds and are analysed some seconds later.

    :param fault: what is answered instead, to a request at a time.
    :param delay: seconds until an event arrives.
    """

    def __init__(
        self,
        *,
        limit: int = 20,
        lasts: Callable[[int], float] = lambda _: 60.0,
        analysed: float = 5.0,
        latency: float = 0.05,
        delay: float = 0.1,
        fault: Callable[[httpx.Request, float], httpx.Response | Exception | None] = lambda *_: None,
    ) -> None:
        self.limit = limit
        self.others = 0
        self.lasts = lasts
        self.analysed = analysed
        self.delay = delay
        self.fault = fault
        self.calls: dict[str, Json] = {}
        self.keys: dict[str, str] = {}
        self.placed = 0
        self.open: set[str] = set()
        self.most = 0
        self.handlers: dict[str, Callable[[Any], Awaitable[object]]] = {}
        self.nursery: trio.Nursery | None = None
        self.server = Server(self.answer, latency=latency)
        self.live_seconds = 0.0
        self.changed_at = 0.0

    def on(self, event: Any, /) -> Callable[[Callable[[Any], Awaitable[object]]], None]:
        """What a router does."""

        def register(handler: Callable[[Any], Awaitable[object]]) -> None:
            self.handlers[event] = handler

        return register

    def answer(self, request: httpx.Request, now: float) -> httpx.Response | Exception:
        if (fault := self.fault(request, now)) is not None:
            return fault
        path = request.url.path
        body = json.loads(request.content) if request.content else {}
        if ROOM in path:
            return httpx.Response(200, json={"current_concurrency": len(self.open) + self.others, "concurrency_limit": self.limit})
        if PLACE in path:
            return httpx.Response(201, json=self.place(body))
        if GET in path:
            return httpx.Response(200, json=self.calls[path.rpartition("/")[2]] | {"transcript": "hello"})
        criteria = body["filter_criteria"]
        found = [self.calls[name] for name in criteria["call_id"]["value"]]
        if "call_status" in criteria:
            found = [call for call in found if call["call_status"] in criteria["call_status"]["value"]]
        return httpx.Response(200, json={"items": found, "has_more": False})

    def place(self, body: Json) -> Json:
        """One call for each key."""
        key = body["idempotency_key"]
        if key not in self.keys:
            name = self.keys[key] = f"call_{self.placed}"
            self.placed += 1
            self.calls[name] = {"call_id": name, "call_type": "phone_call", "agent_id": "a", "call_status": "registered"} | {
                field: body[field] for field in ("from_number", "to_number")
            }
            self._count(name, 1)
            if self.nursery is not None:
                self.nursery.start_soon(self._live, name, self.lasts(self.placed - 1))
        return dict(self.calls[self.keys[key]])

    def _count(self, name: str, change: int) -> None:
        now = trio.current_time()
        self.live_seconds += len(self.open) * (now - self.changed_at)
        self.changed_at = now
        (self.open.add if change > 0 else self.open.remove)(name)
        self.most = max(self.most, len(self.open) + self.others)

    async def _live(self, name: str, seconds: float) -> None:
        await trio.sleep(seconds)
        self._count(name, -1)
        self.calls[name] |= {"call_status": "ended", "start_timestamp": 1, "end_timestamp": 2}
        await self._tell("call_ended", name)
        await trio.sleep(self.analysed)
        self.calls[name] |= {"call_analysis": {"call_summary": "short"}}
        await self._tell("call_analyzed", name)

    async def _tell(self, event: str, name: str) -> None:
        if event in self.handlers:
            call = PhoneCallResponse.from_dict(self.calls[name] | {"transcript": "hello"})
            await trio.sleep(self.delay)
            await self.handlers[event](SimpleNamespace(call=call))

    def run(self, main: Callable[[AsyncRetell], Awaitable[None]], **settings: Any) -> None:
        async def begun() -> None:
            async with trio.open_nursery() as self.nursery, self.server.client(hooks=(), **settings) as client:
                await main(client)
                self.nursery.cancel_scope.cancel()

        run(begun)
