from __future__ import annotations

from typing import Any

from codegen import marks
from codegen.document import Json
from codegen.parser import fields, parse, wire
from codegen.passes import parsable

from ..small import INTEGER, STRING, after, array, document, enum, object_, operation, ref, refused


def said(schema: Json, **schemas: Json) -> Json:
    """What comes of a schema that stands at a property, but for the names and words of it."""
    given = document({}, {"Holder": object_(held=schema), **schemas})
    held: Json = bare(after(parsable.run, given)["components"]["schemas"]["Holder"]["properties"]["held"])
    return held


def bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if key not in ("title", marks.ABOUT)}
    return [bare(item) for item in value] if isinstance(value, list) else value


def test_null_is_a_member_of_a_union() -> None:
    null = {"type": "null"}
    for schema in (STRING, enum("a"), array(STRING), {"oneOf": [STRING, INTEGER]}, ref("A"), {"type": "object"}, {}):
        assert said({**schema, "nullable": True}, A=object_(a=STRING)) == {"oneOf": [schema, null]}
    assert said(ref("N"), N={**object_(a=STRING), "nullable": True}) == {"oneOf": [ref("N"), null]}
    assert said(array({**STRING, "nullable": True})) == array({"oneOf": [STRING, null]})


def test_a_union_with_a_name_is_an_object_that_holds_it() -> None:
    given = document({}, {"U": {"oneOf": [ref("A"), STRING], "nullable": True}, "A": object_(u=ref("U"))})
    schemas = after(parsable.run, given)["components"]["schemas"]
    assert schemas["U"][marks.UNION]
    assert bare(schemas["U"]["properties"]["value"]) == {"oneOf": [ref("A"), STRING]}
    assert bare(schemas["A"]["properties"]["u"]) == {"oneOf": [ref("U"), {"type": "null"}]}
    found = parse(after(parsable.run, given))
    assert [wire(prop) for prop in fields(found.model("U"))] == ["value"]


def test_an_enum_that_the_parser_has_no_word_for_is_of_its_type() -> None:
    assert said({"type": "boolean", "enum": [True]}) == {"const": True}
    assert said({"type": "boolean", "enum": [False, True]}) == {"type": "boolean"}
    assert said({"type": "number", "enum": [0.5, 1]}) == {"type": "number"}
    assert said({"enum": ["a", 1]}) == {}
    assert said({"type": "integer", "enum": [0, 2**63]}) == INTEGER
    assert said({"type": "integer", "enum": [1, 2]}) == {"type": "integer", "enum": [1, 2]}


def test_defaults_that_are_no_values_of_their_type_are_left_out() -> None:
    for schema, kept in (
        ({**STRING, "default": "a"}, True),
        ({**STRING, "default": 1}, False),
        ({**enum("a"), "default": "b"}, False),
        ({**INTEGER, "default": True}, False),
        ({"type": "number", "default": 1}, True),
        ({"type": "number", "default": 0.5}, True),
        ({"type": "object", "default": {}}, False),
        ({**array(STRING), "default": []}, False),
    ):
        assert ("default" in said(schema)) is kept


def test_formats_arrays_of_nothing_and_closed_maps() -> None:
    assert said({**STRING, "format": "date-time"}) == STRING
    assert said({**STRING, "format": "binary"}) == {**STRING, "format": "binary"}
    assert said({"type": "array"})["items"] == {}
    assert said({"type": "object", "additionalProperties": False}) == {"type": "object"}
    assert refused(lambda given: after(parsable.run, given), document({}, {"A": object_(a={"type": "file"})})) == (
        "/components/schemas/A/properties/a",
        "a schema of type 'file' cannot be expressed",
    )
    where, reason = refused(lambda given: after(parsable.run, given), document({}, {"A": object_(a={"type": "string", "enum": []})}))
    assert (where, reason) == ("/components/schemas/A/properties/a/enum", "nothing is one of no values")


def test_parameters_of_paths_go_by_number_and_operations_by_their_key() -> None:
    parameters = [
        {"name": "b.c", "in": "path", "required": True, "schema": INTEGER},
        {"name": "q", "in": "query", "schema": STRING},
        {"name": "H", "in": "header", "schema": STRING},
        {"name": "L", "in": "header", "schema": array(STRING)},
    ]
    given = document({"/x/{2a}/{b.c}": {"get": operation(parameters=parameters)}})
    found = parse(after(parsable.run, given)).endpoint("get", "/x/{2a}/{b.c}")
    assert [wire(prop) for prop in found.path_parameters] == ["place_0", "place_1"]
    assert [wire(prop) for prop in found.query_parameters] == ["q"]
    assert [wire(prop) for prop in [*found.header_parameters, *found.cookie_parameters]] == ["H", "L"]
    assert not found.errors
