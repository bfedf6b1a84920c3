"""Runs the official SDK's own tests against this package, with nothing but the import renamed, and against the official SDK beside it.

Type checkers look at them too: they may have nothing to say that they do not say of the official SDK.

    python -m tests.peer tests [an sdist of the official SDK; without one, the pinned version comes from the index]

Nothing of the official SDK stays: it is unpacked into a temporary folder. The private names that its tests import are in `shims/`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import attrs

from tests.peer.checkers import more_than_official
from tests.peer.server import server

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_SHIMS = _HERE / "shims"
_DISABLED = "    @pytest.mark." + 'skip(reason="Mock server tests are disabled")\n'

_HALVES = ("async", "sync")
_SIDES = {"official": "retell", "ours": "retell_async"}
_SUITES = {"API resources": ("tests/api_resources", "peer_names"), "test_client.py": ("tests/test_client.py", "peer_client")}
_SHARE_OF_RESOURCES = 0.99
_LEAST_OF_CLIENT = {"async": 63, "sync": 61}
"""How many of the tests of one half of `test_client.py` have to pass: of 74 and of 73, of which one is skipped for its own reasons."""


@attrs.frozen
class Outcome:
    """One test of theirs."""

    suite: str
    half: str
    name: str
    passed: bool
    why: str


def run(sdist: Path | None = None) -> int:
    """Run it all, print a table, and give 0 if as much passes as has to."""
    with TemporaryDirectory() as folder:
        there = Path(folder)
        unpacked = _unpack(sdist or _download(there), there)
        served = server()
        threading.Thread(target=served.serve_forever, daemon=True).start()
        outcomes = {side: _tested(unpacked, there / side, package, served.server_port) for side, package in _SIDES.items()}
        served.shutdown()
        said = more_than_official({side: there / side for side in _SIDES}, "tests/api_resources")
    return _report(outcomes, said)


def _download(folder: Path) -> Path:
    pinned: list[str] = tomllib.loads((_ROOT / "pyproject.toml").read_text())["dependency-groups"]["peer"]
    to = folder / "sdist"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(to), *pinned]
    subprocess.run(command, check=True)
    return next(to.glob("*.tar.gz"))


def _unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return next((folder / "unpacked").iterdir())


def _tested(unpacked: Path, to: Path, package: str, port: int) -> list[Outcome]:
    """Copy the tests, rename what they import, and run them in a process of their own."""
    for source in (unpacked / "tests").rglob("*"):
        target = to / source.relative_to(unpacked)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            if source.suffix == ".py":
                target.write_text(_renamed(source.read_text(), source.name, package))
    (to / "pyproject.toml").write_bytes((unpacked / "pyproject.toml").read_bytes())
    found: list[Outcome] = []
    for suite, (path, shim) in _SUITES.items():
        report = to / "report.xml"
        options = ["-q", "--tb=line", "-o", "addopts=", "-p", "peer_plugin", "-p", "no:retell_async", f"--junitxml={report}"]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (to, _SHIMS, _ROOT))),
            "TEST_API_BASE_URL": f"http://127.0.0.1:{port}",
            "PEER_PACKAGE": package,
            "PEER_SHIM": shim,
        }
        with (to / "output").open("w+") as output:
            subprocess.run([sys.executable, "-m", "pytest", *options, path], cwd=to, env=environment, stdout=output, check=False)
            output.seek(0)
            if os.environ.get("PEER_VERBOSE") or not report.exists():
                print(output.read())
        found += _outcomes(suite, report)
        report.unlink()
    return found


def _renamed(text: str, name: str, package: str) -> str:
    text = text.replace(_DISABLED, "")
    if package == "retell" and name in {"conftest.py", "utils.py"}:
        return re.sub(r"^from retell\._\w+ import", "from peer_names import", text, flags=re.MULTILINE)
    return re.sub(
        r'^(\s*(?:from|import)) retell\b|"retell(?=\._)', lambda m: f"{m[1]} {package}" if m[1] else f'"{package}', text, flags=re.MULTILINE
    )


def _outcomes(suite: str, report: Path) -> list[Outcome]:
    found: list[Outcome] = []
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        wrong = next((part for part in case if part.tag in {"failure", "error"}), None)
        where = case.get("classname", "").rpartition(".")[2]
        half = "async" if where.startswith("TestAsync") else "sync"
        why = "" if wrong is None else (wrong.get("message") or "").partition("\n")[0]
        found.append(Outcome(suite, half, f"{where}::{case.get('name')}", wrong is None, why))
    return found


def _report(outcomes: Mapping[str, list[Outcome]], said: list[str]) -> int:
    differs: dict[str, str] = tomllib.loads((_HERE / "differs.toml").read_text())["test_client"]
    wrong = said
    print(f"{'':16}{'':8}{'official':>14}{'ours':>14}")
    for suite in _SUITES:
        for half in _HALVES:
            of = {side: [one for one in outcomes[side] if (one.suite, one.half) == (suite, half)] for side in _SIDES}
            passed = {side: sum(one.passed for one in of[side]) for side in _SIDES}
            print(f"{suite:16}{half:8}" + "".join(f"{f'{passed[side]}/{len(of[side])}':>14}" for side in _SIDES))
            for side in _SIDES:
                total = len(of[side])
                least = total * _SHARE_OF_RESOURCES if suite == "API resources" else _LEAST_OF_CLIENT[half]
                if not total or passed[side] < least:
                    wrong.append(f"{suite}, {half}: {passed[side]} of {total} pass for {side}, and {least:g} have to")
    failed = {one.name for one in outcomes["ours"] if not one.passed and one.suite == "test_client.py" and one.half in _HALVES}
    wrong += [f"{name} fails, and differs.toml does not say why" for name in sorted(failed - _named(differs, failed))]
    wrong += [f"{name} is in differs.toml and passes" for name in sorted(differs) if not any(_is(name, one) for one in failed)]
    for one in outcomes["ours"]:
        if not one.passed and one.half in _HALVES:
            reason = next((why for name, why in differs.items() if _is(name, one.name)), one.why)
            print(f"  fails: {one.name}: {reason}")
    print("\n".join(wrong))
    return bool(wrong)


def _is(name: str, test: str) -> bool:
    """Whether a name of differs.toml is that of a test, in whichever half."""
    return name == test.partition("::")[2]


def _named(differs: Mapping[str, str], failed: set[str]) -> set[str]:
    return {one for one in failed if any(_is(name, one) for name in differs)}
