"""What may have been carried out is reported as that, with what to do, and is not sent blindly again."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp import MCPError

from retell_async.mcp import Policy
from retell_async.mcp.catalog import named
from retell_async.mcp.ledger import Ledger

from .asking import arguments_of
from .workspace import MODES, PEOPLE, Human, data, text, workspace

pytestmark = pytest.mark.anyio

MONEY = Policy(allow=frozenset({"money"}))
CALL, BATCH = "create_phone_call", "create_batch_call"
WAYS = {CALL: "createPhoneCall", BATCH: "createBatchCall"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_may_have_been_placed_is_placed_once_by_a_repeat(mode: str) -> None:
    async with workspace(MONEY) as work, work.connect(mode) as session:
        arguments = arguments_of(work)[CALL]
        work.local.fault("reset", operation="createPhoneCall", acted=True)
        unknown = await session.call_tool(CALL, arguments)
        assert unknown.is_error
        assert "may have been carried out or not" in text(unknown)
        assert unknown.structured_content["outcome"] == "unknown"
        assert PEOPLE not in text(unknown)
        key = unknown.structured_content["idempotency_key"]
        assert key in text(unknown)

        work.local.clear_faults()
        again = data(await session.call_tool(CALL, arguments))
        work.local.assert_placed(PEOPLE, times=1)
        assert {received.body["idempotency_key"] for received in work.local.requests("createPhoneCall")} == {key}

        assert (await session.call_tool(CALL, arguments)).structured_content["call_id"] == again["call_id"]
        work.local.assert_placed(PEOPLE, times=1)


@pytest.mark.parametrize("mode", MODES)
async def test_a_key_that_is_anothers_calls_nobody_and_is_told(mode: str) -> None:
    async with workspace(MONEY) as work, work.connect(mode) as session:
        arguments = {**arguments_of(work)[CALL], "idempotency_key": "first"}
        call_id = data(await session.call_tool(CALL, arguments))["call_id"]
        for _ in range(2):
            other = await session.call_tool(CALL, {**arguments, "to_number": "+14155550999"})
            assert other.is_error
            assert f"nobody was called, since idempotency_key is that of {call_id}, which is a call to another number" in text(other)
        work.local.assert_placed("+14155550999", times=0)
        again = await session.call_tool(CALL, {**arguments, "to_number": "+14155550999", "idempotency_key": "second"})
        assert data(again)["call_id"] != call_id


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_is_placed_once_by_a_client_that_gave_up_in_silence_and_asks_again_later(mode: str) -> None:
    """By then it is placed. Nobody can be asked; another call has a key of its own."""
    now = [1_000_000.0]
    async with workspace(MONEY, clock=lambda: now[0]) as work, work.connect(mode) as session:
        arguments = arguments_of(work)
        call_id = data(await session.call_tool(CALL, arguments[CALL]))["call_id"]
        now[0] += 70
        again = await session.call_tool(CALL, arguments[CALL])
        assert again.is_error
        assert again.structured_content == {"outcome": "placed before", "since": "1970-01-12T13:46:40Z", "call_id": call_id}
        assert f"The same was placed 70 seconds ago, as {call_id}. Nothing was done now." in text(again)
        assert "If another one is meant, give it an idempotency_key of its own." in text(again)
        work.local.assert_placed(PEOPLE, times=1)
        other = data(await session.call_tool(CALL, {**arguments[CALL], "idempotency_key": "second"}))["call_id"]
        assert other != call_id
        now[0] += 3600
        data(await session.call_tool(CALL, arguments[CALL]))
        work.local.assert_placed(PEOPLE, times=3)

        data(await session.call_tool(BATCH, arguments[BATCH]))
        batch = await session.call_tool(BATCH, arguments[BATCH])
        assert "The same was placed 0 seconds ago. Nothing was done now. If another one is meant, a human has to agree" in text(batch)
        assert work.changes.count("createBatchCall") == 1
        data(await session.call_tool("create_web_call", arguments["create_web_call"]))  # which rings nobody
        data(await session.call_tool("create_web_call", arguments["create_web_call"]))


@pytest.mark.parametrize("mode", MODES)
async def test_a_human_is_asked_whether_the_same_call_is_meant_again_whatever_flag_is_set(mode: str) -> None:
    human = Human()
    async with workspace(MONEY) as work, work.connect(mode, human) as session:
        arguments = arguments_of(work)[CALL]
        data(await session.call_tool(CALL, arguments))
        assert human.questions == []
        data(await session.call_tool(CALL, arguments))
        assert "The same was placed 0 seconds ago" in human.questions[0]
        work.local.assert_placed(PEOPLE, times=2)
        human.action = "decline"
        assert "did not agree" in text(await session.call_tool(CALL, arguments))
        work.local.assert_placed(PEOPLE, times=2)


@pytest.mark.parametrize("mode", MODES)
async def test_a_human_reads_that_the_same_was_placed_just_now(mode: str) -> None:
    now, human = [1_000_000.0], Human()
    async with workspace(clock=lambda: now[0]) as work, work.connect(mode, human) as session:
        arguments = arguments_of(work)
        call_id = data(await session.call_tool(CALL, arguments[CALL]))["call_id"]
        await session.call_tool(BATCH, arguments[BATCH])
        now[0] += 4
        human.action = "decline"
        await session.call_tool(CALL, arguments[CALL])
        await session.call_tool(BATCH, arguments[BATCH])
        now[0] += 3600
        await session.call_tool(CALL, arguments[CALL])
        work.local.assert_placed(PEOPLE, times=1)
        told = [question.partition("The same was placed ")[2].partition(".")[0] for question in human.questions]
        assert told == ["", "", f"4 seconds ago, as {call_id}", "4 seconds ago", ""]


async def test_after_the_hour_in_which_the_key_counts_a_human_is_asked_whatever_flag_is_set() -> None:
    now, human = [1_000_000.0], Human("decline")
    async with workspace(MONEY, clock=lambda: now[0]) as work, work.connect("auto", human) as session:
        arguments = arguments_of(work)[CALL]
        work.local.fault("reset", operation="createPhoneCall", acted=True)
        await session.call_tool(CALL, arguments)
        work.local.clear_faults()
        now[0] += 3600
        assert "did not agree" in text(await session.call_tool(CALL, arguments))
        assert "1970-01-12T13:46:40Z, and it is not known whether it was carried out" in human.questions[0]
        work.local.assert_placed(PEOPLE, times=1)


@pytest.mark.parametrize("mode", MODES)
async def test_what_has_no_key_is_not_sent_again_without_a_human(mode: str) -> None:
    async with workspace(MONEY) as work:
        arguments = arguments_of(work)[BATCH]
        work.local.fault("reset", operation="createBatchCall", acted=True)
        async with work.connect(mode) as session:
            unknown = await session.call_tool(BATCH, arguments)
            assert "Do not call the tool again" in text(unknown)
            work.local.clear_faults()
            assert "needs a human's consent" in text(await session.call_tool(BATCH, arguments))
        human = Human()
        async with work.connect(mode, human) as session:
            data(await session.call_tool(BATCH, arguments))
            assert "not known whether it was carried out" in human.questions[0]
            data(await session.call_tool(BATCH, arguments))
            assert "The same was placed" in human.questions[1]
        assert work.changes == ["createBatchCall"] * 3


async def test_a_repeat_says_under_which_key_the_call_was_placed() -> None:
    """Also where it was given another one: nobody knows whether the first was placed."""
    async with workspace(MONEY) as work, work.connect() as session:
        arguments = arguments_of(work)[CALL]
        work.local.fault("reset", operation="createPhoneCall", acted=True)
        await session.call_tool(CALL, {**arguments, "idempotency_key": "first"})
        work.local.clear_faults()
        again = data(await session.call_tool(CALL, {**arguments, "idempotency_key": "second"}))
        assert again["idempotency_key"] == "first"
        work.local.assert_placed(PEOPLE, times=1)


async def test_a_call_that_its_client_gave_up_is_placed_once_by_a_repeat() -> None:
    """As clients do that wait no longer than a minute."""
    async with workspace(MONEY) as work:
        arguments = arguments_of(work)[CALL]
        work.local.fault("latency", operation="createPhoneCall", seconds=0.3)
        async with work.connect("legacy") as session:
            with anyio.move_on_after(0.15) as given_up:
                await session.call_tool(CALL, arguments)
            assert given_up.cancelled_caught
            work.local.clear_faults()
            data(await session.call_tool(CALL, arguments))
        work.local.assert_placed(PEOPLE, times=1)


async def test_the_same_call_twice_at_once_is_placed_once() -> None:
    async with workspace(MONEY) as work, work.connect("auto") as session:
        answers: list[Any] = []

        async def call() -> None:
            answers.append(data(await session.call_tool(CALL, arguments_of(work)[CALL]))["call_id"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
        work.local.assert_placed(PEOPLE, times=1)
        assert len({*answers}) == 1


@pytest.mark.parametrize(("tool", "known"), [(CALL, True), (CALL, False), (BATCH, True)])
async def test_the_same_twice_at_once_is_sent_once_and_has_one_outcome(tool: str, known: bool) -> None:
    """Else the one that is known would hide that the other is not, and a repeat would go under another key."""
    async with workspace(MONEY) as work, work.connect("auto", Human()) as session:
        if known:
            work.local.fault("latency", operation=WAYS[tool], seconds=0.05)
        else:
            work.local.fault("reset", operation=WAYS[tool], acted=True)
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await session.call_tool(tool, arguments_of(work)[tool]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
        first, second = answers
        assert text(first) == text(second)
        assert first.structured_content == second.structured_content
        assert first.is_error is not known
        assert work.server.ledger.placed == len(arguments_of(work)[tool].get("tasks", [1]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tool", [CALL, BATCH])
async def test_two_humans_who_agree_at_once_place_one(mode: str, tool: str) -> None:
    """The second agrees while the first is on its way: no words of a question that changed meanwhile come between."""
    answers: list[Any] = []
    asked = anyio.Event()
    async with workspace() as work:
        work.local.fault("latency", operation=WAYS[tool], seconds=0.5)

        async def sent() -> None:
            with anyio.fail_after(5):
                while not work.server.ledger.on_its_way(named(tool), arguments_of(work)[tool]):  # noqa: ASYNC110 - nothing tells of it
                    await anyio.sleep(0.01)

        class Second(Human):
            async def __call__(self, context: Any, params: Any) -> Any:
                asked.set()
                await sent()
                return await Human.__call__(self, context, params)

        async def call(human: Human) -> None:
            async with work.connect(mode, human) as session:
                answers.append(data(await session.call_tool(tool, arguments_of(work)[tool])))

        late, latest = Second(), Human()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, late)
            await asked.wait()
            tasks.start_soon(call, Human())
            await sent()
            tasks.start_soon(call, latest)
        assert work.changes == [WAYS[tool]]
        assert answers[0] == answers[1] == answers[2]
        assert "not known" not in late.questions[0]
        assert "and it is on its way" in latest.questions[0]


@pytest.mark.parametrize("mode", MODES)
async def test_who_agreed_before_it_was_unknown_is_asked_again(mode: str) -> None:
    async with workspace() as work:
        arguments = arguments_of(work)[BATCH]

        class Slow(Human):
            async def __call__(self, context: Any, params: Any) -> Any:
                if not self.questions:
                    work.local.fault("reset", operation="createBatchCall", acted=True)
                    async with work.connect(mode, Human()) as quick:
                        assert "unknown" in text(await quick.call_tool(BATCH, arguments))
                    work.local.clear_faults()
                return await Human.__call__(self, context, params)

        human = Slow()
        async with work.connect(mode, human) as session:
            data(await session.call_tool(BATCH, arguments))
        assert ["not known whether" in question for question in human.questions] == [False, True]
        assert work.changes == ["createBatchCall"] * 2


async def test_who_waits_for_one_that_is_given_up_sends_it_under_its_key() -> None:
    async with workspace(MONEY) as work, work.connect("legacy") as session, anyio.create_task_group() as tasks:
        arguments = arguments_of(work)[CALL]
        work.local.fault("latency", operation="createPhoneCall", seconds=0.3)
        given_up = anyio.CancelScope()

        async def give_up() -> None:
            with given_up:
                await session.call_tool(CALL, arguments)

        tasks.start_soon(give_up)
        await anyio.sleep(0.05)
        work.local.clear_faults()

        async def end() -> None:
            await anyio.sleep(0.05)
            given_up.cancel()

        tasks.start_soon(end)
        data(await session.call_tool(CALL, arguments))
        assert len({received.body["idempotency_key"] for received in work.local.requests("createPhoneCall")}) == 1
        work.local.assert_placed(PEOPLE, times=1)


async def test_who_waits_for_one_without_a_key_that_is_given_up_does_not_send_it() -> None:
    async with workspace(MONEY) as work, work.connect("legacy", Human()) as session, anyio.create_task_group() as tasks:
        arguments = arguments_of(work)[BATCH]
        work.local.fault("latency", operation="createBatchCall", seconds=0.3)
        given_up = anyio.CancelScope()

        async def give_up() -> None:
            with given_up:
                await session.call_tool(BATCH, arguments)

        async def end() -> None:
            await anyio.sleep(0.1)
            given_up.cancel()

        tasks.start_soon(give_up)
        await anyio.sleep(0.05)
        tasks.start_soon(end)
        assert "was given up" in text(await session.call_tool(BATCH, arguments))
        assert work.changes == ["createBatchCall"]


async def test_a_refusal_is_no_unknown_outcome() -> None:
    async with workspace(MONEY) as work, work.connect("auto") as session:
        refused = await session.call_tool(CALL, {"from_number": "+14155550777", "to_number": PEOPLE})
        assert "It was not carried out" in text(refused)
        assert work.server.ledger.placed == 0
        assert work.server.ledger.unknown(named(CALL), {"from_number": "+14155550777", "to_number": PEOPLE}) is None


async def test_a_deletion_that_is_not_answered_may_be_repeated() -> None:
    async with workspace(Policy(allow=frozenset({"deletion"}))) as work, work.connect("auto") as session:
        work.local.fault("reset", operation="deleteAgent", acted=False)
        told = await session.call_tool("delete_agent", {"agent_id": work.fixtures.agent_id})
        assert "a repeat changes nothing more" in text(told)
        work.local.clear_faults()
        assert data(await session.call_tool("delete_agent", {"agent_id": work.fixtures.agent_id})) == {"done": True}


@pytest.mark.parametrize("mode", MODES)
async def test_what_nobody_expects_is_told_without_its_words(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of what changes something the outcome is unknown."""

    async def broken(**arguments: Any) -> Any:
        raise RuntimeError("the secret is key_0123456789abcdef")

    async with workspace(MONEY) as work, work.connect(mode) as session:
        work.client.call.retrieve = broken  # type: ignore[method-assign, assignment]
        work.client.call.create_web_call = broken  # type: ignore[method-assign]
        with pytest.raises(MCPError, match="failed within the server") as caught:
            await session.call_tool("get_call", {"call_id": "call_1"})
        assert "secret" not in str(caught.value)
        assert "key_0123" not in caplog.text
        assert "RuntimeError" in caplog.text
        assert "may have been carried out or not" in text(await session.call_tool("create_web_call", arguments_of(work)["create_web_call"]))
        assert work.server.ledger.placed == 1


def test_a_repeat_that_is_refused_says_nothing_of_the_first() -> None:
    ledger, tool = Ledger(), named(BATCH)
    arguments: dict[str, Any] = {"tasks": [{}, {}]}
    ledger.begin(tool, arguments, 1.0)
    again = ledger.begin(tool, arguments, 2.0)
    assert ledger.placed == 4
    ledger.end(again, done=False)
    assert ledger.placed == 2
    assert (known := ledger.unknown(tool, arguments)) is not None
    assert known.since == 1.0


def test_a_key_of_the_callers_own_stays() -> None:
    ledger, tool = Ledger(), named(CALL)
    sending = ledger.begin(tool, {"to_number": PEOPLE, "idempotency_key": "mine-1"}, 1.0)
    assert sending.arguments["idempotency_key"] == "mine-1"
    assert ledger.begin(tool, {"to_number": PEOPLE}, 2.0).arguments["idempotency_key"] == "mine-1"
    assert ledger.begin(tool, {"to_number": "+14155550999"}, 3.0).arguments["idempotency_key"] != "mine-1"
