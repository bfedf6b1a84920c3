from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given, strategies as st

from codegen.document import Json
from codegen.parser import Property, fields
from codegen.prepare import parsed
from codegen.rendering.types import literal, names, quoted, received, sent, spec

from ..small import INTEGER, STRING, array, document, enum, object_, ref, refused

SCHEMAS: Json = {
    "A": object_(a=STRING),
    "N": {**object_(a=STRING), "nullable": True},
    "E": enum("x", "y"),
    "F": {"type": "number", "enum": [0.5, 1]},
    "U": {"oneOf": [ref("A"), STRING]},
    "V": {"oneOf": [ref("A"), STRING], "nullable": True},
}
LIST_OR = {"oneOf": [array({"oneOf": [STRING, INTEGER]}), array({"oneOf": [{"type": "boolean"}, INTEGER]}), enum("a | b")]}


@pytest.mark.parametrize(
    ("schema", "received_", "sent_", "spec_"),
    [
        (STRING, "str", "str", None),
        ({**INTEGER, "nullable": True}, "int | None", "int | None", None),
        ({"type": "number"}, "float", "float", None),
        ({}, "Any", "Any", None),
        ({"nullable": True}, "Any", "Any", None),
        ({"type": "object"}, "dict[str, Any]", "Mapping[str, object]", None),
        ({"type": "string", "format": "binary"}, "FileTypes", "FileTypes", None),
        (enum("a", "b"), 'Literal["a", "b"] | str', 'Literal["a", "b"]', None),
        ({**enum("a"), "x-any-text": True}, 'Literal["a"] | str', 'Literal["a"] | str', None),
        ({**enum("a"), "x-any-text": True, "x-is-tag": True}, 'Literal["a"]', 'Literal["a"]', None),
        ({"type": "boolean", "enum": [True]}, "Literal[True]", "Literal[True]", None),
        ({"type": "integer", "enum": [1, 2]}, "Literal[1, 2] | int", "Literal[1, 2]", None),
        (array(STRING), "list[str]", "Strings", None),
        (array(INTEGER), "list[int]", "Iterable[int]", None),
        (ref("A"), "A", "AParam | A", 'One("A")'),
        (ref("N"), "N | None", "NParam | N | None", 'One("N")'),
        (ref("A", nullable=True), "A | None", "AParam | A | None", 'One("A")'),
        (ref("E"), "E | str", "E", None),
        (ref("U"), "U", "UParam", 'One("U")'),
        (ref("V"), "V | None", "VParam | None", 'One("V")'),
        (array(ref("V")), "list[V | None]", "Iterable[VParam | None]", 'Many(One("V"))'),
        (ref("F"), "float", "float", None),
        ({"type": "boolean", "enum": [False, True]}, "bool", "bool", None),
        ({"enum": ["a", 1]}, "Any", "Any", None),
        ({**enum("a"), "nullable": True}, 'Literal["a"] | str | None', 'Literal["a"] | None', None),
        ({**STRING, "format": "date-time", "default": 1}, "str", "str", None),
        ({"type": "array"}, "list[Any]", "Iterable[Any]", None),
        ({"type": "object", "additionalProperties": False}, "dict[str, Any]", "Mapping[str, object]", None),
        ({"oneOf": [{}, STRING], "nullable": True}, "Any | str | None", "Any | str | None", None),
        (array(array(ref("A"))), "list[list[A]]", "Iterable[Iterable[AParam | A]]", 'Many(Many(One("A")))'),
        ({"type": "object", "additionalProperties": ref("A")}, "dict[str, A]", "Mapping[str, AParam | A]", 'Mapped(One("A"))'),
        ({"oneOf": [STRING, array(ref("A"))]}, "str | list[A]", "str | Iterable[AParam | A]", 'Many(One("A"))'),
        ({"oneOf": [STRING, enum("a")]}, 'str | Literal["a"]', 'str | Literal["a"]', None),
        (
            LIST_OR,
            'list[str | int] | list[bool | int] | Literal["a | b"] | str',
            'Iterable[str | int] | Iterable[bool | int] | Literal["a | b"]',
            None,
        ),
    ],
)
def test_what_a_schema_is_in_python(schema: Json, received_: str, sent_: str, spec_: str | None) -> None:
    prop = found(schema)
    assert (received(prop), sent(prop), spec(prop)) == (received_, sent_, spec_)


def found(schema: Json, name: str = "Holder") -> Property:
    """What the generator's parser finds in a schema."""
    given = json.loads(json.dumps(document({}, {**SCHEMAS, "Holder": object_("held", held=schema)})))
    (prop,) = fields(parsed(given).model(name))
    return prop


def test_what_is_not_required_may_be_missing_from_an_answer() -> None:
    given = document({}, {"A": object_(a=STRING, b={}, c={**STRING, "nullable": True})})
    props = fields(parsed(given).model("A"))
    assert [received(prop) for prop in props] == ["str | None", "Any", "str | None"]
    assert [sent(prop) for prop in props] == ["str", "Any", "str | None"]


def test_the_tag_of_a_union_is_closed() -> None:
    members = {"A": object_("t", t=enum("a", "b"), u=enum("c")), "B": object_("t", t=enum("d"))}
    union: Json = {"oneOf": [ref("A", **{"x-values": ["a", "b"]}), ref("B", **{"x-values": ["d"]})], "x-tag": "t"}
    tag, other = fields(parsed(document({}, {**members, "U": union})).model("A"))
    assert (received(tag), received(other)) == ('Literal["a", "b"]', 'Literal["c"] | str | None')


def test_what_a_type_needs_is_found_in_it() -> None:
    assert names([received(found(array(ref("A"))))]) == {"list", "A"}
    assert names([sent(found({"oneOf": [array(ref("A")), ref("U"), {"type": "object"}, enum("AParam")]}))]) == {
        *("AParam", "A", "UParam", "Iterable", "Mapping", "str", "object", "Literal")
    }


def test_what_cannot_be_told_apart_or_expressed_is_refused() -> None:
    both = {"oneOf": [array(ref("A")), array(ref("U"))]}
    assert "two kinds of arrays" in refused(lambda schema: spec(found(schema)), both)[1]
    where, reason = refused(found, {"type": "strange"})
    assert (where, "cannot be expressed" in reason) == ("/components/schemas/Holder/properties/held", True)


@given(st.text() | st.integers() | st.booleans())
def test_a_value_comes_back_from_source_code(value: object) -> None:
    written = f"Literal[{literal(value)}] | None"
    assert ast.literal_eval(literal(value)) == value
    assert ast.literal_eval(ast.literal_eval(quoted(written)).removeprefix("Literal[").removesuffix("] | None")) == value
