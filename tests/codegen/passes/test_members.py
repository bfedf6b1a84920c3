from __future__ import annotations

from codegen import marks
from codegen.document import Json
from codegen.passes import members
from codegen.passes.members import may_be_unknown, unknown_name

from ..small import INTEGER, STRING, after, array, document, enum, object_, ref, refused

NULL = {"nullable": True}


def tagged(*names: str, **more: Json) -> Json:
    """A union that is told apart by a tag, whose value is the name in small letters."""
    return {"oneOf": [ref(name, **{marks.VALUES: [name.lower()]}) for name in names], marks.TAG: "kind", **more}


def made(**schemas: Json) -> Json:
    found: Json = after(members.run, document({}, schemas))["components"]["schemas"]
    return found


def shape(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if not key.startswith("x-")}


def cat(**fields: Json) -> Json:
    return object_("kind", kind=enum("cat"), **fields)


def dog(**fields: Json) -> Json:
    return object_("kind", kind=enum("dog"), **fields)


def test_what_stands_for_an_unknown_member_has_what_all_have() -> None:
    found = made(
        Pet=tagged("Cat", "Dog"),
        Food=object_(a=STRING),
        Cat=cat(age=INTEGER, food=ref("Food"), toys=array(ref("Food")), claws=INTEGER, size=INTEGER, word=enum("a")),
        Dog=dog(age={**INTEGER, **NULL}, food=ref("Food", **NULL), toys=STRING, tail=STRING, size=STRING, word=enum("b")),
    )
    unknown = found["UnknownPet"]
    assert unknown[marks.UNKNOWN]
    assert unknown["required"] == []
    assert {name: shape(field) for name, field in unknown["properties"].items()} == {
        "age": {**INTEGER, **NULL},
        "food": {**ref("Food"), **NULL},
        "kind": {"oneOf": [STRING]},
        "size": {"oneOf": [INTEGER, STRING]},
        "toys": {},
        "word": {"oneOf": [enum("a"), enum("b")]},
    }
    assert found["Pet"]["oneOf"][-1] == ref("UnknownPet")


def test_an_object_is_unknown_only_where_no_member_takes_what_the_others_are_not() -> None:
    keyed = {"oneOf": [ref("A", **{marks.KEY: "a"}), ref("B", **{marks.KEY: "b"})]}
    rest = {"oneOf": [ref("A", **{marks.KEY: "a"}), ref("B", **{marks.KEY: None})]}
    given = document({}, {"A": object_("a", a=STRING), "B": object_("b", b=STRING)})
    assert [may_be_unknown(given, union) for union in (keyed, rest, {"oneOf": [ref("A"), STRING]}, tagged("A"))] == [
        True,
        False,
        False,
        True,
    ]
    assert "UnknownU" not in made(**given["components"]["schemas"], U=rest)


def test_its_name_is_nobody_elses() -> None:
    given = document({}, {"UnknownPet": object_(a=STRING), "PetFields": object_(a=STRING)})
    assert unknown_name(given, "Pet") == "UnknownPetObject"
    sort = enum("x", "y")
    found = made(
        Pet=tagged("Cat", "Dog"),
        Cat=object_("kind", "sort", kind=enum("cat"), sort=sort),
        Dog=object_("kind", "sort", kind=enum("dog"), sort=sort),
        **given["components"]["schemas"],
    )
    assert {"UnknownPet", "UnknownPetObject", "PetFields", "PetFieldsObject"} <= found.keys()
    assert list(found["PetFields"]["properties"]) == ["a"]


def test_an_open_enum_that_all_have_is_declared_once() -> None:
    sort = {**enum("x", "y"), marks.WORDS: {"text": "How."}}
    fields: Json = {"sort": sort, "free": STRING, "maybe": enum("z")}
    found = made(
        Pet=tagged("Cat", "Dog"),
        Cat=object_("kind", "sort", "free", kind=enum("cat"), **fields),
        Dog=object_("kind", "sort", "free", kind=enum("dog"), **fields),
    )
    assert list(found["PetFields"]["properties"]) == found["PetFields"]["required"] == ["sort"]
    for name in ("Cat", "Dog", "UnknownPet"):
        assert found[name][marks.COMMON] == ["PetFields", found["PetFields"][marks.FIELDS_OF]]
        assert "sort" in found[name]["properties"], "a request takes it"


def test_what_is_said_otherwise_in_one_member_is_not() -> None:
    found = made(
        Pet=tagged("Cat", "Dog"),
        Cat=object_("kind", "sort", kind=enum("cat"), sort={**enum("x"), marks.WORDS: {"text": "One."}}),
        Dog=object_("kind", "sort", kind=enum("dog"), sort={**enum("x"), marks.WORDS: {"text": "Other."}}),
    )
    assert "PetFields" not in found
    assert found["UnknownPet"]["properties"]["sort"][marks.ABOUT] == ""


def test_tags_are_marked_and_words_are_laid() -> None:
    found = made(Pet=tagged("Cat", "Dog"), Cat=cat(age={**INTEGER, "minimum": 1, marks.WORDS: {"text": "Years"}}), Dog=dog())
    assert found["Cat"]["properties"]["kind"][marks.IS_TAG]
    assert found["Cat"]["properties"]["age"][marks.ABOUT] == "Years. At least 1."


def test_two_kinds_of_arrays_of_objects_are_refused_with_their_place() -> None:
    given = document({}, {"A": object_(a=STRING), "B": object_(b=STRING), "H": object_(h={"oneOf": [array(ref("A")), array(ref("B"))]})})
    where, reason = refused(members.run, given)
    assert (where, "two kinds of arrays" in reason) == ("/components/schemas/H/properties/h", True)
    same = {"oneOf": [{**array(ref("A")), "maxItems": 1}, {**array(ref("A")), "minItems": 2}, array(STRING)]}
    assert made(A=object_(a=STRING), H=object_(h=same))
