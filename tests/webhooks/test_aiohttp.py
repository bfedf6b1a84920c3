"""The router in an aiohttp application, over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import anyio
import httpx
import pytest
from aiohttp import web

from retell_async.webhooks import CallEnded, Claim, FunctionCall, InboundAnswer, InboundRequest, MemoryStore, Router
from retell_async.webhooks.aiohttp import mount

from .sending import KEY, SIGNATURE, body_of, event_body, inbound_body, signed

pytestmark = [pytest.mark.asyncio, pytest.mark.soak, pytest.mark.parallel]


@asynccontextmanager
async def served(
    router: Router, prefix: str = "/retell", *, app: web.Application | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a router under a prefix, or an application that has it already."""
    if app is None:
        mount(app := web.Application(), prefix, router)
    runner = web.AppRunner(app, **settings)
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


def collecting(router: Router) -> list[str]:
    handled: list[str] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        handled.append(event.call.call_id)

    return handled


async def test_a_sub_application_and_exact_paths() -> None:
    router = Router(KEY)
    handled = collecting(router)

    @router.function("lookup")
    async def lookup(function: FunctionCall) -> object:  # pyright: ignore[reportUnusedFunction]
        return "found"

    app, below, deeper = web.Application(), web.Application(client_max_size=10), web.Application()
    mount(below, "", router)
    mount(deeper, "/retell", router)
    below.add_subapp("/deeper", deeper)
    app.add_subapp("/webhook", below)
    mount(app, "/slash/", router)
    mount(app, "/{tenant}/retell", router)
    paths = [
        *("/webhook", "/webhook/", "/webhook/events", "/webhook/deeper/retell", "/webhook/deeper/retell/events"),
        *("/slash", "/slash/", "/slash/inbound", "/acme/retell", "/acme/retell/events"),
    ]
    async with served(router, "", app=app) as client:
        for path in paths:
            assert (await post(client, path, event_body(call_id=path))).status_code == 204
        for prefix in ("/webhook", "/webhook/deeper/retell", "/slash", "/acme/retell"):
            assert (await post(client, f"{prefix}/functions/lookup", b"{}")).text == "found"
            assert (await post(client, f"{prefix}/else", event_body())).status_code == 404
        assert (await post(client, "/else", event_body())).status_code == 404
    assert handled == paths


async def test_bodies_that_are_compressed_cut_off_or_slow() -> None:
    router = Router(KEY, max_bytes=100_000, deadline=0.5)
    handled = collecting(router)
    body = event_body()
    packed = {**signed(body), "content-encoding": "gzip"}
    bomb = b" " * 50_000_000
    async with served(router) as client:
        assert (await client.post("/events", content=gzip.compress(body), headers=packed)).status_code == 204
        answer = await client.post("/events", content=b"no gzip at all", headers=packed)
        assert (answer.status_code, answer.text) == (400, "unreadable: the body did not arrive whole")
        assert (await client.post("/events", content=gzip.compress(bomb), headers=packed)).status_code == 413
        assert (await client.post("/events", content=gzip.compress(b"{}"), headers=packed)).status_code == 401

        host, port = client.base_url.host, client.base_url.port
        head = f"POST /retell/events HTTP/1.1\r\nhost: test\r\nx-retell-signature: {signed(body)[SIGNATURE]}\r\n".encode()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head + b"content-length: 500\r\n\r\n" + body[:10])
        assert (await reader.read(100)).startswith(b"HTTP/1.1 408 ")
        writer.close()

        refused = router.stats.refused
        _, writer = await asyncio.open_connection(host, port)
        writer.write(head + b"content-length: 500\r\n\r\n" + body[:10])
        await writer.drain()
        writer.close()
        await anyio.sleep(0.2)
        assert router.stats.refused == refused + 1

        async def parts() -> AsyncIterator[bytes]:
            for start in range(len(body)):
                yield body[start : start + 1]

        assert (await client.post("/events", content=parts(), headers=signed(body))).status_code == 204
    assert handled == ["call_1"]
    assert router.stats.duplicates == 1


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_a_sender_that_goes_away_ends_no_handler(acknowledge_after: float) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    go_on, ended = anyio.Event(), anyio.Event()
    handled: list[str] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await go_on.wait()
        handled.append(event.call.call_id)
        ended.set()

    body = event_body()
    async with served(router, handler_cancellation=True) as client:
        with pytest.raises(httpx.ReadTimeout) if acknowledge_after else nullcontext():
            await client.post("/events", content=body, headers=signed(body), timeout=0.2)
        await anyio.sleep(0.2)
        assert router.stats.in_flight == 1
        assert (await post(client, "/events", body)).status_code == 503
        go_on.set()
        with anyio.fail_after(5):
            await ended.wait()
        assert (await post(client, "/events", body)).status_code == 204
    assert handled == ["call_1"]


async def test_a_shutdown_does_not_wait_for_ever_and_gives_back_what_is_not_done(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    router = Router(KEY, store=store)

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with served(router, shutdown_timeout=0.2) as client:
            assert (await post(client, "/events", event_body())).status_code == 204
    assert (router.stats.in_flight, router.stats.failed) == (0, 1)
    assert "call_ended:call_1 is lost" in caplog.text
    assert await store.claim("call_ended:call_1") is Claim.MINE


@pytest.mark.parametrize("how", ["read", "text", "json"])
async def test_a_middleware_may_have_read_the_body(how: str) -> None:
    router = Router(KEY, max_bytes=20_000)
    handled = collecting(router)

    @router.function("lookup")
    async def lookup(function: FunctionCall) -> object:  # pyright: ignore[reportUnusedFunction]
        return function.args

    @web.middleware
    async def look(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        if request.can_read_body:
            await getattr(request, how)()
        return await handler(request)

    app = web.Application(middlewares=[look])
    mount(app, "/retell", router)
    async with served(router, "/retell", app=app) as client:
        assert (await post(client, "/events", event_body(padding="x" * 10_000))).status_code == 204
        assert (await post(client, "/functions/lookup", body_of({"id": 7}))).json() == {"id": 7}
        assert (await client.get("/functions/lookup?id=7", headers=signed(b""))).json() == {"id": "7"}
        assert (await post(client, "/events", event_body(padding="x" * 20_000))).status_code == 413
        assert (await post(client, "/events", event_body(), signed(b"{}"))).status_code == 401
    assert handled == ["call_1"]
