"""Copies of what an account had, and the files of earlier commits."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from .._core.errors import ConfigurationError
from .kinds import FOLDERS
from .naming import Snapshot

__all__ = ["back_up", "files_at"]

_FOLDER = ".backups"
_KEPT = (*FOLDERS, "environments")


def back_up(root: Path, environment: str, snapshot: Snapshot, path: Path | None = None) -> Path:
    """Write all that an account answered into one file of JSON, which only its owner may read."""
    if path is None:
        folder = root / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        path = folder / f"{environment}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%fZ')}.json"
    whole = {"environment": environment, "voices": snapshot.voices, "objects": snapshot.objects}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1, ensure_ascii=False)
    return path


def files_at(root: Path, commit: str) -> list[str]:
    """Put back the files that a commit of git has; what came later goes.

    :raises ConfigurationError: see `Config.restore_files`.
    """
    changed = _git(root, "status", "--porcelain", "--", *_KEPT).decode().strip()
    if changed:
        raise ConfigurationError(f"there are changes that are in no commit, which would be lost: commit them first\n{changed}")
    sha = _git(root, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}").decode().strip()
    archive = _git(root, "archive", "--format=tar", sha)
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        then = {one.name: file.read() for one in tar if one.isfile() and (file := tar.extractfile(one)) is not None}
    wanted = {name: content for name, content in then.items() if name.partition("/")[0] in _KEPT}
    now = {path.relative_to(root).as_posix(): path for folder in _KEPT for path in (root / folder).rglob("*") if path.is_file()}
    done = [name for name in now if name not in wanted]
    for name in done:
        now[name].unlink()
    for name, content in wanted.items():
        path = root / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            done.append(name)
    return sorted(done)


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=True).stdout  # noqa: S603, S607
    except FileNotFoundError:
        raise ConfigurationError("there is no git here") from None
    except subprocess.CalledProcessError as error:
        raise ConfigurationError(f"git {arguments[0]}: {error.stderr.decode(errors='replace').strip()}") from None
