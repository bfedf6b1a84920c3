from __future__ import annotations

from codegen.passes import reachable

from ..small import STRING, after, array, content, document, object_, operation, ref, refused


def test_what_no_operation_needs_is_set_aside_by_name() -> None:
    made = after(
        reachable.run,
        document(
            {"/a": {"post": operation("a", array(ref("A")), requestBody=content(object_(b=ref("B"))))}},
            {
                "A": object_(c={"allOf": [ref("C"), {"oneOf": [ref("D")]}]}),
                "B": {"type": "object", "additionalProperties": ref("A")},
                "C": object_(own=ref("C")),
                "D": STRING,
                "Lonely": object_(a=ref("A")),
                "Alone": STRING,
            },
        ),
    )
    assert list(made["components"]["schemas"]) == ["A", "B", "C", "D"]
    assert made["x-unreachable"] == ["Alone", "Lonely"]


def test_each_operation_has_its_own_parameters_and_body_in_full() -> None:
    own = {"name": "limit", "in": "query", "schema": {"type": "integer"}}
    made = after(
        reachable.run,
        document(
            {
                "/a/{id}": {
                    "parameters": [
                        {"$ref": "#/components/parameters/Id"},
                        {"$ref": "#/components/parameters/Limit"},
                        {"name": "id", "in": "query", "schema": STRING},
                    ],
                    "post": operation("a", parameters=[own], requestBody={"$ref": "#/components/requestBodies/Body"}),
                    "get": operation("b"),
                }
            },
            parameters={
                "Id": {"name": "id", "in": "path", "required": True, "schema": STRING},
                "Limit": {"name": "limit", "in": "query", "schema": STRING},
            },
            requestBodies={"Body": content(object_(a=STRING))},
        ),
    )
    item = made["paths"]["/a/{id}"]
    assert [(parameter["in"], parameter["name"]) for parameter in item["post"]["parameters"]] == [
        ("query", "limit"),
        ("path", "id"),
        ("query", "id"),
    ]
    assert item["post"]["parameters"][0] == own
    assert len(item["get"]["parameters"]) == 3
    assert item["post"]["requestBody"] == content(object_(a=STRING))
    assert "parameters" not in item
    assert made["components"].keys() == {"schemas"}


def test_content_without_a_schema_may_be_anything() -> None:
    made = after(reachable.run, document({"/a": {"get": {"responses": {"200": {"content": {"application/json": {}}}}}}}))
    assert made["paths"]["/a"]["get"]["responses"]["200"] == content({})


def test_what_is_not_there_is_refused() -> None:
    assert refused(reachable.run, document({"/a": {"get": operation("a", object_(x=ref("No")))}})) == (
        "/components/schemas/No",
        "is referred to and missing",
    )
    missing = operation("a", parameters=[{"$ref": "#/components/parameters/No"}])
    assert refused(reachable.run, document({"/a": {"get": missing}}))[0] == "/components/parameters/No"


def test_a_reference_to_what_is_no_component_is_refused_where_it_stands_and_needed() -> None:
    other = "#/paths/~1b/get/responses/200/content/application~1json/schema"
    odd = array({"$ref": other})
    for schema, where in ((odd, "/paths/~1a/get/responses/200/content/application~1json/schema"), (ref("Odd"), "/components/schemas/Odd")):
        given = document({"/a": {"get": operation("a", schema)}, "/b": {"get": operation("b", STRING)}}, {"Odd": odd})
        reason = f"{other} cannot stand for a schema: only references to #/components/schemas/ can"
        assert refused(reachable.run, given) == (f"{where}/items/$ref", reason)
    assert after(reachable.run, document({}, {"Odd": odd}))["x-unreachable"] == ["Odd"]


def test_a_parameter_without_a_schema_is_refused() -> None:
    given = document({"/a": {"get": operation("a", parameters=[{"name": "q", "in": "query", **content(STRING)}])}})
    where, reason = refused(reachable.run, given)
    assert (where, reason.partition(" ")[0]) == ("/paths/~1a/get/parameters", "q")
