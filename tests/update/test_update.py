from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from codegen.__main__ import main
from codegen.canonical import canonical
from codegen.document import Json, Refused, dump, load_file, operations, pointer
from codegen.generate import GENERATED, ROOT, decided, generate_pinned, pinned
from codegen.prepare import prepare
from codegen.revisions import changelog, pin, sources, update as updating
from codegen.revisions.checked import parse
from codegen.revisions.diff import Revision, difference
from codegen.revisions.sources import fetch
from codegen.revisions.swap import REPLACED
from codegen.revisions.update import update
from codegen.surface import relied_on
from docs.builder.markup import rest
from docs.builder.pages import left_out

from ..needed import nothing_listed
from . import mutations, revisions

pytestmark = pytest.mark.parallel

FACTS = ROOT / "openapi" / "openapi.yaml"
LIST = revisions.newest("list-voices")
LISTED = pointer("paths", LIST)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all that an update reads or writes."""
    root = tmp_path / "tree"
    for name in ("openapi", "retell_async"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CHANGELOG.md", root)
    return root


@pytest.fixture
def small(tree: Path) -> Path:
    """The same with a part of the document, and without words."""
    revisions.written(revisions.PART, tree / "openapi" / "openapi.yaml")
    shutil.rmtree(tree / "openapi" / "docs")
    return tree


def state(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def run(root: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.soak
def test_there_and_back_leaves_everything_as_it_was(tree: Path) -> None:
    """To the published revision where it is there, else to the crafted one; back by the pinned form of the one before."""
    published = revisions.PUBLISHED.exists()
    other = str(revisions.PUBLISHED) if published else revisions.written(revisions.CRAFTED, tree.parent / "crafted.yaml")
    pinned = shutil.copy(tree / "openapi" / "openapi.yaml", tree.parent / "pinned.yaml")
    before = state(tree)
    there = update(other, root=tree)
    assert there.made is not None
    assert len(there.made.operations) + len(there.left_out) == sum(1 for _ in operations(load_file(Path(other))))
    between = state(tree)
    assert {name for name in before.keys() | between.keys() if before.get(name) != between.get(name)} <= {
        name for name in before.keys() | between.keys() if name.startswith(REPLACED)
    }
    changed = {part for part in REPLACED if any(name.startswith(part) and between.get(name) != before.get(name) for name in between)}
    assert changed == {*REPLACED} - ({"openapi/left_out.yaml"} if not there.left_out else set())
    assert f"- Revision `{there.revision}` of the API, before `{there.before}`: " in (tree / "CHANGELOG.md").read_text()
    back = update(str(pinned), root=tree)
    assert (back.revision, back.before) == (there.before, there.revision)
    assert state(tree) == before


USE = """
import asyncio, json, warnings
import httpx
from retell_async import AsyncRetell

pages = [
    {"items": [{"widget_id": "a"}, {"widget_id": "b"}], "has_more": True, "pagination_key": "k"},
    {"items": [{"widget_id": "c"}], "has_more": False},
]
asked = []

def answer(request):
    if request.url.path.endswith("/list-voices"):
        return httpx.Response(200, json=NOTHING)
    asked.append(str(request.url.query, "ascii"))
    return httpx.Response(200, json=pages[len(asked) - 1])

async def use():
    async with AsyncRetell("key", http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer))) as client:
        print([widget.widget_id async for widget in client.widget.list(colour="red")], asked)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for _ in range(3):
                assert await client.voice.list() is not None
            await client.voice.with_raw_response.list()
        print([(str(warning.message), warning.category.__name__, warning.filename) for warning in caught])
        for gone in (client.concurrency, client.concurrency.with_raw_response, client.voice):
            try:
                gone.retrieve("voice_1", timeout=5)
            except AttributeError as error:
                print(type(error).__name__, error)

asyncio.run(use())
"""


@pytest.mark.soak
def test_what_came_works_and_what_goes_says_so(small: Path) -> None:
    document = revisions.changed(
        revisions.adds_a_paged_list,
        revisions.renames_an_operation,
        revisions.deprecates_an_operation,
        revisions.removes_an_operation,
    )
    _relied_on_nothing(small)
    with (small / "openapi" / "retired.yaml").open("a", encoding="utf-8") as table:
        table.write(f"GET {LIST}: {{instead: voice.describe, date: 2027-01-31}}\n")
        table.write('"GET /get-voice/{voice_id}": {instead: voice.describe}\n')
    spec = revisions.written(document, small.parent / "new.yaml")
    done = update(spec, root=small)
    assert done.made is not None
    named_themselves = sorted(f"{one.method} {one.path}" for one in done.made.operations if not one.entry.named and one.path != LIST)
    assert named_themselves == [
        "GET /describe-voice/{voice_id}",
        "GET /v2/list-widgets",
    ]
    between = state(small)
    assert update(spec, root=small).made is None
    assert state(small) == between
    warned = f"client.voice.list is deprecated: the API ends GET {LIST} on 2027-01-31. Use client.voice.describe instead."
    gone = "AttributeError client.concurrency.retrieve is gone: the API no longer has GET /get-concurrency."
    assert run(small, USE.replace("NOTHING", repr(nothing_listed("listVoices")))).splitlines() == [
        "['a', 'b', 'c'] ['colour=red', 'colour=red&pagination_key=k']",
        str([(warned, "DeprecationWarning", "<string>")] * 2),  # once for each place that calls it
        gone,
        gone,
        "AttributeError client.voice.retrieve is gone: the API no longer has GET /get-voice/{voice_id}. Use client.voice.describe instead.",
    ]


def _relied_on_nothing(root: Path) -> None:
    surface = root / "openapi" / "surface.yaml"
    text = surface.read_text(encoding="utf-8")
    changed = re.sub(r"^relied_on:\n(- .*\n)+", "relied_on: []\n", text, flags=re.MULTILINE)
    assert changed != text
    surface.write_text(changed, encoding="utf-8")


def dangling(document: Json) -> None:
    document["components"]["schemas"][revisions.VOICE]["properties"]["accent"] = {"$ref": "#/components/schemas/Nowhere"}


def inexpressible(document: Json) -> None:
    document["components"]["schemas"][revisions.VOICE]["properties"]["accent"] = {"not": {"type": "string"}}


def undecidable(document: Json) -> None:
    member = {"type": "object", "properties": {"a": {"type": "string"}}}
    document["components"]["schemas"][revisions.VOICE]["properties"]["accent"] = {"oneOf": [member, {**member, "required": ["a"]}]}


def invalid(document: Json) -> None:
    del document["paths"][LIST]["get"]["responses"]


def untyped(document: Json) -> None:
    document["components"]["schemas"][revisions.VOICE]["properties"]["accent"] = {"type": "text"}


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        (b"paths: [", "", "is neither YAML nor JSON"),
        (FACTS.read_bytes()[:100_001], "", ""),
        (b"\xff\xfe\x00", "", "is neither YAML nor JSON"),
        (b"- 1\n- 2\n", "", "not an object"),
        (b"just a sentence", "", "not an object"),
        (b"", "", "not an object"),
        (b"name: something else\n", "/openapi", "an OpenAPI 3.0 or 3.1 document is needed"),
        (
            b'{"swagger": "2.0", "info": {"title": "x", "version": "1"}, "paths": {}}',
            "/openapi",
            "an OpenAPI 3.0 or 3.1 document is needed",
        ),
        (b'{"openapi": "3.0.3", "info": {"title": "x"}, "paths": {}}', "/info", "'version' is a required property"),
        (dangling, f"/components/schemas/{revisions.VOICE}/properties/accent/$ref", "#/components/schemas/Nowhere is not there"),
        (invalid, f"{LISTED}/get", "'responses' is a required property"),
        (untyped, f"/components/schemas/{revisions.VOICE}/properties/accent/type", "'text' is not one of"),
        (inexpressible, f"/components/schemas/{revisions.VOICE}/properties/accent/not", "cannot be expressed"),
        (undecidable, f"/components/schemas/{revisions.VOICE}/properties/accent/oneOf", "no tag"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_nothing_changes(small: Path, content: Any, where: str, why: str) -> None:
    path = small.parent / "new.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        revisions.written(revisions.changed(content), path)
    before = state(small)
    with pytest.raises(Refused) as caught:
        update(str(path), root=small)
    assert caught.value.pointer.startswith(where)
    assert why in caught.value.reason
    assert state(small) == before


def maps_to_nothing(document: Json) -> None:
    members = [{"$ref": f"#/components/schemas/{name}"} for name in ("AgentRequest", revisions.VOICE)]
    mapping = {"voice": "#/components/schemas/Vioce", "agent": "AgentRequest"}
    document["components"]["schemas"]["Either"] = {"oneOf": members, "discriminator": {"propertyName": "kind", "mapping": mapping}}


def maps_to_a_list(document: Json) -> None:
    document["components"]["schemas"]["Either"] = {"oneOf": [], "discriminator": {"propertyName": "kind", "mapping": {"voice": ["x"]}}}


def stands_for_itself(document: Json) -> None:
    document["components"]["parameters"]["P"] = {"$ref": "#/components/parameters/P"}


def stands_for_a_text(document: Json) -> None:
    document["components"]["responses"] = {**document["components"].get("responses", {}), "R": {"$ref": "#/info/title"}}


def stands_for_a_number(document: Json) -> None:
    document["components"]["schemas"][revisions.VOICE]["properties"]["accent"] = {"$ref": 5}


def is_in_another_document(document: Json) -> None:
    document["components"]["schemas"]["AgentFilter"] = {"$ref": "file:///etc/passwd"}


def is_of_no_members(document: Json) -> None:
    document["components"] = {"schemas": {"Either": {"oneOf": False}}}
    document |= {"openapi": "3.1.0", "paths": {}}


def newer_keyword(document: Json) -> None:
    document["components"]["schemas"][revisions.VOICE]["properties"]["accent"] = {"type": "string", "contentEncoding": "base64"}


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        (maps_to_nothing, "/components/schemas/Either/discriminator/mapping/voice", "#/components/schemas/Vioce is not there"),
        (maps_to_a_list, "/components/schemas/Either/discriminator/mapping/voice", "['x'] is not there"),
        (stands_for_itself, "/components/parameters/P", "refers to itself"),
        (stands_for_a_text, "/components/responses/R/$ref", "#/info/title is not there"),
        (stands_for_a_number, f"/components/schemas/{revisions.VOICE}/properties/accent/$ref", "5 is not there"),
        (
            *(is_in_another_document, "/components/schemas/AgentFilter/$ref"),
            "file:///etc/passwd is not there, and other documents are not read",
        ),
        (is_of_no_members, "/components/schemas/Either/oneOf", "False is not of type 'array'"),
        (newer_keyword, f"/components/schemas/{revisions.VOICE}/properties/accent", "'contentEncoding'"),
    ],
)
def test_a_document_that_is_none_says_where_and_what(change: Any, where: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(json.dumps(revisions.changed(change)).encode(), "new.json")
    assert caught.value.pointer == where
    assert why in caught.value.reason


def posts(document: Json, schema: Json) -> None:
    body = {"content": {"application/json": {"schema": schema}}}
    answer = {"200": {"description": ""}}
    document["paths"]["/create-widget"] = {"post": {"operationId": "createWidget", "requestBody": body, "responses": answer}}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_a_pattern_that_is_none_says_where_it_is(version: str) -> None:
    document = revisions.changed(lambda made: posts(made, {"type": "object", "properties": {"a": {"type": "string", "pattern": "(["}}}))
    with pytest.raises(Refused) as caught:
        parse(json.dumps({**document, "openapi": version}).encode(), "new.json")
    where = "/paths/~1create-widget/post/requestBody/content/application~1json/schema/properties/a/pattern"
    assert (caught.value.pointer, caught.value.reason) == (where, "([ is no regular expression, or one that the sandbox cannot judge by")


def test_a_pattern_may_be_a_large_one_and_what_only_looks_like_one_is_not_read() -> None:
    field = {"type": "string", "pattern": r"^[\p{L}\p{N} ]{1,500}$", "x-v": {"pattern": "([", "$ref": "#/nowhere"}}
    other = {"type": "object", "default": {"pattern": "([", "$ref": "#/nowhere"}}
    document = revisions.changed(lambda made: posts(made, {"type": "object", "properties": {"a": field, "pattern": other}}))
    assert parse(json.dumps(document).encode(), "new.json")


def test_words_of_a_newer_version_are_read_and_examples_are_not() -> None:
    fields = {
        "a": {"type": ["string", "null"], "examples": ["x"]},
        "b": {"type": "string", "const": "x", "example": {"$ref": "nowhere"}},
        "examples": {"type": "object", "default": {"example": 1}},
    }

    def changes(document: Json) -> None:
        posts(document, {"type": "object", "properties": fields, "required": []})
        document["paths"]["x-order"] = {"get": 1}

    document = revisions.changed(changes)
    assert document["openapi"].startswith("3.0")
    read = parse(json.dumps(document).encode(), "new.json")
    assert read["paths"].keys() ^ revisions.PART["paths"].keys() == {"/create-widget"}
    schema = read["paths"]["/create-widget"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    left = {"a": {"type": ["string", "null"]}, "b": {"type": "string", "const": "x"}, "examples": fields["examples"]}
    assert schema == {"type": "object", "properties": left}
    generated = prepare(pinned(facts=read))["components"]["schemas"]["CreateWidgetRequest"]["properties"]
    assert (generated["a"], generated["b"]["enum"]) == ({"type": "string", "nullable": True}, ["x"])


def test_a_document_is_the_same_with_statuses_as_numbers() -> None:
    text = dump(revisions.PART)
    numbers = re.sub(r"^(\s+)'(\d{3})':", r"\1\2:", text, flags=re.MULTILINE)
    assert numbers != text
    assert parse(numbers.encode(), "new.yaml") == parse(text.encode(), "new.yaml")


def test_what_one_operation_has_wrong_stops_no_other() -> None:
    """Nor does what 3.0 does not say and what says nothing."""

    def changes(document: Json) -> None:
        answer = {"200": {"description": ""}}
        document["paths"]["/get-widget/{widget_id}"] = {"get": {"operationId": "listVoices", "responses": answer}}
        labels = {"type": "object", "propertyNames": {"type": "string"}}
        document["components"]["schemas"][revisions.VOICE]["properties"]["labels"] = labels

    facts = canonical(parse(json.dumps(revisions.changed(changes)).encode(), "new.json"))
    surface = load_file(ROOT / "openapi" / "surface.yaml")
    assert updating.left_out(facts, pinned(facts=revisions.PART), ROOT / "openapi", surface) == {}
    before, after = (Revision.of(pinned(facts=one), surface) for one in (revisions.PART, facts))
    assert {str(one.what) for one in difference(before, after) if one.subject == "operation"} == {"GET /get-widget/{widget_id}"}
    assert [*after.entries["GET /get-widget/{widget_id}"].methods] == ["widget.retrieve"]


@pytest.mark.parametrize("step", ["try_out", "written", "rename"])
def test_a_failure_on_the_way_leaves_the_tree_as_it_was(small: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = state(small)
    spec = revisions.written(revisions.changed(revisions.adds_an_enum_value), small.parent / "new.yaml")
    monkeypatch.setattr(updating, "generate_pinned", lambda package, openapi, document: _stands_for_generated(package))
    rename = Path.rename

    def fails_at_the_last(path: Path, target: Path) -> Path:
        if target == small / REPLACED[-1] and "new" in path.parts:
            raise OSError("the disk is full")
        return rename(path, target)

    def refuses(*_arguments: object) -> str:
        raise Refused("/paths", "no")

    if step == "rename":
        monkeypatch.setattr(updating, "try_out", lambda *_: None)
        monkeypatch.setattr(Path, "rename", fails_at_the_last)
    elif step == "written":
        monkeypatch.setattr(changelog, "written", refuses)
    with pytest.raises((OSError, Refused)):
        update(spec, root=small)
    assert state(small) == before


def _stands_for_generated(package: Path) -> Any:
    for part in GENERATED:
        (package / part).mkdir()
        (package / part / "__init__.py").write_text("import nothing_like_it\n")
    return SimpleNamespace(prepared={"x-names": {}}, modules={"models": []}, operations=[])


@pytest.mark.soak
@pytest.mark.parametrize(
    ("file", "where"),
    [("api/voice/list_voices", f"{LISTED}/get"), ("params/create_agent_request", "/components/schemas/CreateAgentRequest")],
)
def test_what_has_an_error_of_types_says_of_what_it_is(small: Path, monkeypatch: pytest.MonkeyPatch, file: str, where: str) -> None:
    seen = decided(pinned(facts=revisions.PART), load_file(ROOT / "openapi" / "surface.yaml"), {})
    monkeypatch.setattr(updating, "GENERATED", [f"raw/{file}.py"])
    with (small / "retell_async" / "raw" / f"{file}.py").open("a", encoding="utf-8") as wrong:
        wrong.write("WRONG: int = ''\n")
    with pytest.raises(Refused, match=rf"has an error of types: retell_async/raw/{file}") as caught:
        updating.try_out(small, seen)
    assert caught.value.pointer == where


def test_without_a_spec_the_source_is_fetched(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url="https://source.test/openapi.yaml", content=b"openapi: 3.0.3")
    assert fetch("https://source.test/openapi.yaml") == b"openapi: 3.0.3"


def test_a_url_is_taken_once_and_nothing_secret_in_it_is_shown_or_kept(httpx_mock: HTTPXMock, small: Path) -> None:
    url = "https://me:secret-1@source.test/new.json?token=secret-2#secret-3"
    httpx_mock.add_response(status_code=403)
    with pytest.raises(Refused) as caught:
        update(url, root=small)
    assert str(caught.value).startswith("(document): https://source.test/new.json answered 403")
    assert "secret" not in str(caught.value)
    httpx_mock.add_response(content=Path(revisions.written(revisions.changed(revisions.adds_an_enum_value), small / "n.yaml")).read_bytes())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(updating, "try_out", lambda *_: None)
        update(url, root=small)
    assert pin.load(small / "openapi" / "pin.toml").now.source == pin.load(ROOT / "openapi" / "pin.toml").now.source
    assert not [path for path in small.rglob("*") if path.is_file() and b"secret-" in path.read_bytes()]


@pytest.mark.soak
def test_the_update_says_when_the_official_sdk_was_made_from_another_document(
    httpx_mock: HTTPXMock, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "try_out", lambda *_: None)
    pins = pin.load(small / "openapi" / "pin.toml")
    one, other = (
        dump(revisions.changed(*changes)).encode() for changes in ((revisions.adds_an_enum_value,), (revisions.removes_a_property,))
    )
    httpx_mock.add_response(url=pins.now.source, content=one, is_reusable=True)
    httpx_mock.add_response(url=pins.sdk, content=b"openapi_spec_url: https://sdk.test/spec.yml", is_reusable=True)
    httpx_mock.add_response(url="https://sdk.test/spec.yml", content=other)
    assert update(root=small, write=False).told[0].startswith(f"{pins.sdk} names another document")
    httpx_mock.add_response(url="https://sdk.test/spec.yml", content=one)
    assert update(root=small, write=False).told[0].startswith("openapi/")
    httpx_mock.add_response(url="https://sdk.test/spec.yml", status_code=404)
    first = "the document of the official SDK cannot be compared: https://sdk.test/spec.yml answered 404"
    assert update(root=small, write=False).told[0].startswith(first)


def events(document: Json) -> None:
    """A new operation that answers with a stream of events, and one that is right."""
    for path, media in (("/watch-calls", "text/event-stream"), ("/list-widgets", "application/json")):
        answer = {"description": "", "content": {media: {"schema": {"type": "array", "items": {"type": "string"}}}}}
        document["paths"][path] = {"get": {"operationId": path.strip("/"), "responses": {"200": answer}}}


@pytest.mark.soak
def test_a_new_operation_that_cannot_be_expressed_stops_no_other(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(updating, "try_out", lambda *_: None)
    monkeypatch.setattr(updating, "update", partial(update, root=small))
    spec = revisions.written(revisions.changed(events), small.parent / "new.yaml")
    assert main(["update", spec, "--markdown", str(small.parent / "new.md")]) == 5
    why = "/paths/~1watch-calls/get/responses/200/content: an answer of text/event-stream cannot be expressed"
    assert f"left out: GET /watch-calls, since it cannot be expressed: {why}" in capsys.readouterr().out
    said = (small.parent / "new.md").read_text()
    assert re.search(rf"^- Left out \(1\); .*:\n  - `GET /watch-calls`: `{re.escape(why)}`$", said, re.MULTILINE)
    look = "\n- `look at it: GET /list-widgets is not in openapi/surface.yaml: client.widget.list, repeat: safe`\n"
    assert look in said.partition("\n## To look at\n")[2]
    assert f"`GET /watch-calls`: `{why}`" in (small / "CHANGELOG.md").read_text()
    assert load_file(small / "openapi" / "left_out.yaml") == {"GET /watch-calls": why}
    assert "/watch-calls" in (small / "openapi" / "openapi.yaml").read_text()
    assert '"widget.list": "list-widgets"' in (small / "retell_async" / "resources" / "_operations.py").read_text()
    assert "\n".join(left_out({"GET /watch-calls": why})).endswith(f"- GET /watch-calls: {rest(why)}")
    again = revisions.written(revisions.changed(events, revisions.adds_an_enum_value), small.parent / "again.yaml")
    assert update(again, root=small, write=False).left_out == {"GET /watch-calls": why}


def test_what_a_refusal_names_is_left_out_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused for a schema of its own is searched for as before."""

    def comes(document: Json) -> None:
        def answers(content: Json) -> Json:
            return {"responses": {"200": {"description": "", "content": content}}}

        json_, string = "application/json", {"type": "string"}
        for number in range(8):
            document["paths"][f"/get-thing-{number}"] = {"get": answers({json_: {"schema": string}})}
            document["paths"][f"/watch-thing-{number}"] = {"get": answers({"text/event-stream": {"schema": string}})}
        document["paths"]["/get-odd"] = {"get": answers({json_: {"schema": {"$ref": "#/components/schemas/Odd"}}})}
        document["components"]["schemas"]["Odd"] = {"type": "object", "properties": {"a": {"not": string}}}

    tried = []

    def counted(*given: Any) -> Any:
        tried.append(given[0])
        return decided(*given)

    monkeypatch.setattr(updating, "decided", counted)
    facts = canonical(parse(json.dumps(revisions.changed(comes)).encode(), "new.json"))
    surface = load_file(ROOT / "openapi" / "surface.yaml")
    found = updating.left_out(facts, pinned(facts=revisions.PART), ROOT / "openapi", surface)
    assert [*found] == ["GET /get-odd", *(f"GET /watch-thing-{number}" for number in range(8))]
    assert found["GET /watch-thing-7"].endswith("/get/responses/200/content: an answer of text/event-stream cannot be expressed")
    assert len(tried) < 30


def test_an_operation_that_was_there_is_not_left_out(small: Path) -> None:
    def streams(document: Json) -> None:
        content = document["paths"][LIST]["get"]["responses"]["200"]["content"]
        content["text/event-stream"] = content.pop("application/json")

    with pytest.raises(Refused, match="event-stream cannot be expressed") as caught:
        update(revisions.written(revisions.changed(streams), small.parent / "new.yaml"), root=small)
    assert caught.value.pointer == f"{LISTED}/get/responses/200/content"


def test_a_method_that_code_by_hand_relies_on_may_not_be_lost(small: Path) -> None:
    spec = revisions.written(revisions.changed(revisions.removes_an_operation), small.parent / "new.yaml")
    before = state(small)
    with pytest.raises(
        Refused, match=r"relies on types\.GetConcurrencyResponse, client\.concurrency\.retrieve: name what stands in for it"
    ):
        update(spec, root=small)
    assert state(small) == before


@pytest.mark.parametrize(
    ("line", "instead", "lost"),
    [
        ("methods: [agent.create]", "methods: [agent.make]", "agent.create is not there"),
        ("- agent.create\n", "- agent.crate\n", "agent.crate is not there"),
        ("data_storage_retention_days: deletion", "data_storage_days: deletion", "agent.update(data_storage_days)"),
    ],
)
def test_nor_by_what_is_written_by_hand(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, instead: str, lost: str
) -> None:
    surface = tree / "openapi" / "surface.yaml"
    text = surface.read_text(encoding="utf-8")
    assert line in text
    surface.write_text(text.replace(line, instead), encoding="utf-8")
    monkeypatch.setattr("codegen.__main__.OPENAPI", tree / "openapi")
    before = state(ROOT / "retell_async" / "resources")
    assert main(["generate"]) == 1
    assert lost in capsys.readouterr().err
    assert state(ROOT / "retell_async" / "resources") == before


def lost(change: Any) -> list[str]:
    surface = load_file(ROOT / "openapi" / "surface.yaml")
    before, after = (
        Revision.of(pinned(facts=facts), surface) for facts in (revisions.PINNED, revisions.changed(change, document=revisions.PINNED))
    )
    return before.lost(after, relied_on(surface))


def test_what_code_by_hand_and_questions_rely_on_may_not_be_lost_either() -> None:
    """Classes and fields, arguments, those that are asked about, parameters of paths, fields of filters, and that lists are lists."""

    def changes(document: Json) -> None:
        schemas, text = document["components"]["schemas"], json.dumps(document)
        assert "V2CallResponse" in schemas
        for old, new in (
            ('V2CallResponse"', 'CallDetail"'),
            ('"data_storage_retention_days"', '"retention_days"'),
            ('"knowledge_base_id"', '"base_id"'),
            ("{knowledge_base_id}", "{base_id}"),
            ('"filter_criteria"', '"criteria"'),
            ('"to_number"', '"to"'),
            ('"has_more"', '"more"'),
        ):
            text = text.replace(old, new)
        document.clear()
        document.update(json.loads(text))

    found = lost(changes)
    assert {"CallResponse", "agent.update(data_storage_retention_days)", "KnowledgeBaseResponse.knowledge_base_id"} <= {*found}
    assert {"knowledge_base.retrieve(knowledge_base_id)", "call.list(filter_criteria)", "CallFilter.to_number"} <= {*found}
    assert {"call.list as a list", "chat.list as a list"} <= {*found}
    assert "knowledge_base.list as a list" not in found, "it is an array"
    assert "CallResponse.call_id" not in found, "it goes with its class"


def test_values_and_kinds_that_code_by_hand_relies_on_may_not_be_lost_either() -> None:
    def changes(document: Json) -> None:
        for schema in mutations.walked(document):
            if {"ended", "not_connected"} <= {*schema.get("enum", ())}:
                schema["enum"] = ["completed" if value == "ended" else value for value in schema["enum"]]
            if schema.get("enum") == ["ascending", "descending"]:
                schema["enum"] = ["oldest_first", "descending"]
            fields = schema.get("properties", {})
            fields |= {"pagination_key": {"type": "integer"}} if "pagination_key" in fields else {}
            if "end_timestamp" in fields and "call_successful" in fields:  # what calls are filtered by
                fields |= {"call_status": {"type": "array", "items": {"type": "string"}}, "end_timestamp": {"type": "integer"}}

    found = lost(changes)
    assert {"CallResponse.call_status: ended", "PhoneCallResponse.call_status: ended"} <= {*found}
    assert {"call.list(pagination_key): str", "call.list(sort_order): ascending"} <= {*found}
    assert {"CallFilter.call_status: CallStatusEnumFilter", "CallFilter.end_timestamp: NumberFilter"} <= {*found}
    assert "CallResponse.call_status: error" not in found


def test_what_goes_with_its_operation_is_not_lost() -> None:
    assert (
        lost(lambda document: document["paths"].pop("/delete-voice/{voice_id}", None) or document["paths"].pop("/get-voice/{voice_id}"))
        == []
    )


def test_what_was_left_out_comes_back_when_its_line_goes(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "try_out", lambda *_: None)
    spec = revisions.written(revisions.changed(events), small.parent / "new.yaml")
    assert list(update(spec, root=small).left_out) == ["GET /watch-calls"]
    again = update(spec, root=small)
    assert (again.made, list(again.left_out)) == (None, ["GET /watch-calls"])
    with (small / "openapi" / "overlay.yaml").open("a", encoding="utf-8") as overlay:
        overlay.write("- target: $.paths['/watch-calls'].get.responses\n  x-replaces: true\n")
        overlay.write("  update: {'200': {content: {application/json: {schema: {type: object}}}}}\n")
        overlay.write("- {target: \"$.paths['/watch-calls'].get.responses['200'].content['text/event-stream']\", remove: true}\n")
    before = state(small)
    assert update(spec, root=small).made is None
    assert state(small) == before
    (small / "openapi" / "left_out.yaml").write_text("{}\n", encoding="utf-8")
    made = generate_pinned(small / "retell_async", small / "openapi")
    assert "/watch-calls" in {operation.path for operation in made.operations}
    assert update(spec, root=small).left_out == {}


def test_two_documents_are_compared_without_what_an_update_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (revisions.written(revisions.changed(*some), tmp_path / f"{len(some)}.yaml") for some in ((), (events,)))
    assert main(["diff", old, new, "--format", "markdown"]) == 5
    assert re.search(r"^- Left out \(1\); .*:\n  - `GET /watch-calls`: ", capsys.readouterr().out, re.MULTILINE)


def test_a_file_for_the_difference_is_there_only_if_there_is_one(tmp_path: Path) -> None:
    assert main(["update", str(tmp_path / "nowhere.yaml"), "--markdown", str(tmp_path / "new.md")]) == 1
    assert not (tmp_path / "new.md").exists()


def test_nothing_public_is_renamed_by_what_is_added(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "try_out", lambda *_: None)

    def adds(document: Json) -> None:
        action = {"oneOf": [{"type": "object", "properties": {"type": {"type": "string", "enum": ["hangup"]}}, "required": ["type"]}]}
        field = {"type": "object", "properties": {"action": action}}
        document["components"]["schemas"][revisions.VOICE]["properties"]["voicemail_option"] = field

    done = update(revisions.written(revisions.changed(adds), small.parent / "new.yaml"), root=small)
    assert [change.what for change in done.changes if change.impact == "breaking"] == []
    assert load_file(small / "openapi" / "names.yaml")["AgentRequest.voicemail_option"] == "VoicemailOption"


def test_what_does_nothing_any_more_is_told(small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(updating, "try_out", lambda *_: None)
    (small / "openapi" / "docs").mkdir()
    about = {revisions.VOICE: {"accent": "How it speaks.", "age": {"unit": "years"}, "gone": {"unit": "of nothing"}, "too": "Gone."}}
    for name, said in (("voices", about), ("operations", {"GET /gone": {"text": "Is gone.", "parameters": {"q": {"unit": "weeks"}}}})):
        (small / "openapi" / "docs" / f"{name}.yaml").write_text(dump(said), encoding="utf-8")
    gone = ["openapi/docs: nothing is at GET /gone", f"openapi/docs: nothing is at {revisions.VOICE}: gone, too"]

    def catches_up(document: Json) -> None:
        document["components"]["schemas"][revisions.VOICE]["properties"]["avatar_url"] = {"type": "string", "format": "uri"}

    told = update(revisions.written(revisions.changed(catches_up), small.parent / "new.yaml"), root=small, write=False).told
    assert [line for line in told if "/docs" in line] == gone
    assert [line.partition(": ")[2] for line in told if "VoiceResponse.properties)" in line] == [
        "the document says avatar_url otherwise and is believed"
    ]
    assert [line for line in update(str(small / "openapi" / "openapi.yaml"), root=small).told if "/docs" in line] == gone
    without = revisions.changed(catches_up, revisions.removes_a_property)
    monkeypatch.setattr(updating, "update", partial(update, root=small))
    assert main(["update", "--dry-run", revisions.written(without, small.parent / "without.yaml")]) == 4
    assert f"note: openapi/docs: nothing is at {revisions.VOICE}: accent, gone, too\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.ConnectError("no route"), "cannot be fetched (no route): give the document as a file, SPEC=<path>"),
        (404, "answered 404: give the document as a file, SPEC=<path>"),
    ],
)
def test_without_a_network_it_says_what_to_do(httpx_mock: HTTPXMock, tree: Path, answer: Any, why: str) -> None:
    if isinstance(answer, int):
        httpx_mock.add_response(status_code=answer)
    else:
        httpx_mock.add_exception(answer)
    before = state(tree)
    with pytest.raises(Refused, match=r"docs\.retellai\.com") as caught:
        update(root=tree)
    assert why in caught.value.reason
    assert state(tree) == before


def test_a_document_that_comes_too_slowly_is_not_waited_for(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LONGEST", 0)
    httpx_mock.add_response(content=b"openapi: 3.0.3")
    with pytest.raises(Refused, match=r"https://slow\.test cannot be fetched \(not whole within 0 s\): give the document as a file"):
        fetch("https://slow.test?token=secret")


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(Refused, match="cannot be read: No such file"):
        fetch("nowhere.yaml")


def test_a_dry_run_changes_nothing_and_tells_a_robot(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(updating, "update", partial(update, root=small))
    monkeypatch.setattr(updating, "try_out", lambda *_: None)
    before = state(small)
    spec = revisions.written(revisions.changed(revisions.adds_an_enum_value), small.parent / "new.yaml")
    markdown = small.parent / "difference.md"
    assert main(["update", spec, "--dry-run", "--markdown", str(markdown)]) == 3
    assert "would take the place of" in capsys.readouterr().out
    assert 'may be `"sonic-9"`' in markdown.read_text(encoding="utf-8")
    assert state(small) == before


@pytest.mark.soak
@pytest.mark.parametrize(
    ("change", "status"), [(revisions.removes_a_property, 4), (revisions.adds_an_enum_value, 3), (lambda document: None, 0)]
)
def test_the_difference_of_two_files_tells_a_robot(tmp_path: Path, change: Any, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (revisions.written(revisions.changed(*some), tmp_path / f"{len(some)}.yaml") for some in ((), (change,)))
    for form in ("all", "markdown"):
        assert main(["diff", old, new, "--format", form]) == status
        assert capsys.readouterr().out
    assert main(["diff", old, str(tmp_path / "nowhere.yaml")]) == 1
