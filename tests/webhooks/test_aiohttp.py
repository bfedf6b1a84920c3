"""The router in an aiohttp application, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from aiohttp import web

from retell_async.webhooks import CallEnded, FunctionCall, InboundAnswer, InboundRequest, Router
from retell_async.webhooks.aiohttp import mount

from .sending import KEY, body_of, event_body, inbound_body, signed

pytestmark = [pytest.mark.asyncio, pytest.mark.soak]


@asynccontextmanager
async def served(router: Router, prefix: str = "/retell") -> AsyncIterator[httpx.AsyncClient]:
    app = web.Application()
    mount(app, prefix, router)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}{prefix}") as client:
            yield client
    finally:
        await runner.cleanup()


async def post(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post(path, content=body, headers=signed(body) if headers is None else headers)


@pytest.mark.parametrize("prefix", ["/retell", ""])
async def test_every_door(prefix: str) -> None:
    router = Router(KEY)
    handled: list[str] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        handled.append(event.call.call_id)

    @router.inbound
    async def route(request: InboundRequest) -> InboundAnswer:  # pyright: ignore[reportUnusedFunction]
        return request.reject()

    @router.function("lookup")
    async def lookup(function: FunctionCall) -> object:  # pyright: ignore[reportUnusedFunction]
        return {"found": function.args["id"]}

    async with served(router, prefix) as client:
        answer = await post(client, "/events", event_body())
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await post(client, "/inbound", inbound_body())).json() == {"call_inbound": {"reject": True}}
        assert (await post(client, "/functions/lookup", body_of({"id": 7}))).json() == {"found": 7}
        assert (await client.get("/functions/lookup?id=7", headers=signed(b""))).json() == {"found": "7"}
        assert (await post(client, "/functions/other", b"{}")).status_code == 404
        assert (await client.get("/events", headers=signed(b""))).status_code == 405
    assert handled == ["call_1"]


async def test_what_is_not_from_retell_runs_nothing() -> None:
    router = Router(KEY, max_bytes=2_000_000)
    handled: list[CallEnded] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        handled.append(event)

    large = event_body(padding=" " * 1_500_000)
    oversized = event_body(call_id="call_2", padding=" " * 5_000_000)
    async with served(router) as client:
        assert (await post(client, "/events", event_body(), {})).status_code == 401
        assert (await post(client, "/events", event_body(), signed(b""))).status_code == 401
        assert (await post(client, "/events", oversized)).status_code == 413
        assert handled == []
        assert (await post(client, "/events", large)).status_code == 204  # more than aiohttp reads by itself
    assert [event.call.call_id for event in handled] == ["call_1"]


async def test_a_slow_handler_delays_nothing_and_shutdown_waits_for_it() -> None:
    router = Router(KEY)
    finish = anyio.Event()
    handled: list[str] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await finish.wait()
        handled.append(event.call.call_id)

    async with anyio.create_task_group() as tasks:
        async with served(router) as client:
            for number in range(3):
                assert (await post(client, "/events", event_body(call_id=f"call_{number}"))).status_code == 204
            assert router.stats.in_flight == 3

            async def finish_later() -> None:
                await anyio.sleep(0.2)  # by then the server is waiting
                finish.set()

            tasks.start_soon(finish_later)
        assert sorted(handled) == ["call_0", "call_1", "call_2"]
