from __future__ import annotations

import pytest

from codegen.document import Json
from codegen.passes import all_of, dialect, negation

from ..small import STRING, holding, object_, refused, schemas_after

FIELDS = object_("a", a=STRING, b=STRING, c=STRING)


def run(document: Json) -> None:
    dialect.run(document)
    negation.run(document)


def test_fields_that_exclude_each_other_are_named() -> None:
    made = schemas_after(run, A={**FIELDS, "not": {"required": ["c", "b"]}})["A"]
    assert made == {**FIELDS, "x-exclusive": [["b", "c"]]}


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
def test_every_clause_counts(keyword: str) -> None:
    made = schemas_after(run, A={**FIELDS, "not": {keyword: [{"required": ["a", "b"]}, {"required": ["c"]}]}})["A"]
    assert (made["x-exclusive"], made["x-absent"]) == ([["a", "b"]], ["c"])


def test_a_field_that_must_be_absent_is_left_out_in_the_end() -> None:
    def both(document: Json) -> None:
        run(document)
        all_of.run(document)

    made = schemas_after(both, A={**FIELDS, "not": {"required": ["a"]}})["A"]
    assert made == {"type": "object", "properties": {"b": STRING, "c": STRING}, "required": []}


@pytest.mark.parametrize(
    "forbidden", [{}, {"type": "string"}, {"enum": ["a"]}, {"required": []}, {"required": ["a"], "properties": {}}, {"oneOf": [STRING]}]
)
def test_anything_else_is_refused(forbidden: Json) -> None:
    where, reason = refused(run, holding(A=object_(x={**FIELDS, "not": forbidden})))
    assert where == "/components/schemas/A/properties/x/not"
    assert "only `required` can be negated" in reason
