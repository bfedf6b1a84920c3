"""No sentence of the upstream document stands in the repository: no eight of its words in a row, names and paths aside."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codegen.canonical import PROSE
from codegen.document import load_file
from codegen.generate import ROOT

UPSTREAM = [path for path in [ROOT.parent / "shared" / "spec" / "upstream-2026-04.yaml"] if path.exists()]
RUN = 8
TEXT = frozenset({".py", ".yaml", ".yml", ".md", ".toml", ".jinja", ".json", ".txt"})
NOT_OURS = frozenset({"build", "dist", "node_modules", "__pycache__"})


def words(text: str) -> list[str]:
    """The words of a text: not what has a digit, an underscore or a slash in it, which names something."""
    return [word for token in text.lower().split() if (word := token.strip("`'\"*()[].,:;!?#|-")) and re.fullmatch(r"[a-z][a-z'-]*", word)]


def runs(text: str) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[start : start + RUN]) for start in range(len(said) - RUN + 1)}


def sentences(value: Any) -> Iterator[str]:
    """Everything in a document that is written to be read."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in PROSE and isinstance(item, str):
                yield item
            else:
                yield from sentences(item)
    elif isinstance(value, list):
        for item in value:
            yield from sentences(item)


def texts() -> Iterator[Path]:
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in NOT_OURS and (not name.startswith(".") or name in (".github", ".ci"))]
        yield from (Path(folder, name) for name in names if Path(name).suffix in TEXT)


def copied(theirs: set[tuple[str, ...]], text: str) -> set[tuple[str, ...]]:
    return theirs & runs(text)


def test_a_copy_is_found_where_it_is_wrapped_and_quoted_otherwise() -> None:
    document = {"paths": {"/x": {"get": {"description": "The first eight words\nof any `sentence` about call_id give a copy away."}}}}
    theirs = {run for said in sentences(document) for run in runs(said)}
    assert copied(theirs, '# The first eight\n# words of any "sentence" about agent_id give it away')
    assert not copied(theirs, "The first seven words of any sentence are nobody's")


def test_no_sentence_of_the_upstream_document_is_here() -> None:
    theirs = {run for path in UPSTREAM for said in sentences(load_file(path)) for run in runs(said)}
    found = {
        str(path.relative_to(ROOT)): [" ".join(run) for run in some]
        for path in texts()
        if (some := copied(theirs, path.read_text("utf-8")))
    }
    assert found == {}
