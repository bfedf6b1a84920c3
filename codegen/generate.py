"""The whole way, from `openapi/` to the generated folders of the package."""

from __future__ import annotations

import filecmp
import tempfile
from pathlib import Path

import attrs

from . import overlay, words
from .document import Json, load_file
from .passes import notes
from .prepare import prepare
from .render import render
from .surface import Entry, entries
from .views import views

ROOT = Path(__file__).parent.parent
GENERATED = ("raw", "resources")


@attrs.frozen
class Report:
    """What was generated, and what was not, by name."""

    operations: int
    methods: int
    models: int
    named_themselves: list[str]
    unreachable: list[str]
    wordless: words.Missing


def pinned(openapi: Path = ROOT / "openapi") -> Json:
    """The pinned document with the overlay and our notes laid over it."""
    document = overlay.apply(load_file(openapi / "openapi.yaml"), load_file(openapi / "overlay.yaml"))
    notes.lay(document, load_file(openapi / "notes.yaml"))
    return document


def generate(document: Json, surface: Json, docs: Json, package: Path) -> Report:
    """Write the generated folders of a package from a document.

    :raises Refused: something in the document cannot be expressed; then nothing is sure to be written.
    """
    prepared = prepare(document)
    missing = words.lay(prepared, docs)
    named: dict[str, Entry] = entries(prepared, surface)
    seen = views(prepared, named)
    render(prepared, seen, package)
    return Report(
        operations=len(seen.operations),
        methods=sum(len(resource.methods) for resource in seen.resources),
        models=len(seen.models),
        named_themselves=[key for key, entry in named.items() if not entry.named],
        unreachable=prepared["x-unreachable"],
        wordless=missing,
    )


def generate_pinned(package: Path = ROOT / "retell_async", openapi: Path = ROOT / "openapi") -> Report:
    """Write the generated folders of a package from what is pinned."""
    return generate(pinned(openapi), load_file(openapi / "surface.yaml"), words.load(openapi / "docs"), package)


def differences(package: Path = ROOT / "retell_async") -> list[str]:
    """Names of generated files that are not what the document says, below the package folder; empty if all is up to date."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "retell_async"
        generate_pinned(fresh)
        names = {path.relative_to(base) for base in (package, fresh) for part in GENERATED for path in (base / part).rglob("*.py")}
        return sorted(str(name) for name in names if not _same(package / name, fresh / name))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)
