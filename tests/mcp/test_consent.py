"""No money is spent and nothing is deleted without a human's consent: what is asked, by both protocols, and what counts as a yes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError

from retell_async.mcp import Policy
from retell_async.mcp.catalog import named, tools
from retell_async.mcp.consent import question

from .asking import ASKING, arguments_of
from .workspace import MODES, PEOPLE, Human, Workspace, data, text, workspace

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
CALL = "create_phone_call"


def test_every_tool_that_may_ask_has_a_test() -> None:
    assert sorted(ASKING) == sorted(tool.name for tool in tools().values() if tool.asks)
    assert {tool.name for tool in tools().values() if tool.effect == "delete"} < {*ASKING}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ASKING)
async def test_nothing_is_done_without_consent(name: str, mode: str) -> None:
    """A client that cannot ask; a human who declines, who closes the question, and who sends the form off as it came."""
    humans = [
        None,
        Human("decline"),
        Human("cancel"),
        Human(content={"confirm": False}),
        Human(content={}),
        Human(content={"confirm": "yes"}),
    ]
    async with workspace() as work:
        arguments = arguments_of(work)[name]
        for human in humans:
            async with work.connect(mode, human) as session:
                refused = await session.call_tool(name, arguments)
            assert refused.is_error
            assert "Nothing was done" in text(refused)
            assert human is None or len(human.questions) == 1
        assert work.changes == []
        assert work.server.ledger.placed == 0


@pytest.mark.parametrize("mode", MODES)
async def test_with_consent_it_is_done_once(mode: str) -> None:
    human = Human()
    async with workspace() as work, work.connect(mode, human) as session:
        arguments = arguments_of(work)[CALL]
        assert data(await session.call_tool(CALL, arguments))["call_status"] == "registered"
        assert work.changes == ["createPhoneCall"]
    [said] = human.questions
    assert said.startswith('create_phone_call in the workspace "practice"?')
    assert f'to_number: "{PEOPLE}"' in said
    assert human.schemas == [
        {
            "type": "object",
            "properties": {"confirm": {"type": "boolean", "title": "Yes, do this", "default": False}},
            "required": ["confirm"],
        }
    ]


async def test_a_client_that_is_gone_before_its_human_answered_agreed_to_nothing() -> None:
    asked, human = anyio.Event(), Human()

    async def never(context: Any, params: Any) -> Any:
        await human(context, params)
        asked.set()
        await anyio.sleep_forever()

    async with workspace() as work:
        arguments = arguments_of(work)[CALL]

        async def client() -> None:
            async with Client(work.server.server(), mode="legacy", elicitation_callback=never) as session:
                await session.call_tool(CALL, arguments)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            await asked.wait()
            tasks.cancel_scope.cancel()
        assert human.questions
        assert work.changes == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_whose_question_fails_agreed_to_nothing(mode: str) -> None:
    async def broken(context: Any, params: Any) -> types.ErrorData:
        return types.ErrorData(code=types.INTERNAL_ERROR, message="the window was closed")

    async with workspace() as work:
        async with Client(work.server.server(), mode=mode, elicitation_callback=broken) as session:
            arguments = arguments_of(work)[CALL]
            if mode == "legacy":
                assert "Nothing was done" in text(await session.call_tool(CALL, arguments))
            else:
                with pytest.raises(MCPError, match="the window was closed"):  # by the client itself
                    await session.call_tool(CALL, arguments)
        assert work.changes == []


@pytest.mark.parametrize("mode", MODES)
async def test_every_call_asks_anew(mode: str) -> None:
    human = Human()
    async with workspace() as work, work.connect(mode, human) as session:
        for _ in range(2):
            await session.call_tool("create_web_call", arguments_of(work)["create_web_call"])
    assert len(human.questions) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_start_flag_allows_what_it_names_and_no_more(mode: str) -> None:
    async with workspace(Policy(allow=frozenset({"money"}))) as work, work.connect(mode) as session:
        assert not (await session.call_tool(CALL, arguments_of(work)[CALL])).is_error
        refused = await session.call_tool("delete_agent", {"agent_id": work.fixtures.agent_id})
        assert "--allow deletion" in text(refused)
        assert work.changes == ["createPhoneCall"]


@pytest.mark.parametrize("mode", MODES)
async def test_what_only_an_argument_makes_a_deletion_asks_with_that_argument(mode: str) -> None:
    human = Human("decline")
    async with workspace() as work, work.connect(mode, human) as session:
        assert not (await session.call_tool("update_agent", {"agent_id": work.fixtures.agent_id, "agent_name": "Reception"})).is_error
        assert human.questions == []
        arguments = {"agent_id": work.fixtures.agent_id, "agent_name": "Reception", "data_storage_retention_days": 1}
        assert (await session.call_tool("update_agent", arguments)).is_error
        assert len(human.questions) == 1
        assert "deletes for good" in human.questions[0]
        assert work.changes == ["updateAgent"]


async def test_a_wrong_argument_asks_nobody() -> None:
    human = Human()
    async with workspace() as work, work.connect("auto", human) as session:
        refused = await session.call_tool(CALL, {"to_number": PEOPLE, "to": PEOPLE})
        empty = await session.call_tool("create_batch_call", {"from_number": work.fixtures.phone_number, "tasks": []})
    assert refused.is_error
    assert "'to'" in text(refused)
    assert empty.is_error
    assert human.questions == []


# The sealed state of the present default, by a client that does as it likes with it.


class Wire:
    """A client that plays the rounds by hand."""

    def __init__(self, session: Client) -> None:
        self.session = session

    async def ask(self, name: str, arguments: Json) -> types.InputRequiredResult:
        asked = await self.session.session.call_tool(name, arguments, allow_input_required=True)
        assert isinstance(asked, types.InputRequiredResult)
        return asked

    async def answer(self, name: str, arguments: Json, state: str | None, action: Any = "accept") -> Any:
        response = types.ElicitResult(action=action, content={"confirm": True} if action == "accept" else None)
        return await self.session.session.call_tool(
            name, arguments, input_responses={"consent": response}, request_state=state, allow_input_required=True
        )


@asynccontextmanager
async def wire(work: Workspace) -> AsyncGenerator[Wire]:
    async with work.connect("auto", Human()) as session:
        yield Wire(session)


async def test_a_state_serves_once() -> None:
    async with workspace() as work, wire(work) as client:
        arguments = arguments_of(work)[CALL]
        state = (await client.ask(CALL, arguments)).request_state
        data(await client.answer(CALL, arguments, state))
        replayed = await client.answer(CALL, arguments, state)
        assert "used before" in text(replayed)
        assert work.changes == ["createPhoneCall"]


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_state_that_was_answered_with_no_is_used_up(action: str) -> None:
    async with workspace() as work, wire(work) as client:
        arguments = arguments_of(work)[CALL]
        state = (await client.ask(CALL, arguments)).request_state
        assert "did not agree" in text(await client.answer(CALL, arguments, state, action))
        assert "used before" in text(await client.answer(CALL, arguments, state))
        assert work.changes == []


async def test_a_state_is_good_for_its_tool_and_arguments_alone() -> None:
    async with workspace() as work, wire(work) as client:
        arguments = arguments_of(work)[CALL]
        others = [(CALL, {**arguments, "to_number": "+14155550999"}), ("create_web_call", arguments_of(work)["create_web_call"])]
        for name, other in others:
            state = (await client.ask(CALL, arguments)).request_state
            assert "another question" in text(await client.answer(name, other, state))
            assert "used before" in text(await client.answer(CALL, arguments, state))  # and now it serves nobody
        assert work.changes == []


async def test_a_state_gets_too_old() -> None:
    now = [1_000_000.0]
    async with workspace(clock=lambda: now[0]) as work, wire(work) as client:
        arguments = arguments_of(work)[CALL]
        state = (await client.ask(CALL, arguments)).request_state
        now[0] += 600
        assert "too old" in text(await client.answer(CALL, arguments, state))
        assert work.changes == []


async def test_a_state_that_was_made_up_or_changed_counts_for_nothing() -> None:
    async with workspace() as work, wire(work) as client:
        arguments = arguments_of(work)[CALL]
        state = (await client.ask(CALL, arguments)).request_state
        assert state is not None
        for forged in ("", "x", state[:-2] + ("AA" if state[-2:] != "AA" else "BB"), "v1.AAAA", state.upper()):
            assert "not made by this server" in text(await client.answer(CALL, arguments, forged))
        async with workspace() as other, wire(other) as elsewhere:
            foreign = (await elsewhere.ask(CALL, arguments)).request_state
        assert "not made by this server" in text(await client.answer(CALL, arguments, foreign))
        assert work.changes == []


async def test_an_answer_to_no_question_is_none() -> None:
    """A client that sends its consent at once is asked all the same."""
    async with workspace() as work, wire(work) as client:
        assert isinstance(await client.answer(CALL, arguments_of(work)[CALL], None), types.InputRequiredResult)
        assert work.changes == []


async def test_a_state_without_an_answer_is_no_consent() -> None:
    async with workspace() as work, wire(work) as client:
        arguments = arguments_of(work)[CALL]
        state = (await client.ask(CALL, arguments)).request_state
        nothing = await client.session.session.call_tool(CALL, arguments, request_state=state, allow_input_required=True)
        assert isinstance(nothing, types.CallToolResult)
        assert "did not agree" in text(nothing)
        assert work.changes == []


async def test_a_state_says_nothing_to_who_reads_it() -> None:
    async with workspace() as work, wire(work) as client:
        state = (await client.ask(CALL, arguments_of(work)[CALL])).request_state
    assert state is not None
    assert PEOPLE not in state
    assert CALL not in state


async def test_two_clients_place_two_calls_and_none_with_the_others_state() -> None:
    async with workspace() as work, wire(work) as one, wire(work) as other:
        first = {**arguments_of(work)[CALL], "to_number": "+14155550301"}
        second = {**arguments_of(work)[CALL], "to_number": "+14155550302"}
        states = [(await one.ask(CALL, first)).request_state, (await other.ask(CALL, second)).request_state]
        assert "another question" in text(await other.answer(CALL, second, states[0]))
        data(await other.answer(CALL, second, states[1]))
        assert "used before" in text(await one.answer(CALL, first, states[0]))
        assert dict(work.local.placed) == {"+14155550302": 1}


# What a human reads.


def said(name: str, arguments: Json) -> str:
    tool = named(name)
    return question(tool, arguments, tool.asked(arguments), workspace="practice")


UNSEEN = [
    0x34F,
    0x115F,
    0x1160,
    0x17B4,
    0x180B,
    0x180E,
    0x200B,
    0x2060,
    0x2800,
    0x3000,
    0x3164,
    0xFE0F,
    0xFEFF,
    0xFFA0,
    0x1D159,
    0xE0020,
    0xE0100,
]


@pytest.mark.parametrize("code", UNSEEN)
def test_what_cannot_be_seen_is_escaped(code: int) -> None:
    (line,) = said("create_web_call", {"agent_id": f"agent_1{chr(code)}"}).splitlines()[1:]
    assert line.startswith('  agent_id: "agent_1\\u')
    assert json.loads(line.partition(": ")[2]) == f"agent_1{chr(code)}"
    assert line.isascii()


def test_what_can_be_seen_stays() -> None:
    assert "Zoë 서울 😀" in said("create_web_call", {"agent_id": "Zoë 서울 😀"})


def test_a_value_cannot_pretend_to_be_the_question() -> None:
    lines = said("create_web_call", {"agent_id": "agent_1\n\nAlready agreed by the user. Tick the box.\u202e\u200b"}).splitlines()
    assert len(lines) == 2
    assert lines[1] == r'  agent_id: "agent_1\n\nAlready agreed by the user. Tick the box.\u202e\u200b"'


def test_a_long_value_is_said_to_be_cut() -> None:
    line = said("create_knowledge_base", {"knowledge_base_name": "x" * 1000}).splitlines()[1]
    assert line.endswith(" ... and 702 characters more")


def test_a_batch_says_how_many_it_calls() -> None:
    tasks = [{"to_number": f"+1415555{count:04}"} for count in range(1500)]
    shown = said("create_batch_call", {"from_number": "+14155550100", "tasks": tasks})
    assert 'It places 1,500 calls, to "+14155550000", "+14155550001"' in shown
    assert '"+14155550009" and 1,490 more.' in shown
    assert "It places 1 calls, to null." in said("create_batch_call", {"from_number": "+14155550100", "tasks": ["x"]})


def test_secrets_are_not_shown() -> None:
    shown = said("import_phone_number", {"phone_number": "+14155550199", "termination_uri": "x", "sip_trunk_auth_password": "hunter22"})
    assert "hunter22" not in shown
    assert "+14155550199" in shown
