"""Every schema that an operation reaches: decoded, given back, compared, copied, and looked at strictly."""

from __future__ import annotations

import copy
import json
import pickle
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from codegen.document import ref_name, resolved
from retell_async._core.model import Keyed, Model, One, Tagged, UnknownObject, declared, decoder, plain
from retell_async._core.operation import Operation
from retell_async._core.strict import check, problems
from retell_async.raw import models

from .instances import ANSWERED, DOCUMENT, OBJECTS, SCHEMAS, UNIONS, UNKNOWN, Maker, makers

few = settings(max_examples=12)


def found(name: str) -> type[Model]:
    cls = models.lookup(name)
    assert isinstance(cls, type)
    return cls


def classes(value: Any) -> list[str]:
    """Names of the classes in a decoded value, outermost first."""
    if isinstance(value, Model):
        return [type(value).__name__, *(name for _, item in value for name in classes(item))]
    if isinstance(value, dict):
        return [name for item in value.values() for name in classes(item)]
    return [name for item in value for name in classes(item)] if isinstance(value, list) else []


def unknown(union: str) -> type[Model] | None:
    """What stands for the members of a union that are not known; nothing where one member is whatever the others are not."""
    table = models.lookup(union)
    assert isinstance(table, Tagged | Keyed)
    found = models.lookup(table.other)
    return found if isinstance(found, type) and issubclass(found, UnknownObject) else None


UNKNOWNS = [name for name in UNIONS if unknown(name)]


def test_there_is_a_class_for_every_object_and_a_table_for_every_union() -> None:
    assert set(dir(models)) == {*SCHEMAS, *(f"Unknown{name}" for name in UNKNOWNS)}
    assert len(UNKNOWNS) > 30
    assert len(OBJECTS) > 250
    assert len(UNIONS) > 30
    for name in OBJECTS:
        assert found(name).__name__ == name


@pytest.mark.parametrize("name", OBJECTS)
def test_the_fields_of_a_model_are_those_of_its_schema(name: str) -> None:
    cls, schema = found(name), SCHEMAS[name]
    fields = {cls.__wire__.get(field.name, field.name): field for field in declared(cls)}
    assert fields.keys() == schema["properties"].keys()
    assert {wire for wire, field in fields.items() if field.default is attrs.NOTHING} == set(schema.get("required", ()))
    assert cls.__nested__.keys() <= fields.keys()


@pytest.mark.parametrize("name", OBJECTS)
@given(random=makers)
@few
def test_what_comes_is_given_back(name: str, random: Random) -> None:
    cls = found(name)
    said = Maker(random, obedient=False).object(SCHEMAS[name], "$", 0, sure=False)
    text = json.dumps(said)
    made = cls.from_dict(said)
    assert json.dumps(said) == text
    assert json.dumps(made.to_dict()) == text
    assert made == cls.from_dict(json.loads(text))
    assert copy.deepcopy(made) == copy.copy(made) == pickle.loads(pickle.dumps(made)) == made
    assert json.dumps(copy.deepcopy(made).to_dict()) == text
    for field in declared(cls):
        wire = cls.__wire__.get(field.name, field.name)
        assert (field.name in made) == (wire in said)
        assert plain(getattr(made, field.name)) == said.get(wire)
    assert (UNKNOWN in made) == (UNKNOWN in said)
    if name in ANSWERED:
        assert isinstance(problems(cls, said), list)
    made.zz_changed = 1  # type: ignore[attr-defined]
    assert made != cls.from_dict(said)


@pytest.mark.parametrize("name", OBJECTS)
def test_absent_null_and_present_stay_apart(name: str) -> None:
    cls = found(name)
    for field in declared(cls):
        wire = cls.__wire__.get(field.name, field.name)
        for said in ({}, {wire: None}, {wire: "present"}):
            made = cls.from_dict(said)
            assert made.to_dict() == said
            assert (field.name in made) == bool(said)
            assert getattr(made, field.name) == said.get(wire)
    present = {cls.from_dict(said).__repr__() for said in ({}, {UNKNOWN: None})}
    assert len(present) == 2


@pytest.mark.parametrize("name", UNIONS)
@given(random=makers)
@few
def test_a_union_is_decoded_to_the_member_that_was_made(name: str, random: Random) -> None:
    schema = SCHEMAS[name]
    decode = decoder(One(name))
    for member in schema["oneOf"]:
        meant = resolved(DOCUMENT, member)
        if "properties" not in meant:
            continue
        said = Maker(random).object(meant, "$", 0, sure=False)
        if "x-tag" in schema:
            said[schema["x-tag"]] = random.choice(member["x-values"])
        text = json.dumps(said)
        made = decode(said)
        assert type(made).__name__ == ref_name(member)
        assert json.dumps(plain(made)) == text


@pytest.mark.parametrize("name", UNIONS)
def test_an_unknown_member_is_a_generic_object(name: str) -> None:
    table = models.lookup(name)
    assert isinstance(table, Tagged | Keyed)
    decode = decoder(One(name))
    if isinstance(table, Tagged):
        tags: list[Any] = [UNKNOWN, 99, None, [], {}]
        for tag in tags:
            made = decode({table.tag: tag, "more": {"a": 1}})
            assert type(made) is unknown(name)
            assert (made.to_dict(), made["more"]) == ({table.tag: tag, "more": {"a": 1}}, {"a": 1})
        assert type(decode({})) is unknown(name)
    for scalar in ("text", 1, 1.5, True, None):
        assert decode(scalar) == scalar


def members(union: str) -> list[type[Model]]:
    return [found(str(ref_name(member))) for member in SCHEMAS[union]["oneOf"] if "properties" in resolved(DOCUMENT, member)]


@pytest.mark.parametrize("name", UNKNOWNS)
def test_an_unknown_member_has_the_fields_that_all_its_siblings_have(name: str) -> None:
    cls, siblings, table = found(f"Unknown{name}"), members(name), models.lookup(name)
    assert cls is unknown(name)
    own, *others = ({field.name: field for field in declared(member)} for member in (cls, *siblings))
    assert own.keys() == set.intersection(*(set(other) for other in others))
    decode = decoder(One(name))
    for field in own.values():
        assert getattr(decode({}), field.name) is None
        if isinstance(table, Tagged) and field.name == table.tag:
            assert str(field.type) in {"str | None", "bool | None", "int | None"}
        elif (
            len({(other[field.name].type, member.__nested__.get(field.name)) for other, member in zip(others, siblings, strict=True)}) == 1
        ):
            assert (field.type, field.default) == (others[0][field.name].type, others[0][field.name].default)
            assert cls.__nested__.get(field.name) == siblings[0].__nested__.get(field.name)


@pytest.mark.parametrize("name", UNKNOWNS)
@given(random=makers)
@few
def test_what_siblings_share_is_decoded_in_an_unknown_member_as_in_them(name: str, random: Random) -> None:
    cls, table, decode = found(f"Unknown{name}"), models.lookup(name), decoder(One(name))
    assert isinstance(table, Tagged | Keyed)
    sibling = random.choice(members(name))
    said = Maker(random).object(SCHEMAS[sibling.__name__], "$", 0, sure=False)
    if isinstance(table, Tagged):
        said[table.tag] = UNKNOWN
    made, meant = decode(json.loads(json.dumps(said))), sibling.from_dict(said)
    assert type(made) is cls
    assert json.dumps(made.to_dict()) == json.dumps(said)
    for wire in cls.__nested__:
        assert made.__dict__.get(wire) == meant.__dict__.get(wire)


def test_members_that_say_different_things_of_a_field() -> None:
    types = {field.name: field.type for field in declared(found("UnknownModelConfig"))}
    assert types["primary"] in ("Any", Any)  # models of two kinds; resolved, if a test before has asked for that
    types = {field.name: field.type for field in declared(found("UnknownNumberOrRangeFilter"))}
    assert str(types["value"]) == "float | list[float]"


def test_strict_mode_reports_an_unknown_member() -> None:
    operation: Operation[Any] = Operation(id="x", method="GET", path="/", repeat="safe", response=One("CallResponse"))
    assert list(check(operation, {"call_type": "fax_call"})) == ["$: no member of the union has call_type 'fax_call'"]
    assert list(check(operation, {"call_id": "c"})) == ["$: no member of the union has call_type None"]


@pytest.mark.parametrize("name", ANSWERED)
@given(random=makers)
@few
def test_strict_mode_reports_what_was_planted_and_nothing_else(name: str, random: Random) -> None:
    maker = Maker(random)
    said = maker.object(SCHEMAS[name], "$", 0, sure=True)
    assert problems(found(name), said) == []
    operation: Operation[Any] = Operation(id="x", method="GET", path="/", repeat="safe", response=One(name))
    assert list(check(operation, said)) == []
    deviation = random.choice(maker.deviations)
    deviation.plant()
    assert problems(found(name), said) == list(check(operation, said)) == [deviation.said]


@pytest.mark.parametrize("name", ANSWERED)
def test_strict_mode_reports_each_missing_field(name: str) -> None:
    assert sorted(problems(found(name), {})) == [f"$.{field}: missing" for field in sorted(SCHEMAS[name].get("required", ()))]
