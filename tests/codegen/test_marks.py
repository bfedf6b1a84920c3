"""The marks between passes: named in one place, which says truly who uses them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from codegen import marks
from codegen.document import Json
from codegen.generate import ROOT, pinned
from codegen.prepare import prepare

LIST = ROOT / "codegen" / "marks.py"
README = ROOT / "codegen" / "README.md"
OTHERS = [path for path in (ROOT / "codegen").rglob("*.py") if path != LIST]
BY_NAME: dict[str, str] = {name: mark for name, mark in vars(marks).items() if name.isupper()}


def documented() -> Iterator[tuple[str, str]]:
    """(name, what the table says of it) of every mark."""
    names = {mark: name for name, mark in BY_NAME.items()}
    for marked, said in re.findall(r"^\| (`x-[^|]*) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE):
        yield from ((names[mark], said) for mark in re.findall(r"`(x-[a-z-]+)`", marked))


def users(name: str) -> set[str]:
    return {path.stem for path in OTHERS if re.search(rf"\bmarks\.{name}\b", path.read_text(encoding="utf-8"))}


def test_no_other_file_spells_one() -> None:
    assert not {
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path in OTHERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch("x-[a-z-]+", node.value)
    }


def test_the_list_says_who_uses_each() -> None:
    said = dict(documented())
    assert said.keys() == BY_NAME.keys()
    modules = {path.stem for path in OTHERS}
    for name, text in said.items():
        assert users(name) == set(re.findall(r"`(\w+)`", text)) & modules, name


def test_a_prepared_document_has_no_others() -> None:
    def extensions(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (key for key in value if key.startswith("x-"))
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            yield from extensions(item)

    prepared: Json = prepare(pinned())
    found = set(extensions(prepared))
    assert found <= {*BY_NAME.values()}
    assert not found & {marks.NAME, marks.ABSENT, marks.BASE, marks.IS_TAG}, "taken off on the way"
    assert {marks.ERRORS, marks.VALUES, marks.KEY, marks.REQUEST, marks.RESPONSE, marks.UNREACHABLE} <= found
