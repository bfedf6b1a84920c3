"""Revisions of the upstream document to try the generator on: one made for it, and a published one where it lies beside the project."""

from __future__ import annotations

from pathlib import Path

import attrs

from codegen.document import Json, load_file
from codegen.generate import ROOT
from codegen.revisions import pin


@attrs.frozen
class Revision:
    path: Path
    operations: int

    def load(self) -> Json:
        return load_file(self.path)

    def __str__(self) -> str:
        return self.path.stem


_PUBLISHED = ROOT.parent / "shared" / "spec" / "upstream-2026-04.yaml"
REVISIONS = [Revision(Path(__file__).parent / "traps.yaml", 9), *([Revision(_PUBLISHED, 79)] if _PUBLISHED.exists() else [])]

LOOKED_THROUGH = load_file(ROOT / "openapi" / "drift.yaml")["of"] == pin.load(ROOT / "openapi" / "pin.toml").now.pinned
"""Whether the pinned document is that with which what is written by hand beside it was looked through last."""
