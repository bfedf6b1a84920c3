from __future__ import annotations

from codegen.passes import aliases

from ..small import INTEGER, STRING, after, array, enum, holding, object_, ref, refused, schemas_after


def test_what_is_no_class_is_put_where_it_is_used() -> None:
    schemas = schemas_after(
        aliases.run,
        Id={**STRING, "pattern": "^a", "nullable": True},
        Ids=array(ref("Id")),
        Map={"type": "object", "additionalProperties": ref("Thing")},
        Scalar={"oneOf": [ref("Id"), INTEGER]},
        Again=ref("Thing"),
        Free={"type": "object"},
        Thing=object_(
            ids=ref("Ids"),
            map=ref("Map"),
            scalar=ref("Scalar"),
            again={**ref("Again"), "nullable": True},
            free=ref("Free"),
            speed=ref("Speed"),
        ),
        Speed={"type": "number", "enum": [0.5, 1]},
        Kind=enum("a"),
        Union={"oneOf": [ref("Thing"), ref("Id")]},
    )
    identifier = {**STRING, "pattern": "^a", "nullable": True}
    assert list(schemas) == ["Thing", "Kind", "Union"]
    assert schemas["Thing"]["properties"] == {
        "ids": array(identifier),
        "map": {"type": "object", "additionalProperties": ref("Thing")},
        "scalar": {"oneOf": [identifier, INTEGER]},
        "again": {**ref("Thing"), "nullable": True},
        "free": {"type": "object"},
        "speed": {"type": "number", "enum": [0.5, 1]},
    }
    assert schemas["Union"]["oneOf"] == [ref("Thing"), identifier]


def test_what_stands_beside_a_reference_wins() -> None:
    schemas = schemas_after(aliases.run, Age={**INTEGER, "default": 1, "minimum": 0}, Thing=object_(age={**ref("Age"), "default": 2}))
    assert schemas["Thing"]["properties"]["age"] == {**INTEGER, "minimum": 0, "default": 2}


def test_bodies_and_parameters_too() -> None:
    made = after(aliases.run, holding(Id=STRING))
    assert made["paths"]["/get-thing"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] == object_(field_0=STRING)


def test_an_alias_of_itself_is_refused() -> None:
    for ring in ({"A": array(ref("A"))}, {"A": {"oneOf": [STRING, ref("B")]}, "B": {"type": "object", "additionalProperties": ref("A")}}):
        where, reason = refused(aliases.run, holding(**ring))
        assert where == "/components/schemas/A"
        assert "holds itself" in reason
    schemas_after(aliases.run, Tree=object_(children=ref("Trees")), Trees=array(ref("Tree")))
