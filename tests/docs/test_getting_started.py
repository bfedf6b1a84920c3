"""README and the first page work as they stand, from top to bottom, for somebody who has installed what they say and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from .blocks import ROOT, Block, blocks
from .installed import environment, requirements

PAGE = ROOT / "docs" / "guides" / "getting-started.md"
README = ROOT / "README.md"
PROGRAM, *PROMPT = (block for block in blocks("python") if block.path == PAGE)

pytestmark = [pytest.mark.soak, pytest.mark.parallel]


def commands(page: Path) -> list[str]:
    return [line for block in blocks("sh") if block.path == page for line in block.source.splitlines()]


def exports(page: Path) -> dict[str, str]:
    (command,) = (command for command in commands(page) if command.startswith("export "))
    return dict(each.split("=", 1) for each in shlex.split(command)[1:])


@contextmanager
def sandbox(page: Path, environ: dict[str, str]) -> Iterator[str]:
    """The sandbox as the page starts it, but on a free port, and faster."""
    (command,) = (command for command in commands(page) if "retell_async.sandbox" in command)
    arguments = [sys.executable, *shlex.split(command)[1:], "--port", "0", "--speed", "1000"]
    with subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield re.findall(r"http://[\d.:]+", process.stdout.readline())[0]
        finally:
            process.terminate()


def test_it_works_as_it_stands(tmp_path: Path) -> None:
    clean = environment(tmp_path / "clean", requirements(PAGE.read_text()), **exports(PAGE))
    with sandbox(PAGE, clean) as url:
        clean["RETELL_BASE_URL"] = url
        (tmp_path / "first_call.py").write_text(PROGRAM.source)
        first = subprocess.run([sys.executable, "first_call.py"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert (first.returncode, first.stderr) == (0, "")
        assert re.search(r"^placed call_\w+\nended agent_hangup\nAgent: Hello", first.stdout)

        written = typed(PROMPT, tmp_path, clean)

    assert re.match(r"422 .*from_number was not found", printed(written, errors()))
    assert re.match(r"agent: Hello, this is the dental practice\.\nuser: ", printed(written, 2))


def test_the_readme_works_as_it_stands(tmp_path: Path) -> None:
    clean = environment(tmp_path / "clean", requirements(README.read_text()), **exports(README))
    with sandbox(README, clean) as url:
        clean["RETELL_BASE_URL"] = url
        written = typed([block for block in blocks("python") if block.path == README], tmp_path, clean)

    outcomes = re.findall(r"^(?:[>.]+ )*(\d) analyzed None$", written, re.MULTILINE)  # of many calls
    assert sorted(outcomes) == ["0", "1", "2", "3", "4"]


def typed(prompt: Sequence[Block], folder: Path, clean: dict[str, str]) -> str:
    """What is printed when these blocks are pasted into the prompt."""
    lines = "".join(f"{block.source}\nprint('block {number} is done')\n" for number, block in enumerate(prompt))
    result = subprocess.run(
        [sys.executable, "-m", "asyncio"], cwd=folder, env=clean, input=lines, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert [number for number in range(len(prompt)) if f"block {number} is done" not in result.stdout] == []
    return result.stdout


def errors() -> int:
    (number,) = (number for number, block in enumerate(PROMPT) if "OutcomeUnknownError" in block.source)
    return number


def printed(output: str, number: int) -> str:
    """What a block printed."""
    _, _, rest = output.partition(f"block {number - 1} is done\n")
    return rest.partition(f"block {number} is done")[0].replace(">>> ", "").replace("... ", "")


def test_what_is_not_installed_cannot_be_imported(tmp_path: Path) -> None:
    clean = environment(tmp_path / "clean", ["retell-async"])
    command = [sys.executable, "-c", "import httpx, retell_async\nimport starlette"]
    result = subprocess.run(command, cwd=tmp_path, env=clean, stderr=subprocess.PIPE, text=True, check=False)
    assert "No module named 'starlette'" in result.stderr
