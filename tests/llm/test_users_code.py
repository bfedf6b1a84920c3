"""What people write inside a turn: task groups, timeouts and clients of their own, under asyncio and trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from retell_async import llm

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
