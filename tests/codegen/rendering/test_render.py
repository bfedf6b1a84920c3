from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codegen.canonical import canonical
from codegen.document import Json
from codegen.generate import ROOT
from codegen.prepare import prepare
from codegen.rendering.render import render
from codegen.rendering.views import Views, views
from codegen.surface import entries

from ..small import STRING, array, content, document, enum, object_, operation, posting, ref, refused


def viewed(given: Json) -> Views:
    prepared = prepare(canonical(given))
    return views(prepared, entries(prepared, {}))


def test_a_document_that_only_reads_has_no_dicts_to_send(tmp_path: Path) -> None:
    seen = viewed(document({"/get-thing": {"get": operation(answer=object_(a=STRING))}}))
    render(seen, tmp_path)
    for path in tmp_path.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
    assert [path.name for path in (tmp_path / "raw" / "params").iterdir()] == ["__init__.py"]


def test_names_that_python_cannot_write_and_values_in_quotes(tmp_path: Path) -> None:
    inner = object_("x-y", **{"from": enum("it's", 'a "b"'), "x-y": array(enum("a"))})
    seen = viewed(posting(object_(inner=inner, either={"oneOf": [inner, enum("it's | not", "q\\")]})))
    render(seen, tmp_path)
    for path in tmp_path.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("raw/params/*.py")]
    imported = [line for text in texts if '"Required[' in text for line in text.splitlines() if line.startswith("from typing import")]
    assert imported == ["from typing import Literal, Required"] * 2  # which stand in texts alone
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select=F", "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*ruff, str(tmp_path)], capture_output=True, text=True, check=False)  # with the rules of all code here
    assert done.returncode == 0, done.stdout


def test_what_would_be_one_name_in_python_is_refused() -> None:
    for one, other in (("foo/bar", "foo~bar"), ("class", "class_"), ("from", "from_"), ("1a", "field_1a")):
        where, reason = refused(viewed, posting(object_(**{one: STRING, other: STRING})))
        assert where == "/components/schemas/CreateThingRequest"
        assert reason == f"{one!r} and {other!r} are too alike to be told apart as names in Python: remove one by the overlay"
    assert refused(viewed, posting(object_(fooBar=STRING, **{"foo-bar": STRING})))[0] == "/components/schemas/CreateThingRequest"
    twice = [{"name": name, "in": "query", "schema": STRING} for name in ("id", "query_ID", "ID")]
    where, reason = refused(viewed, document({"/a/{id}": {"get": operation(parameters=twice)}}))
    assert (where, reason) == ("/paths/~1a~1{id}/get", "'id' and 'ID' are both query_id in Python")


def test_a_field_that_is_called_as_in_python_keeps_its_name_and_another_like_it_steps_aside() -> None:
    inner = object_(fooBar=STRING, foo_bar=STRING, **{"x-y": STRING, "x_y": STRING})
    given = posting(object_(inner=inner, **inner["properties"]))
    given["paths"]["/get-thing"] = {"get": operation(answer=inner)}
    seen = viewed(given)
    (model,) = (view for view in seen.classes if view.name == "GetThingResponse")
    names = {"fooBar": "foo_bar_", "foo_bar": "foo_bar", "x-y": "x_y_", "x_y": "x_y"}
    assert {field.wire: field.name for field in model.fields} == names
    taken = {field.wire: field.name for field in seen.operations[0].fields["body"]}
    assert taken == {"fooBar": "body_foo_bar", "foo_bar": "foo_bar", "x-y": "body_x_y", "x_y": "x_y", "inner": "inner"}
    assert seen.operations[0].aliases == []
    (param,) = (view for view in seen.classes if view.kind == "param" and len(view.fields) == 4)
    assert {field.wire for field in param.fields} == names.keys()


def test_a_file_where_none_can_be_is_refused() -> None:
    file: Json = {"type": "string", "format": "binary"}
    for fields in (object_(f=file), object_(f=array(file)), object_(f=object_(g=file))):
        assert "is a file, which only a field of a form can be" in refused(viewed, posting(fields))[1]
    assert "is a file" in refused(viewed, posting(object_(f=object_(g=file)), "multipart/form-data"))[1]
    assert viewed(posting(object_(f=array(file)), "multipart/form-data")).operations[0].files == ["f"]
    assert len(viewed(document({"/get-thing": {"get": operation(answer=object_(f=file))}})).operations) == 1


def test_pages_that_say_nothing_of_the_next_one_are_refused() -> None:
    page = object_(items=array(STRING), has_more={"type": "boolean"}, next_pagination_key=STRING)
    listed = operation("listThings", page, parameters=[{"name": "pagination_key", "in": "query", "schema": STRING}])
    where, reason = refused(viewed, document({"/list-things": {"get": listed}}))
    assert (where, reason) == (
        "/paths/~1list-things/get",
        "answers with pages, and these have no pagination_key that is a text to ask for the next one",
    )


@pytest.mark.parametrize(
    "answer", [object_(a=STRING), array(object_(a=STRING)), {"allOf": [ref("Thing")]}, {"oneOf": [ref("Thing"), STRING]}]
)
def test_an_answer_may_be_null(answer: Json) -> None:
    given = document({"/get-thing": {"get": operation("getThing", {**answer, "nullable": True})}}, {"Thing": object_(b=STRING)})
    (view,) = viewed(given).operations
    assert view.nullable
    assert view.returns.endswith(" | None")
    assert view.item is None  # what may be no list is awaited as it comes


def test_a_parameter_of_a_path_need_not_be_declared() -> None:
    (view,) = viewed(document({"/get-thing/{thing_id}": {"get": operation()}})).operations
    assert [(field.name, field.type) for field in view.fields["path"]] == [("thing_id", "str")]


def test_a_field_of_the_body_steps_aside_for_what_every_method_takes_and_for_the_path() -> None:
    given = posting(object_(timeout=STRING, thing=STRING, other=STRING))
    given["paths"] = {"/create/{thing}": given["paths"]["/create-thing"]}
    given["paths"]["/create/{thing}"]["post"]["parameters"] = [{"name": "thing", "in": "path", "required": True, "schema": STRING}]
    seen = viewed(given)
    assert [field.name for field in seen.operations[0].fields["body"]] == ["other", "body_thing", "timeout_"]


def test_structured_fields_of_a_form_are_json_where_the_api_is_known_to_want_it() -> None:
    schemas: Json = {"Kind": enum("a", "b"), "Part": object_(a=STRING)}
    part, kind = {"$ref": "#/components/schemas/Part"}, {"$ref": "#/components/schemas/Kind"}
    fields = object_(file={"type": "string", "format": "binary"}, kind=kind, part=part, parts=array(part), names=array(STRING), name=STRING)
    given = posting(fields, "multipart/form-data", schemas)
    assert (viewed(given).operations[0].json, viewed(given).operations[0].parts) == ([], ["names", "part", "parts"])
    given["paths"]["/create-thing"]["post"]["requestBody"]["content"]["multipart/form-data"]["x-json-texts"] = True
    seen = viewed(given)
    assert (seen.operations[0].files, seen.operations[0].json) == (["file"], ["names", "part", "parts"])


def test_what_an_operation_cannot_be_is_refused() -> None:
    post = "/paths/~1create-thing/post"
    body = f"{post}/requestBody/content"
    assert refused(viewed, posting(STRING, "text/plain"))[0] == body
    assert refused(viewed, posting(array(STRING)))[0] == f"{body}/application~1json/schema"
    wrong: list[tuple[str, Json]] = [
        ("/responses", {"responses": {}}),
        ("", {"responses": {"200": content(object_(items=array(STRING), has_more={"type": "boolean"}))}}),
    ]
    for where, broken in wrong:
        said = {**operation("createThing"), **broken}
        assert refused(viewed, document({"/create-thing": {"post": said}}))[0] == f"{post}{where}"
    same = document({"/a": {"get": operation("getThing")}, "/b": {"get": operation("get-thing")}})
    reason = "get_thing is the name of GET /a too: give another in openapi/surface.yaml, GET /b: {id: ...}"
    assert refused(viewed, same) == ("/paths/~1b/get", reason)


def test_the_official_names_of_fields_are_kept_beside_the_apis() -> None:
    inner = object_(fooBar=STRING, model_x=STRING, api_model_y=STRING, model_y=STRING, **{"from": STRING, "__z": STRING})
    given = posting(object_(things=array(inner), map={"type": "object", "additionalProperties": inner}, plain=STRING))
    given["paths"]["/create-other"] = posting(object_(a=STRING))["paths"]["/create-thing"]["post"] | {"operationId": "createOther"}
    given["paths"]["/create-other"] = {"post": given["paths"]["/create-other"]}
    given["paths"]["/get-thing"] = {"get": operation(answer=inner)}
    seen = viewed(given)
    assert {view.said["operationId"]: view.aliases for view in seen.operations} == {
        "createThing": ["foo_bar"],
        "createOther": [],
        "getThing": [],
    }
    sent = [
        [field.wire for field in view.fields]
        for view in seen.classes
        if view.kind == "param" and "fooBar" in {field.wire for field in view.fields}
    ]
    assert sent
    assert all(fields[-1] == "foo_bar" and "field_z" not in fields for fields in sent)
    aliases = [
        {name: field.wire for name, field in view.aliases}
        for view in seen.classes
        if view.kind == "model" and any(field.wire == "fooBar" for field in view.fields)
    ]
    assert aliases
    assert all(one == {"api_model_x": "model_x"} for one in aliases)


def test_what_was_there_first_keeps_its_name() -> None:
    given = posting(object_(mode=STRING))
    given["paths"]["/create-thing"]["post"]["parameters"] = [{"name": "mode", "in": "query", "schema": STRING}]
    fields = viewed(given).operations[0].fields
    assert [field.name for place in ("query", "body") for field in fields[place]] == ["query_mode", "mode"]
    prepared = prepare({**canonical(given), "x-names": {"createThing()": ["query mode"]}})
    fields = views(prepared, entries(prepared, {})).operations[0].fields
    assert [field.name for place in ("query", "body") for field in fields[place]] == ["mode", "body_mode"]


@pytest.mark.parametrize(
    ("there", "comes"),
    [
        ({"query": ["limit"]}, {"query": ["Limit"]}),
        ({"query": ["Limit"]}, {"query": ["limit"]}),
        ({"query": ["limit"]}, {"header": ["limit"]}),
        ({"query": ["limit"]}, {"body": ["limit"]}),
        ({"query": ["Limit"]}, {"body": ["limit"]}),
        ({"body": ["limit"]}, {"header": ["limit"], "query": ["Limit"]}),
        ({"body": ["Limit"]}, {"body": ["limit"]}),
        ({"body": ["Limit"]}, {"query": ["limit"]}),
    ],
)
def test_a_newcomer_steps_aside_for_what_has_its_name(there: dict[str, list[str]], comes: dict[str, list[str]]) -> None:
    def of(*some: dict[str, list[str]]) -> Json:
        given = posting(object_(**{name: STRING for one in some for name in one.get("body", ())}))
        sent = [
            {"name": name, "in": place, "schema": STRING} for one in some for place in ("header", "query") for name in one.get(place, ())
        ]
        given["paths"]["/create-thing"]["post"]["parameters"] = sent
        return canonical(given)

    before = prepare(of(there))
    after = prepare({**of(there, comes), "x-names": before["x-names"]})
    fields = views(after, entries(after, {})).operations[0].fields
    names = {(place, field.wire): field.name for place in ("header", "query", "body") for field in fields[place]}
    new = {(place, name): f"{place}_limit" for place, some in comes.items() for name in some}
    assert names == {(place, name): "limit" for place, some in there.items() for name in some} | new
    assert prepare({**of(there, comes), "x-names": after["x-names"]}) == after
