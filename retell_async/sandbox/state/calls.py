"""Calls and their indexes."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Literal

import attrs

from ..common.messages import Json
from ..simulation.conversation import Item, Pause
from ..simulation.lifecycle import CallKind, CallPlan
from . import listing
from .endpoints import CallEndpoints
from .listing import Entries, Position

__all__ = ["Call", "CallParams", "CallProgress", "Calls", "IndexKey", "Origin"]


@attrs.define(eq=False)
class CallProgress:
    """What the user's endpoints brought into a call so far, and which of its milestones are behind it."""

    pauses: list[Pause] = attrs.field(factory=list[Pause])
    items: list[Item] = attrs.field(factory=list[Item])
    added: list[Json] = attrs.field(factory=list[Json])
    """What the agent said beyond its script."""
    collected: dict[str, str] = attrs.field(factory=dict[str, str])
    spoken: list[Json] | None = None
    """What was said, if a custom LLM speaks; ``None`` where the script decides."""
    last_milestone: tuple[int, int] = (0, 0)
    """The last milestone that was reached: its time and rank."""
    next_milestone_at: int | None = None
    """When the next milestone is due."""
    called: int = 0
    """How many custom functions were called."""


IndexKey = tuple[Hashable, ...]
"""A field and its value, such as an agent's id: calls that share it are found without looking at all calls."""


@attrs.define(kw_only=True, eq=False)
class CallParams:
    """What a call was created with. Phone calls have both numbers, web calls an access token."""

    kind: CallKind
    agent_id: str
    agent_version: int
    agent_name: str | None = None
    agent_tag: str | None = None
    batch_call_id: str | None = None
    direction: Literal["inbound", "outbound"] = "outbound"
    """Of phone calls."""
    from_number: str | None = None
    to_number: str | None = None
    access_token: str | None = None
    opening: str | None = None
    """The agent's first words, if its settings have any."""
    echoed: Json
    """Fields of the request that are repeated in every answer about the call, such as metadata."""
    asked_analysis: Sequence[Json] = ()
    """The agent's ``post_call_analysis_data``."""
    endpoints: CallEndpoints | None = None
    """The user's own endpoints that the call uses; ``None`` if it uses none."""


@attrs.define
class Origin:
    """Where the sandbox is reached."""

    url: str = "http://retell.sandbox"


@attrs.define(eq=False)
class Call:
    id: str
    params: CallParams
    position: Position
    plan: CallPlan
    origin: Origin
    created: int
    attributes: Json = attrs.field(factory=dict[str, Any])
    """Custom attributes, by their ids."""
    injected: list[tuple[int, str]] = attrs.field(factory=list[tuple[int, str]])
    """Context that was given to the agent during the call, and when (milliseconds since the epoch)."""
    overrides: dict[str, str] = attrs.field(factory=dict[str, str])
    """Dynamic variables that were set during the call."""
    listeners: set[str] = attrs.field(factory=set[str])
    """Ids of participants who may listen."""
    progress: CallProgress | None = None
    """What the user's endpoints brought into the call; ``None`` if it uses none."""


class Calls:
    """All calls, in the order in which they start, with indexes."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._by_id: dict[str, Call] = {}
        self._by_index_key: dict[IndexKey, Entries[Call]] = {}
        self._active: dict[str, Call] = {}
        self._ends: list[tuple[int, str]] = []
        self._keys: dict[str, tuple[float, Call]] = {}
        self._created = 0
        self.entries: Entries[Call] = []

    def get(self, id: str) -> Call | None:
        return self._by_id.get(id)

    def add(self, id: str, params: CallParams, created: int, plan: CallPlan) -> Call:
        self._created += 1
        position = (created if plan.start is None else plan.start, self._created)
        call = self._by_id[id] = Call(id, params, position, plan, self._origin, created)
        entry = (position, call)
        listing.add(self.entries, entry)
        for index_key in _index_keys(call):
            listing.add(self._by_index_key.setdefault(index_key, []), entry)
        self._active[id] = call
        heappush(self._ends, (plan.end, id))
        return call

    def newest_first(self) -> list[Call]:
        """All calls, the latest created first."""
        return list(reversed(self._by_id.values()))

    def change(self, call: Call, plan: CallPlan | None = None, echoed: Json | None = None) -> None:
        """Change the plan of a call, or the fields that answers about it repeat, and keep the indexes right.

        A call that was removed may go on with its other side. It stays out of the indexes.
        """
        listed = self._by_id.get(call.id) is call
        before = set(_index_keys(call))
        if plan is not None:
            call.plan = plan
            heappush(self._ends, (plan.end, call.id))
        if echoed is not None:
            call.params.echoed = echoed
        after = set(_index_keys(call)) if listed else before
        for index_key in before - after:
            listing.remove(self._by_index_key[index_key], call.position)
        for index_key in after - before:
            listing.add(self._by_index_key.setdefault(index_key, []), (call.position, call))

    def remove(self, call: Call) -> None:
        del self._by_id[call.id]
        self._active.pop(call.id, None)
        listing.remove(self.entries, call.position)
        for index_key in set(_index_keys(call)):
            listing.remove(self._by_index_key[index_key], call.position)

    def active(self, now: int) -> Collection[Call]:
        """The calls that have not ended."""
        while self._ends and self._ends[0][0] <= now:
            _, id = heappop(self._ends)
            call = self._active.get(id)
            if call is not None and call.plan.end <= now:
                del self._active[id]
        return self._active.values()

    def next_end(self, now: int) -> int | None:
        """When the next ongoing call ends; ``None`` when there is none. It may be too early, when that call was changed."""
        return self._ends[0][0] if self.active(now) else None

    def indexed_by(self, index_key: IndexKey) -> Entries[Call]:
        return self._by_index_key.get(index_key, [])

    def keep_key(self, key: str, call: Call, until: float, now: float) -> None:
        """Remember the call of an idempotency key, and forget keys that have expired."""
        while self._keys:
            oldest = next(iter(self._keys))
            if self._keys[oldest][0] > now:
                break
            del self._keys[oldest]
        self._keys[key] = (until, call)

    def by_key(self, key: str, now: float) -> Call | None:
        until, call = self._keys.get(key, (0.0, None))
        return call if call is not None and until > now and call.id in self._by_id else None


def _reason(call: Call) -> IndexKey:
    return ("disconnection_reason", call.plan.reason)


def _index_keys(call: Call) -> Iterator[IndexKey]:
    params = call.params
    yield _reason(call)
    yield ("call_type", params.kind)
    yield ("agent_id", params.agent_id)
    if params.from_number is not None and params.to_number is not None:
        yield ("from_number", params.from_number)
        yield ("to_number", params.to_number)
    if params.batch_call_id is not None:
        yield ("batch_call_id", params.batch_call_id)
    metadata: Mapping[str, Any] = params.echoed.get("metadata", {})
    for key, value in metadata.items():
        if isinstance(value, (str, int, float)):
            yield ("metadata", key, value)
