"""The example: its rules in virtual time, its chat endpoint."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import anyio

from examples import custom_llm

from .talk import Line, talking, user

SECRET = "s3cret-of-the-tests"


async def said(line: Line, id: int, text: str) -> str:
    line.ask(id, user(text))
    return await line.complete(id)


def test_a_booking() -> None:
    app = custom_llm.create_app({}, SECRET)

    async def main() -> None:
        async with talking(app, details={"retell_llm_dynamic_variables": {"name": "Ann"}}) as talk:
            line = talk.connect()
            assert await line.complete(0) == "Hello Ann, when would you like to come?"
            assert await said(line, 1, "Tomorrow?") == "We are free at eleven, ten, three. Which would you like?"
            line.ask(2, user("At ten."))
            await anyio.sleep(0.1)
            line.ask(3, user("At ten, or eleven."))  # the booking goes on
            assert await line.complete(3) == "One moment, please. You are booked at ten. Is there anything else?"
            assert await line.answer(4, user("At ten."), kind="reminder_required") == "Are you still there?"
            assert await said(line, 5, "Eleven?") == "You are booked at ten. Is there anything else?"
            assert await said(line, 6, "No, thanks.") == "Goodbye, see you soon."
            assert line.responses(6)[-1].end_call is True
        assert app.stats.failed == 0

    anyio.run(main)


def test_with_a_chat_endpoint() -> None:
    app = custom_llm.create_app({"CHAT_URL": "http://127.0.0.1:9/v1", "CHAT_MODEL": "m1"}, SECRET)
    assert app.settings.begin_message == "Hello, when would you like to come?"

    class Turn:
        ended = False
        session = SimpleNamespace(state={})

        def end_call(self) -> None:
            self.ended = True

    turn: Any = Turn()
    assert custom_llm.end_call_tool(turn) == "say goodbye"
    assert turn.ended
    assert asyncio.run(custom_llm.book_tool(turn, "ten")) == "booked at ten"
    assert asyncio.run(custom_llm.book_tool(turn, "twelve")) == "not free"
