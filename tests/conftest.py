from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

NEEDS = {
    "descriptors": Path("/dev/fd").exists(),
    "fifo": hasattr(os, "mkfifo"),
    "fork": hasattr(os, "fork"),
    "git": os.name == "posix" and which("git") is not None,
    "make": os.name == "posix" and which("make") is not None,
    "proc": Path("/proc/self/fd").exists() and Path("/proc/locks").exists(),
    "rlimit": sys.platform == "linux",
    "signals": os.name == "posix",
    "symlink": os.name == "posix",
    "uvloop": find_spec("uvloop") is not None,
}
"""What `pytest.mark.needs` may name, and whether this system has it."""

# Nothing that a developer has set changes what the tests see, and a run can be repeated.
for name in [name for name in os.environ if name.startswith("RETELL_")]:
    del os.environ[name]
settings.register_profile("repository", deadline=None, derandomize=True)
settings.load_profile("repository")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tell the collector of garbage that ten thousand tests are none: it would go through them each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_report_header() -> list[str]:
    missing = [name for name, there in NEEDS.items() if not there]
    return [f"deselected, since this system has none of it: tests that need {', '.join(missing)}"] if missing else []


@pytest.fixture(autouse=True)
def lost_lines() -> Generator[list[Exception]]:
    """Why lines of the log could not be written. A test that has some such is to take them out."""
    from retell_async import _logs

    lost: list[Exception] = []
    with pytest.MonkeyPatch.context() as patch:  # not the test's own, which is to end before what else it uses
        patch.setattr(_logs, "show", lost.append)
        yield lost
    assert not lost


@pytest.fixture
def locks() -> Callable[[Path], list[str]]:
    """Gives the locks that this process has on a file, as other processes see them."""

    def locks(path: Path) -> list[str]:
        ours = f" {os.getpid()} ", f":{path.stat().st_ino} "
        return [line.partition(":")[2] for line in Path("/proc/locks").read_text().splitlines() if all(each in line for each in ours)]

    return locks


TOGETHER = ("tests/docs/test_site.py", "tests/peer/test_official.py", "tests/soak/test_next_month.py")
"""Files whose tests share what takes minutes to make: one process has all of a file."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Each test for itself, except those. (The mark `xdist_group` does nothing with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if path in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what this system cannot do. Let no test open a socket unless it is marked `soak`: those may, on this machine's addresses."""
    impossible = [item for item in items if not all(NEEDS[name] for name in needed(item))]
    if impossible:
        config.hook.pytest_deselected(items=impossible)
        items[:] = [item for item in items if item not in impossible]
    for item in items:
        if item.get_closest_marker("soak") is None:
            item.add_marker("disable_socket")


def needed(item: pytest.Item) -> set[str]:
    """What a test needs of the system: what its marks name, and the event loop that it asks for."""
    names = {name for mark in item.iter_markers("needs") for name in mark.args}
    if unknown := names - NEEDS.keys():
        raise pytest.UsageError(f"{item.nodeid} needs {', '.join(sorted(unknown))}: {', '.join(NEEDS)} are known")
    parameters = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    return names | ({"uvloop"} if ("asyncio", {"use_uvloop": True}) in parameters else set())
