"""What the operations on agents, LLMs and phone numbers have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from ..exchange import Json, Refused
from ..ordered import Position, page, position_of, walk
from ..store import Asset, Assets

__all__ = ["changed", "existing", "limit_of", "listed", "version_of"]

_DEFAULT_LIMIT = 50


def existing(assets: Assets, id: str, what: str, status: int = 422) -> Asset:
    asset = assets.get(id)
    if asset is None:
        raise Refused(status, f"{what} was not found")
    return asset


def version_of(asset: Asset, reference: Any, what: str, status: int = 422) -> Json:
    found = asset.version(reference)
    if found is None:
        raise Refused(status, f"{what} has no such version")
    return found


def changed(body: Json, changes: Json, fixed: Collection[str], now: int) -> Json:
    """A body with the fields of an update laid over it, except those that no update can change."""
    return body | {name: value for name, value in changes.items() if name not in fixed} | {"last_modification_timestamp": now}


def limit_of(asked: Json) -> int:
    limit: int = asked.get("limit", _DEFAULT_LIMIT)
    if limit < 1:
        raise Refused(400, "limit must be at least 1")
    return limit


def listed(assets: Assets, query: Json, show: Callable[[Asset], Json], meant: Callable[[Asset], bool] | None = None) -> Json:
    """One page of a list, newest first unless it is asked for otherwise."""
    entries: Iterable[tuple[Position, Asset]] = walk(
        assets.entries, descending=query.get("sort_order") != "ascending", after=position_of(query)
    )
    if meant is not None:
        entries = (entry for entry in entries if meant(entry[1]))
    return page(entries, limit_of(query), show)
