from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from codegen import words
from codegen.__main__ import main
from codegen.document import Json, Refused, load_file
from codegen.generate import ROOT, pinned
from codegen.prepare import prepare
from codegen.rendering.render import docstring

from .revisions import LOOKED_THROUGH
from .small import STRING, document, object_, operation


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
        ({"deprecated": True, "x-note": {"deprecated_for": "other"}}, "Deprecated: use other."),
        ({"x-note": {"unit": "milliseconds", "range": [0, None]}}, "Milliseconds. At least 0."),
        ({"x-note": {"note": "snake_case first, said so"}}, "snake_case first, said so."),
        ({"x-note": {"note": "ours"}, "x-words": "said  in\nwords"}, "Said in words."),
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
            operations="GET /a: {text: Gets it., parameters: {q: Which.}}\nGET /gone: {text: x}",
            one='A: {"": The class., x: "A field."}\n"*": {y: The same everywhere.}',
            two="A: {z: Another.}\nGone: {x: y}",
        )
    )
    parameters: list[Any] = [{"name": name, "in": "query", "schema": {**STRING}} for name in "qr"]
    made: Any = document(
        {"/a": {"get": operation("a", parameters=parameters)}, "/b": {"get": operation("b", parameters=[])}},
        {"A": object_(x={}, y={}, z={}, w={}) | {"x-response": True}},
    )
    missing = words.lay(made, said)
    assert made["components"]["schemas"]["A"]["x-words"] == "The class."
    fields = made["components"]["schemas"]["A"]["properties"]
    assert {name: field.get("x-words") for name, field in fields.items()} == {
        "x": "A field.",
        "y": "The same everywhere.",
        "z": "Another.",
        "w": None,
    }
    assert made["paths"]["/a"]["get"]["x-words"] == "Gets it."
    assert parameters[0]["schema"]["x-words"] == "Which."
    assert missing[words.OPERATIONS] == ["GET /b"]
    assert "A.w" in missing[words.ANSWERS]
    assert {"Gone.x", "GET /gone"} <= {*missing[words.STALE]}


def test_what_is_said_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"two.yaml says x again"):
        words.load(written(tmp_path, one="A: {x: a}", two="A: {x: b}"))


def test_all_that_is_pinned_has_words() -> None:
    """What an update brings has none until somebody looks it through: `python -m codegen words` lists it."""
    missing = words.lay(prepare(pinned()), words.load(ROOT / "openapi" / "docs"))
    assert not load_file(ROOT / "openapi" / "surface.yaml").keys() & {*missing[words.OPERATIONS]}
    assert main(["words"]) == 0 or not LOOKED_THROUGH
