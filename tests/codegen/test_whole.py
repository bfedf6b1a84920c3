"""The whole way: from a document to a package."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from codegen import marks
from codegen.canonical import canonical
from codegen.document import Json, load_file, operations, resolved
from codegen.generate import GENERATED, ROOT, differences, generate, generate_pinned, pinned
from codegen.passes.members import may_be_unknown, unknown_name
from codegen.passes.names import python_name
from codegen.prepare import prepare
from codegen.rendering.views import Views
from codegen.surface import entries
from retell_async import AsyncRetell
from retell_async._core.operation import Operation, RequestOptions
from retell_async.raw import api

from .revisions import REVISIONS, Revision
from .small import object_, posting

pytestmark = pytest.mark.parallel

STOCK_LINES = 151_683
PACKAGE = ROOT / "retell_async"
NO_WORDS: Json = {}
PINNED = pinned()
SURFACE = load_file(ROOT / "openapi" / "surface.yaml")
OPERATIONS = {f"{method.upper()} {path}": operation for method, path, operation in operations(PINNED)}
METHODS = [(key, name) for key, entry in entries(PINNED, SURFACE).items() for name in entry.methods]


@cache
def prepare_once() -> Json:
    return prepare(PINNED)


@cache
def raw_modules() -> dict[str, Any]:
    """Raw modules by ``METHOD /path`` of their operation."""
    found: dict[str, Any] = {}
    for info in pkgutil.walk_packages(api.__path__, f"{api.__name__}."):
        if not info.ispkg:
            module = importlib.import_module(info.name)
            operation: Operation[Any] = module.OPERATION
            assert f"{operation.method} {operation.path}" not in found
            found[f"{operation.method} {operation.path}"] = module
    return found


def generated(package: Path = PACKAGE) -> Iterator[Path]:
    for folder in ("raw", "resources"):
        yield from sorted((package / folder).rglob("*.py"))


def trees(package: Path = PACKAGE) -> Iterator[tuple[Path, ast.Module]]:
    for path in generated(package):
        yield path, ast.parse(path.read_text(encoding="utf-8"), filename=path.name)


@cache
def parameters(key: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """What the document says that an operation takes: in its path, in query or headers, in its body, and what of it is required."""
    prepared = prepare_once()
    method, _, path = key.partition(" ")
    operation = prepared["paths"][path][method.lower()]
    beside = [
        (python_name(said["name"]) if said["in"] == "header" else said["name"], said)
        for said in operation["parameters"]
        if said["in"] != "path"
    ]
    required = [name for name, said in beside if said.get("required")]
    body: list[str] = []
    for media in operation.get("requestBody", {}).get("content", {}).values():
        schema = resolved(prepared, media["schema"])
        body = [name for name, field in schema["properties"].items() if not field.get("readOnly")]
        required += [name for name in schema.get("required", ()) if name in body]
    return re.findall(r"{([^}]*)}", path), [name for name, _ in beside], body, required


def test_every_operation_of_the_pinned_document_has_a_name_and_a_rule() -> None:
    """The surface's, or one of its own that the surface may still be told of."""
    named = entries(PINNED, SURFACE)
    assert named.keys() == OPERATIONS.keys()
    assert all(entry.methods and entry.repeat for entry in named.values())
    assert {key for key, entry in named.items() if entry.named} == OPERATIONS.keys() & SURFACE.keys()


def test_every_operation_has_a_raw_module() -> None:
    assert raw_modules().keys() == OPERATIONS.keys()
    for key, operation in OPERATIONS.items():
        module = raw_modules()[key]
        assert module.OPERATION.id == operation["operationId"]
        assert inspect.iscoroutinefunction(module.send)
        assert callable(module.request)


@pytest.mark.parametrize(("key", "name"), METHODS, ids=[name for _, name in METHODS])
def test_every_operation_is_a_method_with_the_parameters_of_the_document(key: str, name: str) -> None:
    resource, _, method = name.partition(".")
    client = AsyncRetell("key")
    found = getattr(getattr(client, resource), method)
    assert hasattr(getattr(client, resource).with_raw_response, method)
    path, query, body, required = parameters(key)
    given = {
        said: parameter for said, parameter in inspect.signature(found).parameters.items() if said not in RequestOptions.__annotations__
    }
    names = [said.removesuffix("_") if said.removesuffix("_") in (*query, *body) else said for said in given]
    assert sorted(names) == sorted([*path, *query, *body])
    by_place = [said for said, parameter in given.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert by_place == path[-1:]
    without_default = {said for said, parameter in given.items() if parameter.default is parameter.empty}
    assert without_default == {*path, *required}


def test_every_method_takes_the_options_of_a_request() -> None:
    assert not {name for key in OPERATIONS for part in parameters(key)[:3] for name in part} & RequestOptions.__annotations__.keys()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg:
                assert ast.unparse(node.args.kwarg) == "options: Unpack[RequestOptions]"


@pytest.mark.soak
def test_committed_code_is_what_the_document_says_and_generating_again_changes_no_byte(tmp_path: Path) -> None:
    assert differences() == []
    for name in ("one", "two"):
        generate_pinned(tmp_path / name)
    one, two = ({path.relative_to(tmp_path / name): path.read_bytes() for path in generated(tmp_path / name)} for name in ("one", "two"))
    assert one == two
    assert one == {path.relative_to(PACKAGE): path.read_bytes() for path in generated()}


@pytest.mark.soak
def test_a_changed_a_missing_and_an_added_file_are_noticed(tmp_path: Path) -> None:
    generate_pinned(tmp_path)
    changed, missing = tmp_path / "resources" / "agent.py", tmp_path / "raw" / "models" / "agent_response.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    missing.unlink()
    (tmp_path / "raw" / "api" / "added.py").touch()
    assert differences(tmp_path) == ["raw/api/added.py", "raw/models/agent_response.py", "resources/agent.py"]


def test_class_names_are_unique_and_none_is_a_position() -> None:
    names = [node.name for path, tree in trees() if path.parent.name == "models" for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(names) == len(set(names)) > 300
    every = {name for _, tree in trees() for name in _defined(tree)}
    assert not [name for name in every if re.search(r"(Type|Item|Member|Option|Variant|AllOf|OneOf|AnyOf)_?\d+(Param)?$", name)]


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_nothing_is_tried_in_generated_code() -> None:
    for path, tree in trees():
        tried = [node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.TryStar | ast.ExceptHandler | ast.Raise)]
        names = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        assert path.name == "__init__.py" or path.parent.name == "resources" or not tried  # where names of a module are looked up
        assert not [node for node in tried if not isinstance(node, ast.Raise)]
        assert not names & {"isinstance", "suppress", "from_dict", "cast"}


def test_unions_are_chosen_by_tables_that_tell_every_member_apart() -> None:
    for name, schema in prepare_once()["components"]["schemas"].items():
        objects = [member for member in schema.get("oneOf", ()) if "properties" in resolved(prepare_once(), member)]
        if len(objects) > 1:
            values = [value for member in objects for value in member.get("x-values", [member.get("x-key", "")])]
            assert len(values) == len(set(values)), name


def test_generated_code_is_at_most_a_quarter_of_the_stock_output() -> None:
    assert sum(code_lines(path) for path in generated()) <= STOCK_LINES / 4


def code_lines(path: Path) -> int:
    """Lines without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documented.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    with tokenize.open(path) as lines:
        return sum(number not in documented for number, _ in enumerate(lines, 1))


def packaged(revision: Revision, folder: Path) -> tuple[Json, Views]:
    """A package of its own of a revision, with the hand-written modules of ours."""
    package = folder / "retell_async"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "raw", "resources", "sandbox", "webhooks"))
    document = canonical(revision.load())
    return document, generate(document, SURFACE, NO_WORDS, package)


def test_what_a_killed_generation_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / ".new-abc" / "raw").mkdir(parents=True)
    generate(posting(object_()), {}, NO_WORDS, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*GENERATED}


USE_OF_ANY = """
import importlib, json, pkgutil, sys
from retell_async import AsyncRetell
from retell_async.raw import api, models, params
client = AsyncRetell("key")
operations = [importlib.import_module(i.name).OPERATION for i in pkgutil.walk_packages(api.__path__, api.__name__ + ".") if not i.ispkg]
for module in (models, params):
    for name in dir(module):
        getattr(module, name)
for operation in operations:
    operation.decode
methods = {}
for resource in pkgutil.iter_modules(importlib.import_module("retell_async.resources").__path__):
    if resource.name.startswith("_"):
        continue
    found = getattr(client, resource.name)
    methods[resource.name] = sorted(name for name in vars(type(found)) if name[0] != "_" and not name.endswith("_response"))
    assert sorted(vars(found.with_raw_response)) == sorted(vars(found.with_streaming_response)) == methods[resource.name]
found = [f"{operation.method} {operation.path}" for operation in operations]
print(json.dumps({"operations": found, "models": dir(models), "methods": methods, "from": models.__file__}))
"""


def run(code: str, folder: Path) -> str:
    told = ["-W", "error", "-W", "default:client.:DeprecationWarning"]  # an operation of the document that is deprecated says so
    done = subprocess.run([sys.executable, *told, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("revision", REVISIONS, ids=str)
def test_another_revision_without_an_edit_by_hand(revision: Revision, tmp_path: Path) -> None:
    document, made = packaged(revision, tmp_path)
    keys = [f"{method.upper()} {path}" for method, path, _ in operations(document)]
    assert len(made.operations) == len(keys) == revision.operations
    seen = json.loads(run(USE_OF_ANY, tmp_path))
    assert Path(seen["from"]).is_relative_to(tmp_path)
    assert sorted(seen["operations"]) == sorted(keys)
    assert sum(map(len, seen["methods"].values())) == sum(len(one.methods) for one in made.resources) >= revision.operations
    prepared = prepare(document)
    unions = {name for name, schema in prepared["components"]["schemas"].items() if "oneOf" in schema and may_be_unknown(prepared, schema)}
    assert set(seen["models"]) == {*prepared["components"]["schemas"], *(unknown_name(prepared, name) for name in unions)}
    assert set(made.prepared[marks.UNREACHABLE]) <= document["components"]["schemas"].keys()


USE_OF_TRAPS = """
import asyncio, httpx, inspect, json
from retell_async import AsyncRetell, UnknownObject
from retell_async.raw import models

seen = []
KEEPER = {"keeper_id": "k", "name": None,
    "animals": [{"type": "cat", "prey": [{"type": "duck"}, None]}, {"type": "shark"}, {"type": "dodo", "x": 1}],
    "by_name": {"Tom": {"type": "owl", "name": "Tom"}}, "boss": {"keeper_id": "b"}, "shift_plan": {"days": [{"day": "mo", "class": "a"}]},
    "reached": [{"cage_id": "c", "x-size": 1.5}], "last_word": "other"}

def serve(request):
    seen.append((request.method, request.url.raw_path.decode(), request.content))
    if request.method == "DELETE" or "feed" in request.url.path:
        return httpx.Response(204)
    if "list-keepers" in request.url.path:
        more = b"next" not in request.content
        return httpx.Response(200, json={"items": [KEEPER], "has_more": more, **({"pagination_key": "next"} if more else {})})
    if "list-cages" in request.url.path:
        return httpx.Response(200, json=[{"cage_id": "c"}])
    if "move" in request.url.path:
        return httpx.Response(200, json={"outside_since": 3})
    return httpx.Response(200, json=KEEPER)

async def main():
    http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    async with AsyncRetell("key", base_url="http://zoo.test", http_client=http) as client:
        keeper = await client.keeper.retrieve("a/b", version=3)
        assert seen[-1][:2] == ("GET", "/v2/get-keeper/a%2Fb?version=3")
        assert type(keeper) is models.Keeper and keeper.to_dict() == KEEPER
        assert [type(animal).__name__ for animal in keeper.animals] == ["Cat", "AnimalFish", "UnknownAnimal"], keeper.animals
        assert isinstance(keeper.animals[2], UnknownObject) and (keeper.animals[2].name, keeper.animals[2].x) == (None, 1)
        assert type(keeper.animals[0].prey[0]) is models.Duck and keeper.animals[0].prey[1] is None
        assert type(keeper.by_name["Tom"]) is models.Owl and type(keeper.boss) is models.Keeper
        assert keeper.shift_plan.days[0].class_ == "a" and keeper.reached[0].x_size == 1.5
        assert await client.keeper.retrieve_v1("k") == keeper
        await client.keeper.create(name="n", favourite={"type": "cat", "name": "Tom"}, timeout_=3, from_="near")
        assert json.loads(seen[-1][2]) == {"name": "n", "favourite": {"type": "cat", "name": "Tom"}, "timeout": 3, "from": "near"}
        try:
            await client.keeper.create(name="n", alias="a")
        except ValueError as error:
            assert "exclude each other" in str(error)
        else:
            raise AssertionError("alias")
        assert "keeper_id" not in inspect.signature(client.keeper.create).parameters
        assert [one.to_dict() async for one in client.keeper.list(sort="ascending")] == [KEEPER, KEEPER]
        assert [one async for one in client.cage.list(tags=["a", "b"])] == [models.Cage(cage_id="c")]
        assert seen[-1][1] == "/list-cages?tags%5B%5D=a&tags%5B%5D=b"
        assert type(await client.animal.move("cage", animal="ani mal")) is models.PlaceOutsideSince
        assert seen[-1][:2] == ("PUT", "/move-animal/ani%20mal/to/cage")
        assert (await client.anything.retrieve()) == KEEPER
        assert await client.keeper.delete("k") is None
        assert await client.feeding.import_(menu=[("a.txt", b"A")], portions=[{"grams": 1}], note="n") is None
        assert b'[{"grams":1}]' in seen[-1][2] and b'filename="a.txt"' in seen[-1][2]

asyncio.run(main())
"""


def test_every_trap_at_once_gives_a_package_that_works(tmp_path: Path) -> None:
    packaged(REVISIONS[0], tmp_path)
    run(USE_OF_TRAPS, tmp_path)
