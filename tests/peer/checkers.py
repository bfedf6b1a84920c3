"""What mypy and pyright say of code once its import is renamed, and do not say of it as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["mypy", "more_than_official", "pyright"]

ROOT = Path(__file__).parents[2]

Found = dict[tuple[str, int], str]
"""Errors by file and line."""


def more_than_official(folders: Mapping[str, Path], part: str) -> list[str]:
    """The errors about what is in `part` of the folder of ``ours`` that are none in that of ``official``."""
    wrong: list[str] = []
    for checker in (mypy, pyright):
        ours = checker(folders["ours"], part)
        official: Found = checker(folders["official"], part) if ours else {}
        wrong += [f"{checker.__name__}: {file}:{line}: {ours[file, line]}" for file, line in sorted(ours.keys() - official.keys())]
    return wrong


def mypy(folder: Path, part: str = ".") -> Found:
    """Everything that the strictest settings find."""
    options = ["--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", "--no-error-summary", "--output=json"]
    lenient = "--disable-error-code=func-returns-value"  # which the official tests are full of
    found: list[dict[str, Any]] = [json.loads(line) for line in _checked(["mypy", *options, lenient, part], folder).splitlines()]
    kept = [each for each in found if each["severity"] == "error" and _is_in(folder / each["file"], folder / part)]
    return {(Path(each["file"]).name, each["line"]): each["message"] for each in kept}


def pyright(folder: Path, part: str = ".") -> Found:
    """The same."""
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)], "include": [part]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    result = json.loads(_checked(["pyright", "--outputjson", "--pythonpath", sys.executable], folder))
    if result["summary"]["filesAnalyzed"] == 0:
        raise ValueError(f"pyright found nothing in {part}")
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in result["generalDiagnostics"]
        if each["severity"] == "error"
    }


def _is_in(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


def _checked(command: list[str], folder: Path) -> str:
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode not in {0, 1}:
        raise RuntimeError(result.stdout + result.stderr)
    return result.stdout
