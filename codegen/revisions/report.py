"""A difference for readers: release notes in Markdown, an exit status."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from ..document import visible
from .diff import SENTENCES, Change, Impact

STATUS = {Impact.BREAKING: 4, Impact.ADDITIVE: 3, Impact.INTERNAL: 0}
"""What a robot is told: 0 also where nothing changed. 1 and 2 are for refusals and wrong usage."""
LEFT_OUT = 5  # where an operation was left out, since it cannot be expressed

_NAMES = 4  # Python names that are written out for one change
_SENDS = "`client.request` sends what speaks JSON, `client.get` or `client.post(content=...)` with `cast_to=httpx.Response` all else"
_REMEDY = re.compile(r": [^:]*\b(?:overlay|surface|SPEC=).*")


def to_look_at(lines: Collection[str]) -> str:
    """A part of its own for what reviewers should judge."""
    return "\n".join(["## To look at", "", *(f"- {_code(line)}" for line in lines)]) if lines else ""


def counts(changes: Sequence[Change]) -> dict[Impact, int]:
    return {impact: sum(change.impact is impact for change in changes) for impact in Impact}


def summary(changes: Sequence[Change], left_out: Collection[str] = ()) -> str:
    """``3 breaking, 5 additive, 1 internal``, and how many operations are left out, if any."""
    told = [f"{count} {impact}" for impact, count in counts(changes).items()]
    return ", ".join([*told, *([f"{len(left_out)} left out"] if left_out else [])])


def status(changes: Sequence[Change]) -> int:
    """An exit status: 4 if anything breaks, 3 if something came, else 0."""
    return max((STATUS[change.impact] for change in changes), default=0)


def markdown(changes: Sequence[Change], left_out: Mapping[str, str] = {}, *, most: int | None = None, internal: bool = False) -> str:
    """Release notes: what breaks and what to do, and what comes, by resource.

    :param left_out: operations that cannot be expressed, and why.
    :param most: for users: so many lines a resource are written out, and no remedy in our own files.
    :param internal: whether also what is internal is told.
    """
    lines: list[str] = []
    for impact, title in zip(Impact, ("Breaking", "New", *(["Internal"] if internal else ())), strict=False):
        groups: dict[str, list[Change]] = defaultdict(list)
        for change in (change for change in changes if change.impact is impact):
            groups[_group(change)].append(change)
        lines.extend([f"- {title} ({counts(changes)[impact]}):"] if groups else [])
        for group in sorted(groups, key=lambda group: (group != _CLIENT, not group.startswith("`client"), group)):
            lines.append(f"  - {group}")
            lines.extend(f"    - {_line(change)}" for change in groups[group][:most])
            if most is not None and len(groups[group]) > most:
                lines.append(f"    - and {len(groups[group]) - most} more.")
    if left_out:
        lines.append(f"- Left out ({len(left_out)}); {_SENDS}:")
        lines.extend(f"  - {_code(key)}: {_code(why if most is None else _REMEDY.sub('', why))}" for key, why in left_out.items())
    return "\n".join(lines)


_CLIENT = "the client"
_OF_FIELDS = frozenset({"member", "value", "answer", "type", "bound", "default"})


def _group(change: Change) -> str:
    if change.subject in ("server", "authentication", "document"):
        return _CLIENT
    if change.subject == "class":
        return "`retell_async.types`"
    return f"`client.{change.resources[0]}`" if len(change.resources) == 1 else "several resources"


def _line(change: Change) -> str:
    said, todo = SENTENCES[change.subject].get(change.action, ("{names}: {what}", "Look at what you send and read there."))
    what = change.what.partition(": ")[2] or change.what if change.subject in _OF_FIELDS else change.what
    more = len(change.names) - _NAMES
    names = [*map(_code, change.names[:_NAMES]), *([f"and {more} more"] if more > 0 else [])]
    text = said.format(names=", ".join(names), what=_code(what))
    return f"{text}. {todo}".rstrip() if change.impact is Impact.BREAKING else f"{text}."


def _code(text: str) -> str:
    """A text in backticks, which nothing in it can end."""
    return f"`{visible(text).replace('`', chr(39))}`"
