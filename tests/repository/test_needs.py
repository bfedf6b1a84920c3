"""What a system cannot do is deselected, and the run says so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
OPTIONS = ("-p", "no:retell_async", "-p", "no:xdist")

SETTINGS = """
[pytest]
markers =
    needs(*names): what the system must have
    soak: takes long
asyncio_default_fixture_loop_scope = function
"""

TESTS = """
import pytest

@pytest.mark.needs("fork")
def test_with_a_child(): ...

@pytest.mark.needs("symlink", "fork")
def test_with_both(): ...

@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])
def test_in_a_loop(anyio_backend): ...

def test_anywhere(): ...
"""


@pytest.fixture(name="project")
def a_project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(SETTINGS)
    pytester.makepyfile(TESTS)
    return pytester


def with_system(project: pytest.Pytester, **there: bool) -> pytest.RunResult:
    project.makeconftest(f"{CONFTEST.read_text(encoding='utf-8')}\nNEEDS.update({there})\n")
    return project.runpytest_inprocess(*OPTIONS, "-v")


def test_all_of_it_runs_where_the_system_has_everything(project: pytest.Pytester) -> None:
    result = with_system(project, fork=True, symlink=True, uvloop=True)
    result.assert_outcomes(passed=5, deselected=0)


def test_what_needs_a_fork_is_deselected_where_there_is_none(project: pytest.Pytester) -> None:
    result = with_system(project, fork=False, symlink=True, uvloop=True)
    result.assert_outcomes(passed=3, deselected=2)
    result.stdout.fnmatch_lines(["deselected, since this system has none of it: tests that need *fork*"])


def test_so_is_an_event_loop_that_is_not_there(project: pytest.Pytester) -> None:
    result = with_system(project, fork=True, symlink=True, uvloop=False)
    result.assert_outcomes(passed=4, deselected=1)


def test_a_need_that_nobody_knows_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(test_wrong="import pytest\n\n@pytest.mark.needs('forc')\ndef test(): ...\n")
    result = with_system(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_wrong.py::test needs forc: *fork*are known*"])


TESTS_HERE = Path(__file__).parents[1]
NOT_EVERYWHERE = {"fcntl", "grp", "msvcrt", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty", "uvloop", "winreg"}
USES = {"mkfifo": "fifo", "fork": "fork", "prlimit": "rlimit", "send_signal": "signals", "symlink_to": "symlink"}


def test_every_test_can_be_imported_everywhere() -> None:
    """A module that cannot be imported ends the whole run, also where its tests would be deselected."""
    found = {
        f"{path.relative_to(TESTS_HERE)}: {name}"
        for path in [*TESTS_HERE.rglob("test_*.py"), *TESTS_HERE.rglob("conftest.py")]
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.partition(".")[0] in NOT_EVERYWHERE
    }
    assert found == set()


def test_what_a_test_does_itself_it_says_that_it_needs() -> None:
    found: set[str] = set()
    for path in TESTS_HERE.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        whole = "".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node))
        for test in tree.body:
            if not isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) or not test.name.startswith("test_"):
                continue
            said = whole + "".join(map(ast.unparse, test.decorator_list))
            called = {node.func.attr for node in ast.walk(test) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
            found |= {
                f"{path.relative_to(TESTS_HERE)}::{test.name} {USES[name]}"
                for name in called & USES.keys()
                if f"'{USES[name]}'" not in said
            }
    assert found == set()
