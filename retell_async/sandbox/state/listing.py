"""Ordered lists and their pages. A page begins after a position, so that no entry is repeated or skipped when others come or go."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from ..common.messages import Json, Refused

__all__ = ["Entries", "Position", "add", "between", "page", "position_of", "remove", "walk"]

T = TypeVar("T")
Position = tuple[int, int]
"""What the list is ordered by, such as milliseconds, and a serial number that makes it unique."""
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
    """The entries with positions from the lowest value to the highest, both included."""
    low = bisect_left(entries, lowest, key=lambda entry: entry[0][0])
    return entries[low : bisect_right(entries, highest, lo=low, key=lambda entry: entry[0][0])]


def walk(entries: Entries[T], *, descending: bool, after: Position | None = None) -> Iterator[tuple[Position, T]]:
    """The entries in ascending or descending order, from the one after a position."""
    if descending:
        stop = len(entries) if after is None else bisect_left(entries, (after,))
        return (entries[index] for index in range(stop - 1, -1, -1))
    start = 0 if after is None else bisect_left(entries, ((after[0], after[1] + 1),))
    return (entries[index] for index in range(start, len(entries)))


def page(entries: Iterable[tuple[Position, T]], limit: int, show: Callable[[T], Any]) -> Json:
    """One page: at most so many entries, and the ``pagination_key`` of the next page if there is one."""
    found = list(islice(entries, limit + 1))
    envelope: Json = {"items": [show(item) for _, item in found[:limit]], "has_more": len(found) > limit}
    if envelope["has_more"]:
        milliseconds, serial = found[limit - 1][0]
        envelope["pagination_key"] = f"{milliseconds:x}.{serial:x}"
    return envelope


def position_of(asked: Mapping[str, Any]) -> Position | None:
    """The position that a ``pagination_key`` stands for.

    :raises Refused: the key was not made by `page`.
    """
    key = asked.get("pagination_key")
    if key is None:
        return None
    milliseconds, _, serial = key.partition(".")
    try:
        return int(milliseconds, 16), int(serial, 16)
    except ValueError:
        raise Refused(400, "pagination_key is not one that a list of this server gave") from None
