"""What people write inside a turn: task groups, timeouts and clients of their own, under asyncio and trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from retell_async import llm
from retell_async.llm.messages import Config, Response

from .talk import talking, user
from .test_session import FAILURE, application

pytestmark = pytest.mark.anyio

Turns = AsyncIterator[str]


async def test_scopes_and_task_groups_around_a_yield() -> None:
    log: list[str] = []

    async def answer(turn: llm.Turn) -> Turns:
        async def background() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                log.append(f"background of {turn.id} ended")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(background)
            with anyio.move_on_after(0.2) as scope:
                yield "One. "
                await anyio.sleep(5 if turn.id == 1 else 1)
            yield "Too slow. " if scope.cancelled_caught else "?"
            tasks.cancel_scope.cancel()
        yield "Done."

    app = application(answer)
    async with talking(app) as talk:
        line = await talk.greeted()
        line.ask(1, user("a"))
        await anyio.sleep(0.05)
        assert await line.answer(2, user("a")) == "One. Too slow. Done."
        assert sorted(log) == ["background of 1 ended", "background of 2 ended"]
        assert line.text(1) == "One. "
    assert app.stats.failed == 0


async def test_a_task_group_whose_tasks_fail() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def answer(turn: llm.Turn) -> Turns:
        async with anyio.create_task_group() as tasks:
            yield "One. "
            tasks.start_soon(fail)
            await anyio.sleep(5)

    async with talking(application(answer)) as talk:
        line = talk.connect()
        assert await line.answer(1, user("a")) == f"One. {FAILURE}"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_of_asyncio_alone() -> None:
    cleaned: list[int] = []

    async def answer(turn: llm.Turn) -> Turns:
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        async def produce() -> None:
            for word in ("One ", "two.", None):
                await asyncio.sleep(0.01)
                await queue.put(word)

        producer = asyncio.create_task(produce())
        try:
            async with asyncio.timeout(5):
                while (word := await queue.get()) is not None:
                    yield word
            if turn.id == 1:
                await asyncio.sleep(5)
        finally:
            producer.cancel()
            cleaned.append(turn.id)

    async with talking(application(answer)) as talk:
        line = await talk.greeted()
        line.ask(1, user("a"))
        await anyio.sleep(0.2)
        assert await line.answer(2, user("a")) == "One two."
        assert sorted(cleaned) == [1, 2]


async def test_an_agent_that_swallows_its_cancellation() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        for _ in range(3):
            try:
                yield "word "
                await anyio.sleep(0.05 if turn.id == 2 else 5)
            except anyio.get_cancelled_exc_class():  # which nobody should do
                continue

    async with talking(application(answer)) as talk:
        line = await talk.greeted()
        line.ask(1, user("a"))
        await anyio.sleep(0.05)
        assert await line.answer(2, user("a")) == "word word word "
        assert line.text(1) == "word "


CALLS: dict[str, Callable[[llm.Turn], object]] = {
    "interrupt": lambda turn: turn.session.interrupt("Stop."),
    "interrupt with what streams": lambda turn: turn.session.interrupt(aiter_of("Stop.")),
    "update_agent": lambda turn: turn.session.update_agent(responsiveness=1),
    "send_metadata": lambda turn: turn.session.send_metadata({"a": 1}),
    "tool_call": lambda turn: turn.tool_call("book", {}),
    "tool_result": lambda turn: turn.tool_result("tool_1", "booked"),
}


async def aiter_of(text: str) -> Turns:
    yield text


@pytest.mark.parametrize("name", CALLS)
async def test_what_a_thread_calls_is_refused_before_anything_changes_and_can_be_handed_over(name: str) -> None:
    raised: list[str] = []

    async def answer(turn: llm.Turn) -> Turns:
        def in_a_thread() -> None:
            try:
                CALLS[name](turn)
            except RuntimeError as error:
                raised.append(str(error))
            if turn.id == 2:
                anyio.from_thread.run_sync(CALLS[name], turn)

        await anyio.to_thread.run_sync(in_a_thread)
        yield "Yes."

    async with talking(application(answer)) as talk:
        line = await talk.greeted()
        before = len(line.answers)
        assert await line.answer(1, user("a")) == "Yes."
        assert len(line.answers) == before + 2
        line.ask(2, user("a"))
        found = await line.until(lambda answer: not isinstance(answer, Response | Config), 3)
    assert found.to_dict()["response_type"] in {"agent_interrupt", "update_agent", "metadata", "tool_call_invocation", "tool_call_result"}
    assert [error.partition(" is called from another thread")[0] for error in raised] == [name.split(maxsplit=1)[0]] * 2
