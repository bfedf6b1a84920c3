from __future__ import annotations

import pytest

from codegen.document import Json
from codegen.operation import answer, keywords, listing, properties

from .small import STRING, array, object_, ref

ITEM = object_(id=STRING)
PAGE = {"type": "object", "properties": {"items": {"type": "array", "items": ref("A")}, "has_more": {"type": "boolean"}}}
DOCUMENT: Json = {"components": {"schemas": {"A": ITEM, "Page": PAGE, "All": array(ref("A"))}}}


def responses(*statuses: str, **content: Json) -> Json:
    return {
        "responses": {
            status: {"content": {kind.replace("_", "/"): {"schema": schema} for kind, schema in content.items()}} for status in statuses
        }
    }


def test_one_answer_means_success() -> None:
    assert answer(responses("201", application_json=ref("A"))) == ref("A")
    assert answer(responses("204")) is None


def test_several_answers_of_success_are_a_union() -> None:
    both = {
        "responses": {**responses("200", application_json=ref("A"))["responses"], **responses("202", application_json=ITEM)["responses"]}
    }
    assert answer(both) == {"oneOf": [ref("A"), ITEM]}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (ref("Page"), ("pages", ref("A"))),
        (ref("All"), ("a bare array", ref("A"))),
        ({"type": "array"}, ("a bare array", {})),
        (ref("A"), ("one object", ref("A"))),
        (
            {"type": "object", "properties": {"items": array(ref("A"))}},
            ("one object", {"type": "object", "properties": {"items": array(ref("A"))}}),
        ),
    ],
)
def test_how_an_answer_lists(schema: Json, expected: tuple[str, Json]) -> None:
    assert listing(DOCUMENT, schema) == expected


def test_what_a_method_takes() -> None:
    body = {"type": "object", "required": ["a"], "properties": {"a": STRING, "b": STRING, "made": STRING | {"readOnly": True}}}
    given = {
        "parameters": [
            {"name": "id", "in": "path", "schema": STRING},
            {"name": "limit", "in": "query", "schema": STRING, "deprecated": True},
        ],
        "requestBody": {"content": {"application/json": {"schema": body}}},
    }
    taken = {name: required for name, (_, required) in keywords(DOCUMENT, given).items()}
    assert taken == {"id": True, "limit": False, "a": True, "b": False}
    assert keywords(DOCUMENT, given)["limit"][0]["deprecated"]
    assert properties(DOCUMENT, body, sent=False).keys() == {"a", "b", "made"}
