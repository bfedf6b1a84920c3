"""FastAPI: dependencies that give just what was sent, and a mounted router."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

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
