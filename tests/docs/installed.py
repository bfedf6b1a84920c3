"""Programs of the pages in a clean installation: nothing can be imported but what the page says is to be installed."""

from __future__ import annotations

import os
import re
import shlex
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .blocks import ROOT

__all__ = ["environment", "requirements"]

_COMMAND = re.compile(r"^(?:python -m )?pip install (.+)$", re.MULTILINE)
_OURS = "retell-async"
_SITE = """\
import importlib.machinery, re, sys

ABSENT = {absent}
PRESENT = {present}

class Clean(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in ABSENT else super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *context):
        found = super().find_distributions(*context)
        return (one for one in found if re.sub(r"[-_.]+", "-", one.name).lower() in PRESENT)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Clean
"""


def requirements(page: str) -> list[str]:
    """What a page says is to be installed, as ``retell-async[sandbox]`` or ``flask``."""
    asked = [each for command in _COMMAND.findall(page) for each in shlex.split(command, comments=True)]
    return [f"{_OURS}{each.removeprefix('.')}" if each.startswith(".") else each for each in asked]


def environment(folder: Path, installed: list[str], **variables: str) -> dict[str, str]:
    """The environment of a Python in which only these requirements, and theirs, can be imported."""
    present = _closure(installed)
    absent = [
        module
        for module, distributions in packages_distributions().items()
        if not present.intersection(map(canonicalize_name, distributions)) and module not in {"sitecustomize", _OURS.replace("-", "_")}
    ]
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITE.format(absent=sorted(absent), present=sorted(present)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RETELL_", "PYTEST_"))}
    path = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error::ResourceWarning"} | variables


def _closure(installed: list[str]) -> set[str]:
    found: set[tuple[str, frozenset[str]]] = set()
    wanted = [Requirement(each) for each in installed]
    while wanted:
        one = wanted.pop()
        known = (canonicalize_name(one.name), frozenset(one.extras))
        if known in found:
            continue
        found.add(known)
        try:
            needs = distribution(one.name).requires or []
        except PackageNotFoundError:  # for another system or an older Python
            continue
        extras = (*one.extras, "")
        wanted += [
            each
            for each in map(Requirement, needs)
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return {name for name, _ in found}
