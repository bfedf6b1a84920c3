"""Code by hand names operations through `openapi/surface.yaml`: by ids and methods that are there, never by a path of the document."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from codegen.document import load_file
from codegen.generate import GENERATED, ROOT, pinned
from codegen.passes.names import module_name
from codegen.revisions.diff import Revision

PACKAGE = ROOT / "retell_async"
SURFACE = load_file(ROOT / "openapi" / "surface.yaml")
RELIED_ON = {*SURFACE["relied_on"]}
OPERATIONS = {key: said for key, said in SURFACE.items() if " " in key}
BY_ID = {said["id"]: said["methods"] for said in OPERATIONS.values()}
METHODS = {name for names in BY_ID.values() for name in names}
BY_MODULE = {module_name(id): names for id, names in BY_ID.items()}
RESOURCES = {"_calls": "call", "_chats": "chat", "_tests": "tests", "_bases": "knowledge_base"}
"""How classes by hand call the resource that they belong to."""
DONE_WITHOUT = {"call.stop"}
"""What code by hand uses where the document has it, and says so where it has not."""
HANDLERS = PACKAGE / "sandbox" / "operations" / "__init__.py"


def by_hand() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in GENERATED:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def texts(tree: ast.Module) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def used(tree: ast.Module) -> Iterator[str]:
    """The methods whose operations a module uses."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if "raw.api." in f"{module}.":
                yield from (BY_MODULE[name.name][0] for name in names)
            case ast.Attribute(value=ast.Attribute(attr=owner), attr=name) if f"{RESOURCES.get(owner)}.{name}" in METHODS:
                yield f"{RESOURCES[owner]}.{name}"
            case ast.Call(func=ast.Attribute(attr="path_of"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def imported(tree: ast.Module) -> Iterator[str]:
    """The classes that a module uses: those that it imports, and those that it decodes by name."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if "raw." in module or module.endswith("types"):
                yield from (name.name.removesuffix("Param") for name in names)
            case ast.Call(func=ast.Name(id="One"), args=[ast.Constant(value=str(name))]):
                yield name


def test_no_path_of_the_document_stands_in_code_by_hand() -> None:
    paths = {key.partition(" ")[2].split("{")[0].rstrip("/") for key in OPERATIONS}
    assert {(path.name, text) for path, tree in by_hand() for text in texts(tree) if any(known in text for known in paths)} == set()


def test_what_it_relies_on_is_said_so() -> None:
    found = {name for _, tree in by_hand() for name in used(tree)}
    assert {"call.list", "concurrency.retrieve", *DONE_WITHOUT} <= found
    assert found - DONE_WITHOUT <= RELIED_ON


def test_classes_that_it_uses_and_their_fields_are_said_so() -> None:
    """A field may belong to another thing of that name in the module: that is no harm.

    What has a version in its name goes with that version, as lists come and go, so that no code by hand names it. One field is younger than
    revisions that can be pinned: an update may lose it, and says so, and `make check` where it is used.
    """
    offers = set(Revision.of(pinned(), SURFACE).offers)
    found: set[str] = set()
    for _, tree in by_hand():
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for name in offers.intersection(imported(tree)):
            found |= {name} | offers.intersection(f"{name}.{attribute}" for attribute in attributes)
    assert {"CallResponse", "Utterance", "PhoneCallResponse.call_id"} <= found
    assert {name for name in found if re.match(r"V\d", name)} == set()
    assert found - {"GetConcurrencyResponse.reserved_inbound_concurrency"} == {name for name in RELIED_ON if name[0].isupper()}


def test_what_the_sandbox_takes_from_paths_is_in_those_of_the_surface() -> None:
    handlers = [tree for path, tree in by_hand() if path.is_relative_to(HANDLERS.parent)]
    found = {name for tree in handlers for name in re.findall(r"\.path\['(\w+)'\]", ast.unparse(tree))}
    assert "call_id" in found
    assert found <= {name for key in OPERATIONS for name in re.findall(r"{(\w+)}", key)}


def test_ids_in_it_are_those_of_the_surface() -> None:
    """An id that the surface knows is the same in every revision; the handlers of the sandbox are looked up by it."""
    ids = {text for path, tree in by_hand() if path != HANDLERS for text in texts(tree) if text in BY_ID}
    assert ids == {"createPhoneCall", "createWebCall", "registerPhoneCall"}
    known = re.findall(r'^    "(\w+)": ', HANDLERS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(known) > 100
    assert {*known} <= BY_ID.keys()


def test_what_is_relied_on_is_a_method() -> None:
    assert {name for name in RELIED_ON if name[0].islower()} <= METHODS
