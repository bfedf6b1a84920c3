from __future__ import annotations

import pytest

from codegen.document import Json
from codegen.passes import names

from ..small import STRING, after, holding, object_, ref, refused


def named(**schemas: Json) -> Json:
    given = holding(**schemas)
    given["x-error-body"] = None
    return after(names.run, given)


def test_classes_are_called_by_the_overlay_or_by_the_generator() -> None:
    given = holding(**{"user-data": object_(a=ref("zz.top"), b=ref("V2Thing")), "zz.top": object_(a=STRING), "V2Thing": object_(a=STRING)})
    given["components"]["schemas"]["V2Thing"]["x-name"] = "Thing"
    given["x-error-body"] = ref("zz.top")
    made = after(names.run, given)
    assert list(made["components"]["schemas"]) == ["Thing", "UserData", "ZzTop"]
    assert made["components"]["schemas"]["UserData"]["properties"] == {"a": ref("ZzTop"), "b": ref("Thing")}
    assert made["components"]["schemas"]["Thing"] == object_(a=STRING)
    assert made["x-error-body"] == ref("ZzTop")


def test_a_name_that_begins_with_a_digit() -> None:
    made = named(**{"2fa": object_(a=STRING)})
    assert list(made["components"]["schemas"]) == ["Field2Fa"]


@pytest.mark.parametrize(
    "schemas",
    [
        {"FooBar": object_(a=STRING), "foo-bar": object_(b=STRING)},
        {"FooBar": object_(a=STRING), "FooBAR": object_(b=STRING)},
        {"FooBar": object_(a=STRING), "Other": {**object_(b=STRING), "x-name": "FooBar"}},
        {"Foo": object_(a=STRING), "FooParam": object_(b=STRING)},
    ],
)
def test_names_that_collide_are_refused(schemas: Json) -> None:
    where, reason = refused(lambda document: names.run({**document, "x-error-body": None}), holding(**schemas))
    assert where.startswith("/components/schemas/")
    assert "in the overlay" in reason


@pytest.mark.parametrize("name", ["Any", "Model", "KeyedModel", "Literal", "One", "Strings", "RequestOptions", "StreamSender", "SPEC"])
def test_names_that_generated_modules_need_are_refused(name: str) -> None:
    where, reason = refused(lambda document: names.run({**document, "x-error-body": None}), holding(**{name: object_(a=STRING)}))
    assert where == f"/components/schemas/{name}"
    assert f"{name} cannot be the name" in reason


def test_a_name_of_the_overlay_must_be_one_of_a_class() -> None:
    where, _ = refused(
        lambda document: names.run({**document, "x-error-body": None}), holding(A={**object_(a=STRING), "x-name": "not a name"})
    )
    assert where == "/components/schemas/A"
