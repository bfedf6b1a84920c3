"""A call from a terminal: what is typed is what the caller says, and the agent's words come as they are spoken."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TextIO

from .link import Call, Result, Settings
from .player import Player
from .scenarios import HangUp, Lose, Say, Scenario, Silence, Step, Wait

__all__ = ["HELP", "Screen", "step_of", "talk"]

HELP = "Type what the caller says: it interrupts the agent. An empty line is silence, /lose loses the connection, /bye hangs up."
_PACE = 3.0


def step_of(line: str) -> Step | None:
    """What a line that was typed means; ``None`` for a command that there is not."""
    match line.strip():
        case "":
            return Silence()
        case "/lose":
            return Lose()
        case "/bye":
            return HangUp()
        case text if text.startswith("/"):
            return None
        case text:
            return Say(text)


class Screen:
    """What is to be written: the agent's words, one after the other, and where it was cut off."""

    def __init__(self) -> None:
        self._known = 0
        self._shown = ""

    def changes(self, player: Player) -> str:
        """What there is to write since this was called last."""
        over = [line["content"] for line in player.spoken[self._known :] if line["role"] == "agent"]
        self._known = len(player.spoken)
        written = ""
        for said in over:
            written += f"{self._more(said)}\n"
            self._shown = ""
        return _plain(written + self._more(player.saying))

    def _more(self, said: str) -> str:
        shown, self._shown = self._shown, said
        if not said:
            return ""
        return said[len(shown) :] if shown else f"agent: {said}"


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


async def talk(url: str, settings: Settings, *, lines: TextIO | None = None, write: Callable[[str], object] | None = None) -> Result:
    """Talk with a server until the call is over, under asyncio.

    :param lines: where lines are read, by default the standard input. At their end the caller hears the answer and hangs up.
    :param write: is given what is to be shown, by default on the standard output.
    """
    screen = Screen()
    put = write or _write

    def show(player: Player) -> None:
        put(screen.changes(player))

    call = Call(
        url,
        Scenario("terminal", "typed by a person", ()),
        Settings(settings.answer_within, settings.slack, _PACE, settings.metadata),
        open_ended=True,
        heard=show,
    )
    put(f"{HELP}\n")
    loop = asyncio.get_running_loop()

    def take(*steps: Step) -> None:
        call.player.add(steps, loop.time())
        call.wake()

    def read() -> None:
        with suppress(RuntimeError):  # the call is over, and its event loop with it
            for line in lines or sys.stdin:
                step = step_of(line)
                if step is None:
                    loop.call_soon_threadsafe(put, f"{HELP}\n")
                else:
                    loop.call_soon_threadsafe(take, step)
            loop.call_soon_threadsafe(take, Wait(), HangUp())

    # Nothing wakes a thread that waits for a terminal: this one ends with the program.
    Thread(target=read, daemon=True).start()
    result = await call.play()
    put(f"{screen.changes(call.player)}\n")
    return result


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
