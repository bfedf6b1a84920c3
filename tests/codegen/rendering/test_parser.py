"""openapi-python-client at work: what its parser finds is what is generated, and what it leaves out is refused."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from openapi_python_client.parser import bodies, openapi, properties, responses
from openapi_python_client.parser.properties import AnyProperty
from openapi_python_client.strings import PythonIdentifier

from codegen.canonical import canonical
from codegen.document import Json, load_file, operations
from codegen.generate import ROOT, pinned
from codegen.parser import parse
from codegen.prepare import parsed, prepare
from codegen.rendering import render as rendering
from codegen.rendering.views import Views, views
from codegen.surface import entries

from ..revisions import REVISIONS
from ..small import STRING, document, object_, operation, refused

pytestmark = pytest.mark.parallel


def written(prepared: Json, surface: Json, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Views, dict[str, str]]:
    """All that is generated from a document, before it is tidied."""
    monkeypatch.setattr(rendering, "_tidy", lambda _: None)
    seen = views(prepared, entries(prepared, surface))
    rendering.render(seen, folder)
    return seen, {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}


def types_replaced_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parser find every component, and in every place where one is used, or any other type, that there may be anything."""
    real = properties.property_from_data

    def nothing(name: Any, required: bool, schemas: Any, process_properties: bool = True, **said: Any) -> Any:
        if not process_properties:  # a component itself
            return real(name=name, required=required, schemas=schemas, process_properties=False, **said)
        python = PythonIdentifier(name, "")
        return AnyProperty(name=name, required=required, default=None, python_name=python, description=None, example=None), schemas

    for module in (bodies, openapi, properties, responses):
        monkeypatch.setattr(module, "property_from_data", nothing)


def typed(types: Iterable[str]) -> bool:
    """Whether there is a type among these."""
    return any(one not in {"Any", "None"} for one in types)


@pytest.mark.parametrize("which", ["every trap", pytest.param("what is pinned", marks=pytest.mark.soak)])
def test_types_are_the_parsers(which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_pinned = which == "what is pinned"
    prepared = prepare(pinned() if is_pinned else canonical(REVISIONS[0].load()))
    surface = load_file(ROOT / "openapi" / "surface.yaml") if is_pinned else {}
    seen, with_types = written(prepared, surface, tmp_path / "types", monkeypatch)
    types_replaced_by_nothing(monkeypatch)
    nothing, without = written(prepared, surface, tmp_path / "nothing", monkeypatch)
    models = {f"raw/{view.folder}/{view.module}.py" for view in seen.classes if view.kind != "enum" and typed(view.types)}
    endpoints = {
        f"raw/api/{view.group}/{view.module}.py"
        for view in seen.operations
        if typed([view.returns, *(field.type for field in [*view.fields["path"], *view.fields["query"]])])
    }
    resources = {f"{folder}/{view.name}.py" for view in seen.resources for folder in ("resources", "resources/_sync") if typed(view.types)}
    assert len(models) > 20
    assert endpoints
    assert {name for name in models | endpoints | resources if with_types[name] == without[name]} == set()
    assert not [view for view in nothing.classes if view.kind != "enum" and typed(view.types)]


def test_the_parser_takes_the_whole_prepared_document() -> None:
    for revision in REVISIONS:
        prepared = prepare(canonical(revision.load()))
        found = parsed(prepared)
        assert {name for name in prepared["components"]["schemas"] if name not in found.enums} <= found.models.keys()
        assert {f"{method.upper()} {path}" for method, path, _ in operations(prepared)} == found.endpoints.keys()
        assert not found.data.errors
        assert not [error for tag in found.data.endpoint_collections_by_tag.values() for error in tag.parse_errors]


def test_what_the_parser_leaves_out_is_refused_with_its_place() -> None:
    twins = prepare(document({"/get-thing": {"get": operation(answer=object_(type=STRING, type_=STRING))}}))
    where, reason = refused(lambda given: views(given, entries(given, {})), twins)
    assert where == "/components/schemas/GetThingResponse"
    assert reason == "'type' and 'type_' are too alike to be told apart as names in Python: remove one by the overlay"
    parameters = [{"name": name, "in": "query", "schema": STRING} for name in ("type", "type_")]
    where, reason = refused(
        lambda given: views(prepare(given), entries(given, {})), document({"/get-thing": {"get": operation(parameters=parameters)}})
    )
    assert (where, "left it out" in reason) == ("/paths/~1get-thing/get", True)


def test_what_is_no_document_is_refused_on_one_line() -> None:
    where, reason = refused(parse, {"openapi": "3.1.0", "info": {}, "paths": {}})
    assert (where, reason.isprintable()) == ("", True)


def test_one_file_alone_knows_the_generator_and_nothing_that_is_private_in_it() -> None:
    users = {path for path in (ROOT / "codegen").rglob("*.py") if "openapi_python_client" in path.read_text(encoding="utf-8")}
    assert {path.relative_to(ROOT).as_posix() for path in users} == {"codegen/parser.py"}
    tree = ast.parse((ROOT / "codegen" / "parser.py").read_text(encoding="utf-8"))
    imported = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and str(node.module).startswith("openapi_python_client")
    ]
    assert imported
    assert not [alias.name for node in imported for alias in node.names if alias.name.startswith("_") or "._" in str(node.module)]
