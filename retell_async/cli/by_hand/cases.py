"""Test cases in files, and what came of their runs: functions over values, other than reading the files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import attrs

from ..._core.errors import ConfigurationError
from ..operations import table
from ..operations.arguments import faults
from ..operations.table import Json
from ..times import plain

__all__ = ["Case", "Compared", "Result", "changes", "compared", "junit", "read_cases", "results"]

_OPERATION = "create_test_case_definition"
_ENGINE = "response_engine"  # is said once, for all


@attrs.frozen
class Case:
    """A test case as it stands in a file."""

    name: str
    fields: Json
    file: Path

    @property
    def where(self) -> str:
        """Its place, for what is said of it."""
        return f"{self.file}: {plain(self.name)}"


def read_cases(paths: Iterable[Path]) -> list[Case]:
    """The test cases in files, and in all files of folders: one or a list of JSON, TOML (``[[cases]]``) or YAML.

    :raises ConfigurationError: one cannot be read, lacks something, has what test cases do not have or cannot be, or has the name of
        another.
    """
    files = [file for path in paths for file in (sorted(_files(path)) if path.is_dir() else [path])]
    found = [_case(fields, file) for file in files for fields in _read(file)]
    names: dict[str, Path] = {}
    for case in found:
        if case.name in names:
            raise ConfigurationError(f"{case.file}: a test case {case.name!r} is in {names[case.name]} already")
        names[case.name] = case.file
    if not found:
        raise ConfigurationError("there is no test case in these files")
    return found


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in {".json", ".toml", ".yaml", ".yml"}]


def _read(file: Path) -> list[Any]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".toml":
            read: Any = tomllib.loads(text)
        elif file.suffix in {".yaml", ".yml"}:
            read = _yaml(text)
        else:
            read = json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{file}: {error}") from None
    if isinstance(read, dict):
        fields = cast("Json", read)
        read = fields.get("cases", fields)
    return list(cast("Sequence[Any]", read)) if isinstance(read, list) else [read]


def _yaml(text: str) -> Any:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: YAML needs `pip install ruamel.yaml`; JSON and TOML need nothing") from None
    try:
        reader: Any = YAML(typ="safe", pure=True)
        return reader.load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from None


def _case(fields: Any, file: Path) -> Case:
    operation = table.operation("tests", _OPERATION)
    there = [name for name in operation.arguments if name != _ENGINE]
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{file}: a test case is an object with {', '.join(there)}")
    said = cast("Json", fields)
    where = f"{file}: {said.get('name', 'a test case')!s}"
    if unknown := [name for name in said if name not in there]:
        raise ConfigurationError(f"{where}: {unknown[0]} is no field of a test case: {', '.join(there)}")
    if missing := [name for name in operation.required if name != _ENGINE and not said.get(name)]:
        raise ConfigurationError(f"{where} needs {missing[0]}")
    if wrong := [fault for name, value in said.items() for fault in faults(operation.arguments[name], value, name)]:
        raise ConfigurationError("\n".join(f"{where}: {fault}" for fault in wrong))
    return Case(str(said["name"]), said, file)


def changes(case: Case, known: Mapping[str, Any] | None) -> Json:
    """What to write so that the account has a test case as the file has it; all of it if the account has none of this name."""
    return case.fields if known is None else {name: value for name, value in case.fields.items() if known.get(name) != value}


@attrs.frozen
class Result:
    """What came of a test case."""

    id: str
    """Of its definition."""
    name: str
    verdict: str
    """``pass``, ``fail`` or ``error``."""
    why: str = ""
    transcript: str = ""


def results(runs: Iterable[Mapping[str, Any]]) -> list[Result]:
    """Results from runs, in their order."""
    return [
        Result(
            str(run["test_case_definition_id"]),
            str(run.get("test_case_definition_snapshot", {}).get("name") or run["test_case_definition_id"]),
            str(run["status"]),
            str(run.get("result_explanation") or ""),
            _said(run.get("transcript_snapshot") or {}),
        )
        for run in runs
    ]


def _said(snapshot: Mapping[str, Any]) -> str:
    if isinstance(found := snapshot.get("transcript"), str):
        return found
    messages = cast("Sequence[Mapping[str, Any]]", snapshot.get("messages") or ())
    return "\n".join(f"{said.get('role')}: {said.get('content')}" for said in messages)


@attrs.frozen
class Compared:
    """What is otherwise than in an earlier batch, by names of test cases."""

    worse: Sequence[str]
    """They passed before."""
    better: Sequence[str]
    """They pass now."""
    new: Sequence[str]
    """They were not run before."""


def compared(now: Iterable[Result], before: Iterable[Result]) -> Compared:
    """Compare two batches by the definitions of their test cases."""
    known = {result.id: result.verdict == "pass" for result in before}
    some = list(now)
    return Compared(
        [one.name for one in some if known.get(one.id) is True and one.verdict != "pass"],
        [one.name for one in some if known.get(one.id) is False and one.verdict == "pass"],
        [one.name for one in some if one.id not in known],
    )


def junit(suite: str, found: Sequence[Result], seconds: float) -> str:
    """The results as JUnit's XML: what fails is a failure, what broke off an error."""
    count = {verdict: sum(one.verdict == verdict for one in found) for verdict in ("pass", "fail")}
    errors = len(found) - count["pass"] - count["fail"]
    numbers = {"tests": str(len(found)), "failures": str(count["fail"]), "errors": str(errors), "time": f"{seconds:.3f}"}
    root = ET.Element("testsuites", numbers)
    inside = ET.SubElement(root, "testsuite", {"name": _xml(suite), **numbers})
    for one in found:
        case = ET.SubElement(inside, "testcase", {"classname": _xml(suite), "name": _xml(one.name), "time": "0"})
        if one.verdict != "pass":
            kind = "failure" if one.verdict == "fail" else "error"
            ET.SubElement(case, kind, {"message": _xml(one.why or one.verdict)}).text = _xml(one.why)
        if one.transcript:
            ET.SubElement(case, "system-out").text = _xml(one.transcript)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """A text without what XML cannot hold."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
