"""What differs between two values, place by place: items of lists by their keys, long texts as lines that came and went."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, cast

import attrs

from .kinds import Json, key_of

__all__ = ["Change", "changes", "told"]

_WIDTH = 64
_ABSENT = object()


@attrs.frozen
class Change:
    """A change at one place.

    :param kind: ``+`` came, ``-`` went, ``~`` changed, ``>`` stands elsewhere in its list.
    """

    kind: str
    place: tuple[str, ...]
    before: Any = None
    after: Any = None


def changes(before: Any, after: Any, place: tuple[str, ...] = ()) -> Iterator[Change]:
    """All changes from one value to another; ``None`` as a whole is that it was not there."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("Json", before), cast("Json", after)
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _at(old.get(name, _ABSENT), new.get(name, _ABSENT), (*place, name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(cast("list[object]", before), cast("list[object]", after), place)
    elif before is None or after is None:
        yield from _at(_ABSENT if before is None else before, _ABSENT if after is None else after, place)
    elif before != after:
        yield Change("~", place, before, after)


def _at(before: Any, after: Any, place: tuple[str, ...]) -> Iterator[Change]:
    if before is _ABSENT or after is _ABSENT:
        if before is not after:
            yield Change("+", place, None, after) if before is _ABSENT else Change("-", place, before)
    elif before is None or after is None:
        if before is not after:
            yield Change("~", place, before, after)
    else:
        yield from changes(before, after, place)


def _items(before: list[object], after: list[object], place: tuple[str, ...]) -> Iterator[Change]:
    old, new = [key_of(item) for item in before], [key_of(item) for item in after]
    if len({*old}) < len(old) or len({*new}) < len(new):  # agents of a number, of which each may be there in more than one version
        old, new = [_key_and_version(item) for item in before], [_key_and_version(item) for item in after]
    if None in old or None in new or len({*old}) < len(old) or len({*new}) < len(new):
        for index in range(max(len(before), len(after))):
            one, other = (items[index] if index < len(items) else _ABSENT for items in (before, after))
            yield from _at(one, other, (*place, f"{index}"))
        return
    known, now = dict(zip(old, before, strict=True)), dict(zip(new, after, strict=True))
    for key in [*old, *(key for key in new if key not in known)]:
        yield from _at(known.get(key, _ABSENT), now.get(key, _ABSENT), (*place, f"{key}"))
    if (kept := [key for key in old if key in now]) != [key for key in new if key in known]:
        yield Change(">", place, kept, [key for key in new if key in known])


def _key_and_version(item: object) -> str | None:
    key = key_of(item)
    version = None if key is None else cast("Json", item).get("agent_version")
    return key if version is None else f"{key} {version}"


def told(change: Change, indent: str = "") -> Iterator[str]:
    """A change as lines for people."""
    where = ".".join(change.place)
    texts = [text for text in (change.before, change.after) if isinstance(text, str)]
    if change.kind == ">":
        yield f"{indent}> {where}: another order: {', '.join(change.after)}"
    elif change.kind == "~" and len(texts) == 2 and any("\n" in text or len(text) > _WIDTH for text in texts):
        yield f"{indent}~ {where}:"
        lines = list(difflib.unified_diff(change.before.splitlines(), change.after.splitlines(), lineterm="", n=1))[2:]
        yield from (f"{indent}    {_visible(line)}" for line in lines or ["ends of lines"])
    elif change.kind == "~":
        yield f"{indent}~ {where}: {_short(change.before)} -> {_short(change.after)}"
    else:
        yield f"{indent}{change.kind} {where}: {_short(change.before if change.kind == '-' else change.after)}"


def _short(value: Any) -> str:
    if isinstance(value, list) and value:
        items = cast("list[object]", value)
        keys = [key_of(item) for item in items]
        if None not in keys:
            return f"{len(items)}: {_cut(', '.join(f'{key}' for key in keys))}"
    if isinstance(value, dict) and (key := key_of(cast("object", value))) is not None:
        found = cast("Json", value)
        return _cut(
            " ".join(
                dict.fromkeys(f"{found[name]}" for name in ("type", "name", "weight") if isinstance(found.get(name), (str, int, float)))
            )
            or key
        )
    return _cut(_visible(json.dumps(value, ensure_ascii=False)))


def _visible(text: str) -> str:
    """A text in which all can be seen that would be changed: marks and spaces without a width among it."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
