"""How handlers end, and that one which fails, is cancelled or ends the program costs nothing but itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from retell_async.webhooks import Router

from ..exchanges import Exchange, Handled, deliver
from ..sending import KEY, body_of, event_body
from .endings import OWN_CANCELLATIONS, cancel_the_own_scope, fail, fail_in_a_group
from .stores import Recorded

pytestmark = pytest.mark.anyio


OTHER_ENDINGS = [
    pytest.param(backend, ending, id=f"{backend}-{ending.__name__}")
    for backend in ("asyncio", "trio")
    for ending in (cancel_the_own_scope, fail_in_a_group, fail)
]


@pytest.mark.parametrize("acknowledge_after", [0, 5])
@pytest.mark.parametrize(("anyio_backend", "ending"), OWN_CANCELLATIONS + OTHER_ENDINGS)
async def test_a_handler_that_ends_in_any_way_but_well_has_failed(
    ending: Callable[[], Awaitable[None]], acknowledge_after: float, anyio_backend: str
) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    failing, other = Handled(ending), Handled(anyio.lowlevel.checkpoint)
    router.on("call_ended")(failing)
    router.on("call_ended")(other)
    with anyio.fail_after(5):
        assert (await deliver(router, event_body())).status == (500 if acknowledge_after else 204)
    assert other == ["call_ended"]
    assert (router.stats.failed, router.stats.handled, router.stats.in_flight) == (1, 1, 0)
    failing.then = None
    assert (await deliver(router, event_body())).status == 204
    assert failing == ["call_ended"] * 2


@pytest.mark.parametrize("acknowledge_after", [0, 5])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_what_ends_the_program_does_so_when_all_is_in_order(kind: type[BaseException], acknowledge_after: float) -> None:
    async def end() -> None:
        raise kind("handler")

    store = Recorded()
    router = Router(KEY, acknowledge_after=acknowledge_after, store=store)
    other = Handled(anyio.lowlevel.checkpoint)
    router.on("call_ended")(Handled(end))
    router.on("call_ended")(other)
    exchange = Exchange()
    with pytest.raises(kind, match="handler"):
        await exchange.run(router, event_body())
    assert exchange.status == (500 if acknowledge_after else 204)
    assert other == ["call_ended"]
    assert store.log == ["claim", "release"]
    assert (router.stats.failed, router.stats.in_flight) == (1, 0)


async def test_what_ends_the_program_in_a_group_does_so_too() -> None:
    async def end_in_a_group() -> None:
        raise BaseExceptionGroup("of a handler", [ValueError(), SystemExit(3)])

    router = Router(KEY, acknowledge_after=5)
    router.on("call_ended")(Handled(end_in_a_group))
    exchange = Exchange()
    with pytest.raises(BaseExceptionGroup, match="of a handler"):
        await exchange.run(router, event_body())
    assert exchange.status == 500


async def test_functions_and_inbound_requests_are_answered_when_their_handler_ends_the_program() -> None:
    router = Router(KEY)

    @router.function("leave")
    async def leave(function: object) -> object:  # pyright: ignore[reportUnusedFunction]
        raise SystemExit(3)

    @router.inbound
    async def inbound(request: object) -> Any:  # pyright: ignore[reportUnusedFunction]
        raise SystemExit(3)

    for path, body in (
        ("/functions/leave", b"{}"),
        ("/inbound", body_of({"event": "call_inbound", "call_inbound": {"from_number": "1", "to_number": "2"}})),
    ):
        exchange = Exchange()
        with pytest.raises(SystemExit):
            await exchange.run(router, body, path=path)
        assert exchange.status == 500


@pytest.mark.parametrize(("anyio_backend", "ending"), OWN_CANCELLATIONS)
async def test_functions_and_inbound_requests_are_answered_when_their_handler_is_cancelled(
    ending: Callable[[], Awaitable[None]], anyio_backend: str
) -> None:
    router = Router(KEY)

    @router.function("stop")
    async def stop(function: object) -> None:  # pyright: ignore[reportUnusedFunction]
        await ending()

    @router.inbound
    async def inbound(request: object) -> Any:  # pyright: ignore[reportUnusedFunction]
        await ending()

    for path, body in (
        ("/functions/stop", b"{}"),
        ("/inbound", body_of({"event": "call_inbound", "call_inbound": {"from_number": "1", "to_number": "2"}})),
    ):
        assert (await deliver(router, body, path=path)).status == 500
    assert (router.stats.failed, router.stats.in_flight) == (2, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_cancels_its_task_and_ends_well_cancels_nothing_else(anyio_backend: str) -> None:
    async def cancel_and_return() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()

    store = Recorded()
    router = Router(KEY, acknowledge_after=5, store=store)
    other = Handled(anyio.lowlevel.checkpoint)
    router.on()(Handled(cancel_and_return))
    router.on()(other)
    assert (await deliver(router, event_body())).status == 204
    assert other == ["call_ended"]
    assert store.log == ["claim", "done"]
    assert router.stats.handled == 2


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_a_handler_that_ends_well_although_the_server_stops_is_done(acknowledge_after: float) -> None:
    stopping = anyio.CancelScope()

    async def save() -> None:
        stopping.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.02)

    store = Recorded()
    router = Router(KEY, store=store, acknowledge_after=acknowledge_after)
    router.on()(Handled(save))
    with stopping:
        await deliver(router, event_body())
    assert stopping.cancelled_caught
    assert store.log == ["claim", "done"]
    assert (router.stats.handled, router.stats.failed, router.stats.in_flight) == (1, 0, 0)
