"""What users' code does to the task that it runs in ends with that: neither its turn, its call nor any other call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from retell_async import llm
from retell_async.llm.messages import AgentInterrupt

from .talk import Line, Talk, talking, user
from .test_session import FAILURE, application

Turns = AsyncIterator[str]
Does = Callable[[], Awaitable[None]]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def fail() -> None:
    raise ValueError("the calendar is down")


async def handle_what_fails_in_a_group() -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
    except* ValueError:
        pass


async def give_up_by_a_timer() -> None:
    """As it was written before there was `asyncio.timeout`."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(0.01, task.cancel)
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        pass
    finally:
        timer.cancel()


async def ask_for_the_own_end() -> None:
    """What is cancelled is whatever is awaited next."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def leave_a_timer_behind() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(0.02, task.cancel)


async def exit_the_program() -> None:
    sys.exit("wrong argument")


LEFT: list[Does] = [handle_what_fails_in_a_group, give_up_by_a_timer, ask_for_the_own_end, leave_a_timer_behind]


class Agent(llm.Agent):
    """Does something in one of its methods, in one of two calls."""

    def __init__(self, where: str, does: Does) -> None:
        self.where = where
        self.does = does

    async def here(self, session: llm.Session, where: str) -> None:
        if session.call_id == "call_1" and where == self.where:
            session.state[where] = session.state.get(where, 0) + 1
            await self.does()

    async def on_enter(self, turn: llm.Turn) -> Turns:
        yield "Hello."
        await self.here(turn.session, "on_enter")

    async def on_turn(self, turn: llm.Turn) -> Turns:
        if turn.session.call_id == "call_1" and self.where == "interruption" and turn.id == 1:
            turn.session.interrupt(self.interruption(turn.session))
        yield "Yes."
        await self.here(turn.session, "on_turn")

    async def interruption(self, session: llm.Session) -> Turns:
        yield "Stop."
        await self.here(session, "interruption")

    async def on_update(self, session: llm.Session, update: llm.Updated) -> None:
        await self.here(session, "on_update")

    async def on_exit(self, session: llm.Session) -> None:
        await self.here(session, "on_exit")

    async def on_leave(self, session: llm.Session) -> None:
        await self.here(session, "on_leave")


class Store(llm.MemoryStore):
    """Does something in one of its methods, for one of two calls."""

    def __init__(self, where: str, does: Does) -> None:
        super().__init__()
        self.where = where
        self.does = does
        self.records: dict[str, dict[str, Any]] = {}

    async def here(self, call_id: str, where: str) -> None:
        if call_id == "call_1" and where == self.where:
            await self.does()

    async def claim(self, call_id: str) -> Any:
        await self.here(call_id, "claim")
        return await super().claim(call_id)

    async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
        await self.here(call_id, "save")
        self.records[call_id] = {**record, "state": dict(record["state"])}
        return await super().save(call_id, record, claim)

    async def begin(self, call_id: str, key: str) -> Any:
        given = await super().begin(call_id, key)
        await self.here(call_id, "begin")
        return given

    async def finish(self, call_id: str, key: str, outcome: llm.Outcome | None) -> None:
        await super().finish(call_id, key, outcome)
        await self.here(call_id, "finish")


def lines(talk: Talk) -> tuple[Line, Line]:
    return talk.connect("call_1"), talk.connect("call_2")


@pytest.mark.parametrize("does", [*LEFT, exit_the_program])
@pytest.mark.parametrize("where", ["on_enter", "on_turn", "on_update", "interruption", "on_exit"])
async def test_a_hook_costs_no_more_than_itself(where: str, does: Does) -> None:
    store = Store("", does)
    app = llm.App(secret=None, store=store)
    app.agent(lambda: Agent(where, does))
    async with app.lifespan(), talking(app) as talk:
        line, other = lines(talk)
        await line.complete(0)
        await other.complete(0)
        for id in (1, 2, 3):
            line.update(user("a"), turn="user_turn")
            line.ask(id, user("a"))
            if not (where == "interruption" and id == 1):
                said = await line.complete(id, 3)
                assert said.startswith("Yes.")
            await anyio.sleep(0.03)
            assert not line.over.is_set()
        await line.hang_up()
        for _ in range(500):
            if "call_1" not in app.sessions and where in store.records["call_1"]["state"]:
                break
            await anyio.sleep(0.02)
        assert store.records["call_1"]["state"][where] >= 1
        assert "call_1" not in app.sessions
        assert await other.answer(1, user("a")) == "Yes."
        assert await talk.connect("call_3").answer(1, user("a")) == "Yes."
        await other.hang_up()


@pytest.mark.parametrize("does", [*LEFT, exit_the_program])
@pytest.mark.parametrize("where", ["claim", "save", "begin", "finish"])
async def test_a_store_costs_the_state_and_not_the_call(where: str, does: Does) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        yield await turn.once("book", lambda: "Booked.")

    app = application(answer, store=Store(where, does))
    async with app.lifespan(), talking(app) as talk:
        line, other = lines(talk)
        said = await line.answer(1, user("a"))
        assert said == (FAILURE if (where, does) == ("begin", exit_the_program) else "Booked.")
        await line.answer(2, user("a"))
        await line.hang_up()
        assert await other.answer(1, user("a")) == "Booked."


@pytest.mark.parametrize("does", LEFT)
async def test_a_side_effect_that_is_done_is_done(does: Does) -> None:
    async def book() -> str:
        await does()
        return "Booked."

    async def answer(turn: llm.Turn) -> Turns:
        yield await turn.once("book", book)
        yield await turn.once("book", book)

    async with talking(application(answer)) as talk:
        line = talk.connect()
        for id in (1, 2):
            assert await line.answer(id, user("a")) == "Booked.Booked."


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("where", ["turn", "once", "interruption"])
async def test_what_ends_a_program_ends_a_turn(where: str, error: type[BaseException]) -> None:
    def ends() -> str:
        raise error("of the agent")

    async def answer(turn: llm.Turn) -> Turns:
        here = where if turn.id == 1 and turn.session.call_id == "call_1" else ""
        if here == "once":
            yield await turn.once("book", ends)
        if here == "turn":
            yield ends()
        if here == "interruption":
            turn.session.interrupt(interruption())
        yield "Yes."

    async def interruption() -> Turns:
        yield ends()

    app = application(answer)
    async with app.lifespan(), talking(app) as talk:
        line, other = lines(talk)
        line.ask(1, user("a"))
        if where == "interruption":
            await line.until(lambda sent: isinstance(sent, AgentInterrupt) and sent.content_complete)
            assert [sent.content for sent in line.of(AgentInterrupt)] == [FAILURE]
        else:
            assert await line.complete(1) == FAILURE
        assert await line.answer(2, user("a")) == "Yes."
        assert await other.answer(1, user("a")) == "Yes."
        assert not line.over.is_set()
