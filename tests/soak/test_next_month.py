"""A month goes by: the document moves, nobody lends a hand, and all that is checked and tested goes on passing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.generate import ROOT

from ..update import revisions

pytestmark = [pytest.mark.soak, pytest.mark.parallel, pytest.mark.xdist_group("month")]

NOT_OURS = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "__pycache__", ".*_cache", ".hypothesis", ".spec-update-*")
COMMANDS = {
    "generated": ["codegen", "check"],
    "style": ["ruff", "check", "--no-cache", "."],
    "format": ["ruff", "format", "--no-cache", "--check", "."],
    "types": ["mypy"],
    "tests": [
        "pytest",
        "-q",
        "-m",
        "not soak",
        "-n",
        "auto",
        "-p",
        "no:cacheprovider",
        "tests/generated",
        "tests/official",
        "tests/helpers",
    ],
    "demo": ["retell_async.sandbox.demo"],
}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("month") / "tree"
    shutil.copytree(ROOT, root, ignore=NOT_OURS, symlinks=True)
    spec = revisions.written(revisions.changed(revisions.next_month, document=revisions.PINNED), root.parent / "next.yaml")
    done = run(root, "codegen", "update", spec)
    assert done.returncode == 0, done.stdout + done.stderr
    for method, repeat in (("start", "unsafe"), ("pause", "unsafe"), ("create", "unsafe"), ("list", "safe"), ("delete", "unsafe")):
        assert f"client.campaign.{method}, repeat: {repeat}" in done.stdout
    return root


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", *command], cwd=root, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_everything_passes_without_a_hand(month: Path, command: list[str]) -> None:
    done = run(month, *command)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
