from __future__ import annotations

import ast

import pytest
from hypothesis import given, strategies as st

from codegen.document import Json, is_object
from codegen.rendering.types import Types, alternatives, literal, quoted

from .small import INTEGER, STRING, array, enum, object_, ref, refused

DOCUMENT: Json = {
    "components": {
        "schemas": {
            "A": object_(a=STRING),
            "N": {**object_(a=STRING), "nullable": True},
            "E": enum("x", "y"),
            "U": {"oneOf": [ref("A"), STRING]},
        }
    }
}
LIST_OR = {"oneOf": [array({"oneOf": [STRING, INTEGER]}), array({"oneOf": [{"type": "boolean"}, INTEGER]}), enum("a | b")]}


@pytest.mark.parametrize(
    ("schema", "received", "sent", "spec"),
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
def test_what_a_schema_is_in_python(schema: Json, received: str, sent: str, spec: str | None) -> None:
    types = Types(DOCUMENT)
    assert (types.received(schema), types.sent(schema), types.spec(schema)) == (received, sent, spec)


def test_what_a_type_needs_is_collected() -> None:
    types = Types(DOCUMENT)
    types.received(array(ref("A")))
    types.sent(object_() | {"oneOf": [array(ref("A")), ref("U"), {"type": "object"}, enum("a")]})
    assert (types.models, types.params) == ({"A"}, {"AParam", "UParam"})


def test_what_cannot_be_told_apart_or_expressed_is_refused() -> None:
    both = {"oneOf": [array(ref("A")), array(ref("U"))]}
    assert "two kinds of arrays" in refused(Types(DOCUMENT).spec, both)[1]
    assert "two kinds of arrays" in refused(Types(DOCUMENT).union_spec, {"oneOf": [ref("A"), *both["oneOf"]]})[1]
    assert "cannot be expressed" in refused(Types(DOCUMENT).received, {"type": "strange"})[1]
    assert is_object(object_())


def test_tables_of_unions() -> None:
    types = Types({"components": {"schemas": {"A": object_(a=STRING), "B": object_(b=STRING)}}})
    members = [ref("A", **{"x-values": ["a", 'q"'], "x-key": "a"}), ref("B", **{"x-values": [1]}), array(ref("A"))]
    assert types.union_spec({"oneOf": members, "x-tag": "t"}) == 'Tagged("t", {"a": "A", "q\\"": "A", 1: "B"}, array=Many(One("A")))'
    assert types.union_spec({"oneOf": members[:2], "x-keyed": True}) == 'Keyed({"a": "A"}, other="B")'
    assert types.union_spec({"oneOf": [STRING, ref("A")]}) == 'Keyed({}, other="A")'


@given(st.text() | st.integers() | st.booleans())
def test_a_value_comes_back_from_source_code(value: object) -> None:
    written = f"Literal[{literal(value)}] | None"
    assert ast.literal_eval(literal(value)) == value
    assert ast.literal_eval(ast.literal_eval(quoted(written)).removeprefix("Literal[").removesuffix("] | None")) == value
    assert alternatives(written) == [f"Literal[{literal(value)}]", "None"]
