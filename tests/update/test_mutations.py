"""For any change of the document: right code, or one refusal with its place and what to do; never a traceback, never a silent loss."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from codegen.canonical import canonical
from codegen.document import Json, Refused, load_file, operations
from codegen.generate import ROOT, decided, pinned
from codegen.rendering import render as rendering
from codegen.rendering.views import Views
from codegen.revisions import update as updating
from codegen.revisions.checked import parse
from codegen.revisions.diff import Revision, difference
from codegen.revisions.report import markdown
from codegen.words import load

from . import mutations, revisions

SURFACE = load_file(ROOT / "openapi" / "surface.yaml")
OPENAPI = ROOT / "openapi"
FAST, ALL = range(7, 207, 40), range(200)


def document(seed: int) -> tuple[Json, str]:
    made = deepcopy(revisions.PART)
    said = mutations.mutated(made, seed)
    return made, said


def outcome(changed: Json) -> tuple[Json, Views, Json] | Refused:
    """What comes of a document, up to what templates see."""
    try:
        facts = canonical(parse(json.dumps(changed).encode(), "the document"))
        before = pinned(OPENAPI, revisions.PART)
        left = updating.left_out(facts, before, OPENAPI, SURFACE)
        whole = pinned(OPENAPI, facts, left=left)
        views = decided(whole, SURFACE, load(OPENAPI / "docs"))
        assert markdown(difference(Revision.of(before, SURFACE), Revision.of(whole, SURFACE)), left) is not None
    except Refused as refused:
        return refused
    return whole, views, left


def assert_well_refused(refused: Refused, said: str) -> None:
    assert refused.pointer.startswith("/"), (said, str(refused))
    assert refused.remedy or any(word in refused.reason for word in ("overlay", "surface")), (said, str(refused))


def assert_nothing_lost(changed: Json, whole: Json, views: Views, left: Json) -> None:
    assert len(views.operations) + len(left) == sum(1 for _ in operations(changed))
    fields = {field.wire for view in views.classes for field in view.fields}
    needed = {name for _, _, said in operations(whole) for schema in mutations.walked(said) for name in schema.get("properties", {})}
    assert needed <= fields | {"status", "message"} | {field.wire for view in views.operations for field in view.fields["body"]}


@pytest.mark.parametrize("seed", FAST)
def test_a_change_is_right_or_refused_with_its_place(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, said = document(seed)
    found = outcome(changed)
    if isinstance(found, Refused):
        assert_well_refused(found, said)
        return
    whole, views, left = found
    assert_nothing_lost(changed, whole, views, left)
    monkeypatch.setattr(subprocess, "run", lambda *_arguments, **_options: subprocess.CompletedProcess([], 0))
    rendering.render(views, tmp_path)
    for path in tmp_path.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


USE = """
import importlib, inspect, json, pkgutil
from retell_async import raw
from retell_async._core.encode import encode
from retell_async.sandbox import Sandbox
from retell_async.sandbox.openapi.document import packaged_document
from retell_async.sandbox.openapi.schema_values import minimal_value

document, sandbox = packaged_document(), Sandbox()
for found in pkgutil.walk_packages(raw.__path__, "retell_async.raw."):
    module = importlib.import_module(found.name)
    operation = getattr(module, "OPERATION", None)
    if operation is None:
        continue
    route = document.routes[operation.id]
    given = {}
    for name, parameter in inspect.signature(module.request).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            given[name] = "x"
            if name == "body":
                body = route.json_schema
                given[name] = {} if body is None else minimal_value(body, document.resolve)
    sent = encode(module.request(**given), base_url="https://x.test")
    path, _, query = sent.target.partition("?")
    content = sent.content or b""
    answer = sandbox.answer(operation.method, path, query=query, authorization="Bearer k", content_type="application/json", content=content)
    assert answer.status < 500, (operation.id, answer)
    if operation.media == "json" and answer.status < 300 and answer.body is not None:
        spec, decode = operation.decode_of(answer.status)
        decoded = decode(json.loads(json.dumps(answer.body)))
        assert spec is None or decoded is not None
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mutations") / "tree"
    for name in ("openapi", "retell_async"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CHANGELOG.md", root)
    revisions.written(revisions.PART, root / "openapi" / "openapi.yaml")
    return root


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.parametrize("seed", ALL)
def test_what_is_right_imports_has_types_encodes_decodes_and_is_answered(
    seed: int, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, said = document(seed)
    monkeypatch.setattr(updating, "_TYPES", (*updating._TYPES[:-1], f"--cache-dir={tree.parent / 'types'}"))
    used: list[str] = []

    def used_too(made: Path, generated: Views, try_out: object = updating.try_out) -> None:
        try_out(made, generated)  # type: ignore[operator]
        done = subprocess.run([sys.executable, "-B", "-c", USE], cwd=made, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (said, done.stderr)
        used.append(said)

    monkeypatch.setattr(updating, "try_out", used_too)
    spec = tmp_path / "new.json"
    spec.write_text(json.dumps(changed), encoding="utf-8")
    try:
        done = updating.update(str(spec), root=tree, write=False)
    except Refused as refused:
        assert_well_refused(refused, said)
        return
    assert done.made is None or used == [said]
    assert done.made is None or len(done.made.operations) + len(done.left_out) == sum(1 for _ in operations(changed))
