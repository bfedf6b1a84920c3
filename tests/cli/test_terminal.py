"""What stands at a real terminal of eighty columns, and in a pipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retell_async.sandbox import RunningClock
from retell_async.testing import LocalRetell

pytestmark = [pytest.mark.soak, pytest.mark.parallel, pytest.mark.needs("fork")]

ROOT = Path(__file__).parents[2]
WIDTH = 80
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs commands at a terminal, or into a pipe."""

    def __init__(self, url: str) -> None:
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "RETELL_API_KEY": "key_1", "RETELL_BASE_URL": url, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            self.env.pop(name, None)

    def show(self, *arguments: str, answer: str = "") -> tuple[int, str]:
        """What a terminal shows."""
        import fcntl
        import pty
        import struct
        import termios

        pid, terminal = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
            os.execve(sys.executable, [sys.executable, "-m", "retell_async.cli", *arguments], self.env)
        shown = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # which is how a terminal ends on Linux
                piece = b""
            if not piece:
                break
            shown += piece
            if answer and b"[y/N]" in shown:
                os.write(terminal, f"{answer}\n".encode())
                answer = ""
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode().replace("\r\n", "\n")

    def pipe(self, *arguments: str) -> str:
        """What a pipe gets."""
        return subprocess.run(
            [sys.executable, "-m", "retell_async.cli", *arguments], capture_output=True, text=True, check=True, env=self.env
        ).stdout


@pytest.fixture(scope="module")
def local() -> LocalRetell:
    local = LocalRetell(clock=RunningClock(1000))
    local.create_fixtures(agent_name="A name that is so long that it does not fit into eighty columns by far, and more")
    return local


@pytest.fixture(scope="module")
def terminal(local: LocalRetell) -> Iterator[Terminal]:
    with local.serving() as url:
        yield Terminal(url)


def test_tables_fit_and_have_their_heads_in_bold(terminal: Terminal) -> None:
    for command in ("agent list", "voice list", "doctor"):
        code, shown = terminal.show(*command.split())
        assert code == 0, shown
        assert ("\x1b[1m" in shown) == (command != "doctor")
        assert max(len(ESCAPE.sub("", line)) for line in shown.splitlines()) <= WIDTH, shown
        piped = terminal.pipe(*command.split())
        assert "\x1b" not in piped
        assert "…" not in piped


def test_a_question_is_answered_there(terminal: Terminal, local: LocalRetell) -> None:
    code, shown = terminal.show("call", "place", "+14155550123", answer="n")
    assert (code, "This may cost money or reach people." in shown) == (1, True)
    assert not local.placed
    code, shown = terminal.show("call", "place", "+14155550123", "--follow", answer="y")
    assert code == 0, shown
    local.assert_placed("+14155550123")
    assert any(f"is {status}" in shown for status in ("ended", "error", "not_connected")), shown


def test_what_no_terminal_can_show_is_shown_all_the_same(terminal: Terminal, local: LocalRetell) -> None:
    local.create_fixtures(agent_name="half a pair: \ud83d, and é")
    found = json.loads(terminal.pipe("agent", "list", "--json"))
    assert "half a pair: \ud83d, and é" in [agent["agent_name"] for agent in found]


@pytest.mark.parametrize("how", ["> /dev/full", ">&-", "| true", "> /dev/full 2>&1"])
def test_a_call_whose_id_nobody_reads_is_no_failure(terminal: Terminal, local: LocalRetell, how: str) -> None:
    before = sum(local.placed.values())
    number = json.loads(terminal.pipe("phone-number", "list", "--json"))[0]["phone_number"]
    command = f"{sys.executable} -m retell_async call place +14155550199 --from {number} --yes {how}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True, env=terminal.env)
    placed = sum(local.placed.values()) - before
    assert (done.returncode, placed) == ((1, 0) if how == ">&-" else (4, 1)), done.stderr
    assert "Traceback" not in done.stderr
    assert ("call_id call_" in done.stderr) == (bool(placed) and "2>" not in how)
