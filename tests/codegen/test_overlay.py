from __future__ import annotations

import pytest

from codegen.document import Json
from codegen.overlay import apply

from .small import refused

DOCUMENT: Json = {
    "info": {"title": "T"},
    "paths": {"/a/{b}": {"get": {"tags": ["x"]}, "post": {"tags": ["x", "y"]}}},
    "list": [{"n": 1}, {"n": 2}, {"n": 1}],
    "number": 1,
}


def laid(*actions: Json) -> Json:
    before = repr(DOCUMENT)
    made = apply(DOCUMENT, {"overlay": "1.0.0", "actions": list(actions)})
    assert repr(DOCUMENT) == before
    return made


def test_an_update_is_merged_into_every_target() -> None:
    made = laid(
        {"target": "$.paths.*.*", "update": {"x-new": {"a": 1}, "tags": ["z"]}}, {"target": "$.paths.*.get", "update": {"x-new": {"b": 2}}}
    )
    assert made["paths"]["/a/{b}"] == {
        "get": {"tags": ["x", "z"], "x-new": {"a": 1, "b": 2}},
        "post": {"tags": ["x", "y", "z"], "x-new": {"a": 1}},
    }


def test_a_union_is_found_whichever_way_the_document_says_it() -> None:
    members = [{"type": "string"}, {"type": "integer"}]
    for there, target in (("anyOf", "oneOf"), ("oneOf", "anyOf")):
        document: Json = {"a": {there: [members[0]]}}
        made = apply(document, {"actions": [{"target": f"$.a.{target}", "update": members[1]}]})
        assert made == {"a": {there: members}}


def test_an_update_of_an_array_is_one_more_element_and_a_scalar_replaces() -> None:
    assert laid({"target": "$.list", "update": {"n": 3}})["list"][-1] == {"n": 3}
    assert laid({"target": "$", "x-replaces": True, "update": {"number": 2, "info": None}}) == {**DOCUMENT, "number": 2, "info": None}


def test_targets_are_removed_also_several_of_one_array() -> None:
    assert laid({"target": "$.list[?@.n == 1]", "remove": True})["list"] == [{"n": 2}]
    assert laid({"target": "$.paths['/a/{b}'].get", "remove": True})["paths"] == {"/a/{b}": {"post": {"tags": ["x", "y"]}}}
    assert "tags" not in repr(laid({"target": "$..tags", "remove": True}))


def test_updates_do_not_share_what_they_bring() -> None:
    update: Json = {"x": {"y": []}}
    made = laid({"target": "$.paths.*.*", "update": update})
    made["paths"]["/a/{b}"]["get"]["x"]["y"].append(1)
    assert made["paths"]["/a/{b}"]["post"]["x"]["y"] == update["x"]["y"] == []


def test_a_target_that_is_not_there_changes_nothing() -> None:
    assert laid({"target": "$.nowhere.*", "update": {"a": 1}}, {"target": "$.list[9]", "remove": True}) == DOCUMENT


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"update": {}}, "target"),
        ({"target": "$[", "update": {}}, "target"),
        ({"target": "$", "remove": True}, "whole document"),
        ({"target": "$.number", "update": {"a": 1}}, "an object or an array"),
        ({"target": "$.info", "update": [1]}, "an object as update of an object"),
    ],
)
def test_an_action_that_means_nothing_is_refused(action: Json, reason: str) -> None:
    where, why = refused(
        lambda document: apply(document, {"overlay": "1.0.0", "actions": [{"target": "$.info", "update": {}}, action]}), DOCUMENT
    )
    assert where == "/actions/1"
    assert reason in why


SCHEMAS: Json = {
    "components": {
        "schemas": {
            "A": {"type": "object", "properties": {"x": {"type": "string"}}},
            "B": {"properties": {"kind": {"enum": ["b"]}}},
            "U": {"oneOf": [{"$ref": "#/components/schemas/B"}]},
        }
    },
    "paths": {"/v2/a": {"get": {"parameters": [{"in": "query", "name": "p", "schema": {}}]}}},
}


def told(action: Json, moved: dict[str, str] | None = None) -> tuple[Json, list[str]]:
    said: list[str] = []
    return apply(SCHEMAS, {"overlay": "1.0.0", "actions": [action]}, moved, said), said


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ({"target": "$.components.schemas.A.properties", "update": {"x": {"type": "string"}}}, "the document says it itself"),
        (
            {"target": "$.components.schemas.A.properties", "update": {"x": {"type": "integer"}}},
            "the document says x otherwise and is believed",
        ),
        ({"target": "$.components.schemas", "update": {"A": {"type": "object"}}}, "the document says A otherwise and is believed"),
        ({"target": "$.components.schemas.Gone", "update": {"x": 1}}, "nothing is at its target"),
        ({"target": "$.components.schemas.Gone", "remove": True}, "what it removes is gone, or has another name now"),
        ({"target": "$.components.schemas.U.oneOf", "update": {"$ref": "#/components/schemas/No"}}, "the document has no No to refer to"),
        ({"target": "$.components.schemas.U.oneOf", "update": {"$ref": "#/components/schemas/B"}}, "the document says it itself"),
        (
            {"target": "$.components.schemas.U.oneOf", "update": {"properties": {"kind": {"enum": ["b"]}, "more": {}}}},
            "the document says None otherwise and is believed",
        ),
        (
            {"target": "$.paths['/v2/a'].get.parameters", "update": {"in": "query", "name": "p", "schema": {"type": "string"}}},
            "the document says p otherwise and is believed",
        ),
    ],
)
def test_an_action_that_the_document_has_caught_up_with_does_nothing_and_says_so(action: Json, why: str) -> None:
    made, said = told(action)
    assert made == SCHEMAS
    assert said == [f"openapi/overlay.yaml/actions/0 ({action['target']}): {why}"]


def test_an_action_may_replace_what_the_document_says() -> None:
    action = {"target": "$.components.schemas.A.properties", "x-replaces": True, "update": {"x": {"type": "integer"}}}
    made, said = told(action)
    assert (made["components"]["schemas"]["A"]["properties"]["x"], said) == ({"type": "integer"}, [])


def test_an_action_goes_along_with_the_operation_that_it_is_about() -> None:
    action = {"target": "$.paths['/a'].get", "update": {"x-new": 1}}
    made, said = told(action, {"$.paths['/a'].get": "$.paths['/v2/a'].get"})
    assert (made["paths"]["/v2/a"]["get"]["x-new"], said) == (1, [])
