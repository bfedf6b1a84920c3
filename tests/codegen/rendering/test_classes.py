"""What `raw/models` and `raw/params` hold."""

from __future__ import annotations

from codegen.document import Json
from codegen.prepare import parsed
from codegen.rendering.classes import Class, classes

from ..small import STRING, array, document, enum, object_, ref

MEMBERS: Json = {"A": object_("t", t=enum("a", 'q"')), "B": object_("t", t={"type": "integer", "enum": [1]}, b=STRING)}


def made(keyed: frozenset[str] = frozenset(), **schemas: Json) -> dict[str, Class]:
    given = document({}, schemas)
    return {view.name: view for view in classes(given, parsed(given), set(keyed))}


def table(union: Json, **schemas: Json) -> tuple[str, str, list[str]]:
    found = made(U=union, **{**MEMBERS, **schemas})["U"]
    return found.spec, found.by, found.members


def test_tables_of_unions() -> None:
    members = [ref("A", **{"x-values": ["a", 'q"'], "x-key": "a"}), ref("B", **{"x-values": [1], "x-key": None}), array(ref("A"))]
    assert table({"oneOf": members, "x-tag": "t"}) == (
        'Tagged("t", {"a": "A", "q\\"": "A", 1: "B"}, other="UnknownU", array=Many(One("A")))',
        "by `t`",
        ["A", "B", "list[A]", "UnknownU"],
    )
    keyed = {"oneOf": members[:2]}
    assert table(keyed) == ('Keyed({"a": "A"}, other="B")', "by the fields that are there", ["A", "B"])
    both = {"oneOf": [ref("A", **{"x-key": "a"}), ref("B", **{"x-key": "b"})]}
    assert table(both)[0] == 'Keyed({"a": "A", "b": "B"}, other="UnknownU")'
    assert table({"oneOf": [STRING, ref("A")]}) == ('Keyed({}, other="A")', "by kind", ["str", "A"])


def test_what_a_request_takes_has_no_unknown_members_and_nothing_that_can_only_be_read() -> None:
    members = {"oneOf": [ref("A", **{"x-values": ["a"]}), ref("B", **{"x-values": [1]})], "x-tag": "t", "x-request": True}
    holder = {**object_(u=ref("U"), own={**STRING, "readOnly": True}, fooBar=STRING), "x-request": True}
    found = made(U=members, H=holder, **MEMBERS)
    assert found["UParam"].members == ["AParam", "A", "BParam", "B"]
    assert [(field.wire, field.type) for field in found["HParam"].fields] == [("fooBar", "str"), ("u", "UParam"), ("foo_bar", "str")]
    assert [field.wire for field in found["H"].fields] == ["fooBar", "own", "u"]


def test_every_class_has_its_template() -> None:
    found = made(frozenset("A"), U={"oneOf": [ref("A"), STRING]}, E=enum("x"), **MEMBERS)
    assert {name: (view.kind, view.base, view.of_api) for name, view in found.items()} == {
        "A": ("model", "KeyedModel", True),
        "B": ("model", "Model", True),
        "U": ("union", "Model", True),
        "E": ("enum", "Model", True),
    }
    assert found["E"].members == ['Literal["x"]']


def test_what_all_members_have_is_declared_once_in_models_and_taken_by_each_dict() -> None:
    kinds: Json = {
        name: {**object_("kind", "sort", kind=enum(name.lower()), sort=enum("x", "y")), "x-request": True} for name in ("Cat", "Dog", "Owl")
    }
    union = {"oneOf": [ref(name, **{"x-values": [name.lower()]}) for name in kinds], "x-tag": "kind", "x-request": True}
    found = made(Pet=union, **kinds)
    assert [(field.wire, field.type) for field in found["PetFields"].fields] == [("sort", 'Literal["x", "y"] | str')]
    assert (found["PetFields"].module, found["PetFields"].of_api) == ("_pet", False)
    for name in (*kinds, "UnknownPet"):
        assert (found[name].common, [field.wire for field in found[name].fields]) == (["PetFields", "_pet"], ["kind"])
    assert [field.wire for field in found["CatParam"].fields] == ["kind", "sort"]
    assert found["Cat"].fields[0].type == 'Literal["cat"]'
    assert found["UnknownPet"].fields[0].type == "str | None"
