"""The router over real HTTP, served by uvicorn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from retell_async.webhooks import CallEnded, Event, InboundAnswer, InboundRequest, Router

from .sending import KEY, body_of, event_body, inbound_body, served, signed

pytestmark = [pytest.mark.asyncio, pytest.mark.soak, pytest.mark.parallel]


def collecting(router: Router) -> list[str]:
    """Register a handler that notes the ids of calls."""
    handled: list[str] = []

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        handled.append(event.call.call_id)

    return handled


async def test_a_replayed_delivery_runs_its_handler_once() -> None:
    router = Router(KEY)
    handled = collecting(router)
    body = event_body()
    headers = signed(body)
    async with served(router) as client:
        for _ in range(3):
            assert (await client.post("/events", content=body, headers=headers)).status_code == 204
        again = signed(body, timestamp_ms=int(time.time() * 1000) + 5_000)
        assert (await client.post("/events", content=body, headers=again)).status_code == 204
    assert handled == ["call_1"]
    assert router.stats.duplicates == 3


async def test_a_slow_handler_does_not_delay_the_acknowledgement() -> None:
    router = Router(KEY)
    finish = anyio.Event()

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await finish.wait()

    async with served(router) as client:
        for number in range(3):  # over one connection: the second waits for no handler either
            body = event_body(call_id=f"call_{number}")
            assert (await client.post("/events", content=body, headers=signed(body))).status_code == 204
        assert (router.stats.in_flight, router.stats.handled) == (3, 0)
        finish.set()


async def test_middleware_around_the_router_delays_nothing_either() -> None:
    router = Router(KEY)
    finish = anyio.Event()

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await finish.wait()

    async def passing(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = Starlette(routes=[Mount("/retell", app=router)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=passing)])
    body = event_body()
    async with served(app) as client:
        assert (await client.post("/retell/events", content=body, headers=signed(body))).status_code == 204
        with anyio.fail_after(10):
            while not router.stats.in_flight:  # noqa: ASYNC110 - the handler begins after the answer
                await anyio.sleep(0.001)
        assert router.stats.handled == 0
        finish.set()
    assert (router.stats.in_flight, router.stats.handled) == (0, 1)


async def test_shutdown_waits_for_handlers_in_flight() -> None:
    router = Router(KEY)
    finish = anyio.Event()
    handled: list[str] = []

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await finish.wait()
        handled.append(event.call.call_id)

    async with anyio.create_task_group() as tasks:
        async with served(router) as client:
            for number in range(5):
                body = event_body(call_id=f"call_{number}")
                await client.post("/events", content=body, headers=signed(body))
            assert router.stats.in_flight == 5

            async def finish_later() -> None:
                await anyio.sleep(0.2)  # by then the server is waiting
                finish.set()

            tasks.start_soon(finish_later)
        assert sorted(handled) == [f"call_{number}" for number in range(5)]


async def test_a_flood_loses_nothing() -> None:
    router = Router(KEY, max_in_flight=20)
    handled = Counter[str]()

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await anyio.sleep(0.002)
        handled[event.call.call_id] += 1

    ids = [f"call_{number}" for number in range(5_000)]
    waiting = iter(ids)
    statuses = Counter[int]()

    async def send(port: int) -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            answers = BufferedByteReceiveStream(stream)
            for call_id in waiting:
                body = event_body(call_id=call_id)
                head = "".join(f"{name}: {value}\r\n" for name, value in {**signed(body), "content-length": str(len(body))}.items())
                await stream.send(f"POST /events HTTP/1.1\r\nhost: test\r\n{head}\r\n".encode() + body)
                answer = await answers.receive_until(b"\r\n\r\n", 4096)
                statuses[int(answer.split()[1])] += 1

    async with served(router) as client, anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(send, client.base_url.port or 0)
    assert statuses == {204: 5_000}
    assert handled == Counter(ids)
    assert (router.stats.received, router.stats.handled, router.stats.in_flight) == (5_000, 5_000, 0)


async def test_what_is_not_from_retell_runs_nothing() -> None:
    router = Router(KEY, max_bytes=50_000)
    handled = collecting(router)
    body = event_body()
    oversized = event_body(padding=" " * 100_000)
    huge = event_body(padding=" " * 20_000_000)

    async with served(router) as client:

        async def status(content: bytes, headers: dict[str, str]) -> int:
            return (await client.post("/events", content=content, headers=headers)).status_code

        assert await status(body, {}) == 401
        assert await status(body, {"x-retell-signature": "None"}) == 401
        assert await status(body, signed(body, timestamp_ms=int(time.time() * 1000) - 301_000)) == 401
        assert await status(body, signed(body, timestamp_ms=int(time.time() * 1000) + 301_000)) == 401
        assert await status(body, signed(body, key="key_of_somebody_else")) == 401
        assert await status(body_of({"event": "call_ended"}), signed(body)) == 401
        assert await status(oversized, signed(oversized)) == 413
        assert await status(huge, signed(huge)) == 413
        assert await status(huge, {}) == 413

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(huge), 65_536):
                yield huge[start : start + 65_536]

        answer = await client.post("/events", content=parts(), headers=signed(huge))
        assert (answer.status_code, answer.text) == (413, "too long: more than 50000 bytes")

        assert handled == []
        assert router.stats.refused == router.stats.received == 10
        assert await status(body, signed(body)) == 204
    assert handled == ["call_1"]


async def test_mounted_beside_other_routes() -> None:
    router = Router(KEY)
    events: list[Event] = []

    @router.on()
    async def handle(event: Event) -> None:  # pyright: ignore[reportUnusedFunction]
        events.append(event)

    @router.inbound
    async def route(request: InboundRequest) -> InboundAnswer:  # pyright: ignore[reportUnusedFunction]
        return request.accept(dynamic_variables={"from": request.from_number})

    @router.function("lookup")
    async def lookup(function: object) -> str:  # pyright: ignore[reportUnusedFunction]
        return "nothing found"

    app = Starlette(routes=[Mount("/api", routes=[Mount("/retell", app=router)])])
    async with served(app) as client:

        async def post(path: str, body: bytes) -> httpx.Response:
            return await client.post(f"/api/retell{path}", content=body, headers=signed(body))

        assert (await post("/events", event_body())).status_code == 204
        answer = await post("/inbound", inbound_body())
        assert answer.json() == {"call_inbound": {"dynamic_variables": {"from": "+14155550100"}}}
        assert (await post("/functions/lookup", body_of({"id": 1}))).text == "nothing found"
        answer = await client.get("/api/retell/functions/lookup?id=1", headers=signed(b""))
        assert answer.text == "nothing found"
        assert (await post("/functions/other", b"{}")).status_code == 404
    assert [event.event for event in events] == ["call_ended"]


async def test_an_inbound_call_is_answered_before_retell_gives_up() -> None:
    router = Router(KEY, deadline=0.2)
    finish = anyio.Event()
    asked: list[str] = []

    @router.inbound
    async def route(request: InboundRequest) -> InboundAnswer:  # pyright: ignore[reportUnusedFunction]
        asked.append(request.from_number)
        await finish.wait()
        return request.accept()

    body = inbound_body(call_id="call_1")
    async with served(router) as client:
        assert (await client.post("/inbound", content=body, headers=signed(body))).status_code == 503
        finish.set()
        answer = await client.post("/inbound", content=body, headers=signed(body))
        assert (answer.status_code, answer.json()) == (200, {"call_inbound": {}})
    assert len(asked) == 1
