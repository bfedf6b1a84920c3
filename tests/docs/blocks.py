"""The code blocks of README and guides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["PAGES", "ROOT", "Block", "blocks"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(page for folder in (".", "guides", "tasks") for page in sorted((ROOT / "docs" / folder).glob("*.md")))]

_FENCE = re.compile(
    r"^(?:[^\n]*`(?P<file>\w+\.py)`:\n\n)?```(?P<language>\w+)(?: raises=(?P<raises>\w+))?\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL
)


@attrs.frozen
class Block:
    path: Path
    line: int
    """Where its first line is."""
    language: str
    raises: str | None
    """The error that it ends with, for one that shows an error."""
    source: str
    file: str | None
    """What it is to be saved as, if the line before it says so."""

    @property
    def name(self) -> str:
        return f"{self.path.name}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Whether it is a whole file, which finds nothing defined before it."""
        return self.is_test or self.path.parent.name == "tasks" or "asyncio.run(" in self.source

    @property
    def is_continued(self) -> bool:
        """Whether it goes on where the block before it ended."""
        return self.path.name in {"getting-started.md", "README.md"} and not self.is_program

    @property
    def is_test(self) -> bool:
        """Whether it is a file for pytest."""
        return "def test_" in self.source


def blocks(language: str) -> Iterator[Block]:
    """All blocks of a language."""
    for path in PAGES:
        text = path.read_text()
        for found in _FENCE.finditer(text):
            if found["language"] == language:
                yield Block(path, text.count("\n", 0, found.start("source")) + 1, language, found["raises"], found["source"], found["file"])
