from __future__ import annotations

import pytest

from codegen.document import Json
from codegen.passes import errors

from ..small import STRING, after, array, content, document, enum, object_, operation, ref, refused

BODY = object_(status=enum("error"), message=STRING)


def answering(**responses: Json) -> Json:
    said = {"operationId": "getThing", "responses": {status.removeprefix("s"): response for status, response in responses.items()}}
    shared = {"Bad": {"description": "", **content(BODY)}, "Good": {"description": "", **content(object_(ok=STRING))}}
    return document({"/get-thing": {"get": said}}, {"Ok": object_(ok=STRING)}, responses=shared)


def test_all_errors_share_one_body() -> None:
    made = after(
        errors.run,
        answering(
            s200=content(ref("Ok")),
            s400={"$ref": "#/components/responses/Bad"},
            s429={"description": ""},
            s401=content(object_(message=STRING)),
            default=content(BODY),
        ),
    )
    said = made["paths"]["/get-thing"]["get"]
    assert said["x-errors"] == [400, 401, 429]
    assert list(said["responses"]) == ["200"]
    assert made["x-error-body"] == ref("ErrorResponse")
    assert made["components"]["schemas"]["ErrorResponse"] == BODY
    assert "responses" not in made["components"]


def test_a_shared_answer_that_is_no_error_is_put_where_it_is_used() -> None:
    made = after(errors.run, answering(s201={"$ref": "#/components/responses/Good"}))
    assert made["paths"]["/get-thing"]["get"]["responses"] == {"201": {"description": "", **content(object_(ok=STRING))}}


@pytest.mark.parametrize("body", [{}, {"content": {"text/html": {}}}, content(STRING, "text/html"), {"content": {"application/json": {}}}])
def test_errors_that_are_no_json_have_no_body(body: Json) -> None:
    made = after(errors.run, answering(s200={}, s400={"description": "", **body}, s4XX={"description": ""}))
    assert made["x-error-body"] is None
    assert made["paths"]["/get-thing"]["get"]["x-errors"] == [400]
    assert "ErrorResponse" not in made["components"]["schemas"]


def test_what_any_error_says_is_in_the_one_body() -> None:
    made = after(
        errors.run,
        answering(
            s200={}, s400=content(object_(message=STRING, code=STRING)), s409=content(object_(code=enum("a"))), s422=content(array(STRING))
        ),
    )
    assert made["components"]["schemas"]["ErrorResponse"] == object_(message=STRING, code={})


def test_the_name_of_the_shared_body_must_be_free() -> None:
    given = answering(s200={}, s400=content(BODY))
    given["components"]["schemas"]["ErrorResponse"] = object_(other=STRING)
    assert refused(errors.run, given)[0] == "/components/schemas/ErrorResponse"


def test_a_document_without_answers_or_components() -> None:
    made = after(errors.run, {"paths": {"/a": {"get": {"operationId": "a"}}, "/b": {"get": operation("b")}}})
    assert made["x-error-body"] is None
    assert made["paths"]["/a"]["get"]["x-errors"] == []


def test_an_answer_that_is_not_there_is_refused() -> None:
    assert refused(errors.run, answering(s200={"$ref": "#/components/responses/No"}))[0] == "/components/responses/No"
