"""Streamable HTTP: who is let in, in memory. Sockets are in test_transports.py."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from retell_async import ConfigurationError
from retell_async.mcp import Tokens, create_app
from retell_async.mcp.serving import known_hosts

from .asking import arguments_of
from .workspace import Human, Workspace, data, text, workspace

pytestmark = pytest.mark.anyio

TOKEN, OTHER = "token-of-one-client-0123456789-abcdef", "token-of-another-client-0123456789-ab"
URL = "http://127.0.0.1:8000"
CALL = "create_phone_call"
DISCOVER: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@asynccontextmanager
async def served(work: Workspace) -> AsyncGenerator[httpx2.ASGITransport]:
    hosts, origins = known_hosts("127.0.0.1", 8000, [])
    app = create_app(work.server, Tokens.parse(f"{TOKEN},{OTHER}"), hosts=hosts, origins=[*origins, "https://console.example.com"])
    async with app.router.lifespan_context(app):
        yield httpx2.ASGITransport(app)


@asynccontextmanager
async def connected(
    transport: httpx2.ASGITransport, token: str = TOKEN, human: Human | None = None, mode: str = "auto"
) -> AsyncGenerator[Client]:
    """The official client over HTTP."""
    async with (
        httpx2.AsyncClient(transport=transport, headers={"authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(f"{URL}/mcp", http_client=http), elicitation_callback=human, mode=mode) as session,
    ):
        yield session


async def post(transport: httpx2.ASGITransport, **headers: str) -> httpx2.Response:
    usual = {"accept": "application/json, text/event-stream", "host": "127.0.0.1:8000"}
    async with httpx2.AsyncClient(transport=transport) as http:
        return await http.post(f"{URL}/mcp", json=DISCOVER, headers=usual | headers)


async def test_the_official_client_asks_its_human_over_http() -> None:
    human = Human()
    async with workspace() as work, served(work) as transport, connected(transport, human=human) as session:
        assert session.protocol_version == "2026-07-28"
        assert len((await session.list_tools()).tools) == 44
        data(await session.call_tool(CALL, arguments_of(work)[CALL]))
        assert len(human.questions) == 1


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # on trio the client leaves its stream to the garbage collector, which complains
async def test_a_session_that_has_ended_watches_no_more() -> None:
    async with workspace(every=0.02) as work, served(work) as transport:
        async with connected(transport, mode="legacy") as session, connected(transport, mode="legacy") as other:
            await session.subscribe_resource("retell://calls/call_1")
            await session.unsubscribe_resource("retell://calls/call_1")
            await session.subscribe_resource("retell://calls/call_1")
            await other.subscribe_resource("retell://calls/call_1")
            before = len(work.local.requests("listCalls"))
            await anyio.sleep(0.1)
            assert len(work.local.requests("listCalls")) > before
        await anyio.sleep(0.1)
        before = len(work.local.requests("listCalls"))
        await anyio.sleep(0.1)
        assert len(work.local.requests("listCalls")) == before


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer x", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN]
)
async def test_without_a_token_nobody_is_let_in(authorization: str | None) -> None:
    async with workspace() as work, served(work) as transport:
        headers = {} if authorization is None else {"authorization": authorization}
        refused = await post(transport, **headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in refused.text


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("host", "evil.example.com", 421),
        ("host", "127.0.0.1.evil.example.com:8000", 421),
        ("host", "127.0.0.1:9000", 421),
        ("origin", "https://evil.example.com", 403),
        ("origin", "http://127.0.0.1.evil.example.com:8000", 403),
        ("origin", "null", 403),
    ],
)
async def test_a_hostile_page_is_not_let_in_though_it_had_the_token(header: str, value: str, status: int) -> None:
    async with workspace() as work, served(work) as transport:
        assert (await post(transport, authorization=f"Bearer {TOKEN}", **{header: value})).status_code == status


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:8000", "http://localhost:8000", "https://console.example.com"])
async def test_pages_that_are_known_are_let_in(origin: str | None) -> None:
    async with workspace() as work, served(work) as transport:
        headers = {} if origin is None else {"origin": origin}
        assert (await post(transport, authorization=f"Bearer {TOKEN}", **headers)).status_code == 200


async def test_one_client_cannot_answer_for_another() -> None:
    async with (
        workspace() as work,
        served(work) as transport,
        connected(transport, TOKEN, Human()) as one,
        connected(transport, OTHER, Human()) as other,
    ):
        arguments = arguments_of(work)[CALL]
        asked = await one.session.call_tool(CALL, arguments, allow_input_required=True)
        assert isinstance(asked, types.InputRequiredResult)
        yes: Any = {"consent": types.ElicitResult(action="accept", content={"confirm": True})}
        stolen = await other.call_tool(CALL, arguments, input_responses=yes, request_state=asked.request_state)
        assert "another question" in text(stolen)
        assert work.changes == []


async def test_the_token_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with workspace() as work, served(work) as transport:
        async with connected(transport, TOKEN, Human()) as session:
            await session.list_tools()
            data(await session.call_tool(CALL, arguments_of(work)[CALL]))
        await post(transport, authorization=f"Bearer {TOKEN}", origin="https://evil.example.com")
        await post(transport, authorization=f"Bearer {TOKEN}-and-more")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx2", "httpcore2", "mcp.client"))]
    assert not any(TOKEN in message for message in ours)
    assert TOKEN not in repr(Tokens.parse(TOKEN))


@pytest.mark.parametrize("tokens", ["", " , ", "short", f"{TOKEN},short", "with a blank in it, which no header has 12345"])
def test_a_token_that_can_be_guessed_is_refused(tokens: str) -> None:
    with pytest.raises(ConfigurationError, match="RETELL_MCP_TOKEN") as caught:
        Tokens.parse(tokens)
    assert TOKEN not in str(caught.value)


def test_hosts_of_a_server_for_this_machine_and_for_others() -> None:
    assert known_hosts("127.0.0.1", 8000, []) == (
        ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"],
        [f"{scheme}://{name}:8000" for name in ("127.0.0.1", "localhost", "[::1]") for scheme in ("http", "https")],
    )
    with pytest.raises(ConfigurationError, match="--public-host"):
        known_hosts("0.0.0.0", 8000, [])
    assert known_hosts("0.0.0.0", 8000, ["retell.example.com"])[0] == ["retell.example.com"]
    assert known_hosts("192.0.2.7", 8000, ["retell.example.com"])[0] == ["192.0.2.7:8000", "retell.example.com"]
