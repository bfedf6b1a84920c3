from __future__ import annotations

import pytest

from codegen.document import Json
from codegen.passes import dialect

from ..small import INTEGER, STRING, array, holding, object_, ref, refused, schemas_after


def said(schema: Json) -> Json:
    made: Json = schemas_after(dialect.run, A=schema, B=object_(b=STRING))["A"]
    return made


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"const": "x"}, {"enum": ["x"]}),
        ({"type": ["string", "null"], "minLength": 1}, {"type": "string", "minLength": 1, "nullable": True}),
        ({"type": ["string", "integer"]}, {"oneOf": [STRING, INTEGER]}),
        ({"type": ["string", "integer", "null"]}, {"oneOf": [STRING, INTEGER], "nullable": True}),
        ({"anyOf": [STRING, INTEGER]}, {"oneOf": [STRING, INTEGER]}),
        ({"anyOf": [ref("B"), {"type": "null"}]}, {"oneOf": [ref("B")], "nullable": True}),
        ({"oneOf": [ref("B"), {"const": None}]}, {"oneOf": [ref("B")], "nullable": True}),
        ({"oneOf": [ref("B"), {"enum": [None]}]}, {"oneOf": [ref("B")], "nullable": True}),
        ({"oneOf": [ref("B"), {"nullable": True, "not": {"type": ""}}]}, {"oneOf": [ref("B")], "nullable": True}),
        ({"type": "string", "enum": ["a", None]}, {"type": "string", "enum": ["a"], "nullable": True}),
        ({"type": "null"}, {"nullable": True}),
        ({"type": ["null"]}, {"nullable": True}),
        ({"const": None}, {"nullable": True}),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, {"type": "object"}),
        ({"type": "string", "description": "Ours.", "x-other": 1}, {"type": "string", "description": "Ours.", "x-other": 1}),
    ],
)
def test_what_other_dialects_say(written: Json, meant: Json) -> None:
    assert said(written) == meant
    assert said(meant) == meant


def test_what_is_said_of_one_of_several_types_stays_with_it() -> None:
    written = {
        "type": ["array", "object", "string", "null"],
        "items": {"type": ["string", "null"]},
        "maxItems": 3,
        "properties": {"a": {"const": 1}},
        "required": ["a"],
        "minLength": 1,
        "default": "x",
    }
    assert said(written) == {
        "nullable": True,
        "default": "x",
        "oneOf": [
            {"type": "array", "items": {"type": "string", "nullable": True}, "maxItems": 3},
            {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]},
            {"type": "string", "minLength": 1},
        ],
    }


def test_schemas_are_found_at_any_depth() -> None:
    deep = object_(a=array({"type": "object", "additionalProperties": {"allOf": [{"anyOf": [{"const": 1}, INTEGER]}]}}))
    assert said(deep)["properties"]["a"]["items"]["additionalProperties"]["allOf"] == [{"oneOf": [{"enum": [1]}, INTEGER]}]


@pytest.mark.parametrize(
    "keyword", ["patternProperties", "prefixItems", "if", "dependentSchemas", "unevaluatedProperties", "dependentRequired", "requierd"]
)
def test_what_cannot_be_expressed_is_refused(keyword: str) -> None:
    where, reason = refused(dialect.run, holding(A=object_(a=array({keyword: {}}))))
    assert where == f"/components/schemas/A/properties/a/items/{keyword}"
    assert keyword in reason


def test_two_kinds_of_unions_at_once_are_refused() -> None:
    where, reason = refused(dialect.run, holding(A={"oneOf": [STRING], "anyOf": [INTEGER]}))
    assert where == "/components/schemas/A/anyOf"
    assert "beside oneOf" in reason


def test_a_base_whose_heirs_alone_say_so_is_the_union_of_them() -> None:
    cat, kitten = {"allOf": [ref("Pet"), object_(cat=STRING)]}, {"allOf": [ref("Cat"), object_(kitten=STRING)]}
    base, tag = object_("kind", kind=STRING), {"propertyName": "kind"}
    made = schemas_after(dialect.run, Pet={**base, "discriminator": tag, "x-name": "Animal"}, Cat=cat, Kitten=kitten, PetBase=STRING)
    assert made == {
        "Pet": {"discriminator": tag, "x-name": "Animal", "oneOf": [ref("Cat"), ref("Kitten")]},
        "PetBase": STRING,
        "PetBase1": base,
        "Cat": {"allOf": [ref("PetBase1"), object_(cat=STRING)]},
        "Kitten": kitten,
    }


def test_a_discriminator_without_heirs_is_left_to_whom_it_concerns() -> None:
    assert said({**object_(kind=STRING), "discriminator": {"propertyName": "kind"}}) == {
        **object_(kind=STRING),
        "discriminator": {"propertyName": "kind"},
    }


def test_a_reference_to_what_is_inside_a_component_is_what_is_there() -> None:
    held = {"$ref": "#/components/schemas/A/properties/thing"}
    inner = object_(c=held, d=array(held), e={"$ref": "#/components/schemas/B/properties/c"})
    made = schemas_after(dialect.run, A=object_(thing=object_(a=STRING)), B=inner)
    assert made["B"]["properties"] == {"c": object_(a=STRING), "d": array(object_(a=STRING)), "e": object_(a=STRING)}


@pytest.mark.parametrize("end", ["", "/properties/y"])
def test_a_reference_to_what_holds_it_is_refused(end: str) -> None:
    held = {"$ref": f"#/components/schemas/A/properties/thing{end}"}
    where, reason = refused(dialect.run, holding(A=object_(thing=object_(y=object_(x=held)))))
    assert where == "/components/schemas/A/properties/thing/properties/y/properties/x/$ref"
    assert "holds itself" in reason
