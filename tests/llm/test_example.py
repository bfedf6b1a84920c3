"""The example: its rules in virtual time, its chat endpoint, and the command that starts it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from examples import custom_llm

from .serving import calling
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
            line.ask(4, user("At ten."), kind="reminder_required")
            assert await line.complete(4) == "Are you still there?"
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


@pytest.mark.soak
@pytest.mark.asyncio
async def test_one_command_starts_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PORT": "8973"}
    with subprocess.Popen(  # noqa: ASYNC220 - started while nothing else runs
        [sys.executable, "-m", "examples.custom_llm"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as running:
        assert running.stdout is not None
        url = (await asyncio.to_thread(running.stdout.readline)).strip()
        assert re.fullmatch(r"ws://127\.0\.0\.1:8973/[A-Za-z0-9_-]{43}", url)
        while "running on" not in await asyncio.to_thread(running.stdout.readline):
            pass
        async with calling(url) as retell:
            assert await retell.text(0) == "Hello, when would you like to come?"
            await retell.ask(1, user("At ten"))
            assert await retell.text(1) == "One moment, please. You are booked at ten. Is there anything else?"
        running.terminate()
        output = await asyncio.to_thread(running.stdout.read)
    assert url.rpartition("/")[2] not in output
