"""What is left to do after an answer: whose it is, and what becomes of it when a server stops."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trio
import trio.testing
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from retell_async.webhooks import Claim, InboundAnswer, InboundRequest, MemoryStore, Router
from retell_async.webhooks._dispatch.lifetime import Lifetime
from retell_async.webhooks.http import Respond

from ..exchanges import Exchange, Handled, deliver
from ..sending import KEY, body_of, ended_process, event_body, inbound_body, signed
from .endings import fail
from .stores import Recorded

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]


class Service:
    """An application between the start and the end of its server."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.started, self.stopping, self.stopped = anyio.Event(), anyio.Event(), anyio.Event()
        self.events = [({"type": "lifespan.startup"}, None), ({"type": "lifespan.shutdown"}, self.stopping)]

    async def receive(self) -> Any:
        message, when = self.events.pop(0)
        if when is not None:
            await when.wait()
        return message

    async def send(self, message: Any) -> None:
        {"lifespan.startup.complete": self.started, "lifespan.shutdown.complete": self.stopped}[message["type"]].set()

    async def run(self) -> None:
        await self.app({"type": "lifespan", "state": {}}, self.receive, self.send)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run)
            await self.started.wait()
            yield
            self.stopping.set()


def served_alone(router: Router) -> Any:
    return router


def mounted(router: Router) -> Any:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with router:
            yield

    return Starlette(routes=[Mount("/", router)], lifespan=lifespan)


def mounted_in_fastapi(router: Router) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        async with router:
            yield {"router": router}

    app = FastAPI(lifespan=lifespan)
    app.mount("/", router)
    return app


APPS = pytest.mark.parametrize("app_of", [served_alone, mounted, mounted_in_fastapi])


# The end of a server.


@APPS
async def test_the_end_of_a_server_waits_for_what_is_acknowledged_and_lets_nothing_new_in(app_of: Callable[[Router], Any]) -> None:
    store = Recorded()
    router = Router(KEY, max_in_flight=1, store=store)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on()(handled)
    service = Service(app_of(router))
    async with service.running():
        for number in (1, 2):
            assert (await deliver(service.app, event_body(call_id=f"call_{number}"))).status == 204
        await anyio.wait_all_tasks_blocked()
        assert (router.stats.in_flight, router.stats.waiting) == (1, 1)
        service.stopping.set()
        await anyio.wait_all_tasks_blocked()
        assert not service.stopped.is_set()
        late = await deliver(service.app, event_body(call_id="call_3"))
        assert (late.status, late.body) == (503, b"closed: this server is shutting down")
        assert router.stats.late == 1
        go_on.set()
    assert service.stopped.is_set()
    assert len(handled) == 2
    assert sorted(store.log) == ["claim", "claim", "done", "done"]


@APPS
def test_what_is_not_done_in_time_is_cancelled_and_logged_as_lost_once(
    app_of: Callable[[Router], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """In virtual time, with the time of the defaults."""

    async def main() -> None:
        store = MemoryStore()
        router = Router(KEY, max_in_flight=2, store=store)
        cleaned: list[float] = []

        async def work() -> None:
            try:
                await anyio.sleep(3600)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(2)
                    cleaned.append(anyio.current_time())

        router.on()(Handled(work))
        service = Service(app_of(router))
        begun = anyio.current_time()
        async with service.running():
            for number in (1, 2, 3):
                assert (await deliver(service.app, event_body(call_id=f"call_{number}"))).status == 204
            await anyio.sleep(10)
        assert cleaned == [begun + 10 + 25 + 2] * 2
        assert service.stopped.is_set()
        for number in (1, 2, 3):
            assert caplog.text.count(f"call_ended:call_{number} is lost: it was acknowledged") == 1
            assert await store.claim(f"call_ended:call_{number}") is Claim.MINE

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("entered", [True, False])
async def test_what_is_not_acknowledged_is_answered_at_the_end_and_not_lost(entered: bool, caplog: pytest.LogCaptureFixture) -> None:
    store = Recorded()
    router = Router(KEY, acknowledge_after=5, store=store, shutdown_timeout=0.05)
    router.on()(Handled(anyio.sleep_forever))
    exchange = Exchange()

    async def send_and_close() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.run, router, event_body())
            await anyio.wait_all_tasks_blocked()
            await router.aclose()

    if entered:
        async with router:
            await send_and_close()
    else:
        await send_and_close()
    assert (exchange.status, exchange.body) == (503, b"closed: this server is shutting down")
    assert store.log == ["claim", "release"]
    assert "lost" not in caplog.text


@pytest.mark.parametrize("entered", [True, False])
@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_a_handler_that_closes_its_router_waits_for_the_others_alone(acknowledge_after: float, entered: bool) -> None:
    router = Router(KEY, acknowledge_after=acknowledge_after)
    order: list[str] = []

    async def stop(_: object) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.aclose)
        order.append("closed")

    async def take_long(_: object) -> None:
        await anyio.sleep(0.05)
        order.append("done")

    router.on("call_ended")(stop)
    router.on("call_started")(take_long)
    with anyio.fail_after(5):
        async with router if entered else nullcontext(), anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, router, event_body("call_started"))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(deliver, router, event_body("call_ended"))
    assert order == ["done", "closed"]
    assert router.stats.handled == 2


async def test_a_router_that_was_not_entered_waits_for_its_calls(caplog: pytest.LogCaptureFixture) -> None:
    router = Router(KEY, shutdown_timeout=0.05)
    handled = Handled(lambda: anyio.sleep(0.02))
    router.on()(handled)
    exchanges = [Exchange(), Exchange()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchanges[0].run, router, event_body())
        await exchanges[0].answered.wait()
        await router.aclose()
        assert router.stats.handled == 1
        assert (await deliver(router, event_body(call_id="call_2"))).status == 503
        async with router:  # which opens it again
            pass

    async with router:
        handled.then = anyio.sleep_forever
        assert (await deliver(router, event_body(call_id="call_3"))).status == 204
    assert "call_ended:call_3 is lost" in caplog.text
    assert (await deliver(router, event_body(call_id="call_4"))).status == 503


async def test_what_is_cancelled_together_with_the_server_is_logged_as_lost_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Recorded()
    router = Router(KEY, store=store, max_in_flight=1)
    router.on()(Handled(anyio.sleep_forever))
    service = Service(router)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.run)
            await service.started.wait()
            for number in (1, 2):
                assert (await deliver(router, event_body(call_id=f"call_{number}"))).status == 204
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert not service.stopped.is_set()
    assert sorted(store.log) == ["claim", "claim", "release", "release"]
    for number in (1, 2):
        assert caplog.text.count(f"call_ended:call_{number} is lost") == 1


def test_what_the_end_of_an_event_loop_cancels_is_logged_as_lost_once(caplog: pytest.LogCaptureFixture) -> None:
    """A server that leaves all to `asyncio.run`, which cancels each task by itself."""
    router = Router(KEY)
    router.on()(Handled(anyio.sleep_forever))

    async def main() -> None:
        service = Service(router)
        service.kept = asyncio.create_task(service.run())  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        await service.started.wait()
        for number in (1, 2):
            assert (await deliver(router, event_body(call_id=f"call_{number}"))).status == 204
        await anyio.wait_all_tasks_blocked()

    asyncio.run(main())
    for number in (1, 2):
        assert caplog.text.count(f"call_ended:call_{number} is lost") == 1
    assert router.stats.in_flight == 0


SERVICE = """
import anyio
from starlette.applications import Starlette
from starlette.routing import Mount
from retell_async import webhooks
from tests.webhooks.sending import KEY

app = webhooks.Router(KEY)

@app.on("call_ended")
async def handle(event):
    await anyio.sleep(4)  # longer than hypercorn waits for requests
    print("handled", flush=True)

not_entered = Starlette(routes=[Mount("/", app)])
"""


async def told_to_end(command: str, app: str, folder: Path) -> str:
    """What a server of the service writes until its end."""
    (folder / "service.py").write_text(SERVICE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return await ended_process(["-m", *command.split(), f"service:{app}"], signal.SIGTERM, environment)


@pytest.mark.soak
@pytest.mark.needs("signals")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "command",
    [
        "uvicorn --timeout-graceful-shutdown 1 --port {port}",
        "hypercorn --bind 127.0.0.1:{port}",
        "hypercorn --worker-class trio --bind 127.0.0.1:{port}",
    ],
)
async def test_servers_wait_at_their_end(command: str, anyio_backend: str, tmp_path: Path) -> None:
    assert "handled" in await told_to_end(command, "app", tmp_path)


@pytest.mark.soak
@pytest.mark.needs("signals")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("command", "waits"),
    [
        ("uvicorn --port {port}", True),
        ("hypercorn --bind 127.0.0.1:{port}", False),
        ("hypercorn --worker-class trio --bind 127.0.0.1:{port}", False),
    ],
)
async def test_where_a_router_is_not_entered_it_depends_on_the_server(
    command: str, waits: bool, anyio_backend: str, tmp_path: Path
) -> None:
    said = await told_to_end(command, "not_entered", tmp_path)
    assert ("handled" in said, "call_ended:call_1 is lost" in said) == (waits, not waits)


# The end of a call.


@pytest.mark.parametrize("acknowledge_after", [0, 5])
async def test_a_server_that_ends_the_call_ends_no_handler(acknowledge_after: float, caplog: pytest.LogCaptureFixture) -> None:
    store = Recorded()
    router = Router(KEY, acknowledge_after=acknowledge_after, store=store)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on()(handled)
    async with router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, router, event_body())
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert (await deliver(router, event_body())).status == 503  # it is being handled
        go_on.set()
    assert store.log == ["claim", "done"]
    assert router.stats.handled == 1
    assert "lost" not in caplog.text


async def test_a_call_that_is_ended_while_it_answers_ends_no_handler() -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    body = event_body()
    sending = anyio.Event()

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sending.set()
        await anyio.sleep_forever()

    headers = [(name.encode(), value.encode()) for name, value in signed(body).items()]
    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(router, {"type": "http", "method": "POST", "path": "/events", "headers": headers}, receive, send)
        await sending.wait()
        assert handled == []
        tasks.cancel_scope.cancel()
    assert handled == ["call_ended"]


async def test_an_answer_that_comes_after_its_call_is_that_of_the_repetition() -> None:
    router = Router(KEY)
    go_on = anyio.Event()

    @router.inbound
    async def route(request: InboundRequest) -> InboundAnswer:  # pyright: ignore[reportUnusedFunction]
        await go_on.wait()
        return request.reject()

    async with router:
        with anyio.move_on_after(0.02):
            await deliver(router, inbound_body(), path="/inbound")
        go_on.set()
        assert (await deliver(router, inbound_body(), path="/inbound")).body == b'{"call_inbound":{"reject":true}}'
    assert (router.stats.handled, router.stats.duplicates) == (1, 1)


async def test_answers_of_a_router_that_was_entered() -> None:
    router = Router(KEY, acknowledge_after=0.02)
    handled = Handled()
    router.on("call_ended")(handled)

    @router.function("double")
    async def double(function: Any) -> object:  # pyright: ignore[reportUnusedFunction]
        return function.args["number"] * 2

    async with router:
        assert (await deliver(router, event_body())).status == 204
        handled.then = fail
        assert (await deliver(router, event_body(call_id="call_2"))).status == 500
        handled.then = lambda: anyio.sleep(0.1)
        assert (await deliver(router, event_body(call_id="call_3"))).status == 204
        assert router.stats.in_flight == 1
        assert (await deliver(router, event_body("call_started"))).status == 204
        answer = await deliver(router, body_of({"number": 2}), path="/functions/double")
        assert (answer.status, answer.body) == (200, b"4")
        assert (await deliver(router, b"{}", path="/functions/double")).status == 500
    assert (router.stats.handled, router.stats.failed, router.stats.unhandled) == (3, 2, 1)


async def test_one_unexpected_error_ends_no_other_work(caplog: pytest.LogCaptureFixture) -> None:
    lifetime = Lifetime(5)
    ended: list[str] = []
    answers: list[int] = []

    async def respond(response: Any) -> None:
        answers.append(response.status)

    async def work(respond: Respond) -> None:
        await anyio.sleep(0.02)
        ended.append("work")

    async def break_down(respond: Respond) -> None:
        raise LookupError("no customer has the number +14155550100")

    async with lifetime.opened(), anyio.create_task_group() as tasks:
        tasks.start_soon(lifetime.carry_out, work, respond)
        tasks.start_soon(lifetime.carry_out, break_down, respond)
    assert ended == ["work"]
    assert sorted(answers) == [500, 503]
    assert "LookupError" in caplog.text
    assert "4155550100" not in caplog.text


# Entering.


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
async def test_an_error_in_the_block_comes_out_as_it_is_when_all_is_done(kind: type[BaseException]) -> None:
    router = Router(KEY)
    handled = Handled(lambda: anyio.sleep(0.02))
    router.on()(handled)

    async def fail_in_a_block() -> None:
        async with router:
            assert (await deliver(router, event_body())).status == 204
            raise kind

    with pytest.raises(kind):
        await fail_in_a_block()
    assert router.stats.handled == 1


async def test_work_that_ends_the_program_ends_the_block() -> None:
    lifetime = Lifetime(5)

    async def respond(response: Any) -> None: ...

    class Leave(BaseException):
        """As `SystemExit`, which would end the tests."""

    async def leave(respond: Respond) -> None:
        raise Leave

    async def main() -> None:
        async with lifetime.opened():
            await lifetime.carry_out(leave, respond)
            await anyio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await main()
    assert caught.group_contains(Leave)
    assert lifetime.is_closed


@pytest.mark.parametrize("first", ["outer", "inner"])
async def test_two_servers_of_one_router(first: str) -> None:
    router = Router(KEY)
    go_on = anyio.Event()
    router.on()(Handled(go_on.wait))
    services = {"outer": Service(router), "inner": Service(router)}
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for service in services.values():
                tasks.start_soon(service.run)
                await service.started.wait()
            assert (await deliver(router, event_body())).status == 204
            services.pop(first).stopping.set()
            await anyio.wait_all_tasks_blocked()
            assert (await deliver(router, event_body(call_id="call_2"))).status == 503
            for service in services.values():
                service.stopping.set()
            go_on.set()
    assert router.stats.handled == 1


async def test_a_block_within_a_block() -> None:
    router = Router(KEY)
    handled = Handled(lambda: anyio.sleep(0.02))
    router.on()(handled)
    async with router:
        async with router:
            assert (await deliver(router, event_body())).status == 204
        assert router.stats.handled == 1


async def test_it_is_left_where_it_was_entered() -> None:
    router = Router(KEY)
    async with router, anyio.create_task_group() as tasks:

        async def leave() -> None:
            with pytest.raises(RuntimeError, match=r"call aclose\(\)"):
                await router.__aexit__(None, None, None)

        tasks.start_soon(leave)


def test_one_event_loop_after_the_other() -> None:
    """As with Starlette's TestClient, whose every block has a loop and a lifespan of its own."""
    router = Router(KEY)
    handled = Handled(lambda: anyio.sleep(0.01))
    router.on()(handled)

    async def main(number: int) -> None:
        async with router:
            assert (await deliver(router, event_body(call_id=f"call_{number}"))).status == 204

    for number, backend in enumerate(["asyncio", "trio", "asyncio"]):
        anyio.run(main, number, backend=backend)
    assert router.stats.handled == 3


def test_in_another_event_loop_than_that_of_the_block_work_is_part_of_the_call() -> None:
    router = Router(KEY)
    handled = Handled(lambda: anyio.sleep(0.01))
    router.on()(handled)

    async def elsewhere() -> None:
        assert (await deliver(router, event_body())).status == 204
        assert router.stats.handled == 1

    async def main() -> None:
        async with router:
            await anyio.to_thread.run_sync(anyio.run, elsewhere)

    anyio.run(main)


async def test_handlers_see_the_context_of_their_request() -> None:
    """What a middleware has set, such as the trace that a request belongs to."""
    trace: ContextVar[str] = ContextVar("trace", default="none")
    router = Router(KEY)
    seen: list[str] = []

    async def look() -> None:
        seen.append(trace.get())

    router.on()(Handled(look))
    async with router:
        trace.set("of the request")
        await deliver(router, event_body())
    assert seen == ["of the request"]


async def test_a_flood_leaves_nothing_behind() -> None:
    router = Router(KEY, max_in_flight=2, max_waiting=5)
    handled = Handled(anyio.lowlevel.checkpoint)
    router.on()(handled)
    async with router, httpx.AsyncClient(transport=httpx.ASGITransport(router), base_url="http://test") as sender:
        statuses: list[int] = []

        async def post(number: int) -> None:
            body = event_body(call_id=f"call_{number}")
            statuses.append((await sender.post("/events", content=body, headers=signed(body))).status_code)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(post, number)
    assert statuses.count(204) == len(handled)
    assert statuses.count(204) + statuses.count(503) == 50
    assert not router._lifetime._under_way  # pyright: ignore[reportPrivateUsage]
    assert (router.stats.in_flight, router.stats.waiting) == (0, 0)
