"""What an update has made takes the place of what was there, all of it or nothing.

What was there is kept beside what was made until all is in its place, so that what was kept says what to put back: at once if something
fails, and if the process is killed on the way, when the next command looks.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from ..generate import GENERATED

KEPT = ("openapi.yaml", "pin.toml", "left_out.yaml", "names.yaml")
REPLACED = (*(f"openapi/{name}" for name in KEPT), "CHANGELOG.md", *(f"retell_async/{part}" for part in GENERATED))
"""What an update replaces, relative to the root of the project."""
_FOLDER = ".spec-update-"


@contextmanager
def workshop(root: Path) -> Iterator[Path]:
    """A folder for what an update makes (``new`` in it) and for what was there (``old``), as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=root))
    try:
        yield folder
    finally:
        _settle(root, folder)


def contents(root: Path) -> set[tuple[str, str]]:
    """The files that are replaced, each with a hash of what it holds."""
    files = (file for name in REPLACED for file in (root / name, *(root / name).rglob("*.*")) if file.is_file() and file.suffix != ".pyc")
    return {(str(file.relative_to(root)), sha256(file.read_bytes()).hexdigest()) for file in files}


def swap(made: Path, root: Path, kept: Path) -> None:
    """Put what was made in place of what is there; if that fails on the way, all is put back. Signals have to wait."""
    with _undisturbed():
        try:
            for name in REPLACED:
                (kept / name).parent.mkdir(parents=True, exist_ok=True)
                if name.endswith(".yaml") and not (root / name).exists():
                    (root / name).write_text("{}\n", encoding="utf-8")
                (root / name).rename(kept / name)
                (made / name).rename(root / name)
        except BaseException:
            _put_back(root, kept)
            raise


def recover(root: Path) -> list[str]:
    """Put back what updates left half done that were killed on the way, and say what was found."""
    told: list[str] = []
    for folder in sorted(root.glob(f"{_FOLDER}*")):
        if not (folder / "old").exists():
            told.append(f"{folder.name} is of an update that goes on, or was cut off before it changed anything: delete it if none goes on")
        elif _settle(root, folder):
            told.append("an update was cut off while it put its files in place: what was there before is back")
    return told


def _settle(root: Path, folder: Path) -> bool:
    """Delete the folder of an update, after what was there is put back if not all is in its place; whether it had to be."""
    is_half_done = any((folder / "new" / name).exists() for name in REPLACED) and (folder / "old").exists()
    if is_half_done:
        _put_back(root, folder / "old")
    shutil.rmtree(folder)
    return is_half_done


def _put_back(root: Path, kept: Path) -> None:
    for name in (name for name in REPLACED if (kept / name).exists()):
        if (root / name).is_dir():
            shutil.rmtree(root / name)
        (kept / name).replace(root / name)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back what would end the process, until this is done."""
    held: list[int] = []
    former = {each: signal.signal(each, lambda number, _: held.append(number)) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
        for number in held:
            signal.raise_signal(number)
