"""The whole way, from `openapi/` to the generated folders of the package."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from . import marks, overlay, words
from .document import Json, at, by_key, load_file, operation_key, pruned, unversioned, values
from .passes import dialect
from .prepare import prepare
from .rendering.render import render
from .rendering.table import table
from .rendering.views import Views, views
from .retired import retired
from .surface import adopted, entries, known, shape

ROOT = Path(__file__).parent.parent
_SCHEMAS, _TARGET = "/components/schemas", "$.components.schemas."
"""Where classes are: as a pointer, and as a target of the overlay."""
GENERATED = ("raw", "resources", "types")


def pinned(
    openapi: Path = ROOT / "openapi", facts: Json | None = None, *, told: list[str] | None = None, left: Container[str] | None = None
) -> Json:
    """The pinned document, or other facts in its place, with what the overlay and the surface know of it.

    :param left: the operations to leave out; those of `openapi/left_out.yaml` if it is not given.
    :param told: gets a sentence for everything in our files, words too, that is about nothing in the document any more.
    """
    surface, laid = load_file(openapi / "surface.yaml"), load_file(openapi / "overlay.yaml")
    facts = load_file(openapi / "openapi.yaml") if facts is None else facts
    facts = without(facts, load_file(openapi / "left_out.yaml", there=False) if left is None else left)
    there, meanings = by_key(facts), known(facts, surface)
    targets = {_target(meant): _target(key) for key, (meant, version) in meanings.items() if not version and meant not in there}
    classes = dict(_renewed(facts, meanings, laid))
    targets |= {_TARGET + old: _TARGET + new for old, new in classes.items() if old not in at(facts, _SCHEMAS, {})}
    document = overlay.apply(adopted(facts, surface), laid, targets, told)
    schemas: Json = at(document, _SCHEMAS, {})
    for old, new in ((old, new) for old, new in classes.items() if old in schemas):
        schemas[new][marks.NAME] = schemas[old].pop(marks.NAME)
    document[marks.NAMES] = load_file(openapi / "names.yaml", there=False)
    if told is not None:
        lost = {key for key in surface if " " in key} - {meant for meant, _ in meanings.values()}
        told.extend(f"openapi/surface.yaml: the document has no {key}, or openapi/left_out.yaml has it" for key in sorted(lost))
        stale = words.lay(prepare(document), words.load(openapi / "docs"))[words.STALE]
        told.extend(f"openapi/docs: nothing is at {place}" for place in stale)
    return document


def _renewed(document: Json, meanings: Mapping[str, tuple[str, str]], laid: Json) -> Iterator[tuple[str, str]]:
    """(old, new) of schemas that only versions of one operation have: that of the newest takes over the name from the overlay."""
    users: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    newest: dict[str, str] = {}
    for key, operation in by_key(document).items():
        meant, version = meanings.get(key, (key, ""))
        for where, name in values(operation):
            if where.endswith("/schema/$ref"):
                users[name := name.rpartition("/")[2]].add(shape(meant))
                newest |= {} if version else {unversioned(name): name}
    for action in laid.get("actions", ()):
        old = str(action.get("target")).removeprefix(_TARGET)
        new = newest.get(unversioned(old), old)
        if marks.NAME in (action.get("update") or ()) and old != new and len(users[new] | users[old]) == 1:
            yield old, new


def without(document: Json, left: Container[str]) -> Json:
    """The document without some of its operations, by key."""
    before: Json = document["paths"]
    after = {path: {name: it for name, it in item.items() if operation_key(name, path) not in left} for path, item in before.items()}
    return {**document, "paths": {path: item for path, item in after.items() if item or not before[path]}}


def _target(key: str) -> str:
    """Where an operation is, as a target of the overlay."""
    method, _, path = key.partition(" ")
    return f"$.paths['{path}'].{method.lower()}"


def decided(document: Json, surface: Json, docs: Json, past: Json | None = None) -> Views:
    """What the templates see of a document."""
    prepared = prepare(document)
    words.lay(prepared, docs)
    named = entries(prepared, surface)
    there = {method for entry in named.values() for method in entry.methods}
    others = {key: said["instead"] for key, said in (past or {}).get("retired", {}).items() if "instead" in said}
    vain = [
        f"openapi/retired.yaml: there is no client.{other} to use instead of {key}" for key, other in others.items() if other not in there
    ]
    keyed = [key for key, entry in named.items() if surface.get(key, {}).get("repeat") == "idempotency_key" != entry.repeat]
    vain += [f"openapi/surface.yaml: the body of {key} has no idempotency_key to know a repeat by: it is unsafe" for key in keyed]
    return views(prepared, named, retired(prepared, named, past or {}), surface.get("inherits", {}), vain)


def generate(document: Json, surface: Json, docs: Json, package: Path, past: Json | None = None, official: Json | None = None) -> Views:
    """Write the generated folders of a package from a document, and say what was written.

    :param past: what `retired` takes.
    :param official: the official SDK's names for types.
    """
    seen = decided(document, surface, docs, past)
    package.mkdir(parents=True, exist_ok=True)
    for cut_off in package.glob(".new-*"):  # what was killed could not clean up
        shutil.rmtree(cut_off)
    with tempfile.TemporaryDirectory(dir=package, prefix=".new-") as folder:
        fresh = Path(folder)
        render(seen, fresh, official)
        ours = (marks.NAME, marks.NAMES, marks.KNOWN_AS, marks.JSON_TEXTS)
        plain: Json = pruned(document, lambda key, _: key not in ours)  # as others read it
        dialect.run(plain, whole=False)
        for name, data in (("openapi", plain), ("operations", table(seen, surface.get("resources") or {}))):
            (fresh / "raw" / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        for part in GENERATED:
            shutil.rmtree(package / part, ignore_errors=True)
            (fresh / part).rename(package / part)
    return seen


def generate_pinned(package: Path = ROOT / "retell_async", openapi: Path = ROOT / "openapi", document: Json | None = None) -> Views:
    """Write the generated folders of a package from what is pinned, which may be given as `pinned` gives it."""
    surface, docs, official = load_file(openapi / "surface.yaml"), words.load(openapi / "docs"), load_file(openapi / "official.json")
    past = {name: load_file(openapi / f"{name}.yaml", there=False) for name in ("retired", "released")}
    return generate(pinned(openapi) if document is None else document, surface, docs, package, past, official)


def differences(package: Path = ROOT / "retell_async") -> list[str]:
    """Names of generated files that are not what the document says, below the package folder; empty if all is up to date."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "retell_async"
        generate_pinned(fresh)
        return sorted({name for name, _ in contents(package).items() ^ contents(fresh).items()})


def contents(root: Path, names: Iterable[str] = GENERATED) -> dict[str, str]:
    """Some files, and those in some folders, below a root: each with a hash of what it holds."""
    files = (file for name in names for file in (root / name, *(root / name).rglob("*.*")) if file.is_file() and file.suffix != ".pyc")
    return {file.relative_to(root).as_posix(): sha256(file.read_bytes()).hexdigest() for file in files}
