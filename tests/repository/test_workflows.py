"""The workflows: every version that the package is for, every system, the lowest and the newest dependencies; a release without a token."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GITHUB = ROOT / ".github"
EXTRAS = PROJECT["project"]["optional-dependencies"]


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(GITHUB / name)


def commands(job: Any) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


CI = load("workflows/ci.yml")
RELEASE = load("workflows/release.yml")


def test_it_runs_for_every_push_and_every_change() -> None:
    assert {"push", "pull_request"} <= CI["on"].keys()


def test_every_version_on_every_system() -> None:
    matrix = CI["jobs"]["test"]["strategy"]["matrix"]
    versions = [
        found[1]
        for name in PROJECT["project"]["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", name))
    ]
    assert matrix["python"] == versions
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_the_lowest_dependencies_and_the_newest() -> None:
    job = CI["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert matrix["dependencies"] == ["highest"]
    assert {one["dependencies"] for one in matrix["include"]} == {"lowest-direct"}
    assert "uv pip compile --resolution ${{ matrix.dependencies }} --all-extras" in commands(job)


def test_the_lowest_dependencies_go_with_what_is_installed_beside_them() -> None:
    """Or the job of the lowest can install nothing: the pinned generator says what it needs; stubs have versions of their library."""
    own = [Requirement(line) for line in chain(PROJECT["project"]["dependencies"], *EXTRAS.values())]
    lowest = {one.name: each.version for one in own for each in one.specifier if each.operator in {">=", "=="}}
    pinned = {*re.findall(r"'([\w.-]+)==", str(PROJECT["dependency-groups"]["codegen"]))}
    assert "openapi-python-client" in pinned
    needed = [needed for name in pinned for needed in map(Requirement, requires(name) or ()) if needed.name in lowest]
    assert [str(one) for one in needed if lowest[one.name] not in one.specifier] == []
    assert f"pyarrow-stubs>={lowest['pyarrow']}" in PROJECT["dependency-groups"]["test"]


def test_every_extra_is_installed_and_every_test_runs() -> None:
    (installed,) = re.findall(r'--editable "\.\[([\w,]+)\]"', commands(CI["jobs"]["test"]))
    assert {*installed.split(",")} == {*EXTRAS}
    assert '-m "not soak"' in commands(CI["jobs"]["test"])
    everything = "\n".join(commands(job) for job in CI["jobs"].values())
    for target in re.search(r"for target in (.*?);", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))[1].split():  # type: ignore[index]
        assert f"make {target}" in everything or target == "test"


def test_what_is_built_is_tested_before_it_is_published() -> None:
    package = commands(CI["jobs"]["package"])
    assert package.index("uv build") < package.index("make --directory unpacked test")
    jobs = RELEASE["jobs"]
    assert (jobs["ci"]["needs"], jobs["publish"]["needs"]) == ("version", "ci")
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in CI["on"]


def test_a_release_is_published_without_a_token() -> None:
    publish = RELEASE["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "release"
    (last,) = publish["steps"][-1:]
    assert last["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert "with" not in last
    for path in (GITHUB / "workflows").iterdir():
        assert "secrets." not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem)
def test_a_form_asks_for_something(path: Path) -> None:
    form = load(f"ISSUE_TEMPLATE/{path.name}")
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_an_update_adds_to_the_change_that_is_open_and_takes_nothing_back() -> None:
    (job,) = load("workflows/spec-update.yml")["jobs"].values()
    assert "select(.isCrossRepository | not)" in commands(job)  # a branch of somebody's fork is not here
    said = commands(job)
    assert not re.search(r"--force|push -f|reset --hard|push.*\+", said)
    assert said.index("gh pr list") < said.index("git merge") < said.index("codegen update") < said.index("git push")
    assert any(step.get("with", {}).get("fetch-depth") == 0 for step in job["steps"])
    updating, told = (next(step for step in job["steps"] if word in step.get("run", "")) for word in ("codegen update", "::warning::"))
    assert updating["shell"] == "bash"  # else a pipe hides that the update was refused
    assert "told.txt" in updating["run"]
    assert "told.txt" in told["run"]  # where nothing is new, no change shows what is told
