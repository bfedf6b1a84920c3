"""What operations have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from ..common.messages import Json, Refused
from ..state.assets import Asset, Table
from ..state.listing import Entries, Position, page, position_of, walk

__all__ = ["changed", "draft_of", "existing", "limit_of", "listed", "skipped", "stricter", "version_of"]

T = TypeVar("T")
_DEFAULT_LIMIT = 50
_STRICTNESS = ("everything", "everything_except_pii", "basic_attributes_only")


def existing(table: Table[T], id: str, what: str, status: int = 422) -> T:
    item = table.get(id)
    if item is None:
        raise Refused(status, f"{what} was not found")
    return item


def version_of(asset: Asset, reference: Any, what: str, status: int = 422) -> Json:
    found = asset.version(reference)
    if found is None:
        raise Refused(status, f"{what} has no such version")
    return found


def draft_of(asset: Asset, reference: Any, what: str) -> Json:
    """A version that may still be changed."""
    body = version_of(asset, reference, what)
    if body.get("version", 0) in asset.published:
        raise Refused(412, f"this version of {what} is published and cannot be changed: create a new version")
    return body


def changed(body: Json, changes: Json, fixed: Collection[str], now: int) -> Json:
    """A body after an update.

    :param fixed: fields that no update can change.
    """
    return body | {name: value for name, value in changes.items() if name not in fixed} | {"last_modification_timestamp": now}


def limit_of(asked: Json) -> int:
    limit = int(asked.get("limit", _DEFAULT_LIMIT))
    if limit < 1:
        raise Refused(400, "limit must be at least 1")
    return limit


def listed(
    entries: Entries[T], asked: Json, show: Callable[[T], Any], matches: Callable[[T], bool] | None = None, *, total: bool = False
) -> Json:
    """One page of a list, newest first unless the request says otherwise.

    :param matches: which of the entries are on the list.
    :param total: whether the answer says how many these are.
    """

    def walked(after: Position | None) -> Iterable[tuple[Position, T]]:
        found = walk(entries, descending=asked.get("sort_order") not in {"ascending", "asc"}, after=after)
        return found if matches is None else (entry for entry in found if matches(entry[1]))

    answer = page(skipped(walked(position_of(asked)), asked, len(entries)), limit_of(asked), show)
    if total:
        answer["total"] = sum(1 for _ in walked(None))
    return answer


def skipped(entries: Iterable[T], asked: Mapping[str, Any], at_most: int) -> Iterable[T]:
    """The entries after those that the request skips."""
    return islice(entries, min(int(asked.get("skip", 0)), at_most), None)


def stricter(before: str | None, asked: str) -> str:
    """The requested ``data_storage_setting``.

    :raises Refused: it stores more than the one before.
    """
    if _STRICTNESS.index(asked) < _STRICTNESS.index(before or "everything"):
        raise Refused(400, "data_storage_setting can only become stricter")
    return asked
