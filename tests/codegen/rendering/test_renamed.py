"""A keyword that was renamed: the old name works everywhere, warns the line that uses it, and type checkers know it."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest

from codegen.canonical import canonical
from codegen.document import Json
from codegen.generate import GENERATED, ROOT, generate
from codegen.rendering.views import Views
from retell_async._core.operation import Request, RequestOptions
from retell_async._core.response import Answer, RawResponse, StreamedResponse

from ...typing.test_users import Checker, mypy, pyright
from ..small import STRING, document, object_, operation, posting, refused

pytestmark = pytest.mark.parallel

PARAMETER: Json = {"in": "path", "name": "thing_id", "required": True, "schema": STRING}
DOCUMENT = posting(object_("agent_id", agent_id=STRING, note=STRING))
LISTED: Json = {"type": "array", "items": object_(name=STRING)}
DOCUMENT["paths"] |= document(
    {
        "/get-thing/{thing_id}": {"get": operation(answer=object_(name=STRING), parameters=[PARAMETER])},
        "/list-things": {"get": operation("listThings", answer=LISTED, parameters=[{**PARAMETER, "in": "query", "required": False}])},
    }
)["paths"]
SURFACE: Json = {
    "POST /create-thing": {"methods": ["thing.create"], "renamed": {"agent": "agent_id", "remark": "note"}},
    "GET /get-thing/{thing_id}": {"methods": ["thing.retrieve"], "renamed": {"id": "thing_id"}},
    "GET /list-things": {"methods": ["thing.list"], "renamed": {"id": "thing_id"}},
}
SAID = "client.thing.create(agent=...) is now agent_id=..., and the old name will go with the next release"


def generated(folder: Path, surface: Json = SURFACE, past: Json | None = None) -> Views:
    return generate(canonical(DOCUMENT), surface, {}, folder, past)


def loaded(package: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> ModuleType:
    """The last of these generated modules, for this test."""
    module = ModuleType("none")
    for name in names:
        spec = spec_from_file_location(f"retell_async.{name.removesuffix('/__init__').replace('/', '.')}", package / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


class Sender:
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    async def send(self, request: Request[Any], _: object) -> None:
        self.bodies.append(request.body)

    send_raw = send

    @asynccontextmanager
    async def stream(self, request: Request[Any], _: object) -> AsyncGenerator[StreamedResponse[Any]]:
        self.bodies.append(request.body)
        yield StreamedResponse(RawResponse(Answer(200, b"{}", lambda: httpx.Response(200)), lambda _: None))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    generated(tmp_path)
    raw = "raw/api/thing"
    modules = ("__init__", "create_thing", "get_thing", "list_things")
    return loaded(tmp_path, monkeypatch, *(f"{raw}/{name}" for name in modules), "resources/_sync/thing", "resources/thing")


async def plain(resource: Any, **keywords: str) -> None:
    await resource.create(**keywords)


async def raw(resource: Any, **keywords: str) -> None:
    await resource.with_raw_response.create(**keywords)


async def streamed(resource: Any, **keywords: str) -> None:
    opened: AbstractAsyncContextManager[Any] = resource.with_streaming_response.create(**keywords)
    async with opened:
        pass


@pytest.mark.parametrize("use", [plain, raw, streamed])
def test_the_old_name_works_and_warns_the_line_that_uses_it(module: ModuleType, use: Callable[..., Awaitable[None]]) -> None:
    sender = Sender()
    resource = module.AsyncThingResource(sender)
    with pytest.warns(DeprecationWarning, match="is now") as warned:
        anyio.run(lambda: use(resource, agent="a", remark="b"))
    anyio.run(lambda: use(resource, agent_id="a", note="b"))
    assert sender.bodies == [{"agent_id": "a", "note": "b"}] * 2
    assert [str(one.message) for one in warned] == [SAID, SAID.replace("agent_id", "note").replace("agent", "remark")]
    assert {one.filename for one in warned} == {__file__}


def test_without_await_it_does_too(module: ModuleType) -> None:
    found: list[Request[Any]] = []

    class Blocking:
        def send(self, request: Request[Any], _: object) -> None:
            found.append(request)

    with pytest.warns(DeprecationWarning, match=r"^client\.thing\.retrieve\(id=\.\.\.\) is now thing_id=\.\.\."):
        module.ThingResource(Blocking()).retrieve(id="1")
    assert found[0].path == "/get-thing/1"


def test_both_names_at_once_are_an_error(module: ModuleType) -> None:
    with pytest.raises(TypeError, match="agent is now agent_id: give agent_id alone"):
        module.AsyncThingResource(Sender()).create(agent="a", agent_id="b")


def test_what_looks_at_a_method_sees_the_new_name(module: ModuleType) -> None:
    create = module.AsyncThingResource.create
    assert [*inspect.signature(create).parameters] == ["self", "agent_id", "note", *RequestOptions.__annotations__]
    assert ":param agent_id: Was `agent`, which still works, with a `DeprecationWarning`." in create.__doc__
    for method in (create, module.AsyncThingResource.list):
        assert inspect.iscoroutinefunction(method) is hasattr(inspect, "markcoroutinefunction")


def test_what_the_surface_says_in_vain_is_told(tmp_path: Path) -> None:
    said = {"POST /create-thing": {"methods": ["thing.create"], "renamed": {"agent": "agentt_id", "note": "agent_id"}}}
    assert generated(tmp_path, said).notes == [
        "openapi/surface.yaml: client.thing.create does not need agent to stand for agentt_id",
        "openapi/surface.yaml: client.thing.create does not need note to stand for agent_id",
    ]
    said = {"POST /create-thing": {"methods": ["thing.create"], "repeat": "idempotency_key"}}
    past = {"retired": {"GET /things": {"instead": "thing.find"}, "GET /old-things": {"instead": "thing.create"}}}
    assert generated(tmp_path / "vain", said, past).notes == [
        "openapi/retired.yaml: there is no client.thing.find to use instead of GET /things",
        "openapi/surface.yaml: the body of POST /create-thing has no idempotency_key to know a repeat by: it is unsafe",
    ]
    said = {"POST /create-thing": {"methods": ["thing.create"], "limit": "thinks"}}
    assert generated(tmp_path / "limit", said).notes == ["openapi/surface.yaml: one operation alone has the limit thinks"]
    assert "renamed" not in (tmp_path / "resources" / "thing.py").read_text()


@pytest.mark.parametrize("name", ["class", "a-b", "timeout", "self"])
def test_what_cannot_have_been_a_keyword_is_refused(name: str, tmp_path: Path) -> None:
    said = {"POST /create-thing": {"methods": ["thing.create"], "renamed": {name: "agent_id"}}}
    where, reason = refused(lambda _: generated(tmp_path, said), DOCUMENT)
    assert (where, reason) == ("/surface/POST ~1create-thing", f"{name} cannot have been a keyword of thing.create")


USE = """
from retell_async import AsyncRetell, Retell
async def use(client: AsyncRetell, blocking: Retell) -> None:
    await client.thing.create(agent_id="", note="")
    await client.thing.with_raw_response.retrieve("")
    await client.thing.create(agent="", note="")
    await client.thing.create(agent_id="", remark="")
    await client.thing.retrieve(id="")
    await client.thing.with_raw_response.create(agent="")
    blocking.thing.create(agent="")
    await client.thing.create(agent=1)
    await client.thing.with_raw_response.create(agent=1)
    await client.thing.create()
    blocking.thing.retrieve()
"""
RIGHT, OLD, WRONG = {4, 5}, {6, 7, 8, 10}, {11, 12, 13, 14}


@pytest.mark.soak
@pytest.mark.parametrize(("checker", "errors"), [(mypy, WRONG), (pyright, WRONG | OLD)])
def test_type_checkers_know_the_old_name(checker: Checker, errors: set[int], tmp_path: Path) -> None:
    made = tmp_path / "retell_async"
    shutil.copytree(ROOT / "retell_async", made, ignore=shutil.ignore_patterns("__pycache__", *GENERATED))
    generated(made)
    source = tmp_path / "use.py"
    source.write_text(USE)
    assert {*checker(source)} == errors
