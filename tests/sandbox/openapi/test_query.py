"""The sandbox reads a query as the client writes it, in each style that a document may say."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import urlsplit

import pytest

from codegen import marks
from codegen.document import Json, Refused
from codegen.passes import wire
from retell_async._core.encode import encode
from retell_async._core.operation import Operation, Request
from retell_async.sandbox.common.messages import Refused as RefusedRequest
from retell_async.sandbox.openapi.document import Document, Route

STRING: Json = {"type": "string"}
NUMBERS: Json = {"type": "array", "items": {"type": "integer"}}
NAMES: Json = {"type": "array", "items": {"type": "string", "enum": ["rime", "cartesia", "7"]}}
RANGE: Json = {"type": "object", "properties": {"low": {"type": "number"}, "open": {"type": "boolean"}, "name": STRING}}
COUNTS: Json = {"type": "object", "additionalProperties": {"type": "integer"}}
SOME: Json = {"oneOf": [{"type": "integer"}, NUMBERS]}
DEEP: Json = {
    "type": "object",
    "properties": {"ids": NUMBERS, "range": {"$ref": "#/components/schemas/Range"}, "all": {"type": "array", "items": RANGE}},
}
STYLES: list[Json] = [
    {},
    *({"style": style, "explode": explode} for style in ("form", "spaceDelimited", "pipeDelimited") for explode in (True, False)),
    {"style": "form"},
    {"explode": False},
    {"style": "deepObject"},
    {"style": "pipeDelimited"},
]
VALUES: list[tuple[Json, Any]] = [
    ({"$ref": "#/components/schemas/Names"}, ["rime"]),
    (NAMES, ["rime", "7"]),
    (NUMBERS, [1, -20, 300]),
    (RANGE, {"low": 1.5, "open": True, "name": "3"}),
    (COUNTS, {"a": 1, "b": 2}),
    (SOME, 5),
    (SOME, [1, 2]),
    (STRING, "a,b|c d"),
    ({"type": "number"}, 1e-07),
    ({"type": "boolean"}, False),
    (STRING, "true"),
]
CASES = [*itertools.product(STYLES, VALUES), ({}, (DEEP, {"ids": [1], "range": {"low": 2, "name": "x"}, "all": [{"low": 1}, {"low": 2}]}))]


def described(parameter: Json) -> Json:
    said = {"operationId": "getThing", "parameters": [parameter], "responses": {"200": {"description": ""}, "400": {"description": ""}}}
    return {"paths": {"/get-thing": {"get": said}}, "components": {"schemas": {"Names": NAMES, "Range": RANGE}}}


def route(parameter: Json) -> Route:
    return Document(described(parameter)).routes["getThing"]


@pytest.mark.parametrize(("style", "case"), CASES, ids=str)
def test_what_the_client_writes_is_read(style: Json, case: tuple[Json, Any]) -> None:
    schema, value = case
    parameter = {"in": "query", "name": "some", "schema": schema, **style}
    given = described(dict(parameter))
    try:
        wire.run(given)
    except Refused:
        return  # no client is generated from a document that says so
    way = given["paths"]["/get-thing"]["get"]["parameters"][0].get(marks.STYLE)
    operation: Operation[Any] = Operation(
        id="getThing", method="GET", path="/get-thing", repeat="safe", response=None, styles={"some": way} if way else None
    )
    sent = encode(Request(operation, "/get-thing", {"some": value}, None), base_url="http://a.test")
    assert route(parameter).read_query(urlsplit(sent.target).query) == {"some": value}


def test_what_is_of_another_type_is_refused_with_its_name() -> None:
    for query in ("some=pear", "some=rime,pear", "some[]=pear"):
        with pytest.raises(RefusedRequest, match="query parameter some: "):
            route({"in": "query", "name": "some", "schema": NAMES, "explode": False}).read_query(query)
    with pytest.raises(RefusedRequest, match="query parameter some is missing"):
        route({"in": "query", "name": "some", "schema": NAMES, "required": True}).read_query("other=1")


@pytest.mark.parametrize("query", ["some[]=1&some[]=2", "some[0]=1&some[1]=2", "some=1&some=2"])
def test_other_clients_may_write_arrays_as_the_official_one_does_or_as_the_standard_has_it(query: str) -> None:
    assert route({"in": "query", "name": "some", "schema": NUMBERS}).read_query(query) == {"some": [1, 2]}


@pytest.mark.parametrize(
    "query", ["some[=1", "some[a]b=1", "some[][][]=1&some[a]=2", "some[a]=1&some[]=2", "some[a]=1&some[a][b]=2&some[a]=3"]
)
def test_what_cannot_be_meant_is_refused_or_nothing(query: str) -> None:
    for schema in (NUMBERS, RANGE, COUNTS, STRING):
        try:
            assert route({"in": "query", "name": "some", "schema": schema}).read_query(query).keys() <= {"some"}
        except RefusedRequest:
            continue
