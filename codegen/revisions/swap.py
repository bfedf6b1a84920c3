"""What an update has made takes the place of what was there, all of it or nothing.

What was there is kept beside what was made until all is in its place, so that what was kept says what to put back: at once if something
fails, and if the process is killed on the way, when the next command looks. Somebody may have worked on in between, so that only what is
missing, or is what the update put there, gives way then.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..document import Json, Refused, load_file
from ..generate import GENERATED, contents

KEPT = ("openapi.yaml", "pin.toml", "left_out.yaml", "names.yaml")
REPLACED = (*(f"openapi/{name}" for name in KEPT), "CHANGELOG.md", *(f"retell_async/{part}" for part in GENERATED))
"""What an update replaces, relative to the root of the project."""
_FOLDER = ".spec-update-"
_MADE = "made.json"
"""What an update puts in place, as `contents` has each, beside what is kept: by that it is known again."""


@contextmanager
def workshop(root: Path) -> Iterator[Path]:
    """A folder for what an update makes (``new`` in it) and for what was there (``old``), as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=root))
    try:
        yield folder
    finally:
        with _undisturbed():
            _settle(root, folder)


def swap(made: Path, root: Path, kept: Path) -> None:
    """Put what was made in place of what is there; if that fails on the way, the workshop puts all back. Signals have to wait."""
    with _undisturbed():
        kept.mkdir(parents=True, exist_ok=True)
        (kept / _MADE).write_text(json.dumps({name: contents(made, [name]) for name in REPLACED}), encoding="utf-8")
        for name in REPLACED:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".yaml") and not (root / name).exists():
                (root / name).write_text("{}\n", encoding="utf-8")
            (root / name).rename(kept / name)
            (made / name).rename(root / name)


def recover(root: Path) -> list[str]:
    """Put back what updates left half done that were killed on the way, and say what was found.

    :raises Refused: somebody has changed since what would be put back. Nothing is changed.
    """
    told: list[str] = []
    for folder in sorted(root.glob(f"{_FOLDER}*")):
        kept = folder / "old"
        put: Json = load_file(kept / _MADE) if _is_half_done(folder) else {}
        back = [name for name in put if (kept / name).exists() and (root / name).exists()]
        if not kept.exists():
            told.append(f"{folder.name} is of an update that goes on, or was cut off before it changed anything: delete it if none goes on")
        elif changed := [name for name in back if contents(root, [name]) not in (contents(kept, [name]), put[name])]:
            reason = f"an update was cut off, and {', '.join(changed)} is neither what was there before nor what it put there"
            refused = Refused(folder.name, reason)
            refused.remedy = f"what was there before is in {folder.name}/old: take from it what you miss, then delete {folder.name}"
            raise refused
        elif _settle(root, folder):
            told.append("an update was cut off while it put its files in place: what was there before is back")
    return told


def _settle(root: Path, folder: Path) -> bool:
    """Delete the folder of an update, after what was there is put back if not all is in its place; whether it had to be."""
    is_half_done, kept = _is_half_done(folder), folder / "old"
    for name in (name for name in REPLACED if is_half_done and (kept / name).exists()):
        if (root / name).is_dir():
            shutil.rmtree(root / name)
        (kept / name).replace(root / name)
    shutil.rmtree(folder)
    return is_half_done


def _is_half_done(folder: Path) -> bool:
    return any((folder / "new" / name).exists() for name in REPLACED) and (folder / "old").exists()


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
