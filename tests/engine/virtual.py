"""Hours in milliseconds: clients under trio's clock, over a server that is a function of the time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import trio
import trio.testing

from retell_async import AsyncRetell

from .example import KEY

T = TypeVar("T")

NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550101"}


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run under a clock that jumps ahead whenever all tasks wait."""

    async def begun() -> T:
        return await main()

    return trio.run(begun, clock=trio.testing.MockClock(autojump_threshold=0))


class Server(httpx.AsyncBaseTransport):
    """Asks a function for each answer, and keeps when each request arrived, in seconds from the first, and what it was."""

    def __init__(self, answer: Callable[[httpx.Request, float], httpx.Response | Exception], *, latency: float = 0.0) -> None:
        self.answer = answer
        self.latency = latency
        self.start: float | None = None
        self.arrivals: list[tuple[float, str]] = []
        self.bodies: list[Any] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        now = trio.current_time()
        if self.start is None:
            self.start = now
        self.arrivals.append((now - self.start, request.url.path))
        self.bodies.append(json.loads(content) if content else None)
        answer = self.answer(request, now - self.start)
        await trio.sleep(self.latency)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self, path: str = "") -> list[float]:
        return [moment for moment, where in self.arrivals if path in where]

    def client(self, **settings: Any) -> AsyncRetell:
        return AsyncRetell(KEY, base_url="http://retell.test", http_client=httpx.AsyncClient(transport=self), **settings)


def refusal(retry_after: float | None = 1.0, message: str = "slow down") -> httpx.Response:
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return httpx.Response(429, headers=headers, json={"status": "error", "message": message})


def fine(status: int = 200, **body: Any) -> httpx.Response:
    return httpx.Response(status, json={"call_id": "call_1", "call_type": "phone_call", "batch_call_id": "batch_1", **body})
