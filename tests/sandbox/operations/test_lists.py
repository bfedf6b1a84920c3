"""A list has the shape that its operation has in the document, whichever shape its handler was written for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codegen.document import Json, operations
from retell_async.sandbox.openapi.document import Document
from retell_async.sandbox.service import Sandbox

from ..checked import DOCUMENT

BOOLEAN: Json = {"type": "boolean"}
IN_PARTS = {"listTestCaseDefinitions", "listBatchTests", "listAppUsages", "getMCPTools"}
"""Lists that want to be told of what."""


def array_or_page(item: Json, *, in_pages: bool) -> Json:
    array = {"type": "array", "items": item}
    fields = {"items": array, "has_more": BOOLEAN, "total": {"type": "integer"}, "pagination_key": {"type": "string"}}
    return {"type": "object", "properties": fields, "required": ["items", "has_more"]} if in_pages else array


def lists() -> dict[str, tuple[str, str, Json]]:
    """By id, the method and path of each list, and what it lists."""
    made = Document(DOCUMENT)
    found: dict[str, tuple[str, str, Json]] = {}
    for route in made.routes.values():
        answer = made.resolve(route.answer or {})
        array = answer if answer.get("type") == "array" else answer.get("properties", {}).get("items")
        if array is None and "allOf" in answer:
            array = next((part["properties"]["items"] for part in answer["allOf"] if "items" in part.get("properties", {})), None)
        if array is not None and not route.names and route.id not in IN_PARTS:
            found[route.id] = route.method, route.path, array["items"]
    return found


LISTS = lists()


def sandbox(id: str, *, in_pages: bool, takes: tuple[str, ...] = ()) -> Sandbox:
    """A sandbox whose document has another version of an operation, that answers with a bare array or in pages."""
    made, changed = Sandbox(), json.loads(json.dumps(DOCUMENT))
    (method, said) = next((method, one) for method, _, one in operations(changed) if one["operationId"] == id)
    answer = {"description": "", "content": {"application/json": {"schema": array_or_page(LISTS[id][2], in_pages=in_pages)}}}
    parameters = [{"in": "query", "name": name, "schema": {}} for name in takes]
    version = {**said, "operationId": f"{id}V9", "parameters": parameters, "responses": {"200": answer, "400": {"description": ""}}}
    changed["paths"]["/v9/list"] = {method: {name: part for name, part in version.items() if name != "requestBody"}}
    made._document = Document(changed)
    return made


def ask(sandbox: Sandbox, method: str, path: str, body: Json | None = None, query: str = "") -> Any:
    content = b"" if body is None else json.dumps(body).encode()
    answer = sandbox.answer(method, path, query=query, authorization="Bearer k", content_type="application/json", content=content)
    assert answer.status < 300, answer.body
    return answer.body


@pytest.mark.parametrize("in_pages", [False, True])
@pytest.mark.parametrize("id", LISTS)
def test_every_list_has_the_shape_of_its_operation(id: str, in_pages: bool) -> None:
    method = LISTS[id][0]
    answer = ask(sandbox(id, in_pages=in_pages), method, "/v9/list")
    assert isinstance(answer["items"] if in_pages else answer, list)


def test_an_array_goes_page_by_page() -> None:
    made = sandbox("listVoices", in_pages=True)
    whole = ask(made, "GET", "/v9/list")
    assert len(whole["items"]) == whole["total"] > 5
    assert whole["has_more"] is False
    found: list[Json] = []
    query = "limit=3"
    while query:
        page = ask(made, "GET", "/v9/list", query=query)
        assert page["total"] == whole["total"]
        found += page["items"]
        query = f"limit=3&pagination_key={page['pagination_key']}" if page["has_more"] else ""
    assert found == whole["items"]


def test_an_array_is_turned_round_where_that_is_asked_for() -> None:
    made = sandbox("listVoices", in_pages=True, takes=("sort_order", "limit"))
    one, other = (ask(made, "GET", "/v9/list", query=f"sort_order={order}")["items"] for order in ("ascending", "descending"))
    assert one == other[::-1]


def test_pages_become_one_array_with_everything() -> None:
    made = sandbox("listRetellLLM", in_pages=False)
    ids = [ask(made, "POST", "/create-retell-llm", {})["llm_id"] for _ in range(120)]
    assert [one["llm_id"] for one in ask(made, "GET", "/v9/list")] == ids[::-1]


def test_an_array_that_may_be_asked_for_in_parts_comes_in_parts() -> None:
    made = sandbox("listRetellLLM", in_pages=False, takes=("limit",))
    ids = [ask(made, "POST", "/create-retell-llm", {})["llm_id"] for _ in range(5)]
    assert [one["llm_id"] for one in ask(made, "GET", "/v9/list", query="limit=2")] == ids[:2:-1]
