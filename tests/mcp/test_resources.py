"""Calls, transcripts and recordings as resources, and who watches a call is told that it changed."""

from __future__ import annotations

import base64
import json
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.shared.subscriptions import ResourceUpdated

from retell_async.mcp.addresses import address, links_of, read_address

from .workspace import MODES, PEOPLE, Workspace, data, workspace

pytestmark = pytest.mark.anyio


async def over(work: Workspace) -> str:
    """A call that was answered and is analysed."""
    settings = work.fixtures
    for count in range(20):
        placed = await work.client.call.create_phone_call(from_number=settings.phone_number, to_number=f"+1415555{count:04}")
        await work.local.advance(3600)
        if (await work.client.call.retrieve(placed.call_id)).call_status == "ended":
            return placed.call_id
    raise AssertionError("nobody answers")


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_its_transcript_and_its_recording_are_read(mode: str) -> None:
    async with workspace() as work, work.connect(mode) as session:
        call_id = await over(work)
        told = await session.call_tool("get_call", {"call_id": call_id})
        links = {block.uri: block.mime_type for block in told.content if isinstance(block, types.ResourceLink)}
        assert links == {
            f"retell://calls/{call_id}": "application/json",
            f"retell://calls/{call_id}/transcript": "application/json",
            f"retell://calls/{call_id}/recording": "audio/wav",
        }
        assert "transcript" not in data(told)
        whole = (await work.client.call.retrieve(call_id)).to_dict()
        assert data(await session.call_tool("get_call", {"call_id": call_id, "fields": ["transcript"]})) == {
            "transcript": whole["transcript"]
        }
        listed = data(await session.call_tool("list_calls", {"limit": 1, "fields": ["call_id", "transcript"]}))
        assert (list(listed["items"][0]), listed["hint"].partition(".")[0]) == (["call_id"], "None of these items has transcript")

        async def read(uri: str) -> Any:
            [content] = (await session.read_resource(uri)).contents
            return content

        call = json.loads((await read(address(call_id))).text)
        assert call["call_id"] == call_id
        assert "transcript_object" not in call
        said = json.loads((await read(address(call_id, "transcript"))).text)
        assert [item["content"] for item in said["transcript"] if "content" in item] == [
            item["content"] for item in whole["transcript_with_tool_calls"] if "content" in item
        ]
        assert "words" not in said["transcript"][0]
        sound = base64.b64decode((await read(address(call_id, "recording"))).blob)
        assert sound[:4] == b"RIFF"

        listed = await session.list_resources()
        assert {one.uri for one in listed.resources} >= {*links}
        assert {one.uri_template for one in (await session.list_resource_templates()).resource_templates} == {
            "retell://calls/{call_id}",
            "retell://calls/{call_id}/transcript",
            "retell://calls/{call_id}/recording",
        }


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("retell://calls/call_of_nobody", "call_of_nobody|not found|no call"),
        ("retell://calls/", "no address of a call"),
        ("retell://agents/agent_1", "no address of a call"),
        ("retell://calls/../list-voices", "no address of a call"),
        ("file:///etc/passwd", "no address of a call"),
        ("https://example.com/", "no address of a call"),
    ],
)
async def test_what_is_no_resource_is_said_to_be_none(uri: str, said: str) -> None:
    async with workspace() as work, work.connect() as session:
        with pytest.raises(MCPError, match=f"(?i){said}"):
            await session.read_resource(uri)


async def test_a_call_without_a_recording_has_none() -> None:
    async with workspace() as work, work.connect() as session:
        placed = await work.client.call.create_phone_call(from_number=work.fixtures.phone_number, to_number=PEOPLE)
        with pytest.raises(MCPError, match="has no recording"):
            await session.read_resource(address(placed.call_id, "recording"))


def test_addresses_are_read_as_they_are_written() -> None:
    for call_id in ("call_1", "a/b", "ü ?#"):
        for part in ("call", "transcript", "recording"):
            assert read_address(address(call_id, part)) == (call_id, part)
    assert links_of({"agent_id": "agent_1"}) == []
    assert links_of({"call_id": "call_1", "access_token": "x"}) == []  # a web call that nobody joined yet


async def test_who_watches_is_told_until_they_leave() -> None:
    async with workspace(every=0.02) as work, work.connect() as session, work.connect() as other:
        placed = await work.client.call.create_phone_call(from_number=work.fixtures.phone_number, to_number=PEOPLE)
        mine, quiet = address(placed.call_id), address("call_of_nobody")
        async with (
            session.listen(resource_subscriptions=[mine, quiet, "retell://agents/1"]) as events,
            other.listen(resource_subscriptions=[address(placed.call_id, "transcript")]) as transcripts,
        ):
            await work.local.advance(3600)
            with anyio.fail_after(5):
                assert await anext(events) == ResourceUpdated(mine)
                assert await anext(transcripts) == ResourceUpdated(address(placed.call_id, "transcript"))
        asked = len(work.local.requests("listCalls"))
        await anyio.sleep(0.1)
        assert len(work.local.requests("listCalls")) <= asked + 1  # nobody watches, and nobody asks


async def test_a_call_that_is_gone_has_changed() -> None:
    async with workspace(every=0.02) as work, work.connect() as session:
        call_id = await over(work)
        async with session.listen(resource_subscriptions=[address(call_id)]) as events:
            await work.client.call.delete(call_id)
            with anyio.fail_after(5):
                assert await anext(events) == ResourceUpdated(address(call_id))


async def test_an_outage_of_the_api_ends_no_watching() -> None:
    async with workspace(every=0.02) as work, work.connect() as session:
        placed = await work.client.call.create_phone_call(from_number=work.fixtures.phone_number, to_number=PEOPLE)
        async with session.listen(resource_subscriptions=[address(placed.call_id)]) as events:
            work.local.fault("error", operation="listCalls", status=503)
            await anyio.sleep(0.2)
            work.local.clear_faults()
            await work.local.advance(3600)
            with anyio.fail_after(5):
                assert await anext(events) == ResourceUpdated(address(placed.call_id))


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_older_connections_subscribe_and_unsubscribe() -> None:
    told: list[str] = []
    hears = anyio.Event()

    async def heard(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            told.append(message.params.uri)
            hears.set()

    async with workspace(every=0.02) as work:
        placed = await work.client.call.create_phone_call(from_number=work.fixtures.phone_number, to_number=PEOPLE)
        uri = address(placed.call_id)
        async with Client(work.server.server(), mode="legacy", message_handler=heard) as session:
            await session.subscribe_resource(uri)
            await session.subscribe_resource(uri)
            await work.local.advance(3600)
            with anyio.fail_after(5):
                await hears.wait()
            await session.unsubscribe_resource(uri)
            told.clear()
            await work.client.call.update(placed.call_id, metadata={"seen": "yes"})
            await anyio.sleep(0.1)
            assert told == []
