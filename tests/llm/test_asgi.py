"""The application straight on the ASGI interface, and mounted in Starlette and FastAPI."""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import Any, cast

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

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
