from __future__ import annotations

from typing import Any

import pytest

from codegen.document import Json
from codegen.passes import dialect, unions

from ..small import INTEGER, STRING, array, enum, holding, object_, ref, refused, schemas_after


def union(*members: Json, **beside: Any) -> Json:
    return {"oneOf": list(members), **beside}


def told(*members: Json, others: Json | None = None, **beside: Any) -> Json:
    made: Json = schemas_after(unions.run, A=union(*members, **beside), **(others or {}))["A"]
    return made


CAT = object_("type", type=enum("cat", "lynx"), name=STRING)
DOG = object_("type", type=enum("dog"), name=STRING)
FOX = object_("type", type=enum("fox"))
ROCK = object_("weight", weight=INTEGER, name=STRING)
PLANT = object_("leaves", leaves=INTEGER, name=STRING)
THING = object_(name=STRING)
ANIMALS: Json = {"Cat": CAT, "Dog": DOG}


def test_a_tag_is_a_field_with_values_of_its_own_in_each_member() -> None:
    made = told(ref("Cat"), ref("Dog"), others=ANIMALS)
    assert made["x-tag"] == "type"
    assert [member["x-values"] for member in made["oneOf"]] == [["cat", "lynx"], ["dog"]]


def test_type_is_preferred_then_what_is_required() -> None:
    def member(letter: str, required: str) -> Json:
        return object_(required, a=enum(f"a{letter}"), b=enum(f"b{letter}"))

    assert told(member("1", "b"), member("2", "b"))["x-tag"] == "b"
    assert told(member("1", "a"), member("2", "b"))["x-tag"] == "a"
    with_type = [object_("a", "type", a=enum(letter), type=enum(letter.upper())) for letter in "xy"]
    assert told(*with_type)["x-tag"] == "type"
    assert schemas_after(unions.run, A=union(*with_type, **{"x-tag": "a"}))["A"]["x-tag"] == "a"


def test_a_field_that_may_be_left_out_is_a_tag_where_nothing_else_is() -> None:
    """Else an answer without it, which was told by something else the day before, would be none of its members."""
    required = [object_("kind", kind=enum(letter), type=enum(letter.upper())) for letter in "xy"]
    assert told(*required)["x-tag"] == "kind"
    made = told(*(object_(key, type=enum(key), **{key: {}}) for key in "ab"))
    assert ("x-tag" in made, [member["x-key"] for member in made["oneOf"]]) == (False, ["a", "b"])
    assert told(*(object_(type=enum(letter)) for letter in "xy"))["x-tag"] == "type"


def test_the_documents_own_discriminator_comes_before_what_else_could_tell_them_apart() -> None:
    cat = object_("kind", kind={"type": "string"}, color=enum("red"))
    dog = object_("kind", kind={"type": "string"}, color=enum("blue"))
    said = {"propertyName": "kind", "mapping": {"cat": "#/components/schemas/Cat", "dog": "Dog"}}
    made = schemas_after(unions.run, Cat=cat, Dog=dog, A={"oneOf": [ref("Cat"), ref("Dog")], "discriminator": said})["A"]
    assert (made["x-tag"], [member["x-values"] for member in made["oneOf"]]) == ("kind", [["cat"], ["dog"]])


def test_what_a_discriminator_maps_beside_the_values_that_are_listed_is_understood_too() -> None:
    said = {"propertyName": "kind", "mapping": {"feline": "Cat", "dog": "Dog"}}
    members = {"Cat": object_("kind", kind=enum("cat")), "Dog": object_("kind", kind=enum("dog"))}
    made = schemas_after(unions.run, **members, A={"oneOf": [ref("Cat"), ref("Dog")], "discriminator": said})["A"]
    assert [member["x-values"] for member in made["oneOf"]] == [["cat", "feline"], ["dog"]]


def test_values_may_stand_behind_a_reference() -> None:
    made = told(object_(k=ref("Kind")), object_(k=enum("b")), others={"Kind": enum("a")})
    assert made["x-tag"] == "k"
    assert made["oneOf"][0]["x-values"] == ["a"]


def test_without_a_tag_required_fields_decide() -> None:
    made = told(ROCK, PLANT, THING)
    assert [member["x-key"] for member in made["oneOf"]] == ["weight", "leaves", None]


@pytest.mark.parametrize(
    "members",
    [
        (THING, object_(name=STRING, other=INTEGER)),
        (ROCK, object_(weight=INTEGER)),
        (object_("type", type=STRING), object_("type", type=enum("a"))),
        (object_("type", type=enum("a", "b")), object_("type", type=enum("b", "c"))),
        (object_(type={"enum": [{"a": 1}]}), object_(type={"enum": [["a"]]})),
    ],
)
def test_what_cannot_be_told_apart_is_refused(members: tuple[Json, ...]) -> None:
    where, reason = refused(unions.run, holding(A=object_(x=array(union(*members)))))
    assert where == "/components/schemas/A/properties/x/items/oneOf"
    assert "no tag" in reason
    assert "no key" in reason


def test_a_discriminator_that_the_members_do_not_have_tells_nothing() -> None:
    said = {"discriminator": {"propertyName": "kind", "mapping": {"rock": "#/components/schemas/Rock"}}}
    made = told(ref("Rock"), ref("Plant"), others={"Rock": ROCK, "Plant": PLANT}, **said)
    assert [member["x-key"] for member in made["oneOf"]] == ["weight", "leaves"]
    where, reason = refused(unions.run, holding(A=union(ref("Thing"), ref("Other"), **said), Thing=THING, Other=object_(name=STRING)))
    assert where == "/components/schemas/A/oneOf"
    assert reason.endswith("; give each the field that discriminator names, in the overlay")


@pytest.mark.parametrize("other", [THING, object_("type", type=enum("dog", "cat")), object_("type", type=STRING)])
def test_a_tag_that_does_not_tell_apart_is_refused(other: Json) -> None:
    given = holding(A=union(CAT, other, **{"x-tag": "type"}))
    where, reason = refused(unions.run, given)
    assert (where, "'type' cannot be the tag" in reason) == ("/components/schemas/A/oneOf", True)


def test_a_union_inside_a_union_is_one() -> None:
    made = told(union(CAT, union(DOG)), union(STRING, INTEGER), FOX)
    assert made["oneOf"] == [
        {**CAT, "x-values": ["cat", "lynx"]},
        {**DOG, "x-values": ["dog"]},
        STRING,
        INTEGER,
        {**FOX, "x-values": ["fox"]},
    ]
    made = told(ref("Animal"), FOX, others={**ANIMALS, "Animal": union(ref("Cat"), ref("Dog"))})
    assert [member.get("$ref", "")[-3:] for member in made["oneOf"]] == ["Cat", "Dog", ""]
    assert told(ref("Scalar"), FOX, others={"Scalar": union(STRING, INTEGER)})["oneOf"][0] == ref("Scalar")


@pytest.mark.parametrize("inner", [union(CAT, DOG, nullable=True), ref("Animal")])
def test_null_inside_comes_out(inner: Json) -> None:
    made = told(inner, FOX, others={**ANIMALS, "Animal": union(ref("Cat"), ref("Dog"), nullable=True)})
    assert made["nullable"]


def test_what_is_said_twice_counts_once_and_one_member_is_no_union() -> None:
    assert told(STRING, {**STRING}, INTEGER)["oneOf"] == [STRING, INTEGER]
    assert told(ref("Cat"), ref("Cat"), others=ANIMALS, nullable=True, type="object") == {**ref("Cat"), "nullable": True}
    assert told(union(union(STRING))) == STRING


def test_scalars_and_arrays_need_no_tag() -> None:
    made = told(STRING, array(ref("Cat")), ref("Cat"), others=ANIMALS)
    assert "x-tag" not in made
    assert all("x-key" not in member for member in made["oneOf"])


def test_an_object_and_a_map_are_refused() -> None:
    for other in ({"type": "object"}, {"type": "object", "additionalProperties": INTEGER}):
        where, reason = refused(unions.run, holding(A=union(CAT, other)))
        assert (where, "without" in reason) == ("/components/schemas/A/oneOf", True)


def test_a_union_that_is_its_own_member_is_refused() -> None:
    assert refused(dialect.run, holding(A=union(ref("A"), CAT)))[0] == "/components/schemas/A"
    assert "is made of itself" in refused(dialect.run, holding(A=union(ref("B"), CAT), B=union(ref("A"), DOG)))[1]
    told(object_("a", a=array(ref("A"))), object_("b", b=STRING))
