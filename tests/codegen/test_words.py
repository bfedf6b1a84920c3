from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from codegen import words
from codegen.__main__ import main
from codegen.document import Json, Refused, by_key, load_file
from codegen.generate import ROOT, pinned
from codegen.prepare import prepare
from codegen.rendering.render import docstring

from .revisions import LOOKED_THROUGH
from .small import INTEGER, STRING, content, document, enum, holding, object_, operation, ref


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, ""),
        ({"type": "string"}, ""),
        ({"minimum": 1, "maximum": 20_000}, "From 1 to 20_000."),
        ({"minimum": 0.5}, "At least 0.5."),
        ({"maximum": 3, "default": 2}, "At most 3. Default: 2."),
        ({"default": None}, "Default: null."),
        ({"default": False}, "Default: false."),
        ({"maxLength": 5}, "0 to 5 characters."),
        ({"minItems": 1, "maxItems": 2}, "1 to 2 items."),
        ({"deprecated": True}, "Deprecated."),
        ({"deprecated": True, "x-words": {"deprecated_for": "other"}}, "Deprecated: use other."),
        ({"x-words": {"deprecated_for": "other"}}, ""),
        ({"x-words": {"unit": "milliseconds", "range": [0, None]}}, "Milliseconds. At least 0."),
        ({"x-words": {"range": "a-z, up to 64"}, "maxLength": 64}, "a-z, up to 64. 0 to 64 characters."),
        ({"x-words": {"max_items": 25}}, "0 to 25 items."),
        ({"x-words": {"text": "snake_case first, said so"}}, "snake_case first, said so."),
        ({"x-words": {"text": "said  in\nwords", "unit": "weeks", "default": 2}, "default": 1}, "Said in words. Weeks. Default: 2."),
        ({"default": {"a": [1, None]}}, "Default: a: at least 1."),
        ({"default": 'back\\slash """\n\u2028'}, 'Default: back\\slash """\\n\\u2028.'),
    ],
)
def test_what_is_said_of_a_field(schema: Json, text: str) -> None:
    assert words.about(schema) == text


@pytest.mark.parametrize("text", ["short", "word " * 60, "one.\n\n:param a: " + "word " * 40 + "\n:raises X: y", "one."])
@pytest.mark.parametrize("indent", [4, 8])
def test_a_docstring_is_wrapped_and_says_the_same(text: str, indent: int) -> None:
    lines = docstring(text, indent).split("\n")
    assert max(map(len, lines)) <= 121
    assert ast.literal_eval("\n".join(lines).strip()).split() == text.split()


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_words_come_to_what_they_are_about_and_what_is_missing_is_named(tmp_path: Path) -> None:
    said = words.load(
        written(
            tmp_path,
            operations="GET /a: {text: Gets it., parameters: {q: Which., s: x, t: {unit: ms}}}\nGET /gone: {text: x}",
            one='A: {"": The class., x: {text: A field., unit: ms}, y: {default: 1}}\n"*": {y: The same everywhere., gone: {unit: ms}}',
            two='A: {z: Another., w: {unit: ms}, v: x, u: {unit: ms}}\nGone: {"": y, x: y, z: {unit: ms}}',
        )
    )
    parameters: list[Any] = [{"name": name, "in": "query", "schema": {**STRING}} for name in "qr"]
    made: Any = document(
        {"/a": {"get": operation("a", parameters=parameters)}, "/b": {"get": operation("b", parameters=[])}},
        {"A": object_(x={}, y={}, z={}, w={}) | {"x-response": True}},
    )
    missing = words.lay(made, said)
    assert words.about(made["components"]["schemas"]["A"]) == "The class."
    fields = made["components"]["schemas"]["A"]["properties"]
    assert {name: words.about(field) for name, field in fields.items()} == {
        "x": "A field. Ms.",
        "y": "The same everywhere. Default: 1.",
        "z": "Another.",
        "w": "Ms.",
    }
    assert words.about(made["paths"]["/a"]["get"]) == "Gets it."
    assert [words.about(parameter["schema"]) for parameter in parameters] == ["Which.", ""]
    assert missing == {
        words.OPERATIONS: ["GET /b"],
        words.REQUESTS: ["GET /a: r"],
        words.ANSWERS: ["A: w"],
        words.STALE: ["A: u, v", "*: gone", "GET /a: s, t", "GET /gone", "Gone"],
    }


def test_what_is_said_of_a_parameter_stays_with_that_of_its_own_operation(tmp_path: Path) -> None:
    """Whatever is added before it, and whoever shares it."""
    shared: Json = {"/things": {"parameters": [{"in": "query", "name": name, "schema": {**STRING}} for name in ("alpha", "version")]}}
    own: Json = {"parameters": [{"$ref": "#/components/parameters/Limit"}], "requestBody": {"$ref": "#/components/requestBodies/Body"}}
    shared["/things"] |= {method: operation(f"{method}Thing", **own) for method in ("get", "put")}
    made = prepare(
        document(
            shared,
            parameters={"Limit": {"in": "query", "name": "limit", "schema": {**STRING}}},
            requestBodies={"Body": content(object_(**{"a/b~c": {**STRING}}))},
        )
    )
    said = words.load(
        written(
            tmp_path,
            operations="PUT /things: {text: Puts., parameters: {version: {default: latest}, limit: {unit: things}}}",
            one="PutThingRequest: {a/b~c: {unit: ms}}",
        )
    )
    assert words.lay(made, said)[words.STALE] == []
    assert {key: {one["name"]: words.about(one["schema"]) for one in by_key(made)[key]["parameters"]} for key in by_key(made)} == {
        "GET /things": {"alpha": "", "version": "", "limit": ""},
        "PUT /things": {"alpha": "", "version": "Default: latest.", "limit": "Things."},
    }
    schemas = made["components"]["schemas"]
    assert words.about(schemas["PutThingRequest"]["properties"]["a/b~c"]) == "Ms."
    assert words.about(schemas["GetThingRequest"]["properties"]["a/b~c"]) == ""


def test_what_is_said_of_a_field_comes_to_it_from_wherever_its_class_has_it(tmp_path: Path) -> None:
    tagged = object_(type=enum("b"), x={**INTEGER})
    made = prepare(
        holding(
            Whole={"allOf": [ref("Base"), object_(y={**INTEGER})]},
            Base=object_(x={**INTEGER}),
            U={"oneOf": [object_(type=enum("a"), x={**INTEGER}), tagged]},
        )
    )
    said = words.load(written(tmp_path, one="Whole: {x: {unit: ms}, y: {unit: s}}\nUB: {x: {unit: h}, gone: {unit: h}}"))
    assert words.lay(made, said)[words.STALE] == ["UB: gone"]
    found = {f"{name}.{wire}": words.about(field) for name, one in schemas(made) for wire, field in one["properties"].items()}
    assert {place: text for place, text in found.items() if text} == {"Whole.x": "Ms.", "Whole.y": "S.", "UB.x": "H."}


def schemas(made: Json) -> list[tuple[str, Json]]:
    return [(name, one) for name, one in made["components"]["schemas"].items() if "properties" in one]


def test_versions_of_a_class_stand_in_for_each_other_text_and_facts(tmp_path: Path) -> None:
    made = document({}, {name: object_(x={}, y={}) for name in ("V3Call", "V4Call", "Call")})
    said = words.load(written(tmp_path, one="V3Call: {x: {text: From three., unit: ms}}\nV4Call: {x: From four., y: {unit: s}, z: Gone.}"))
    assert words.lay(made, said)[words.STALE] == ["V4Call: z"]
    assert {name: [words.about(one["properties"][wire]) for wire in "xy"] for name, one in schemas(made)} == {
        "V3Call": ["From three. Ms.", "S."],
        "V4Call": ["From four. Ms.", "S."],
        "Call": ["From four. Ms.", "S."],
    }


@pytest.mark.parametrize(("wire", "what"), [("x", "x"), ("''", "it")])
def test_what_is_said_twice_is_refused(tmp_path: Path, wire: str, what: str) -> None:
    with pytest.raises(Refused) as caught:
        words.load(written(tmp_path, one=f"A: {{{wire}: a}}", two=f"A: {{{wire}: b}}"))
    said = f"/A: openapi/docs/one.yaml and openapi/docs/two.yaml have words for {what}: take them out of one"
    assert (str(caught.value), caught.value.remedy) == (said, "")


def test_a_file_of_words_that_would_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".one.yaml.swp").write_text("of an editor", encoding="utf-8")
    assert words.load(written(tmp_path, one="A: {x: a}")) == {"A": {"x": {"text": "a"}}}
    (tmp_path / "more.yml").write_text("A: {y: b}", encoding="utf-8")
    with pytest.raises(Refused, match=r"^/docs/more.yml: is not read: words are in openapi/docs/\*.yaml$"):
        words.load(tmp_path)


def test_all_that_is_pinned_has_words() -> None:
    """What an update brings has none until somebody looks it through: `python -m codegen words` lists it."""
    missing = words.lay(prepare(pinned()), words.load(ROOT / "openapi" / "docs"))
    assert not load_file(ROOT / "openapi" / "surface.yaml").keys() & {*missing[words.OPERATIONS]}
    assert main(["words"]) == 0 or not LOOKED_THROUGH
