"""Copies of what an account had, and the files of earlier commits."""

from __future__ import annotations

import json
import subprocess
import tarfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from posixpath import normpath

from .._core.errors import ConfigurationError
from .._files import BESIDE
from .kinds import FOLDERS
from .naming import Snapshot
from .state import FILE, replace_file
from .values import pieces

__all__ = ["BACKUPS", "back_up", "files_at", "is_taken_along", "states_before", "tell_git"]

BACKUPS = ".backups"
_LATEST = 20
_KEPT = (*FOLDERS, "environments")


def back_up(root: Path, environment: str, snapshot: Snapshot, path: Path | None = None) -> Path:
    """Write all that an account answered into one file of JSON, which only its owner may read."""
    if path is None:
        folder = root / BACKUPS
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        path = folder / f"{environment}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%fZ')}.json"
    whole = {"environment": environment, "voices": snapshot.voices, "objects": snapshot.objects}
    replace_file(path, json.dumps(whole, indent=1, ensure_ascii=False).encode(errors="surrogatepass"), 0o600)
    return path


def tell_git(root: Path) -> None:
    """Tell git to leave line ends, which are part of prompts, and what a run that was killed left. What it was told there already stays."""
    root.mkdir(parents=True, exist_ok=True)
    patterns = (*(f"{name}/**" for name in _KEPT), FILE)
    for name, text in {".gitattributes": "".join(f"{one} -text\n" for one in patterns), ".gitignore": f"{BESIDE}\n"}.items():
        if not (root / name).exists():
            (root / name).write_text(text, encoding="utf-8")


def files_at(root: Path, commit: str) -> list[str]:
    """Put back the files that a commit of git has, and the texts elsewhere that they refer to; what came later goes.

    What git does not know is left alone.

    :raises ConfigurationError: see `Config.restore_files`.
    """
    try:
        sha = _git(root, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}").decode().strip()
    except ConfigurationError as error:
        raise ConfigurationError(f"git knows no commit {commit!r}: `git log` lists them ({error})") from None
    with tarfile.open(fileobj=BytesIO(_git(root, "archive", "--format=tar", sha))) as tar:
        then = {one.name: file.read() for one in tar if one.isfile() and (file := tar.extractfile(one)) is not None}
    settings = {name: content for name, content in then.items() if name.startswith(tuple(f"{folder}/" for folder in _KEPT))}
    texts = {text for name, content in settings.items() for text in _texts_of(name, content) if text in then}
    changed = _git(root, "status", "--porcelain", "--", *_KEPT, *sorted(texts)).decode().strip()
    if changed:
        raise ConfigurationError(f"there are changes that are in no commit, which would be lost: commit them first\n{changed}")
    differ = _names(_git(root, "diff", "--name-only", "--relative", "--no-renames", "-z", sha, "--", *_KEPT, *sorted(texts)))
    known = {*_names(_git(root, "ls-files", "-z"))}
    if hidden := [name for name in differ if name not in known and (root / name).exists()]:
        raise ConfigurationError(f"git ignores {', '.join(hidden)}, which that commit has too: move them away first")
    if differ:
        _git(root, "--literal-pathspecs", "restore", f"--source={sha}", "--worktree", "--", *differ)
    return sorted(differ)


def _names(listed: bytes) -> list[str]:
    return [name for name in listed.decode(errors="surrogateescape").split("\0") if name]


def _texts_of(name: str, content: bytes) -> list[str]:
    """The texts that a file of settings refers to."""
    if not name.endswith((".yaml", ".yml")):
        return []
    found = [token.name for _, _, token in pieces(content.decode(errors="replace"), lambda _: None) if token and token.kind == "file"]
    return [normpath(f"{PurePosixPath(name).parent / text}") for text in found]


def states_before(root: Path) -> list[bytes]:
    """The file of the state as the latest commits have it, newest first; none where git does not say, as it is asked for a hint only."""
    try:
        log = _git(root, "log", "--no-follow", f"--max-count={_LATEST}", "--diff-filter=AM", "--format=%H", "--", FILE)
        return [_git(root, "show", f"{commit}:./{FILE}") for commit in log.decode().split()]
    except ConfigurationError:
        return []


def is_taken_along(path: Path) -> bool:
    """Whether a file is in a repository that does not ignore it: `git add` takes it along."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", path.resolve().parent, "check-ignore", "--quiet", path.resolve().name],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return done.returncode == 1  # 128 where there is no repository


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=True).stdout  # noqa: S603, S607
    except FileNotFoundError:
        raise ConfigurationError("there is no git here") from None
    except subprocess.CalledProcessError as error:
        raise ConfigurationError(f"git {arguments[0]}: {error.stderr.decode(errors='replace').strip()}") from None
