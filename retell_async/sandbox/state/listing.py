"""Lists kept in order, and pages of them. A page goes on from a position, so what comes and goes in between neither repeats nor skips."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from ..common.messages import Json, Refused

__all__ = ["Entries", "Position", "add", "between", "page", "position_of", "remove", "walk"]

T = TypeVar("T")
Position = tuple[int, int]
"""Milliseconds (or whatever a list is ordered by) and a serial number, which makes it unique."""
Entries = list[tuple[Position, T]]


def add(entries: Entries[T], entry: tuple[Position, T]) -> None:
    if not entries or entries[-1][0] < entry[0]:
        entries.append(entry)
    else:
        insort(entries, entry)


def remove(entries: Entries[T], position: Position) -> None:
    """:raises LookupError: nothing is at that position."""
    index = bisect_left(entries, (position,))
    if index == len(entries) or entries[index][0] != position:
        raise LookupError(position)
    del entries[index]


def between(entries: Entries[T], lowest: float, highest: float) -> Entries[T]:
    """The entries whose first part of the position lies between two values, both included."""
    low = bisect_left(entries, lowest, key=lambda entry: entry[0][0])
    return entries[low : bisect_right(entries, highest, lo=low, key=lambda entry: entry[0][0])]


def walk(entries: Entries[T], *, descending: bool, after: Position | None = None) -> Iterator[tuple[Position, T]]:
    """The entries in one of the two directions, those beyond a position only."""
    if descending:
        stop = len(entries) if after is None else bisect_left(entries, (after,))
        return (entries[index] for index in range(stop - 1, -1, -1))
    start = 0 if after is None else bisect_left(entries, ((after[0], after[1] + 1),))
    return (entries[index] for index in range(start, len(entries)))


def page(entries: Iterable[tuple[Position, T]], limit: int, show: Callable[[T], Any]) -> Json:
    """The answer of a paged list: as many as asked for, and the key with which to go on when there are more."""
    found = list(islice(entries, limit + 1))
    envelope: Json = {"items": [show(item) for _, item in found[:limit]], "has_more": len(found) > limit}
    if envelope["has_more"]:
        milliseconds, serial = found[limit - 1][0]
        envelope["pagination_key"] = f"{milliseconds:x}.{serial:x}"
    return envelope


def position_of(asked: Mapping[str, Any]) -> Position | None:
    """Where the page before ended.

    :raises Refused: the key is none that `page` gave.
    """
    key = asked.get("pagination_key")
    if key is None:
        return None
    milliseconds, _, serial = key.partition(".")
    try:
        return int(milliseconds, 16), int(serial, 16)
    except ValueError:
        raise Refused(400, "pagination_key is not one that a list of this server gave") from None
