from __future__ import annotations

from typing import Any

import pytest

from codegen.document import Json
from codegen.passes import errors, reachable, wire

from ..small import STRING, after, array, content, document, object_, operation, refused

THING = object_(id=STRING)


KEYS: Json = {"key": {"type": "http", "scheme": "bearer"}}


def passed(said: Json, **more: Any) -> Json:
    """What the passes up to this one make of an operation."""
    made = document({"/get-thing": {"get": {**operation(answer=THING), **said}}}, securitySchemes=KEYS) | more
    for run in (errors.run, reachable.run, wire.run):
        run(made)
    found: Json = made["paths"]["/get-thing"]["get"]
    return found


def query(schema: Json, **more: Any) -> Json:
    return {"parameters": [{"in": "query", "name": "ids", "schema": schema, **more}]}


@pytest.mark.parametrize(
    ("schema", "said", "style"),
    [
        (array(STRING), {}, None),
        (array(STRING), {"style": "form"}, "repeat"),
        (array(STRING), {"style": "form", "explode": False}, "comma"),
        (array(STRING), {"explode": False}, "comma"),
        (array(STRING), {"style": "spaceDelimited", "explode": False}, "space"),
        (array(STRING), {"style": "pipeDelimited"}, "pipe"),
        (THING, {"style": "form", "explode": True}, "fields"),
        (THING, {"style": "deepObject", "explode": True}, None),
        ({"type": "object", "additionalProperties": STRING}, {"explode": True}, "fields"),
        ({"allOf": [THING, {"type": "object"}]}, {"style": "form", "explode": False}, "comma"),
        ({"oneOf": [THING, THING]}, {"style": "form"}, "fields"),
        ({"oneOf": [STRING, array(STRING)]}, {"style": "form"}, "repeat"),
        ({}, {"explode": False}, "comma"),
        (STRING, {"style": "form", "explode": False}, None),
    ],
)
def test_a_style_is_kept_where_it_makes_a_difference(schema: Json, said: Json, style: str | None) -> None:
    (parameter,) = passed(query(schema, **said))["parameters"]
    assert parameter.get("x-style") == style


def test_a_name_that_says_it_is_an_array_is_not_made_one_again() -> None:
    operation = {"parameters": [{"in": "query", "name": "ids[]", "schema": array(STRING)}]}
    assert passed(operation)["parameters"][0]["x-style"] == "repeat"


@pytest.mark.parametrize(
    ("said", "where"),
    [
        (query(array(STRING), style="deepObject"), "/parameters/0"),
        (query(array(STRING), style="odd"), "/parameters/0"),
        (query({"oneOf": [THING, array(STRING)]}, style="deepObject"), "/parameters/0"),
        ({"parameters": [{"in": "cookie", "name": "c", "schema": STRING}]}, "/parameters/0"),
        ({"parameters": [{"in": "header", "name": "a b", "schema": STRING}]}, "/parameters/0"),
        ({"parameters": [{"in": "header", "name": "X", "schema": THING}]}, "/parameters/0"),
        ({"parameters": [{"in": "path", "name": "p", "required": True, "schema": array(STRING)}]}, "/parameters/0"),
        ({"servers": [{"url": "https://files.test"}]}, "/servers"),
        ({"security": []}, "/security"),
        ({"requestBody": content(STRING, "text/plain")}, "/requestBody/content"),
        ({"requestBody": content(THING, "application/merge-patch+json")}, "/requestBody/content"),
        ({"responses": {"200": content(STRING, "text/event-stream")}}, "/responses/200/content"),
        ({"responses": {"200": content(THING), "202": content(STRING, "text/csv")}}, "/responses"),
        ({"responses": {"200": content(THING), "2XX": content(STRING)}}, "/responses"),
        ({"responses": {"default": content(THING)}}, "/responses"),
    ],
)
def test_what_would_go_over_the_wire_otherwise_is_refused(said: Json, where: str) -> None:
    assert refused(lambda made: passed(made, security=[{"key": []}]), said)[0] == f"/paths/~1get-thing/get{where}"


def test_what_the_document_says_for_all_may_be_said_again() -> None:
    servers: list[Json] = [{"url": "https://a.test"}]
    security: list[Json] = [{"key": []}]
    assert passed({"servers": servers, "security": security}, servers=servers, security=security)


def test_what_every_operation_asks_for_itself_is_what_the_document_asks_for() -> None:
    said: list[Json] = [{"key": []}]
    made = document({f"/get-{one}": {"get": operation(f"get{one}", answer=THING, security=said)} for one in "abc"}, securitySchemes=KEYS)
    errors.run(made)
    reachable.run(made)
    assert after(wire.run, made)["security"] == said
    del made["paths"]["/get-b"]["get"]["security"]
    assert refused(wire.run, made)[0] == "/paths/~1get-b/get/security"


@pytest.mark.parametrize(("own", "where"), [({}, ""), ({"security": [{"key": []}, {"key": [], "nope": []}]}, "/paths/~1get-thing/get")])
def test_a_proof_that_is_nowhere_said_is_refused_with_its_place(own: Json, where: str) -> None:
    common: Json = {} if own else {"security": [{"key": []}, {"key": [], "nope": []}]}
    assert refused(lambda said: passed(said, **common), own) == (f"{where}/security/1/nope", "no security scheme has this name")


def test_headers_that_are_not_the_operations_are_left_out() -> None:
    headers = [{"in": "header", "name": name, "schema": STRING} for name in ("Accept", "X-Workspace", "Authorization")]
    assert [parameter["name"] for parameter in passed({"parameters": headers})["parameters"]] == ["X-Workspace"]


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_is_json_however_it_is_called(media: str) -> None:
    found = passed({"requestBody": content(THING, media), "responses": {"200": content(THING, media)}})
    assert list(found["requestBody"]["content"]) == ["application/json"]
    assert list(found["responses"]["200"]["content"]) == ["application/json"]


def test_an_answer_may_be_json_of_any_kind() -> None:
    assert list(passed({"responses": {"200": content(THING, "application/vnd.thing+json")}})["responses"]["200"]["content"]) == [
        "application/json"
    ]


def test_of_several_kinds_json_is_taken() -> None:
    both = {"content": {"text/csv": {"schema": STRING}, "application/json": {"schema": THING}}}
    assert passed({"responses": {"200": both}}).get("x-media") is None
    assert passed({"requestBody": both})["requestBody"]["content"] == {"application/json": {"schema": THING}}


@pytest.mark.parametrize(
    ("field", "json", "kept"),
    [
        ({"format": "binary"}, object_(note=STRING), "multipart/form-data"),
        ({"format": "binary"}, object_(note=STRING, file_url=STRING), "application/json"),
        ({"format": "binary"}, {"allOf": [{"oneOf": [object_(note=STRING), object_(file_url=STRING)]}]}, "application/json"),
        ({}, object_(note=STRING), "application/json"),
    ],
)
def test_json_beside_a_form_does_not_take_the_file_away_nor_the_form_a_field(field: Json, json: Json, kept: str) -> None:
    form = content({"allOf": [object_(note=STRING)], **object_(file=array({**STRING, **field}))}, "multipart/form-data")
    both = {"content": {**form["content"], **content(json)["content"]}}
    assert list(passed({"requestBody": both})["requestBody"]["content"]) == [kept]


@pytest.mark.parametrize(
    ("media", "kind"), [("text/csv", "text"), ("text/html; charset=x", "text"), ("audio/wav", "bytes"), ("application/pdf", "bytes")]
)
def test_other_answers_are_text_or_bytes(media: str, kind: str) -> None:
    assert passed({"responses": {"200": content(STRING, media)}})["x-media"] == kind


def test_what_may_be_text_or_a_file_is_read_as_a_file() -> None:
    """As text it would be destroyed."""
    both = {"content": {**content(STRING, "text/plain")["content"], **content(STRING, "application/pdf")["content"]}}
    assert passed({"responses": {"200": both}})["x-media"] == "bytes"


def test_an_answer_or_nothing() -> None:
    found = passed({"responses": {"200": content(THING), "204": {"description": ""}}})
    assert (list(found["responses"]), found["x-nullable"]) == (["200"], True)


def test_several_answers_stay_and_the_same_one_is_one() -> None:
    assert list(passed({"responses": {"200": content(THING), "201": content(THING)}})["responses"]) == ["200"]
    assert list(passed({"responses": {"200": content(THING), "202": content(object_(job=STRING))}})["responses"]) == ["200", "202"]


def test_parts_of_forms_that_are_written_otherwise_are_refused() -> None:
    form = object_(file={"type": "string", "format": "binary"}, about=THING, note=STRING)

    def encoded(**encoding: Json) -> Json:
        body = content(form, "multipart/form-data")
        body["content"]["multipart/form-data"]["encoding"] = encoding
        return {"requestBody": body}

    passed(encoded(file={"contentType": "image/png"}, note={"contentType": "text/plain"}, about={"contentType": "application/json"}))
    where, _ = refused(passed, encoded(about={"contentType": "application/xml"}))
    assert where == "/paths/~1get-thing/get/requestBody/content/multipart~1form-data/encoding/about"
    assert refused(passed, encoded(file={"headers": {}}))[0].endswith("/encoding/file")
