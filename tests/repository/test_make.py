"""One environment a version of Python: what `make test` would run, with which."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.needs("make"), pytest.mark.parallel]

MAKEFILE = Path(__file__).parents[2] / "Makefile"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with programs that say that they are Python of some version."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bin").mkdir()
    for name, said in {"python3": "3.11", "python3.13": "3.13", "python3.9": ""}.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\ntest -n "{said}" && echo {said}\n', encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


def made(root: Path, text: str) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\n{text}\n", encoding="utf-8")


def environment(root: Path, *arguments: str, **variables: str) -> str:
    """The environment whose Python would run the tests."""
    command = ["make", "--dry-run", "test", *arguments]
    env = {"PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}", **variables}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=True)
    (found,) = re.findall(r"^(\S+)/bin/python -m pytest ", done.stdout, re.MULTILINE)
    assert f"{found}/bin/python -m pip" in done.stdout
    return str(found)


@pytest.mark.parametrize("arguments", [[], ["PYTHON=python3.13"]])
def test_the_first_that_is_asked_for(root: Path, arguments: list[str]) -> None:
    assert environment(root, *arguments) == ".venv"


@pytest.mark.parametrize("told", ["version = 3.11.7", "version_info = 3.11.7.final.0"])
def test_another_version_has_another(root: Path, told: str) -> None:
    made(root, told)
    assert environment(root) == ".venv"
    assert environment(root, "PYTHON=python3") == ".venv"
    assert environment(root, "PYTHON=python3.13") == ".venv-3.13"
    assert environment(root, PYTHON="python3.13") == ".venv-3.13"


def test_a_python3_of_another_version_does_not_get_the_first(root: Path) -> None:
    made(root, "version = 3.13.0")
    assert environment(root, "PYTHON=python3.13") == ".venv"
    assert environment(root) == ".venv-3.11"


def test_who_has_no_other_python_goes_on_with_the_first(root: Path) -> None:
    made(root, "version = 3.13.0")
    shutil.copy(root / "bin" / "python3.9", root / "bin" / "python3")
    assert environment(root) == ".venv"
    assert environment(root, "PYTHON=python3.9") == ".venv-"  # and the first rule says which Python is needed


def test_one_that_is_too_old_is_refused_in_one_line(root: Path) -> None:
    old = root / "bin" / "old"
    old.write_text('#!/bin/sh\ncase "$2" in *sys.exit*) echo "Python 3.11 or later is needed" >&2; exit 1;; esac\n', encoding="utf-8")
    old.chmod(0o755)
    done = subprocess.run(["make", "test", "PYTHON=bin/old"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Python 3.11 or later is needed" in done.stderr
    assert not [*root.glob(".venv*")]


def test_what_is_given_to_an_update_is_one_word(root: Path) -> None:
    command = ["make", "--dry-run", "spec-update", "SPEC=https://a.test/openapi.json?a=1&b=2 3"]
    env = {"PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].endswith("-m codegen update 'https://a.test/openapi.json?a=1&b=2 3'")
    done = subprocess.run(command[:-1], cwd=root, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].rstrip().endswith("-m codegen update")
