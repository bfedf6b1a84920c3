"""A month goes by: the document moves, nobody lends a hand, and what is checked and what stands nearest to the document goes on passing.

All tests are run there by `make month`, which takes as long as they do.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .month import moved, recipe, run

pytestmark = [pytest.mark.soak, pytest.mark.parallel]

NEAREST = ["tests/generated", "tests/official", "tests/helpers"]
COMMANDS = {
    f"{target}-{number}-{Path(command[0]).name}": [*command, *(NEAREST if target == "test" else [])]
    for target in ("check", "test", "demo")
    for number, command in enumerate(recipe(target))
}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, said = moved(tmp_path_factory.mktemp("month"))
    for method, repeat in (("start", "unsafe"), ("pause", "unsafe"), ("create", "unsafe"), ("list", "safe"), ("delete", "unsafe")):
        assert f"client.campaign.{method}, repeat: {repeat}" in said
    return root


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_everything_passes_without_a_hand(month: Path, command: list[str]) -> None:
    done = run(month, command)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
