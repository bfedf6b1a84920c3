"""The entries of `CHANGELOG.md` that updates of the pinned document write, and take back.

An entry stands below ``### API`` in the section ``[Unreleased]``, the newest first: one line that names the revision, and indented lines
below it. Everything else in the file is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..document import Refused

_SECTION = re.compile(r"^## \[Unreleased\].*?(?=^## |^\[[^]]+\]: |\Z)", re.DOTALL | re.MULTILINE)
_HEADING = "### API\n\n"


def written(text: str, revision: str, before: str, summary: str, details: str) -> str:
    """The file with an entry for a revision that takes the place of another."""
    entry = "\n".join([_first(revision) + f", before `{before}`: {summary}.", *(f"  {line}" for line in details.splitlines())]) + "\n"
    start, section, end = _parted(text)
    if _HEADING not in section:
        section = re.sub(r"\n*\Z", lambda blank: f"\n\n{_HEADING}{blank[0][1:]}", section, count=1)
    return start + section.replace(_HEADING, _HEADING + entry, 1) + end


def undone(text: str, revisions: Iterable[str]) -> str:
    """The file without the entries of these revisions."""
    for revision in revisions:
        start, section, end = _parted(text)
        section = re.sub(rf"^{re.escape(_first(revision))}, .*\n(?:  .*\n)*", "", section, flags=re.MULTILINE)
        text = start + re.sub(rf"\n\n{_HEADING}(?=\n|\Z)", "\n", section) + end
    return text


def _parted(text: str) -> tuple[str, str, str]:
    """What is before the section, the section, and what is behind it."""
    if (found := _SECTION.search(text)) is None:
        raise Refused("", "CHANGELOG.md has no section [Unreleased] to put the entry in: write `## [Unreleased]` there", "")
    return text[: found.start()], found[0], text[found.end() :]


def _first(revision: str) -> str:
    return f"- Revision `{revision}` of the API"
