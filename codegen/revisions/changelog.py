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
    section = _section(text)
    if _HEADING in section.group():
        new = section.group().replace(_HEADING, _HEADING + entry, 1)
    else:
        body = section.group().rstrip("\n")
        new = f"{body}\n\n{_HEADING}{entry}{section.group()[len(body) + 1 :]}"
    return text[: section.start()] + new + text[section.end() :]


def undone(text: str, revisions: Iterable[str]) -> str:
    """The file without the entries of these revisions."""
    for revision in revisions:
        section = _section(text)
        new = re.sub(rf"^{re.escape(_first(revision))}, .*\n(?:  .*\n)*", "", section.group(), flags=re.MULTILINE)
        new = re.sub(rf"\n\n{_HEADING}(?=\n|\Z)", "\n", new)
        text = text[: section.start()] + new + text[section.end() :]
    return text


def _section(text: str) -> re.Match[str]:
    if (found := _SECTION.search(text)) is None:
        raise Refused("", "CHANGELOG.md has no section [Unreleased] to put the entry in")
    return found


def _first(revision: str) -> str:
    return f"- Revision `{revision}` of the API"
