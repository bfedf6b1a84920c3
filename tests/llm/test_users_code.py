"""What people write inside a turn: task groups, timeouts and clients of their own, under asyncio and trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from retell_async import llm
from retell_async.llm.messages import AgentInterrupt, Config, Response

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


async def cut_short(*, by_asyncio: bool) -> Turns:
    """Its own deadline falls while a text of it is handed over."""
    if by_asyncio:
        try:
            async with asyncio.timeout(None) as timeout:
                timeout.reschedule(asyncio.get_running_loop().time())
                yield "One. "
                yield "Two. "
        except TimeoutError:
            pass
    else:
        with anyio.CancelScope() as scope:
            scope.cancel()
            yield "One. "
            yield "Two. "
    yield "That is the short of it."


@pytest.mark.parametrize(("anyio_backend", "by_asyncio"), [("asyncio", True), ("asyncio", False), ("trio", False)])
@pytest.mark.parametrize("speaks", ["turn", "interruption"])
async def test_a_deadline_around_a_yield_is_the_generators_own(speaks: str, by_asyncio: bool, anyio_backend: str) -> None:
    def answer(turn: llm.Turn) -> Turns:
        if turn.id > 1:
            return aiter_of("Yes.")
        if speaks == "interruption":
            turn.session.interrupt(cut_short(by_asyncio=by_asyncio))
        return cut_short(by_asyncio=by_asyncio)

    app = application(answer)
    async with talking(app) as talk:
        line = talk.connect()
        line.ask(1, user("a"))
        if speaks == "turn":
            assert await line.complete(1) == "One. That is the short of it."
        else:
            await line.until(lambda sent: isinstance(sent, AgentInterrupt) and sent.content_complete)
            assert "".join(sent.content for sent in line.of(AgentInterrupt)) == "One. That is the short of it."
        assert await line.answer(2, user("a")) == "Yes."
    assert app.stats.failed == 0


@pytest.mark.parametrize("ends", ["asks again", "loses the connection", "waits too long"])
async def test_what_the_cleanup_of_a_turn_raises_that_nobody_wants_is_no_failure(ends: str, caplog: pytest.LogCaptureFixture) -> None:
    cleaned = anyio.Event()

    async def answer(turn: llm.Turn) -> Turns:
        try:
            yield "Well, "
            if turn.id == 1:
                await anyio.sleep_forever()
            yield "yes."
        finally:
            if turn.id == 1:
                cleaned.set()
                raise OSError("the stream was closed")

    app = application(answer, timeout=0.1 if ends == "waits too long" else 10)
    async with talking(app) as talk:
        line = await talk.greeted()
        line.ask(1, user("a"))
        await line.until(lambda sent: isinstance(sent, Response) and sent.response_id == 1)
        if ends == "loses the connection":
            line.lose(1006)
            line = talk.connect()
        if ends == "waits too long":
            assert await line.complete(1) == f"Well, {FAILURE}"
        assert await line.answer(2, user("a")) == "Well, yes."
        await cleaned.wait()
    assert (app.stats.failed, app.stats.timed_out) == (0, ends == "waits too long")
    assert not any("OSError" in record.getMessage() for record in caplog.records if record.levelname == "ERROR")


class Closed:
    """Words whose end is told by a function that is not async."""

    def __init__(self) -> None:
        self.words = iter(["One ", "two."])
        self.closed = 0

    def __aiter__(self) -> Closed:
        return self

    async def __anext__(self) -> str:
        for word in self.words:
            return word
        raise StopAsyncIteration

    def aclose(self) -> None:
        self.closed += 1


async def test_an_iterator_that_is_closed_without_waiting() -> None:
    made: list[Closed] = []

    async def answer(turn: llm.Turn) -> Closed:
        made.append(Closed())
        return made[-1]

    async with talking(application(answer)) as talk:
        line = talk.connect()
        assert await line.answer(1, user("a")) == "One two."
    assert [each.closed for each in made] == [1]
