"""Programs that are written for the official SDK, as its users write them, go on with nothing but the import renamed.

They are in `users/`, each a function there, and run against the sandbox: with the official SDK, which shows that they are right, and with
this package. Type checkers have nothing to say of them here that they do not say of the official SDK.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import util
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from retell_async.sandbox import RunningClock, Sandbox
from retell_async.sandbox.http.server import in_thread
from tests.peer.checkers import more_than_official

pytestmark = [pytest.mark.soak, pytest.mark.parallel]

SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parent / "users").glob("*.py"))}
PROGRAMS = [(module, name) for module, text in SOURCES.items() for name in re.findall(r"^(?:async )?def (program_\w+)", text, re.MULTILINE)]
PACKAGES = ["retell", "retell_async"]
_IMPORT = re.compile(r"^(\s*)(from|import) retell\b(\.\w+)*( as \w+)?", re.MULTILINE)


def renamed(text: str, package: str) -> str:
    """The program with the imports of the official SDK renamed."""

    def rename(found: re.Match[str]) -> str:
        said = found.group().replace("retell", package, 1)
        return said if found[2] == "from" or found[4] else f"{said} as retell"

    return text if package == "retell" else _IMPORT.sub(rename, text)


@contextmanager
def loaded(module: str, package: str, folder: Path) -> Generator[Any]:
    path = folder / f"{module}_with_{package}.py"
    path.write_text(renamed(SOURCES[module], package), encoding="utf-8")
    spec = util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules[path.stem] = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
        yield made
    finally:
        del sys.modules[path.stem]
        vars(made).clear()
        gc.collect()  # what it left open


def test_there_are_enough() -> None:
    assert len(PROGRAMS) >= 30


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(("module", "name"), PROGRAMS, ids=[f"{module}-{name}" for module, name in PROGRAMS])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_runs(module: str, name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_thread(Sandbox(clock=RunningClock(speed=60))) as served:
        monkeypatch.setenv("RETELL_API_KEY", "key_sandbox_0123456789")
        monkeypatch.setenv("RETELL_BASE_URL", served.url)
        with loaded(module, package, tmp_path) as program:
            found = getattr(program, name)()
            if isawaitable(found):
                asyncio.run(found)  # type: ignore[arg-type]


def test_type_checkers_say_no_more_than_of_the_official_sdk(tmp_path: Path) -> None:
    folders = {"official": tmp_path / "official", "ours": tmp_path / "ours"}
    for folder, package in zip(folders.values(), PACKAGES, strict=True):
        folder.mkdir()
        for module, text in SOURCES.items():
            (folder / f"{module}.py").write_text(renamed(text, package), encoding="utf-8")
    assert more_than_official(folders, ".") == []
