"""The whole way, from `openapi/` to the generated folders of the package."""

from __future__ import annotations

import filecmp
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import attrs

from . import marks, overlay, retired, words
from .document import Json, load_file
from .passes import notes
from .prepare import prepare
from .rendering.render import render
from .rendering.views import views
from .surface import Entry, entries, helpers

ROOT = Path(__file__).parent.parent
GENERATED = ("raw", "resources", "types")


@attrs.frozen
class Report:
    """What was generated, and what was not, by name."""

    operations: int
    methods: int
    models: int
    named_themselves: list[str]
    aside: list[str]
    """What methods take under another name than the document's."""
    unreachable: list[str]


def pinned(openapi: Path = ROOT / "openapi", facts: Json | None = None) -> Json:
    """The pinned document, or other facts in its place, with the overlay and our notes laid over it."""
    facts = load_file(openapi / "openapi.yaml") if facts is None else facts
    document = overlay.apply(facts, load_file(openapi / "overlay.yaml"))
    notes.lay(document, load_file(openapi / "notes.yaml"))
    return document


def generate(document: Json, surface: Json, docs: Json, package: Path, past: Json | None = None, official: Json | None = None) -> Report:
    """Write the generated folders of a package from a document.

    :param past: what `retired.load` gives.
    :param official: the official SDK's names for types.

    :raises Refused: something in the document cannot be expressed; then the package is as it was.
    """
    prepared = prepare(document)
    words.lay(prepared, docs)
    named: dict[str, Entry] = entries(prepared, surface)
    seen = views(prepared, named, retired.retired(prepared, named, past or {}), helpers(surface))
    package.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package, prefix=".new-") as folder:
        fresh = Path(folder)
        render(seen, fresh, official)
        (fresh / "raw" / "openapi.json").write_text(json.dumps(_plain(document), indent=1) + "\n", encoding="utf-8")
        for part in GENERATED:
            shutil.rmtree(package / part, ignore_errors=True)
            (fresh / part).rename(package / part)
    return Report(
        operations=len(seen.operations),
        methods=sum(len(resource.methods) for resource in seen.resources),
        models=sum(view.kind == "model" and view.of_api for view in seen.classes),
        named_themselves=[key for key, entry in named.items() if not entry.named],
        aside=seen.aside,
        unreachable=prepared[marks.UNREACHABLE],
    )


def _plain(value: Any) -> Any:
    """The document as others read it: with our corrections, without what only this generator understands."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in (marks.NOTE, marks.NAME)}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def generate_pinned(package: Path = ROOT / "retell_async", openapi: Path = ROOT / "openapi", document: Json | None = None) -> Report:
    """Write the generated folders of a package from what is pinned, which may be given as `pinned` gives it."""
    surface, docs = load_file(openapi / "surface.yaml"), words.load(openapi / "docs")
    official = json.loads((openapi / "official.json").read_text(encoding="utf-8"))
    return generate(pinned(openapi) if document is None else document, surface, docs, package, retired.load(openapi), official)


def differences(package: Path = ROOT / "retell_async") -> list[str]:
    """Names of generated files that are not what the document says, below the package folder; empty if all is up to date."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "retell_async"
        generate_pinned(fresh)
        names = {
            path.relative_to(base)
            for base in (package, fresh)
            for part in GENERATED
            for path in (base / part).rglob("*.*")
            if path.suffix in (".py", ".json")
        }
        return sorted(str(name) for name in names if not _same(package / name, fresh / name))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)
