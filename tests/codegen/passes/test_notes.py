from __future__ import annotations

from codegen.document import Json
from codegen.passes import notes

from ..small import STRING, content, document, holding, object_, operation, ref


def test_a_note_comes_to_what_it_is_about() -> None:
    made = holding(A=object_(**{"a/b~c": STRING | {}}))
    laid: Json = {
        "/components/schemas/A/properties/a~1b~0c": {"unit": "ms"},
        "/paths/~1get-thing/get": {"note": "an operation"},
        "/components/schemas/Gone/properties/x": {"note": "of a field that is no longer there"},
        "/components/schemas/A/type": {"note": "of what is no schema"},
    }
    notes.lay(made, laid)
    assert made["components"]["schemas"]["A"]["properties"]["a/b~c"] == {"type": "string", "x-note": {"unit": "ms"}}
    assert made["paths"]["/get-thing"]["get"]["x-note"] == {"note": "an operation"}


def test_a_note_finds_what_has_moved_to_where_others_share_it() -> None:
    version: Json = {"in": "query", "name": "version", "schema": STRING}
    limit: Json = {"in": "query", "name": "limit", "schema": STRING}
    said: Json = {"parameters": [{"$ref": "#/components/parameters/Limit"}], "requestBody": {"$ref": "#/components/requestBodies/Body"}}
    made = document(
        {
            "/things": {
                "parameters": [version],
                **{method: operation(responses={"200": {"$ref": "#/components/responses/Thing"}}, **said) for method in ("get", "put")},
            }
        },
        {"Thing": object_(a={**STRING})},
        parameters={"Limit": limit},
        requestBodies={"Body": content(object_(b={**STRING}))},
        responses={"Thing": content(ref("Thing"))},
    )
    schema = "content/application~1json/schema/properties"
    below = {"parameters/version": 1, "parameters/limit": 2, f"requestBody/{schema}/b": 3, f"responses/200/{schema}/a": 4}
    assert notes.lay(
        made, {f"/paths/~1things/put/{place}": note for place, note in below.items()} | {"/paths/~1gone/get/parameters/x": 5}
    ) == ["/paths/~1gone/get/parameters/x"]
    parameters = made["paths"]["/things"]["put"]["parameters"]
    assert {one["name"]: one.get("x-note") for one in parameters} == {"version": 1, "limit": 2}
    assert "x-note" not in version.keys() | limit.keys()
    assert made["components"]["requestBodies"]["Body"]["content"]["application/json"]["schema"]["properties"]["b"]["x-note"] == 3
    assert made["components"]["schemas"]["Thing"]["properties"]["a"]["x-note"] == 4
