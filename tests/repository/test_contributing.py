"""What CONTRIBUTING.md and SECURITY.md say is there, and the repository keeps what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ..codegen.revisions import LOOKED_THROUGH
from ..conftest import NEEDS
from ..sandbox import checked

pytestmark = pytest.mark.parallel

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = re.findall(
    r"`([\w./-]+/[\w./-]*|[A-Z]+\.md|Makefile|pyproject\.toml)`", CONTRIBUTING + (ROOT / "SECURITY.md").read_text(encoding="utf-8")
)
BY_HAND = [
    folder
    for top in ("benchmarks", "codegen", "docs", "examples", "retell_async", "tests")
    for folder in [ROOT / top, *(ROOT / top).rglob("*/")]
    if not {"__pycache__", "raw", "resources", "types"} & {*folder.relative_to(ROOT).parts}
]


def source(folder: str) -> str:
    found = ROOT / folder
    return "\n".join(path.read_text(encoding="utf-8") for path in ([found] if found.is_file() else sorted(found.rglob("*.py"))))


@pytest.mark.parametrize("place", sorted({*PLACES}))
def test_every_place_is_there(place: str) -> None:
    assert place.startswith(".venv") or (ROOT / place).exists()


@pytest.mark.parametrize(
    ("where", "pattern"),
    [
        ("retell_async/_engine/retry.py", r"^class Failure\b"),
        ("retell_async/_engine/retry.py", r"^def may_have_acted\b"),
        ("retell_async/sandbox/faults/fault.py", r"^FaultKind = Literal\["),
        ("retell_async/sandbox/faults/fault.py", r"^class Fault:"),
        ("retell_async/sandbox/faults/fault.py", r"^def _about\b"),
        ("retell_async/sandbox/faults/kinds.py", r"^KINDS: "),
        ("retell_async/_version.py", r"^__version__ = "),
        ("codegen/prepare.py", r"^PASSES = \("),
        ("codegen/passes", r"^def run\(document: Json\) -> None:"),
    ],
)
def test_what_is_to_be_changed_is_found_by_its_name(where: str, pattern: str) -> None:
    assert re.search(pattern, source(where), re.MULTILINE)


def test_commands_are_targets_of_make_and_of_codegen() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", CONTRIBUTING)) <= targets
    known = set(re.findall(r"\bcommand\(_(\w+), ", source("codegen/__main__.py")))
    assert set(re.findall(r"python -m codegen (\w+)", CONTRIBUTING)) <= known


def test_the_table_has_all_that_tests_may_need() -> None:
    table = re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \| (yes|no) \|$", CONTRIBUTING, re.MULTILINE)
    assert [name for name, _, _ in table] == list(NEEDS)
    named = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for text in re.findall(r"\.needs\(([^)]*)\)", path.read_text(encoding="utf-8"))
        for name in re.findall(r'"(\w+)"', text)
    }
    assert named | {"uvloop"} == {*NEEDS}


def test_no_test_is_skipped() -> None:
    skips = {
        path.relative_to(ROOT / "tests").as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if re.search(r"pytest\.(mark\.skip|skip\(|importorskip|mark\.xfail)", path.read_text(encoding="utf-8"))
    }
    assert skips == set()


def test_no_test_of_the_sandbox_is_left_out() -> None:
    """With a later document, those of operations that it has lost are."""
    assert checked.lost() == [] or not LOOKED_THROUGH


def _code(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in {".py", ".jinja"} and path.name != "__init__.py"]


def test_no_folder_has_more_than_fifteen_files_by_hand() -> None:
    counts = {folder.relative_to(ROOT).as_posix(): len(_code(folder)) for folder in BY_HAND}
    assert {name: count for name, count in counts.items() if count > 15} == {}


@pytest.mark.soak
def test_the_source_distribution_brings_all_that_is_tracked(tmp_path: Path) -> None:
    """Whatever its tests read among it, so that they pass in what is unpacked."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path], cwd=ROOT, capture_output=True, check=True)
    [made] = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as opened:
        shipped = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "PKG-INFO", "tests/conftest.py"} <= shipped
    if (ROOT / ".git").exists():  # not so in what was unpacked
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert {*tracked.split("\0")} - {""} - shipped == set()
