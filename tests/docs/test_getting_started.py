"""The first page works as it stands, from top to bottom, for somebody who has installed what it says and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .blocks import ROOT, blocks
from .installed import environment, requirements

PAGE = ROOT / "docs" / "guides" / "getting-started.md"
COMMANDS = [block.source for block in blocks("sh") if block.path == PAGE]
PROGRAM, *PROMPT = (block for block in blocks("python") if block.path == PAGE)

pytestmark = [pytest.mark.soak, pytest.mark.parallel]


def exports() -> dict[str, str]:
    (command,) = (command for command in COMMANDS if command.startswith("export "))
    return dict(each.split("=", 1) for each in shlex.split(command)[1:])


@contextmanager
def sandbox(environ: dict[str, str]) -> Iterator[str]:
    """The sandbox as the page starts it, but on a free port, and faster."""
    (command,) = (command for command in COMMANDS if "retell_async.sandbox" in command)
    arguments = [sys.executable, *shlex.split(command)[1:], "--port", "0", "--speed", "1000"]
    with subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield re.findall(r"http://[\d.:]+", process.stdout.readline())[0]
        finally:
            process.terminate()


def test_it_works_as_it_stands(tmp_path: Path) -> None:
    clean = environment(tmp_path / "clean", requirements(PAGE.read_text()), **exports())
    with sandbox(clean) as url:
        clean["RETELL_BASE_URL"] = url
        (tmp_path / "first_call.py").write_text(PROGRAM.source)
        first = subprocess.run([sys.executable, "first_call.py"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert (first.returncode, first.stderr) == (0, "")
        assert re.search(r"^placed call_\w+\nended agent_hangup\nAgent: Hello", first.stdout)

        typed = "".join(f"{block.source}\nprint('block {number} is done')\n" for number, block in enumerate(PROMPT))
        prompt = subprocess.run(
            [sys.executable, "-m", "asyncio"], cwd=tmp_path, env=clean, input=typed, capture_output=True, text=True, check=False
        )

    assert "Traceback" not in prompt.stderr, prompt.stderr
    assert [number for number in range(len(PROMPT)) if f"block {number} is done" not in prompt.stdout] == []
    assert re.match(r"422 .*from_number was not found", printed(prompt.stdout, errors()))
    assert re.match(r"agent: Hello, this is the dental practice\.\nuser: ", printed(prompt.stdout, 2))


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
