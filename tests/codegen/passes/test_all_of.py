from __future__ import annotations

from typing import Any

import pytest

from codegen.document import Json
from codegen.passes import all_of, dialect

from ..small import INTEGER, STRING, array, enum, holding, object_, ref, refused, schemas_after


def meant(schema: Json, **others: Json) -> Json:
    made: Json = schemas_after(all_of.run, A=schema, **others)["A"]
    return made


def merged(*parts: Json, **others: Json) -> Json:
    return meant({"allOf": list(parts)}, **others)


BASE = object_("id", id=STRING, kind=enum("x", "y"), size={"type": "number", "minimum": 1, "maximum": 9})


def test_fields_come_together_and_the_required_ones_are_all_required() -> None:
    assert merged(ref("Base"), object_("extra", extra=INTEGER), Base=BASE) == {
        "type": "object",
        "properties": {**BASE["properties"], "extra": INTEGER},
        "required": ["extra", "id"],
        "x-base": "Base",
    }


def test_what_stands_beside_is_laid_over_too() -> None:
    made = meant({"allOf": [ref("Base")], "required": ["kind"], "properties": {"more": STRING}}, Base=BASE)
    assert made["required"] == ["id", "kind"]
    assert list(made["properties"]) == ["id", "kind", "size", "more"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (enum("x", "y", "z"), enum("z", "y"), enum("y", "z")),
        (INTEGER, {"type": "number"}, INTEGER),
        ({"minimum": 1, "maxLength": 9}, {"minimum": 3, "maxLength": 5}, {"minimum": 3, "maxLength": 5}),
        (
            {**array(STRING), "minItems": 1},
            {**array({"maxLength": 3}), "maxItems": 2},
            {**array({**STRING, "maxLength": 3}), "minItems": 1, "maxItems": 2},
        ),
        (
            {"type": "object", "additionalProperties": True},
            {"type": "object", "additionalProperties": STRING},
            {"type": "object", "additionalProperties": STRING},
        ),
        (
            {"type": "object", "additionalProperties": {**STRING, "minLength": 1}},
            {"additionalProperties": {"minLength": 2}},
            {"type": "object", "additionalProperties": {**STRING, "minLength": 2}},
        ),
        ({**STRING, "default": "a"}, {"default": "b"}, {**STRING, "default": "b"}),
        ({**STRING, "nullable": True}, {"minLength": 1}, {**STRING, "nullable": True, "minLength": 1}),
        ({**STRING, "nullable": True}, {**STRING, "minLength": 1}, {**STRING, "minLength": 1}),
        ({**STRING, "nullable": True}, {**STRING, "minLength": 1, "nullable": True}, {**STRING, "minLength": 1, "nullable": True}),
        ({"uniqueItems": False}, {"uniqueItems": True}, {"uniqueItems": True}),
        (STRING, enum("x"), {**enum("x"), "x-any-text": True}),
        (STRING, enum("x", "y"), enum("x", "y")),
        (enum("x", "y"), enum("x"), enum("x")),
    ],
)
def test_each_keyword_is_narrowed_by_both(one: Json, other: Json, both: Json) -> None:
    assert merged(one, other) == both
    assert merged(object_(a=one), object_(a=other)) == object_(a=both)


def test_a_reference_that_is_only_annotated_stays_one() -> None:
    assert merged(ref("Base"), Base=BASE) == ref("Base")
    assert meant({"allOf": [ref("Base")], "nullable": True, "default": 1}, Base=BASE) == {
        **ref("Base"),
        "nullable": True,
        "default": 1,
    }
    assert merged({"deprecated": True}, ref("Base"), Base=BASE) == {**ref("Base"), "deprecated": True}
    assert merged(ref("Base"), {"type": "object", "required": ["id"]}, Base=BASE) == ref("Base")
    assert merged(ref("Base"), ref("Base"), Base=BASE) == ref("Base")


def test_all_of_over_what_is_no_object() -> None:
    assert merged(ref("Kind"), {"enum": ["a"]}, Kind=enum("a", "b")) == {**enum("a"), "x-base": "Kind"}
    assert merged(ref("Names"), {"maxItems": 2}, Names=array(STRING)) == {**array(STRING), "maxItems": 2, "x-base": "Names"}
    assert meant({"allOf": [STRING], "nullable": True}) == STRING


def test_all_of_inside_all_of_and_behind_references() -> None:
    made = merged(
        ref("B"),
        {"allOf": [object_(d=STRING), {"allOf": [object_(e=STRING)]}]},
        B={"allOf": [ref("C"), object_(b=STRING)]},
        C=object_(c=STRING),
    )
    assert list(made["properties"]) == ["c", "b", "d", "e"]


def test_a_field_narrowed_in_a_component_leaves_the_component_alone() -> None:
    schemas = schemas_after(all_of.run, A={"allOf": [ref("Base"), object_(kind=enum("x"))]}, Base=BASE)
    assert schemas["A"]["properties"]["kind"] == enum("x")
    assert schemas["Base"] == BASE


UNION: dict[str, Any] = {
    "Union": {"oneOf": [ref("One"), ref("Two")]},
    "One": object_("tag", tag=enum("one"), shared=STRING, one=STRING),
    "Two": object_("tag", tag=enum("two"), shared=STRING),
}


def test_a_union_is_narrowed_member_by_member() -> None:
    made = merged(ref("Union"), {"required": ["shared"]}, **UNION)
    assert [(member["x-base"], member["required"]) for member in made["oneOf"]] == [("One", ["shared", "tag"]), ("Two", ["shared", "tag"])]


def test_a_member_that_contradicts_falls_out() -> None:
    made = merged(ref("Union"), object_(tag=enum("two")), **UNION)
    assert made == ref("Two")
    where, reason = refused(all_of.run, holding(A={"allOf": [ref("Union"), object_(tag=enum("three"))]}, **UNION))
    assert where == "/components/schemas/A"
    assert "no member of the union is left" in reason


def test_a_field_that_is_a_union_is_narrowed_where_it_stands() -> None:
    owner = object_("field", field=ref("Union"), other=STRING)
    made = merged(ref("Owner"), object_(field=object_("shared", shared={"minLength": 1})), Owner=owner, **UNION)
    first, second = made["properties"]["field"]["oneOf"]
    assert first["properties"]["shared"] == second["properties"]["shared"] == {**STRING, "minLength": 1}
    assert made["required"] == ["field"]
    assert merged(ref("Owner"), object_(field=object_(tag=enum("one"))), Owner=owner, **UNION)["properties"]["field"] == ref("One")


def test_a_union_with_fields_beside_it() -> None:
    made = meant({"oneOf": UNION["Union"]["oneOf"], "properties": {"beside": STRING}, "required": ["beside"]}, **UNION)
    assert all("beside" in member["properties"] and "beside" in member["required"] for member in made["oneOf"])


@pytest.mark.parametrize("over", [{"required": ["shared"]}, {"properties": {"shared": STRING}}])
def test_a_narrowed_union_stays_nullable_unless_an_object_is_demanded(over: Json) -> None:
    union = {**UNION["Union"], "nullable": True, "x-tag": "tag"}
    for made in (meant({**union, **over}, **UNION), merged(union, over, **UNION)):
        assert (made["nullable"], made["x-tag"]) == (True, "tag")
        assert not any("x-tag" in member or "nullable" in member for member in made["oneOf"])
    assert "nullable" not in merged(union, {"type": "object", **over}, **UNION)


def test_two_unions_give_what_fits_both() -> None:
    other = {"oneOf": [object_(tag=enum("one"), extra=INTEGER), object_(tag=enum("other"))]}
    made = merged(ref("Union"), other, **UNION)
    assert made["properties"].keys() == {"tag", "shared", "one", "extra"}


def test_what_must_be_absent_stays_away_whatever_comes_later() -> None:
    absent: Json = {"x-absent": ["kind"]}
    for parts in ([ref("Base"), absent, BASE], [absent, BASE, ref("Base")], [BASE, ref("Base"), absent]):
        made = merged(*parts, Base=BASE)
        assert list(made["properties"]) == ["id", "size"]
        assert "x-absent" not in made
    schemas = schemas_after(all_of.run, A={"allOf": [ref("Base"), {"x-absent": ["id"]}]}, Base=BASE)
    assert schemas["Base"] == BASE
    assert schemas["A"]["required"] == []


def test_what_nothing_can_satisfy_is_refused() -> None:
    for one, other in ((STRING, INTEGER), (enum("a"), enum("b")), (object_(a=STRING), object_(a=INTEGER))):
        where, reason = refused(all_of.run, holding(A=object_(x={"allOf": [one, other]})))
        assert where == "/components/schemas/A/properties/x"
        assert "nothing can satisfy all of it" in reason


def test_a_keyword_that_cannot_be_merged_is_refused() -> None:
    where, reason = refused(all_of.run, holding(A={"allOf": [{"multipleOf": 2}, {"multipleOf": 3}]}))
    assert (where, reason) == ("/components/schemas/A", "multipleOf says two things and cannot be merged")


def test_a_schema_over_itself_is_refused() -> None:
    assert refused(dialect.run, holding(A={"allOf": [ref("A"), object_(x=STRING)]})) == (
        "/components/schemas/A",
        "is made of itself: A in A",
    )
    ring = holding(A={"allOf": [ref("B"), BASE]}, B={"allOf": [{"allOf": [ref("C")]}]}, C={"allOf": [ref("A"), BASE]})
    assert refused(dialect.run, ring)[1] == "is made of itself: A in B in C in A"
    held = merged(object_(child=ref("A"), children=array(ref("A"))), object_(x=STRING))
    assert held["properties"]["child"] == ref("A")
