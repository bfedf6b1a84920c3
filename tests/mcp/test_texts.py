"""Texts of the API that cannot be encoded, with half a surrogate pair as a cut emoji has it, are told with a mark in its place."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import mcp_types as types
import pytest
from mcp import Client, MCPError

from retell_async import AsyncRetell
from retell_async.mcp import RetellServer
from retell_async.mcp.results import encodable

from .workspace import MODES

pytestmark = pytest.mark.anyio

HALF = "Anna \ud83d"
CALL = {
    "call_type": "web_call",
    "call_id": "call_1",
    "agent_id": "agent_1",
    "agent_version": 0,
    "agent_name": HALF,
    "call_status": "error",
    "access_token": "x",
    "start_timestamp": 1_764_000_000_000,
    "end_timestamp": 1_764_000_060_000,
    "transcript": HALF,
    "transcript_object": [{"role": "user", "content": HALF, "words": []}],
    "recording_url": "https://example.com/a.wav",
    "disconnection_reason": HALF,
    "metadata": {HALF: [HALF]},
}
PERIOD = {"since": "2025-11-01T00:00:00Z", "until": "2025-12-01T00:00:00Z"}
ASKED: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "one": lambda session: session.call_tool("get_call", {"call_id": "call_1"}),
    "list": lambda session: session.call_tool("list_calls", {}),
    "fields": lambda session: session.call_tool("list_calls", {"fields": ["metadata"]}),
    "question": lambda session: session.call_tool("failed_calls", PERIOD),
    "transcripts": lambda session: session.call_tool("find_in_transcripts", {"text": "Anna", **PERIOD}),
    "error": lambda session: session.call_tool("get_agent", {"agent_id": "agent_1"}),
    "resources": lambda session: session.list_resources(),
    "resource": lambda session: session.read_resource("retell://calls/call_1"),
    "transcript": lambda session: session.read_resource("retell://calls/call_1/transcript"),
    "recording": lambda session: session.read_resource("retell://calls/call_1/recording"),
}


def answer(request: httpx.Request) -> httpx.Response:
    found: Any = CALL
    if "agent" in request.url.path:
        return httpx.Response(404, content=json.dumps({"status": "error", "message": HALF}))
    if "list" in request.url.path:
        first = b'"limit":20' in request.content.replace(b" ", b"") or "limit=20" in str(request.url)
        found = {"items": [{**CALL, "call_id": HALF} if first else CALL], "has_more": first, "pagination_key": HALF}
    return httpx.Response(200, content=json.dumps(found))


async def no_recording(url: str) -> tuple[bytes, str]:
    raise ValueError(HALF)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("asked", ASKED)
async def test_every_answer_can_be_sent(asked: str, mode: str) -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    async with (
        AsyncRetell(api_key="key_0123456789", http_client=http, max_retries=0) as client,
        Client(RetellServer(client, fetch=no_recording).server(), mode=mode) as session,
    ):
        try:
            told = await ASKED[asked](session)
        except MCPError as error:
            told = error.error
        assert "Anna" in told.model_dump_json()


def test_a_text_that_can_be_sent_stays_as_it_is() -> None:
    told = types.CallToolResult(content=[types.TextContent(text="Zoë 😀")], structured_content={"a": [1, None, "😀"]})
    assert encodable(told) == told
    assert encodable(told).model_fields_set == told.model_fields_set
    assert encodable(HALF) == "Anna \ufffd"
