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
from codegen.surface import relied_on
from retell_async.config.kinds import KINDS

PACKAGE = ROOT / "retell_async"
SURFACE = load_file(ROOT / "openapi" / "surface.yaml")
RELIED_ON = {name for name in relied_on({"relied_on": SURFACE["relied_on"]}) if not name.endswith(" as a list")}
OPERATIONS = {key: said for key, said in SURFACE.items() if " " in key}
BY_ID = {said["id"]: said["methods"] for said in OPERATIONS.values()}
METHODS = {name for names in BY_ID.values() for name in names}
BY_MODULE = {module_name(id): names for id, names in BY_ID.items()}
OWNERS = {name.partition(".")[0] for name in METHODS}
RESOURCES = {"_calls": "call", "_chats": "chat", "_tests": "tests", "_bases": "knowledge_base"}
"""How classes by hand call the resource that they belong to."""
AT_RUN_TIME = re.compile(r"resource|getattr\(client, kind\)|self\._resource\(kind\)")
"""How a call's or a chat's resource is called where it is either."""
DONE_WITHOUT = {"call.stop", "call.create_phone_call(idempotency_key)"}
"""What code by hand uses where the document has it, and says so where it has not."""
YOUNGER = {
    *(f"{name}.create_version{argument}" for name in ("agent", "chat_agent") for argument in ("", "(base_version)")),
    *(f"{name}.publish({argument})" for name in ("agent", "chat_agent") for argument in ("version", "version_title")),
    *(f"{name}.{verb}(version_title)" for name in ("agent", "chat_agent") for verb in ("create", "update")),
    *(f"{name}.list(sort_order)" for name in ("agent", "chat_agent", "conversation_flow", "llm")),
    *(f"{name}.list(filter_criteria)" for name in ("agent", "chat_agent")),
    *(f"{name}.list({argument})" for name in ("voice", "knowledge_base") for argument in ("limit", "sort_order")),
    "agent.list_versions",
    "agent.list_versions(limit)",
    "agent.list_versions(sort_order)",
    "chat.list(filter_criteria)",
    "identity.retrieve",
    "GetConcurrencyResponse.reserved_inbound_concurrency",
}
"""What is younger than revisions that can be pinned, or comes with pages: an update may lose it, and `make check` says where it is used."""
OFFERS = Revision.of(pinned(), SURFACE).offers
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
            case ast.Attribute(value=ast.Attribute(attr=owner), attr=name) if owner in RESOURCES:
                yield f"{RESOURCES[owner]}.{name}"
            case ast.Attribute(value=ast.Attribute(value=of, attr=owner), attr=name) if ast.unparse(of).endswith("client"):
                yield f"{owner}.{name}"
            case ast.Call(func=ast.Attribute(attr="_method"), args=[_, ast.Constant(value=str(verb))]):
                yield from (kind.method(verb) for kind in KINDS if kind.created or verb not in {"create", "delete"})
            case ast.Attribute(value=of, attr=name) if AT_RUN_TIME.fullmatch(ast.unparse(of)):
                yield from (f"{owner}.{name}" for owner in ("call", "chat"))
            case ast.Call(func=ast.Attribute(attr="path_of"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def hidden(tree: ast.Module) -> Iterator[str]:
    """Where a module has resources of a client in ways that `used` does not see: as values of their own, or by names made at run time."""
    seen = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=of, attr=owner) if owner in OWNERS and id(node) not in seen and ast.unparse(of).endswith("client"):
                yield ast.unparse(node)
            case ast.Call(func=ast.Name(id="getattr"), args=[of, name, *_]) if ast.unparse(of).endswith("client"):
                yield from [] if isinstance(name, ast.Constant) and name.value not in OWNERS else [ast.unparse(node)]
            case _:
                pass


def keys(tree: ast.Module) -> Iterator[str]:
    """What may be a keyword of a method that a module calls, or a field of what it filters by: keywords, and keys of dicts."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg=str(name)) | ast.Subscript(slice=ast.Constant(value=str(name))):
                yield name
            case ast.Dict(keys=some):
                yield from (str(key.value) for key in some if isinstance(key, ast.Constant))


def filters(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The types and operators of the filters that a module makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            said = {
                ast.unparse(key): value.value
                for key, value in zip(node.keys, node.values, strict=True)
                if key and isinstance(value, ast.Constant)
            }
            if "'type'" in said and "'op'" in said:
                yield str(said["'type'"]), str(said["'op'"])


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
    found = {name for _, tree in by_hand() for name in used(tree)} & METHODS
    assert {"call.list", "chat.retrieve", "concurrency.retrieve", *DONE_WITHOUT & METHODS} <= found
    assert found - DONE_WITHOUT - YOUNGER <= RELIED_ON


def test_no_use_of_a_resource_is_hidden_from_the_one_above() -> None:
    """One of calls and of chats is known by how it is called; the others name methods by kind, or have all there are."""
    found = {(path.stem, said) for path, tree in by_hand() for said in hidden(tree)}
    of_calls = {
        (stem, said) for stem, said in found if said.rpartition("client.")[2] in {"call", "chat"} or said == "getattr(client, kind)"
    }
    of_tables = {("account", "getattr(self._client, resource)"), ("sending", "getattr(client, operation.resource)")}
    assert found - of_calls == of_tables | {(stem, "getattr(client, resource)") for stem in ("operations", "questions")}
    for source in ("cast('Any', self._client.voice).list()", "voices = client.voice", "getattr(client, 'voice').list()"):
        assert [*hidden(ast.parse(source))], source


def test_what_the_api_will_end_fails_no_check_of_types() -> None:
    """An update tells of it: that day all still works. mypy takes this from `pyproject.toml`, pyright from the module alone."""
    silent = {path for path, _ in by_hand() if path.read_text(encoding="utf-8").startswith("# pyright: reportDeprecated=false\n")}
    assert silent == {path for path, tree in by_hand() if {*used(tree)} & METHODS}


def test_arguments_and_filters_that_it_gives_are_said_so() -> None:
    """An argument may belong to another call of that module: that is no harm."""
    found: set[str] = set()
    for _, tree in by_hand():
        given, methods = {*keys(tree)}, {*used(tree)}
        found |= OFFERS.keys() & {f"{method}({name})" for method in methods for name in given}
        if "filter_criteria" in given:
            filters = [name for method, name in (("call.list", "CallFilter"), ("chat.list", "ChatFilter")) if method in methods]
            found |= OFFERS.keys() & {f"{name}.{key}" for name in filters for key in given}
    assert {"call.list(filter_criteria)", "call.list(sort_order)", "tests.list_test_runs(limit)"} <= found
    assert found - DONE_WITHOUT - YOUNGER <= relied_on(SURFACE)


def test_a_list_that_it_goes_through_stays_a_list() -> None:
    assert {"call.list as a list", "chat.list as a list", "knowledge_base.list as a list"} <= relied_on(SURFACE) & OFFERS.keys()


def test_classes_that_it_uses_and_their_fields_are_said_so() -> None:
    """A field may belong to another thing of that name in the module: that is no harm.

    What has a version in its name goes with that version, as lists come and go, so that no code by hand names it.
    """
    found: set[str] = set()
    for _, tree in by_hand():
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for name in OFFERS.keys() & {*imported(tree)}:
            found |= {name} | (OFFERS.keys() & {f"{name}.{attribute}" for attribute in attributes})
    assert {"CallResponse", "Utterance", "PhoneCallResponse.call_id"} <= found
    assert {name for name in found if re.match(r"V\d", name)} == set()
    assert found - YOUNGER == {name for name in RELIED_ON if name[0].isupper() and "Filter." not in name and ": " not in name}


def test_values_that_it_compares_with_are_said_so() -> None:
    """A text may mean something else in the module: that is no harm."""
    found: set[str] = set()
    for _, tree in by_hand():
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        fields = RELIED_ON & {f"{name}.{attribute}" for name in imported(tree) for attribute in attributes}
        found |= OFFERS.keys() & {f"{field}: {text}" for field in fields for text in texts(tree)}
    assert {"CallResponse.call_status: ended", "KnowledgeBaseResponse.status: in_progress", "Utterance.role: agent"} <= found
    assert found <= RELIED_ON


def test_filters_that_it_makes_are_said_so() -> None:
    found: set[str] = set()
    for _, tree in by_hand():
        made, given = {*filters(tree)}, {f"{name}.{key}" for name in ("CallFilter", "ChatFilter") for key in keys(tree)}
        for field, kind in (name.split(": ") for name in OFFERS.keys() & RELIED_ON if ": " in name):
            if field in given:
                used = {
                    said for type, op in made for said in (f"{kind}.type: {type}", f"{kind}.op: {op}") if f"{kind}.type: {type}" in OFFERS
                }
                found |= OFFERS.keys() & used
    assert {"CallStatusEnumFilter.op: in", "NumberFilter.op: ge", "CustomFieldStringFilter.type: string"} <= found
    assert found <= RELIED_ON


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


def test_what_is_relied_on_is_there() -> None:
    """A class of another revision may be missing, but nothing of one that is there."""
    owned = {name for name in RELIED_ON if re.sub(r"(\(.*\)|\.\w+)?(: .*)?$", "", name) in OFFERS}
    assert {"CallFilter.call_status: CallStatusEnumFilter", "call.list(limit): int"} <= owned
    assert owned | {name for name in RELIED_ON if name[0].islower()} <= OFFERS.keys()
