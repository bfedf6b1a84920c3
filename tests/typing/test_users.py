"""What users' type checkers see: right code passes under their strictest settings, and wrong code is an error on the very line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from retell_async import AsyncRetell, Retell

pytestmark = pytest.mark.parallel

USERS = Path(__file__).parent / "users"
Checker = Callable[[Path], dict[int, str]]


def mypy(source: Path) -> dict[int, str]:
    command = ["mypy", "--strict", "--config-file=", "--cache-dir=cache", "--no-error-summary", "--output=json", source.name]
    found: list[dict[str, Any]] = [json.loads(line) for line in run(command, source.parent).splitlines()]
    return {each["line"]: each["message"] for each in found if each["severity"] == "error" and each["file"] == source.name}


def pyright(source: Path) -> dict[int, str]:
    return {line: message for severity, line, message in diagnosed(source) if severity == "error"}


def diagnosed(source: Path) -> list[tuple[str, int, str]]:
    source.with_name("pyrightconfig.json").write_text(json.dumps({"include": [source.name], "typeCheckingMode": "strict"}))
    result = json.loads(run(["pyright", "--outputjson", "--pythonpath", sys.executable], source.parent))
    assert result["summary"]["filesAnalyzed"] == 1
    found: list[dict[str, Any]] = result["generalDiagnostics"]
    return [(each["severity"], each["range"]["start"]["line"] + 1, each["message"]) for each in found]


def run(command: list[str], folder: Path) -> str:
    result = subprocess.run([sys.executable, "-m", *command], cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    assert result.returncode in {0, 1}, result.stdout
    return result.stdout


@pytest.mark.soak
@pytest.mark.parametrize("checker", [mypy, pyright])
@pytest.mark.parametrize("name", ["right.py", "wrong.py"])
def test_errors_are_on_the_marked_lines(checker: Checker, name: str, tmp_path: Path) -> None:
    source = Path(copy(USERS / name, tmp_path))
    marked = {number for number, line in enumerate(source.read_text().splitlines(), 1) if "# E:" in line}

    found = checker(source)

    assert {line: found.get(line) for line in marked - found.keys()} == {}, "marked, but right to the type checker"
    assert {line: message for line, message in found.items() if line not in marked} == {}, "wrong to the type checker, but not marked"


@pytest.mark.soak
@pytest.mark.parametrize("checker", [mypy, pyright])
@pytest.mark.parametrize("resolved", [True, False])
def test_what_is_no_http_client(checker: Checker, resolved: bool, tmp_path: Path) -> None:
    """Where httpx2 is not installed its classes are anything to type checkers; the clients that are given are checked all the same."""
    if not resolved:
        (tmp_path / "httpx2.pyi").write_text("from typing import Any\ndef __getattr__(name: str) -> Any: ...\n")
    test_errors_are_on_the_marked_lines(checker, "http_clients.py", tmp_path)


def test_what_an_editor_offers_and_a_tag_narrows(tmp_path: Path) -> None:
    source = tmp_path / "unions.py"
    source.write_text(UNIONS)
    found = [message.partition(" is ")[2].strip('"') for severity, _, message in diagnosed(source) if severity == "information"]
    assert [set(types.split(" | ")) for types in found] == [
        {"str", "Literal['ended', 'error', 'not_connected', 'ongoing', 'registered']"},
        {"str", "Literal['ended', 'error', 'not_connected', 'ongoing', 'registered']"},
        {"PhoneCallResponse", "UnknownCallResponse"},
        {"str", "Any"},
        {"WebCallResponse", "UnknownCallResponse"},
        {"int", "None"},
    ]


UNIONS = """
from retell_async import AsyncRetell
async def main(client: AsyncRetell) -> None:
    call = await client.call.retrieve("call_1")
    reveal_type(call.call_status)
    async for each in client.call.list():
        reveal_type(each.call_status)
    if call.call_type == "phone_call":
        reveal_type(call)
        reveal_type(call.from_number)
    match call.call_type:
        case "web_call":
            reveal_type(call)
        case _:
            reveal_type(call.duration_ms)
"""


@pytest.mark.parametrize("kind", [AsyncRetell, Retell])
def test_resources_come_first_among_completions(kind: type) -> None:
    """Type checkers offer what a class defines itself before what it inherits, and resources are inherited."""
    assert [name for name in vars(kind) if not name.startswith("__")] == []
