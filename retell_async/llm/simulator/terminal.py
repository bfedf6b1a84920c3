"""A call from a terminal: what is typed is what the caller says, and the agent's words come as they are spoken."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from math import inf
from threading import Thread
from typing import TextIO

import attrs

from retell_async._core.masking import mask_text

from .link import Call, Result, Settings
from .player import Player
from .scenarios import HangUp, Lose, Say, Scenario, Silence, Step, Wait

__all__ = ["HELP", "Screen", "step_of", "talk"]

HELP = (
    "Type what the caller says: it interrupts the agent. An empty line is silence, /lose loses the connection, /bye or Ctrl-C hangs up, "
    "/help says this again."
)
_PACE = 3.0
_SIGNS = {
    "said": "",
    "cut off": " -- (cut off)",
    "tool": "calls",
    "result": "result",
    "hangs up": "hangs up",
    "transfers": "transfers the call to",
    "presses": "presses",
}


def step_of(line: str) -> Step:
    """What a line that was typed means."""
    match line.strip():
        case "":
            return Silence()
        case "/lose":
            return Lose()
        case "/bye":
            return HangUp()
        case text:
            return Say(text)


class Screen:
    """What is to be written: the agent's words, one after the other, where it was cut off, and what else it does."""

    def __init__(self) -> None:
        self._known = 0
        self._shown = ""
        """What was written of the present utterance."""
        self._within = False
        """Whether its line goes on."""

    def changes(self, player: Player) -> str:
        """What there is to write since this was called last."""
        written = ""
        for sign in player.signs[self._known :]:
            if sign.kind in {"said", "cut off"}:
                written += f"{self._more(sign.what)}{_SIGNS[sign.kind]}\n"
                self._shown = ""
            else:
                written += "\n" * self._within + f"[{_SIGNS[sign.kind]} {mask_text(sign.what)}".rstrip() + "]\n"
            self._within = False
        self._known = len(player.signs)
        return _plain(written + self._more(player.saying))

    def note(self, text: str) -> str:
        """A line of something else."""
        written = "\n" * self._within + f"{text}\n"
        self._within = False
        return written

    def _more(self, said: str) -> str:
        more, self._shown = said[len(self._shown) :], said
        if not more:
            return ""
        begins, self._within = not self._within, True
        return f"agent: {more.lstrip()}" if begins else more


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
        # A person may talk for as long as they like, and what is typed was said while it was typed.
        attrs.evolve(settings, call_within=inf, pace=_PACE, caller_pace=inf),
        open_ended=True,
        heard=show,
    )
    put(f"{HELP}\n")
    loop = asyncio.get_running_loop()

    def take(*steps: Step) -> None:
        call.player.add(steps, loop.time())
        call.wake()

    def typed(line: str) -> None:
        if line.strip() == "/help":
            put(screen.note(HELP))
        elif line.strip().startswith("/") and line.strip() not in {"/lose", "/bye"}:
            put(screen.note(f"There is no {line.strip()}. {HELP}"))
        else:
            take(step_of(line))

    def read() -> None:
        with suppress(RuntimeError):  # the call is over, and its event loop with it
            with suppress(OSError, ValueError):  # what cannot be read is the end
                for line in lines or sys.stdin:
                    loop.call_soon_threadsafe(typed, line)
            loop.call_soon_threadsafe(take, Wait(), HangUp())

    # Nothing wakes a thread that waits for a terminal: this one ends with the program.
    Thread(target=read, daemon=True).start()
    with _interruptible(loop, call.hang_up):
        result = await call.play()
    put(f"{screen.changes(call.player)}\n")
    return result


@contextmanager
def _interruptible(loop: asyncio.AbstractEventLoop, hang_up: Callable[[], None]) -> Generator[None]:
    """Let Ctrl-C hang up, and the second one end the program."""

    def once() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        hang_up()

    try:
        loop.add_signal_handler(signal.SIGINT, once)
    except (NotImplementedError, ValueError, RuntimeError):  # on Windows, or not in the main thread: there it ends the program
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _write(text: str) -> None:
    print(text, end="", flush=True)  # noqa: T201 - which also takes it that there is no standard output
