"""What start flags leave of a server, whoever agrees to what."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async import ConfigurationError
from retell_async.mcp import Policy
from retell_async.mcp.catalog import named, tools

from .asking import arguments_of
from .workspace import PEOPLE, Human, data, text, workspace

pytestmark = pytest.mark.anyio

CALL, BATCH, WEB = "create_phone_call", "create_batch_call", "create_web_call"


async def test_read_only_has_tools_that_read_and_no_others() -> None:
    async with workspace(Policy(read_only=True)) as work, work.connect("auto", Human()) as session:
        listed = await session.list_tools()
        assert {tool.name for tool in listed.tools} == {tool.name for tool in tools().values() if tool.effect == "read"}
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in listed.tools)
        assert "there is no tool" in text(await session.call_tool(CALL, arguments_of(work)[CALL]))
        assert work.changes == []


async def test_tools_are_chosen_by_name() -> None:
    async with workspace(Policy(tools=("list_*", "get_call"))) as work, work.connect() as session:
        listed = {tool.name for tool in (await session.list_tools()).tools}
        assert listed == {name for name in tools() if name.startswith("list_")} | {"get_call"}
        assert (await session.call_tool("get_agent", {"agent_id": work.fixtures.agent_id})).is_error


async def test_only_numbers_that_are_allowed_are_called() -> None:
    """And nobody is asked about the others."""
    human = Human()
    async with workspace(Policy(allow_to=("+1415*", "+12125550100"))) as work, work.connect("auto", human) as session:
        arguments = arguments_of(work)
        numbers = ("+12015550100", "+121255501001", "+1415555012x", "+1415 5550123", "tel:+14155550123", "+1415\u0665550123", "+14\n", "\n")
        refused: list[dict[str, Any]] = [{"to_number": number} for number in numbers]
        for wrong in refused:
            told = text(await session.call_tool(CALL, arguments[CALL] | wrong | {"ignore_e164_validation": True}))
            assert "--allow-to +1415* +12125550100" in told
            assert "\n" not in told
            assert "No consent changes that" in told
        mixed = {"from_number": work.fixtures.phone_number, "tasks": [{"to_number": PEOPLE}, {"to_number": "+12015550100"}]}
        assert "--allow-to" in text(await session.call_tool(BATCH, mixed))
        assert human.questions == []
        assert work.changes == []
        data(await session.call_tool(CALL, arguments[CALL]))
        data(await session.call_tool(BATCH, arguments[BATCH]))


async def test_no_more_calls_are_placed_than_the_server_may() -> None:
    policy = Policy(max_calls=4, allow=frozenset({"money"}))
    async with workspace(policy) as work, work.connect() as session:
        arguments = arguments_of(work)
        data(await session.call_tool(CALL, arguments[CALL]))
        data(await session.call_tool(WEB, arguments[WEB]))
        data(await session.call_tool(BATCH, arguments[BATCH]))
        for name in (CALL, WEB, BATCH):
            assert "--max-calls), 0 are left" in text(await session.call_tool(name, arguments[name]))
        assert len(work.changes) == 3


async def test_calls_that_may_have_been_placed_count() -> None:
    policy = Policy(max_calls=1, allow=frozenset({"money"}))
    async with workspace(policy) as work, work.connect() as session:
        work.local.fault("reset", operation="createWebCall", acted=False)
        arguments = arguments_of(work)
        assert "unknown" in text(await session.call_tool(WEB, arguments[WEB])).lower()
        assert "0 are left" in text(await session.call_tool(CALL, arguments[CALL]))


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_repeat_under_the_same_key_counts_once(limit: int) -> None:
    policy = Policy(max_calls=limit, allow=frozenset({"money"}))
    async with workspace(policy) as work, work.connect() as session:
        arguments = arguments_of(work)[CALL]
        for acted in (True, False):
            work.local.fault("reset", operation="createPhoneCall", acted=acted)
            assert "unknown" in text(await session.call_tool(CALL, arguments)).lower()
        work.local.clear_faults()
        data(await session.call_tool(CALL, arguments))
        assert work.server.ledger.placed == 1
        other = await session.call_tool(CALL, {**arguments, "to_number": "+14155550124"})
        assert ("0 are left" in text(other)) is (limit == 1)


async def test_a_call_that_was_placed_counts_once_however_often_it_is_asked_for_under_its_key() -> None:
    now = [1_000_000.0]
    async with workspace(Policy(max_calls=2, allow=frozenset({"money"})), clock=lambda: now[0]) as work, work.connect() as session:
        arguments = {**arguments_of(work)[CALL], "idempotency_key": "first"}
        for _ in range(3):
            data(await session.call_tool(CALL, arguments))
        work.local.assert_placed(PEOPLE, times=1)
        assert work.server.ledger.placed == 1
        data(await session.call_tool(CALL, {**arguments, "idempotency_key": "second"}))
        assert "0 are left" in text(await session.call_tool(CALL, {**arguments, "idempotency_key": "third"}))
        now[0] += 3600  # in which the API forgets the key
        assert "0 are left" in text(await session.call_tool(CALL, {**arguments, "idempotency_key": "second"}))
        work.local.assert_placed(PEOPLE, times=2)


async def test_while_a_human_is_asked_others_may_use_up_what_is_left() -> None:
    async with workspace(Policy(max_calls=1)) as work:

        class Slow(Human):
            async def __call__(self, context: Any, params: Any) -> Any:
                async with work.connect("auto", Human()) as quick:
                    data(await quick.call_tool(WEB, arguments_of(work)[WEB]))
                return await Human.__call__(self, context, params)

        async with work.connect("legacy", Slow()) as session:
            assert "0 are left" in text(await session.call_tool(CALL, arguments_of(work)[CALL]))
        assert work.changes == ["createWebCall"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tools": ("list_horses",)}, "names no tool"),
        ({"allow_to": ("1415*",)}, "E.164"),
        ({"allow_to": ("*",)}, "E.164"),
        ({"allow_to": ("+1*5",)}, "E.164"),
        ({"allow_to": ("+1415\u0665*",)}, "E.164"),
        ({"max_calls": -1}, "below 0"),
        ({"tools": ()}, "--tools is empty"),
        ({"tools": ("",)}, "names no tool"),
        ({"allow_to": ()}, "--allow-to is empty"),
        ({"read_only": True, "tools": ("create_*", "delete_agent")}, r"--read-only leaves none of --tools create_\*,delete_agent"),
    ],
)
def test_a_flag_that_cannot_work_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Policy(**wrong)


def test_a_batch_counts_its_tasks() -> None:
    policy = Policy(max_calls=2)
    assert policy.refusal(named(BATCH), {"tasks": [{}, {}]}, 0, 2) is None
    assert policy.refusal(named(BATCH), {"tasks": [{}, {}, {}]}, 0, 3) is not None
    assert policy.refusal(named("delete_agent"), {}, 100, 0) is None
