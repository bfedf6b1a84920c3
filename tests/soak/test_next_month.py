"""A month goes by: the document moves, nobody lends a hand, and all that is checked and tested goes on passing."""

from __future__ import annotations

import faulthandler
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen.generate import ROOT

from ..update import revisions

pytestmark = [pytest.mark.soak, pytest.mark.parallel, pytest.mark.xdist_group("month")]

NOT_OURS = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "__pycache__", ".*_cache", ".hypothesis", ".spec-update-*")
BIN = Path(sys.executable).parent


def recipe(target: str) -> Iterator[list[str]]:
    """The commands of a target of make, without its set-up."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    for line in found[1].splitlines():
        if "$(BIN)/" in line:
            yield shlex.split(line.strip().replace("$(BIN)", BIN.as_posix()))


COMMANDS = {
    f"{target}-{number}-{Path(command[0]).name}": command
    for target in ("check", "test", "demo")
    for number, command in enumerate(recipe(target))
}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("month") / "tree"
    shutil.copytree(ROOT, root, ignore=NOT_OURS, symlinks=True)
    spec = revisions.written(revisions.changed(revisions.next_month, document=revisions.PINNED), root.parent / "next.yaml")
    done = run(root, [sys.executable, "-m", "codegen", "update", spec])
    assert done.returncode == 0, done.stdout + done.stderr
    for method, repeat in (("start", "unsafe"), ("pause", "unsafe"), ("create", "unsafe"), ("list", "safe"), ("delete", "unsafe")):
        assert f"client.campaign.{method}, repeat: {repeat}" in done.stdout
    return root


def run(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    faulthandler.cancel_dump_traceback_later()  # whatever hangs in there is ended there
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_everything_passes_without_a_hand(month: Path, command: list[str]) -> None:
    done = run(month, command)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
