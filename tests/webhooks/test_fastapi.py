"""FastAPI: dependencies that give just what was sent, and a mounted router."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from retell_async.webhooks import (
    CallEnded,
    Event,
    FunctionCall,
    InboundCall,
    InboundChat,
    Router,
    Senders,
)
from retell_async.webhooks.fastapi import verified_event, verified_function, verified_inbound

from .sending import CALL, KEY, body_of, event_body, inbound_body, signed

pytestmark = pytest.mark.anyio

VerifiedEvent = Annotated[Event, Depends(verified_event(KEY, max_bytes=20_000))]
VerifiedInbound = Annotated[InboundCall | InboundChat, Depends(verified_inbound([KEY, "key_new"]))]
VerifiedFunction = Annotated[FunctionCall, Depends(verified_function(KEY))]
SenderChecked = Annotated[Event, Depends(verified_event(KEY, senders=Senders()))]

app = FastAPI()
router = Router(KEY)
app.mount("/retell", router)


@app.post("/events")
async def events(event: VerifiedEvent) -> dict[str, Any]:
    match event:
        case CallEnded(call=call):
            return {"ended": call.call_id}
        case other:
            return {"other": other.event}


@app.post("/inbound")
async def inbound(request: VerifiedInbound) -> dict[str, Any]:
    return request.accept(dynamic_variables={"from": request.from_number}).to_dict()


@app.get("/function", operation_id="get_function")
@app.post("/function", operation_id="post_function")
async def function(function: VerifiedFunction) -> dict[str, Any]:
    return {"args": function.args, "call": function.call and function.call.call_id}


@app.post("/checked")
async def checked(event: SenderChecked) -> None: ...


@router.on("call_ended")
async def on_ended(event: CallEnded) -> None: ...


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(app))


async def post(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post(path, content=body, headers=signed(body) if headers is None else headers)


async def test_an_event(client: httpx.AsyncClient) -> None:
    assert (await post(client, "/events", event_body())).json() == {"ended": "call_1"}
    assert (await post(client, "/events", event_body("call_paused"))).json() == {"other": "call_paused"}


async def test_an_inbound_call(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/inbound", inbound_body())
    assert answer.json() == {"call_inbound": {"dynamic_variables": {"from": "+14155550100"}}}
    assert (await post(client, "/inbound", event_body())).status_code == 400


async def test_a_function(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/function", body_of({"name": "lookup", "args": {"id": 1}, "call": CALL}))
    assert answer.json() == {"args": {"id": 1}, "call": "call_1"}
    answer = await client.get("/function?id=1", headers=signed(b""))
    assert answer.json() == {"args": {"id": "1"}, "call": None}


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (event_body(), dict, 401, "no x-retell-signature header"),
        (event_body(), lambda: signed(event_body(), timestamp_ms=1), 401, "too old"),
        (event_body(), lambda: signed(event_body(), key="other"), 401, "wrong key or changed body"),
        (event_body(padding=" " * 20_000), lambda: signed(event_body(padding=" " * 20_000)), 413, "too long"),
        (b"[]", lambda: signed(b"[]"), 400, "unreadable"),
    ],
)
async def test_what_is_not_let_in(
    client: httpx.AsyncClient, body: bytes, headers: Callable[[], dict[str, str]], status: int, detail: str
) -> None:
    answer = await post(client, "/events", body, headers())
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


async def test_the_address_of_the_sender() -> None:
    for address, status in (("100.20.5.228", 200), ("203.0.113.9", 403)):
        client = httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(app, client=(address, 1)))
        assert (await post(client, "/checked", event_body())).status_code == status


async def test_a_mounted_router(client: httpx.AsyncClient) -> None:
    assert (await post(client, "/retell/events", event_body(call_id="call_mounted"))).status_code == 204
    assert router.stats.received == router.stats.handled + router.stats.duplicates


async def test_the_documented_interface_leaves_events_out(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert "requestBody" not in schema["paths"]["/events"]["post"]
    assert "parameters" not in schema["paths"]["/events"]["post"]


# The body stays readable.


async def keep(request: Request) -> bytes:
    return await request.body()


class Sent(BaseModel):
    event: str
    call: dict[str, Any]


def reading(read: Callable[[Request], Awaitable[Any]]) -> FastAPI:
    """An application with one endpoint that gets an event and then reads the request."""
    app = FastAPI()

    @app.post("/events")
    async def endpoint(event: VerifiedEvent, request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"event": event.event, "read": await read(request)}

    return app


async def by_body(request: Request) -> str:
    return (await request.body()).decode()


async def by_stream(request: Request) -> str:
    return b"".join([part async for part in request.stream()]).decode()


async def by_json(request: Request) -> str:
    return json.dumps(await request.json())


async def by_all(request: Request) -> str:
    texts = [await by_body(request), await by_stream(request), await by_body(request)]
    assert json.loads(await by_json(request)) == json.loads(texts[0])
    assert len(set(texts)) == 1
    return texts[0]


@pytest.mark.parametrize("read", [by_body, by_stream, by_json, by_all])
@pytest.mark.parametrize("parts", [1, 1_000])
async def test_the_endpoint_can_read_the_body(read: Callable[[Request], Awaitable[Any]], parts: int) -> None:
    body = event_body(padding="x" * 5_000)

    async def content() -> AsyncIterator[bytes]:
        size = -(-len(body) // parts)
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async with httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(reading(read))) as client:
        answer = await client.post("/events", content=content(), headers=signed(body))
    assert answer.status_code == 200
    assert json.loads(answer.json()["read"]) == json.loads(body)
    assert answer.json()["event"] == "call_ended"


async def test_the_body_goes_to_parameters_other_dependencies_and_middleware_too() -> None:
    app = FastAPI()
    seen: list[bytes] = []

    @app.middleware("http")
    async def look(request: Request, call_next: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        seen.append(await request.body())
        return await call_next(request)

    @app.post("/parameter")
    async def parameter(event: VerifiedEvent, sent: Sent) -> str:  # pyright: ignore[reportUnusedFunction]
        return f"{event.event} {sent.call['call_id']}"

    @app.post("/before")
    async def before(kept: Annotated[bytes, Depends(keep)], event: VerifiedEvent) -> str:  # pyright: ignore[reportUnusedFunction]
        return f"{event.event} {json.loads(kept)['call']['call_id']}"

    @app.post("/after", dependencies=[Depends(verified_event(KEY))])
    async def after(event: VerifiedEvent, kept: Annotated[bytes, Depends(keep)]) -> str:  # pyright: ignore[reportUnusedFunction]
        return f"{event.event} {json.loads(kept)['call']['call_id']}"

    async with httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(app)) as client:
        for path in ("/parameter", "/before", "/after"):
            assert (await post(client, path, event_body())).json() == "call_ended call_1"
        assert (await post(client, "/parameter", event_body(), {})).status_code == 401
    assert seen[:3] == [event_body()] * 3


async def test_a_sender_that_goes_away_is_no_error_of_the_service() -> None:
    messages = [{"type": "http.request", "body": event_body()[:10], "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in signed(event_body()).items()]
    scope = {"type": "http", "method": "POST", "path": "/events", "query_string": b"", "headers": headers, "http_version": "1.1"}
    await app({**scope, "client": ("127.0.0.1", 1), "server": ("test", 80), "scheme": "http"}, receive, send)
    assert sent[0]["status"] == 400


# Where a router is served.


async def statuses(app: Any, *paths: str, root_path: str = "") -> list[int]:
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(base_url="http://test", transport=transport) as client:
        return [(await post(client, path, event_body(call_id=path))).status_code for path in paths]


def shop(**settings: Any) -> tuple[Router, list[str]]:
    router = Router(KEY, **settings)
    handled: list[str] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        handled.append(event.call.call_id)

    @router.function("lookup")
    async def lookup(function: FunctionCall) -> str:  # pyright: ignore[reportUnusedFunction]
        return "found"

    return router, handled


def by_route(router: Router) -> Any:
    return Starlette(routes=[Route("/webhook", endpoint=router, methods=["POST"])])


def by_route_below_a_mount(router: Router) -> Any:
    return Starlette(routes=[Mount("/api", routes=[Route("/webhook", endpoint=router, methods=["POST"])])])


def by_add_route(router: Router) -> Any:
    app = FastAPI()
    app.add_route("/webhook", router, methods=["POST"])  # type: ignore[arg-type]
    return app


def by_included_router(router: Router) -> Any:
    app, inner = FastAPI(), APIRouter()
    inner.add_route("/webhook", router, methods=["POST"])  # type: ignore[arg-type]
    app.include_router(inner, prefix="/api")
    return app


@pytest.mark.parametrize(
    ("make", "path"),
    [(by_route, "/webhook"), (by_route_below_a_mount, "/api/webhook"), (by_add_route, "/webhook"), (by_included_router, "/api/webhook")],
)
async def test_a_route_at_an_exact_path(make: Callable[[Router], Any], path: str) -> None:
    router, handled = shop()
    assert await statuses(make(router), path) == [204]
    assert handled == [path]
    async with httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(make(router))) as client:
        assert (await client.get(path, headers=signed(b""))).status_code == 405
        assert (await post(client, path, event_body(), {})).status_code == 401


@pytest.mark.parametrize("path", ["/api/functions/retell", "/functions/v1/retell", "/functions/retell/", "/functions/", "/webhook/"])
async def test_a_route_at_an_exact_path_that_looks_like_another(path: str) -> None:
    router, handled = shop()
    app = Starlette(routes=[Route(path, endpoint=router), Route("/hooks/functions/{name}", endpoint=router)])
    async with httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(app)) as client:
        assert (await post(client, path, event_body())).status_code == 204
        assert (await post(client, path, inbound_body())).json() == {"call_inbound": {}}
        assert (await post(client, path, event_body(), {})).status_code == 401
        assert (await post(client, "/hooks/functions/retell", event_body(call_id="call_2"))).status_code == 204
        answer = await post(client, "/hooks/functions/other", body_of({"name": "other", "args": {}, "call": CALL}))
        assert (answer.status_code, answer.text) == (404, "wrong path: there is no function of this name")
        assert (await client.get("/hooks/functions/other", headers=signed(b""))).status_code == 404
    assert handled == ["call_1", "call_2"]
    assert router.stats.failed == 0


async def test_a_route_for_one_function() -> None:
    router, handled = shop()
    app = Starlette(routes=[Route("/hooks/functions/lookup", endpoint=router), Route("/hooks/{rest:path}", endpoint=router)])
    async with httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(app)) as client:
        assert (await post(client, "/hooks/functions/lookup", b"{}")).text == "found"
        assert (await post(client, "/hooks/functions/other", b"{}")).status_code == 404
        assert (await post(client, "/hooks/events", event_body())).status_code == 204
    assert handled == ["call_1"]


async def test_a_mount_and_a_route_give_the_path_with_and_without_its_slash() -> None:
    router, handled = shop()
    app = FastAPI()
    app.add_route("/webhook", router, methods=["POST"])  # type: ignore[arg-type]
    app.mount("/webhook", router)
    assert await statuses(app, "/webhook", "/webhook/", "/webhook/events") == [204, 204, 204]
    assert len(handled) == 3


async def test_a_mount_alone_redirects_to_the_path_with_its_slash() -> None:
    router, handled = shop()
    app = FastAPI()
    app.mount("/webhook", router)
    async with httpx.AsyncClient(base_url="http://test", transport=httpx.ASGITransport(app), follow_redirects=True) as client:
        answer = await post(client, "/webhook", event_body())
    assert (answer.status_code, [step.status_code for step in answer.history]) == (204, [307])
    assert handled == ["call_1"]


class Passing:
    """A middleware that does nothing but stand in between."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, *arguments: Any) -> None:
        await self.app(*arguments)


@pytest.mark.parametrize("middleware", [[], [Middleware(Passing)]])
@pytest.mark.parametrize("root_path", ["", "/proxy", "/proxy/", "/"])
@pytest.mark.parametrize("kept", [True, False], ids=["root in the path", "root taken away"])
async def test_behind_a_proxy_with_a_root_path(root_path: str, kept: bool, middleware: list[Middleware]) -> None:
    router, handled = shop()
    app = Starlette(routes=[Mount("/retell", app=router, middleware=middleware)])
    below = root_path.rstrip("/") if kept else ""
    assert await statuses(app, f"{below}/retell/", f"{below}/retell/events", root_path=root_path.rstrip("/")) == [204, 204]
    assert await statuses(router, f"{below}/events", f"{below}/", root_path=root_path) == [204, 204]
    assert len(handled) == 4


async def test_fastapi_with_a_root_path_of_its_own() -> None:
    router, handled = shop()
    app = FastAPI()
    app.root_path = "/proxy"
    app.mount("/retell", router)
    assert await statuses(app, "/retell/events", "/proxy/retell/events") == [204, 204]
    assert len(handled) == 2
