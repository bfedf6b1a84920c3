"""Tables, and assets with their versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import attrs

from ..common.messages import Json
from . import listing
from .listing import Entries, Position

__all__ = ["Asset", "Assets", "Table"]

T = TypeVar("T")


@attrs.define(eq=False)
class Asset:
    """Something configured, with all its versions: an agent, an LLM, a phone number."""

    id: str
    versions: dict[int, Json]
    kind: str = ""
    """Tells apart assets of one table: ``voice`` and ``chat`` agents."""
    published: set[int] = attrs.field(factory=set[int])
    """Versions that can no longer be changed."""
    tags: dict[str, int] = attrs.field(factory=dict[str, int])
    newest: int = 0
    """The highest version number so far."""

    @property
    def latest(self) -> Json:
        return self.versions[max(self.versions)]

    def version(self, reference: int | str | None) -> Json | None:
        """The version of a number or a tag. Without either, and for a tag that is not assigned, it is the latest."""
        if isinstance(reference, int):
            return self.versions.get(reference)
        if reference == "latest_published" and self.published:
            return self.versions[max(self.published)]
        return self.versions.get(self.tags[reference]) if reference in self.tags else self.latest

    def write(self, body: Json) -> Json:
        """Replace the body of a version."""
        self.versions[body.get("version", 0)] = body
        return body

    def draft(self, base: Json, **changes: Any) -> Json:
        """Add a version with the settings of another."""
        self.newest += 1
        return self.write(base | {"version": self.newest} | changes)


class Table(Generic[T]):
    """Records of one kind, by id and in the order of their creation."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[Position, T]] = {}
        self._created = 0
        self.entries: Entries[T] = []

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self.entries)

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: str) -> T | None:
        found = self._by_id.get(id)
        return None if found is None else found[1]

    def put(self, id: str, item: T) -> T:
        """:raises ValueError: the id is taken."""
        if id in self._by_id:
            raise ValueError(f"{id} is there already")
        self._created += 1
        self._by_id[id] = entry = ((self._created, 0), item)
        self.entries.append(entry)
        return item

    def remove(self, id: str) -> None:
        listing.remove(self.entries, self._by_id.pop(id)[0])


class Assets(Table[Asset]):
    """All assets of one kind."""

    def add(self, id: str, body: Json, kind: str = "") -> Asset:
        return self.put(id, Asset(id, {0: body}, kind))
