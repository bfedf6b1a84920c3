"""The official client calls the tools on the sandbox, by both protocols, in memory."""

from __future__ import annotations

import json
from functools import partial

import pytest

from retell_async.mcp.catalog import tools

from .every_tool import call_every_tool
from .workspace import MODES, Human, text, workspace

pytestmark = pytest.mark.anyio

NAMES = [
    *("list_voices", "get_voice", "list_agents", "get_agent", "list_llms", "get_llm", "list_conversation_flows"),
    *("get_conversation_flow", "list_calls", "get_call", "list_phone_numbers", "get_phone_number", "list_knowledge_bases"),
    *("get_knowledge_base", "get_concurrency", "create_agent", "update_agent", "publish_agent", "create_llm", "update_llm"),
    *("create_conversation_flow", "update_conversation_flow", "create_phone_call", "create_batch_call", "update_call"),
    *("create_phone_number", "update_phone_number", "create_knowledge_base", "add_knowledge_base_sources", "create_web_call"),
    *("import_phone_number", "delete_agent", "delete_llm", "delete_conversation_flow", "delete_call", "delete_phone_number"),
    *("delete_knowledge_base_source", "delete_knowledge_base"),
]
QUESTIONS = ["failed_calls", "compare_agent_versions", "cost_by_agent", "find_in_transcripts", "wait_for_call", "describe_schema"]


@pytest.mark.parametrize("mode", MODES)
async def test_every_tool(mode: str) -> None:
    human = Human()
    async with workspace() as work, work.connect(mode, human) as session:
        listed = await session.list_tools()
        assert sorted(tool.name for tool in listed.tools) == sorted([*NAMES, *QUESTIONS]) == sorted(tools())
        assert len(NAMES) == 38
        answers = await call_every_tool(session, partial(work.local.advance, 60))
    assert answers.keys() == tools().keys()
    assert len(human.questions) == sum("" in tool.asks for tool in tools().values()) == 14


@pytest.mark.parametrize("cursor", ["-5", "+5", " 5", "\u0665", "5.0", "", "x", "9" * 5000])
async def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """Of a list that comes whole, whose cursors are this server's own."""
    name = next(name for name, tool in tools().items() if tool.lists == "array")
    async with workspace() as work, work.connect() as session:
        told = await session.call_tool(name, {"cursor": cursor})
        assert told.is_error
        assert "is no next_cursor of this list" in text(told)


async def test_the_list_of_tools_is_small() -> None:
    async with workspace() as work, work.connect() as session:
        listed = await session.list_tools()
    said = json.dumps(listed.model_dump(by_alias=True, exclude_none=True, mode="json"))
    assert len(said.encode()) < 48_000
