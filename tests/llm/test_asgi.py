"""The application straight on the ASGI interface, and mounted in Starlette and FastAPI."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

import anyio
import pytest
from anyio.abc import TaskGroup
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.testclient import TestClient, WebSocketTestSession

from retell_async import ConfigurationError, llm
from retell_async.llm.serving.server import hidden_in_logs

from .talk import CALL
from .test_session import application, echo

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
SECRET = "s3cret-of-the-tests"


def scope(path: str, *, query: bytes = b"", extensions: Json | None = None, forwarded: str | None = None) -> Json:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())],
        "client": ("10.0.0.7", 50_000),
        "server": ("llm.test", 443),
        "subprotocols": [],
        "extensions": extensions or {},
    }


class Server:
    """An ASGI server with one WebSocket."""

    def __init__(self) -> None:
        self.sent: list[Json] = []
        self.coming: deque[Json] = deque([{"type": "websocket.connect"}])
        self.gone = False
        self._came = anyio.Event()
        self._went = anyio.Event()

    async def receive(self) -> Json:
        while not self.coming:
            self._came = anyio.Event()
            await self._came.wait()
        return self.coming.popleft()

    async def send(self, message: Any) -> None:
        if self.gone:
            raise OSError("nobody is there")
        self.sent.append(dict(message))
        self._went.set()

    def tell(self, message: Json | str | bytes) -> None:
        if isinstance(message, bytes):
            self.coming.append({"type": "websocket.receive", "bytes": message})
        else:
            self.coming.append({"type": "websocket.receive", "text": message if isinstance(message, str) else json.dumps(message)})
        self._came.set()

    def disconnect(self, code: int | None = 1000) -> None:
        self.coming.append({"type": "websocket.disconnect", **({} if code is None else {"code": code})})
        self._came.set()

    async def until(self, text: str) -> None:
        with anyio.fail_after(5):
            while not any(text in str(message) for message in self.sent):
                self._went = anyio.Event()
                await self._went.wait()

    @property
    def frames(self) -> list[Json]:
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]


async def test_a_call() -> None:
    app = application(echo, secret=SECRET)
    server = Server()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, scope(f"/{SECRET}/call_1"), server.receive, server.send)
        server.tell({"interaction_type": "call_details", "call": CALL})
        server.tell(b"{}")
        await server.until("Hello.")
        server.tell({"interaction_type": "response_required", "response_id": 1, "transcript": [{"role": "user", "content": "Hi"}]})
        await server.until("Hi")
        server.disconnect()
    assert server.sent[0] == {"type": "websocket.accept"}
    assert [frame["response_type"] for frame in server.frames][:2] == ["config", "response"]
    assert "".join(frame["content"] for frame in server.frames if frame.get("response_id") == 1) == "1: Hi"
    assert not any(message["type"] == "websocket.close" for message in server.sent)  # Retell has closed it
    assert app.stats.ignored == 1


@pytest.mark.parametrize("code", [None, 1005, 1006])
async def test_a_call_that_is_lost(code: int | None) -> None:
    app = application(echo, secret=SECRET, reconnect_within=0.01)
    server = Server()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, scope(f"/{SECRET}/call_1"), server.receive, server.send)
        await server.until("Hello.")
        server.gone = True
        server.tell({"interaction_type": "ping_pong", "timestamp": 1})
        server.disconnect(code)
    assert not app.sessions


async def test_a_call_that_is_not_admitted_is_closed() -> None:
    app = application(echo, secret=SECRET, admit={"tenant": "acme"})
    server = Server()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, scope(f"/{SECRET}/call_1"), server.receive, server.send)
        server.tell({"interaction_type": "call_details", "call": CALL})
    assert server.sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "not admitted"}


@pytest.mark.parametrize(
    ("extensions", "sent"),
    [
        (
            {"websocket.http.response": {}},
            [
                {"type": "websocket.http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]},
                {"type": "websocket.http.response.body", "body": b"wrong secret"},
            ],
        ),
        ({}, [{"type": "websocket.close", "code": 1008, "reason": ""}]),
    ],
)
async def test_a_wrong_secret_opens_nothing(extensions: Json, sent: list[Json], caplog: pytest.LogCaptureFixture) -> None:
    app = application(echo, secret=SECRET)
    server = Server()
    await app(scope("/wrong/call_1", extensions=extensions), server.receive, server.send)
    assert server.sent == sent
    assert SECRET not in caplog.text
    assert "wrong secret" in caplog.text


async def test_a_proxy_says_who_connects() -> None:
    from retell_async import webhooks

    app = application(echo, senders=webhooks.Senders(proxies=["10.0.0.0/8"]))
    for forwarded, opened in ((None, False), ("1.2.3.4", False), ("100.20.5.228", True)):
        server = Server()
        server.disconnect()
        await app(scope("/call_1", forwarded=forwarded), server.receive, server.send)
        assert (server.sent[0]["type"] == "websocket.accept") == opened


async def test_a_server_that_goes_away_before_the_connection_is_open() -> None:
    server = Server()
    server.coming = deque([{"type": "websocket.disconnect", "code": 1006}])
    await application(echo)(scope("/call_1"), server.receive, server.send)
    assert server.sent == []


async def test_other_scopes() -> None:
    app = application(echo)
    server = Server()
    server.coming = deque([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    await app({"type": "lifespan"}, server.receive, server.send)
    assert [message["type"] for message in server.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    server.sent.clear()
    await app({"type": "http", "path": "/"}, server.receive, server.send)
    assert server.sent[0]["status"] == 426
    with pytest.raises(ValueError, match="brand_new"):
        await app({"type": "brand_new"}, server.receive, server.send)


class Counting(llm.Agent):
    """Counts what it was asked, and says how it came to its end."""

    ends: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.asked = 0

    async def on_turn(self, turn: llm.Turn) -> AsyncIterator[str]:
        self.asked += 1
        turn.session.state["asked"] = turn.session.state.get("asked", 0) + 1
        yield f"Asked {self.asked} times here, {turn.session.state['asked']} in all."

    async def on_exit(self, session: llm.Session) -> None:
        self.ends.append(f"over: {session.ended}")

    async def on_leave(self, session: llm.Session) -> None:
        self.ends.append(f"left: {session.ended}")


def counting(**settings: Any) -> llm.App:
    Counting.ends.clear()
    app = llm.App(secret=SECRET, begin_message="Hello.", call_details=False, **settings)
    app.agent(Counting)
    return app


QUESTION: Json = {"interaction_type": "response_required", "response_id": 1, "transcript": [{"role": "user", "content": "Hi"}]}


class Connections:
    """An ASGI server that ends the application's call of a connection when it likes."""

    def __init__(self, app: Any, tasks: TaskGroup) -> None:
        self.app = app
        self.tasks = tasks

    async def open(self) -> tuple[Server, anyio.CancelScope, anyio.Event]:
        server, ended, over = Server(), anyio.CancelScope(), anyio.Event()

        async def serve() -> None:
            with ended:
                await self.app(scope(f"/{SECRET}/call_1"), server.receive, server.send)
            over.set()

        self.tasks.start_soon(serve)
        await server.until('"response_id":0')
        return server, ended, over


async def test_a_call_outlives_the_task_of_its_first_connection() -> None:
    app = counting()
    async with anyio.create_task_group() as tasks:
        start = Server()
        start.coming = deque([{"type": "lifespan.startup"}])
        tasks.start_soon(app, {"type": "lifespan"}, start.receive, start.send)
        await start.until("startup.complete")
        connections = Connections(app, tasks)
        first, ended, over = await connections.open()
        first.tell(QUESTION)
        await first.until("Asked 1 times here, 1 in all.")
        first.disconnect(1006)
        with anyio.fail_after(1):
            await over.wait()  # a server that waits for it need not end it
        second, ended, over = await connections.open()
        second.tell(QUESTION)
        await second.until("Asked 2 times here, 2 in all.")
        ended.cancel()  # while it is open
        third, _, over = await connections.open()
        third.tell(QUESTION)
        await third.until("Asked 3 times here, 3 in all.")
        third.disconnect()
        await over.wait()
        start.tell("")
        await start.until("shutdown.complete")
    assert Counting.ends == ["over: closed"]
    assert not app.sessions


async def test_without_a_lifespan_connections_are_dropped_when_the_first_task_ends() -> None:
    app = counting()
    async with anyio.create_task_group() as tasks:
        connections = Connections(app, tasks)
        first, ended, _ = await connections.open()
        first.disconnect(1006)
        await anyio.sleep(0.01)
        second, _, over = await connections.open()
        second.tell(QUESTION)
        await second.until("Asked 1 times here, 1 in all.")
        ended.cancel()
        with anyio.fail_after(1):
            await over.wait()
        assert not any(message["type"] == "websocket.close" for message in second.sent)  # for Retell that is no end
        third, _, over = await connections.open()
        third.tell(QUESTION)
        await third.until("Asked 1 times here, 2 in all.")
        third.disconnect()
        await over.wait()
    assert Counting.ends == ["left: shutdown", "over: closed"]


@pytest.mark.parametrize("connected", [True, False])
async def test_what_goes_on_at_the_end_of_the_lifespan_is_left(connected: bool) -> None:
    app = counting()
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(5):
            async with app.lifespan(), app.lifespan():  # also where the server and the service have one each
                server, _, over = await Connections(app, tasks).open()
                if not connected:
                    server.disconnect(1006)
                    await over.wait()
            assert Counting.ends == ["left: shutdown"]
            assert not app.sessions
            await over.wait()
        assert not any(message["type"] == "websocket.close" for message in server.sent)


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
async def test_what_is_raised_in_a_lifespan_comes_out_as_it_is(error: type[BaseException]) -> None:
    app = counting()
    with pytest.raises(error):
        async with app.lifespan():
            raise error


def asked(retell: WebSocketTestSession) -> str:
    retell.send_json(QUESTION)
    text: str = ""
    while True:
        frame: Json = retell.receive_json()
        if frame.get("response_id") == 1:
            text += frame["content"]
            if frame["content_complete"]:
                return text


@pytest.mark.parametrize("how", ["alone", "fastapi"])
def test_a_reconnection_by_the_client_of_starlette(how: str) -> None:
    app = counting()
    path = f"/{SECRET}/call_1" if how == "alone" else f"/llm/{SECRET}/call_1"

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with app.lifespan():
            yield

    service: Any = app
    if how == "fastapi":
        service = FastAPI(lifespan=lifespan)
        service.mount("/llm", app)
    with TestClient(service) as client:
        with client.websocket_connect(path) as retell:
            assert asked(retell) == "Asked 1 times here, 1 in all."
            retell.close(1006)
        with client.websocket_connect(path) as retell:
            assert asked(retell) == "Asked 2 times here, 2 in all."
    assert Counting.ends == ["over: closed"]


def mounted(app: llm.App, how: str) -> Any:
    match how:
        case "alone":
            return app
        case "starlette":
            return Starlette(routes=[Mount("/llm", app)])
        case "starlette route":
            return Starlette(routes=[WebSocketRoute("/llm/{secret}/{call_id}", app)])
        case _:
            outer = FastAPI()
            outer.mount("/llm", app)
            return outer


@pytest.mark.parametrize("how", ["alone", "starlette", "starlette route", "fastapi"])
async def test_mounted(how: str) -> None:
    app = application(echo, secret=SECRET)
    outer = mounted(app, how)
    path = "/llm" if how != "alone" else ""
    server, other = Server(), Server()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outer, scope(f"{path}/{SECRET}/call_1"), server.receive, server.send)
        await server.until("Hello.")
        server.tell({"interaction_type": "ping_pong", "timestamp": 5})
        await server.until("ping_pong")
        server.disconnect()
        await outer(scope(f"{path}/wrong-secret/call_1"), other.receive, other.send)
    assert [message["type"] for message in other.sent] == ["websocket.close"]
    assert (app.stats.calls, app.stats.refused) == (1, 1)


def test_the_servers_log_has_no_secret_and_no_false_alarm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = application(echo, secret=SECRET)
    with hidden_in_logs(app):
        logging.getLogger("uvicorn.error").info('"WebSocket %s" [accepted]', f"/{SECRET}/call_1")
        logging.getLogger("uvicorn.asgi").debug("Started scope=%s", {"path": f"/{SECRET}/call_1"})
        logging.getLogger("uvicorn.error").info("/s3cret-of-the-tests/call_1")
        logging.getLogger("uvicorn.error").error("ASGI callable returned without completing handshake.")
        logging.getLogger("uvicorn.error").info("port %d", 8080)
    assert [record.getMessage() for record in caplog.records] == [
        '"WebSocket /***/call_1" [accepted]',
        "Started scope={'path': '/***/call_1'}",
        "/***/call_1",
        "port 8080",
    ]


def test_what_is_no_application_is_not_served() -> None:
    with pytest.raises(ConfigurationError, match="goes into `asgi`"):
        llm.serve(cast("Any", len))
