"""The tree a month later, whose document has moved on without a hand: ``python -m tests.soak.month`` runs all checks and tests there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from codegen.generate import ROOT

from ..update import revisions

__all__ = ["moved", "recipe", "run"]

_NOT_OURS = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "__pycache__", ".*_cache", ".hypothesis", ".spec-update-*")
_BIN = Path(sys.executable).parent.as_posix()


def moved(folder: Path) -> tuple[Path, str]:
    """A copy of this tree in a folder, updated to the document of the next month, and what the update said."""
    root = folder / "tree"
    shutil.copytree(ROOT, root, ignore=_NOT_OURS, symlinks=True)
    spec = revisions.written(revisions.changed(revisions.next_month, document=revisions.PINNED), folder / "next.yaml")
    done = run(root, [sys.executable, "-m", "codegen", "update", spec])
    assert done.returncode == 0, done.stdout + done.stderr
    assert " has taken the place of " in done.stdout, "the tree is as it was"
    return root, done.stdout


def recipe(target: str) -> list[list[str]]:
    """The commands of a target of make, without its set-up and what it says."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, f"make has no {target}"
    lines = [line.strip().replace("$(BIN)", _BIN) for line in found[1].splitlines() if not line.startswith("\t@echo ")]
    assert lines, f"make {target} runs nothing"
    for line in lines:
        assert re.fullmatch(rf"{re.escape(_BIN)}/[^$;&|<>\\]+", line), f"make {target} runs what only a shell can: {line}"
    return [shlex.split(line) for line in lines]


def run(root: Path, command: list[str], *, shown: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in such a tree, and give what it said unless that is shown."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=root, env=env, capture_output=not shown, text=True, check=False)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="next-month-") as folder:
        root, _ = moved(Path(folder))
        commands = [command for target in ("check", "test", "demo") for command in recipe(target)]
        failed = [command for command in commands if run(root, command, shown=True).returncode]
    for command in failed:
        print("failed a month later:", shlex.join(command), file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
