"""Names that generated code has itself: what is called the same steps aside, or is refused with the way out."""

from __future__ import annotations

import ast
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

from codegen.__main__ import main
from codegen.canonical import canonical
from codegen.document import Json, Refused
from codegen.generate import GENERATED, ROOT, generate
from codegen.prepare import prepare
from codegen.rendering.views import Views, views
from codegen.reserved import CLASSES, FIELDS, KEYED_FIELDS, KEYWORDS, METHODS, MODULES, OPTIONS, RAW_KEYWORDS, RESOURCES
from codegen.revisions.update import _TRY, try_out
from codegen.surface import entries
from retell_async import AsyncRetell
from retell_async._core.model import KeyedModel, Model
from retell_async._core.operation import RequestOptions
from retell_async._core.resource import Resource
from retell_async.resources import Resources

from .small import STRING, content, document, object_, operation, posting, refused

pytestmark = pytest.mark.parallel

PACKAGE = ROOT / "retell_async"
TAKEN = ("api_key", "request", "stream", "copy", "close", "base_url", "send", "paginate", "with_options", "max_retries", "is_closed")


def functions(folder: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for path in folder.rglob("[!_]*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def loaded(nodes: list[ast.stmt] | list[ast.expr]) -> set[str]:
    return {inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def viewed(given: Json, surface: Json | None = None) -> Views:
    prepared = prepare(canonical(given))
    return views(prepared, entries(prepared, surface or {}))


def package(given: Json, folder: Path, surface: Json | None = None) -> Views:
    """A package of a document."""
    made = folder / "retell_async"
    shutil.copytree(PACKAGE, made, ignore=shutil.ignore_patterns("__pycache__", *GENERATED))
    return generate(canonical(given), surface or {}, {}, made)


def hints(method: str, resource: str = "thing") -> Json:
    return {"x-retell-sdk-resource": resource, "x-retell-sdk-method": method}


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-B", "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Plain:
    """What Python itself gives a class, which is more in some versions than in others."""


def test_what_classes_have_is_known_from_their_source() -> None:
    namespaces = {name for name, value in vars(Resources).items() if isinstance(value, cached_property)}
    client = AsyncRetell("key")
    assert {*dir(client)} - {*dir(Plain)} - namespaces <= RESOURCES | {"__annotations__"}
    assert {*vars(Resource(client))} | {"with_raw_response", "with_streaming_response"} <= METHODS
    assert RequestOptions.__annotations__.keys() == OPTIONS
    assert {name for kind in (Model, KeyedModel) for name in dir(kind) if not name.startswith("_")} <= FIELDS | KEYED_FIELDS
    assert not namespaces & RESOURCES


def test_what_generated_functions_use_is_known_from_the_templates() -> None:
    for function in functions(PACKAGE / "raw" / "api"):
        assert loaded(function.body) - {argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]} <= RAW_KEYWORDS
    assert {"client", "body", "options"} <= RAW_KEYWORDS
    for function in functions(PACKAGE / "resources"):
        if function.args.kwarg is None:
            continue
        own = loaded(function.body) - {argument.arg for argument in function.args.kwonlyargs + function.args.args[1:]}
        modules = {node.value.id for node in ast.walk(function) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
        assert own - modules <= KEYWORDS
        assert loaded([*function.decorator_list, *(node for node in function.args.kw_defaults if node)]) <= METHODS | CLASSES
    assert {"lookup", "import_module", "omit", "deprecated", "gone"} <= MODULES


@pytest.mark.parametrize("name", TAKEN)
def test_a_resource_that_the_client_hides_is_refused_with_the_way_out(name: str) -> None:
    given = document({"/create-it": {"post": operation(**hints("create", name))}})
    way_out = f"in openapi/surface.yaml, such as POST /create-it: {{methods: [{name}_.create]}}"
    where, reason = refused(viewed, given)
    assert where == "/paths/~1create-it"
    assert reason == f"client.{name}.create is taken: name it {way_out}"
    where, reason = refused(lambda one: viewed(one, {"POST /create-it": {"methods": [f"{name}.create"]}}), given)
    assert where == "/surface/POST ~1create-it"
    assert reason.endswith(way_out)
    (resource,) = viewed(given, {"POST /create-it": {"methods": [f"{name}_.create"]}}).resources
    assert (resource.name, resource.methods[0].name) == (f"{name}_", "create")


def test_a_resource_that_names_itself_by_its_path_is_looked_at_too() -> None:
    where, reason = refused(viewed, document({"/list-api-keys": {"get": operation()}}))
    assert where == "/paths/~1list-api-keys"
    assert reason.endswith("such as GET /list-api-keys: {methods: [api_key_.list]}")


def test_a_method_that_resources_hide_is_refused_too() -> None:
    for name in ("with_raw_response", "with_streaming_response", "omit", "property", "str"):
        _, reason = refused(viewed, document({"/thing": {"get": operation(**hints(name))}}))
        assert reason.endswith(f"such as GET /thing: {{methods: [thing.{name}_]}}")


def test_the_surface_may_not_take_a_name_either() -> None:
    given = document({"/get-thing": {"get": operation()}})
    for name in ("copy.get", "thing.with_raw_response", "thing._sender", "thing", "thing.get.more", "thing.", "class.get", "__init__.get"):
        assert refused(lambda one, name=name: viewed(one, {"GET /get-thing": {"methods": [name]}}), given)[0] == "/surface/GET ~1get-thing"  # type: ignore[misc]


OWN = (
    "self",
    "options",
    "client",
    "body",
    "request",
    "omit",
    "send",
    "OPERATION",
    "get_thing",
    "create_thing",
    "list",
    "class",
    "__init__",
)
NAMES = (*sorted(OPTIONS), *OWN)
"""What a method takes, or uses."""

USE = """
import asyncio, json
import httpx
from retell_async import AsyncRetell
from retell_async.raw.api.thing import get_thing

def answer(request):
    seen.append(request)
    return httpx.Response(200, json={name: name for name in names})

async def main():
    async with AsyncRetell("key", http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer))) as client:
        await client.thing.retrieve("p", **{python: wire for wire, python in keywords.items()}, timeout=5, deadline=9)
        assert dict(seen[-1].url.params) == {name: name for name in names}, seen[-1].url
        await get_thing.send(client, "q", **{python: wire for wire, python in keywords.items()}, max_retries=0)
        assert dict(seen[-1].url.params) == {name: name for name in names}
        assert seen[-1].url.path == "/get-thing/q"
        made = await client.thing.create(**{body[name]: name for name in names}, timeout=5, extra_headers={"X-A": "b"})
        assert json.loads(seen[-1].content) == {name: name for name in names}
        assert {name: getattr(made, fields[name]) for name in names} == made.to_dict() == {name: name for name in names}

seen = []
asyncio.run(main())
"""


def of_taken_names() -> Json:
    fields = object_(**dict.fromkeys(NAMES, STRING))
    parameters = [
        {"name": "type", "in": "path", "required": True, "schema": STRING},
        *({"name": name, "in": "query", "schema": STRING} for name in NAMES),
    ]
    return document(
        {
            "/get-thing/{type}": {"get": operation("getThing", fields, parameters=parameters)},
            "/create-thing": {"post": operation("createThing", fields, requestBody=content(fields))},
        }
    )


def test_parameters_and_fields_of_all_taken_names_work_and_keep_their_names_on_the_wire(tmp_path: Path) -> None:
    given = of_taken_names()
    report = package(given, tmp_path)
    by_id = {view.said["operationId"]: view for view in viewed(given).operations}
    keywords = {field.wire: field.name for field in by_id["getThing"].fields["query"]}
    body = {field.wire: field.name for field in by_id["createThing"].fields["body"]}
    (kind,) = (view for view in viewed(given).classes if view.name == "CreateThingResponse")
    attributes = {field.wire: field.name for field in kind.fields}
    assert {name for name in NAMES if keywords[name] != f"{name}_"} == {"OPERATION", "create_thing", "__init__"}
    assert all(body[name] == f"{name}_" for name in (*OPTIONS, "self", "options", "create_thing", "list", "class"))
    assert all(attributes[name] == name for name in OPTIONS)
    assert "client.thing.retrieve takes deadline as deadline_, since its own name is taken" in report.notes
    run(f"names, keywords, body, fields = {list(NAMES)}, {keywords}, {body}, {attributes}\n{_TRY}\n{USE}", tmp_path)


@pytest.mark.soak
def test_and_types_check(tmp_path: Path) -> None:
    try_out(tmp_path, package(of_taken_names(), tmp_path))


def test_a_path_parameter_may_have_any_name(tmp_path: Path) -> None:
    names = ("deadline", "campaignId", "thing-id", "type", "list", "from", "class", "client", "self", "url", "request")
    parameters = {name: [{"name": name, "in": "path", "required": True, "schema": STRING}] for name in names}
    package(
        document(
            {
                f"/get-{index}/{{{name}}}": {"get": operation(f"get{index}", parameters=parameters[name], **hints(f"m{index}"))}
                for index, name in enumerate(names)
            }
        ),
        tmp_path,
    )
    calls = "".join(f"    await client.thing.m{index}('v')\n" for index in range(len(names)))
    run(
        "import asyncio, httpx\nfrom retell_async import AsyncRetell\n"
        "seen = []\n"
        "def answer(request):\n    seen.append(request.url.path)\n    return httpx.Response(204)\n"
        "async def main():\n"
        "    client = AsyncRetell('key', http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))\n"
        f"{calls}    await client.aclose()\n"
        f"asyncio.run(main())\nassert seen == [f'/get-{{index}}/v' for index in range({len(names)})], seen\n",
        tmp_path,
    )


def test_an_update_says_what_stepped_aside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = package(posting(object_(deadline=STRING)), tmp_path)
    monkeypatch.setattr("codegen.__main__.generate_pinned", lambda document: report)
    monkeypatch.setattr("codegen.__main__.OPENAPI", tmp_path)
    monkeypatch.setattr("codegen.__main__._held", lambda _: None)
    monkeypatch.setattr("codegen.__main__.pinned", lambda told: told.append("openapi/docs: nothing is at GET /gone"))
    assert main(["generate"]) == 0
    said = capsys.readouterr().out
    assert "note: client.thing.create takes deadline as deadline_, since its own name is taken\n" in said
    assert "note: openapi/docs: nothing is at GET /gone\n" in said


def test_a_model_of_names_that_models_have(tmp_path: Path) -> None:
    names = ("to_dict", "__nested__", "__wire__", "__init__", "__private", "idempotency_key", "str")
    fields = object_(**dict.fromkeys(names, STRING), boss={"$ref": "#/components/schemas/Lookup"})
    given = posting(object_(**dict.fromkeys(names, STRING)), schemas={"Lookup": object_(a=STRING)})
    given["paths"]["/create-thing"]["post"]["responses"]["200"] |= content(fields)
    surface = {"POST /create-thing": {"methods": ["thing.create"], "repeat": "idempotency_key"}}
    package(given, tmp_path, surface)
    (kind,) = (view for view in viewed(given, surface).classes if view.name == "CreateThingResponse")
    assert {field.wire: field.name for field in kind.fields} == {
        "to_dict": "to_dict_",
        "__nested__": "field_nested",
        "__wire__": "field_wire",
        "__init__": "field_init",
        "__private": "field_private",
        "idempotency_key": "idempotency_key_",
        "str": "str_",
        "boss": "boss",
    }
    run(
        f"from retell_async.raw import models, params\nfrom retell_async.raw.models import lookup\nnames = {names}\n"
        "import retell_async.raw.models.lookup_\n"
        "made = models.CreateThingResponse.from_dict({**{name: name for name in names}, 'boss': {'a': 'b'}})\n"
        f"assert [getattr(made, name) for name in {[field.name for field in kind.fields if field.wire != 'boss']}] == "
        f"{[field.wire for field in kind.fields if field.wire != 'boss']}\n"
        "assert made.idempotency_key is None and type(made.boss) is lookup('Lookup')\n"
        "assert set(params.CreateThingRequestParam.__annotations__) == set(names)\n",
        tmp_path,
    )


def test_a_schema_called_as_the_class_of_a_resource_is_refused() -> None:
    for name in ("ThingResource", "ThingResourceWithRawResponse", "AsyncThingResource"):
        given = document({"/get-thing": {"get": operation(answer=object_(a=STRING))}}, {})
        given["paths"]["/get-thing"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = {
            "$ref": f"#/components/schemas/{name}"
        }
        given["components"]["schemas"][name] = object_(a=STRING)
        assert refused(viewed, given) == (f"/components/schemas/{name}", "is the class of client.thing: name it in the overlay")


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("/surface/GET ~1a", "; correct it in openapi/surface.yaml"),
        ("/actions/3", "; correct it in openapi/overlay.yaml"),
        ("/paths/~1a", "; have it corrected in the document, or lay an action over it in openapi/overlay.yaml"),
        ("", "; give another document"),
    ],
)
def test_a_refusal_says_where_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str, remedy: str
) -> None:
    def refuse() -> Json:
        raise Refused(where, "is odd")

    monkeypatch.setattr("codegen.__main__.differences", refuse)
    assert main(["check"]) == 1
    assert capsys.readouterr().err == f"refused: {where or '(document)'}: is odd{remedy}\n"


FULL = OSError(28, "No space left on device", "raw")


@pytest.mark.parametrize("error", [FULL, shutil.Error([("raw", "new/raw", str(FULL)) for _ in range(700)])])
def test_a_full_disk_is_one_line(error: OSError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> Json:
        raise error

    monkeypatch.setattr("codegen.__main__.differences", full)
    assert main(["check"]) == 1
    assert capsys.readouterr().err == "refused: a file cannot be read or written: [Errno 28] No space left on device: 'raw'\n"


def test_what_is_cut_off_says_no_more(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where tests run in the background
    monkeypatch.setattr("codegen.__main__.differences", lambda: signal.raise_signal(signal.SIGINT))
    try:
        assert main(["check"]) == 130
    finally:
        signal.signal(signal.SIGINT, former)
    assert capsys.readouterr().err == ""
