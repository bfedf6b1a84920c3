"""What was sent and may have been carried out: calls are counted, and the same request is not sent blindly again."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import anyio
import attrs

from .catalog import Tool
from .consent import digest
from .policy import calls, rings

__all__ = ["Ledger", "Placed", "Sending", "Shared", "Unknown"]

_HOUR = 3600.0
_MOST = 1000


@attrs.frozen
class Unknown:
    """A request of which it is not known whether it was carried out."""

    since: float
    """Unix time of the first attempt."""
    key: str | None
    """Its idempotency key."""


@attrs.frozen
class Placed:
    """A call that was placed, of which whoever asked for it may not have heard."""

    since: float
    """Unix time of the first attempt."""
    key: str | None
    """Its idempotency key."""
    call_id: str | None


@attrs.define
class Sending:
    """A request on its way."""

    tool: Tool
    arguments: Mapping[str, Any]
    """As they are sent, with an idempotency key where the operation knows one."""
    key: str | None
    since: float
    """When it was sent first, under this key."""
    before: Unknown | None
    """The same request, sent before."""
    counted: int
    """Calls that it adds to those that were placed."""


@attrs.define(eq=False)
class Shared:
    """A request on its way, and what came of it, for all who ask for the same meanwhile. If neither is known, it was given up."""

    ended: anyio.Event = attrs.field(factory=lambda: anyio.Event(), init=False)  # noqa: PLW0108 - anyio loads it when it is asked for
    done: bool = False
    answered: Any = None
    failed: Any = None
    """The error that is told, if it was not carried out or nobody knows."""


@attrs.define
class Ledger:
    """The requests of a server that must not be sent twice."""

    placed: int = 0
    """Calls that were placed, or may have been."""
    _unknown: dict[str, Unknown] = attrs.field(factory=dict[str, Unknown], init=False)
    _placed: dict[str, Placed] = attrs.field(factory=dict[str, Placed], init=False)
    _shared: dict[str, Shared] = attrs.field(factory=dict[str, Shared], init=False)

    def on_its_way(self, tool: Tool, arguments: Mapping[str, Any]) -> Shared | None:
        """The same request, if it is on its way just now."""
        return self._shared.get(_name(tool, arguments))

    @contextmanager
    def shared(self, tool: Tool, arguments: Mapping[str, Any]) -> Generator[Shared]:
        """A block in which a request is on its way. There is one at a time of the same."""
        name, shared = _name(tool, arguments), Shared()
        self._shared[name] = shared
        try:
            yield shared
        finally:
            del self._shared[name]
            shared.ended.set()

    def unknown(self, tool: Tool, arguments: Mapping[str, Any]) -> Unknown | None:
        """The same request, sent before, if it is not known what came of it."""
        return self._unknown.get(_name(tool, arguments))

    def placed_before(self, tool: Tool, arguments: Mapping[str, Any], now: float) -> Placed | None:
        """The same call, if it was placed within the last hour: a client that gave up waiting may ask for it again without knowing."""
        found = self._placed.get(_name(tool, arguments))
        return found if found is not None and now - found.since < _HOUR else None

    def in_doubt(self, tool: Tool, arguments: Mapping[str, Any], now: float) -> Unknown | Placed | None:
        """The same request, sent before, if one more would not count as the same and might not be meant.

        Nobody knows what came of it, or it rang somebody within the last hour and no idempotency key of the caller's says that this is
        another call.
        """
        if self._is_one(tool, arguments, now):
            return None
        if (unknown := self.unknown(tool, arguments)) is not None:
            return unknown
        return self.placed_before(tool, arguments, now) if rings(tool) and arguments.get("idempotency_key") is None else None

    def adds(self, tool: Tool, arguments: Mapping[str, Any], now: float) -> int:
        """How many calls it would place beside those that are counted already."""
        return 0 if self._is_one(tool, arguments, now) else calls(tool, arguments)

    def _is_one(self, tool: Tool, arguments: Mapping[str, Any], now: float) -> bool:
        """Whether it is one with the same request, sent before: that is on its way, or the API recognises the repeat."""
        return self.on_its_way(tool, arguments) is not None or self._recognised(tool, arguments, now) is not None

    def _recognised(self, tool: Tool, arguments: Mapping[str, Any], now: float) -> Unknown | Placed | None:
        """The same request, sent before, if the API still recognises the repeat, so that it is carried out once.

        Nobody knows what came of it; or it was placed, under the very key that is given now.
        """
        before: Unknown | Placed | None = self.unknown(tool, arguments)
        if before is None:
            placed = self._placed.get(_name(tool, arguments))
            before = placed if placed is not None and placed.key == arguments.get("idempotency_key") else None
        return before if before is not None and before.key is not None and now - before.since < _HOUR else None

    def begin(self, tool: Tool, arguments: Mapping[str, Any], now: float) -> Sending:
        """Note that a request is about to be sent: from here on it may have been carried out.

        One that knows an idempotency key gets one; the same request of which nothing is known gets the same key within the hour in which
        the API recognises it, so that it is not carried out twice.
        """
        before = self.unknown(tool, arguments)
        key, since, counted = arguments.get("idempotency_key"), now, calls(tool, arguments)
        if tool.repeat == "idempotency_key":
            if (same := self._recognised(tool, arguments, now)) is not None:
                key, since, counted = same.key, same.since, 0
            elif key is None:
                key = f"mcp-{uuid4().hex}"
            arguments = {**arguments, "idempotency_key": key}
        sending = Sending(tool, arguments, key, since, before, counted)
        self.placed += counted
        if tool.repeat != "safe":
            self._unknown[_name(tool, arguments)] = Unknown(since, key)
            while len(self._unknown) > _MOST:
                del self._unknown[next(iter(self._unknown))]
        return sending

    def end(self, sending: Sending, *, done: bool, call_id: str | None = None) -> None:
        """Note what is known now: it was carried out, or this time it was not, which says nothing of the time before."""
        name = _name(sending.tool, sending.arguments)
        self._unknown.pop(name, None)
        if done and calls(sending.tool, sending.arguments):
            self._placed.pop(name, None)  # the latest goes last
            self._placed[name] = Placed(sending.since, sending.key, call_id)
            if len(self._placed) > _MOST:
                del self._placed[next(iter(self._placed))]
        if not done:
            self.placed -= sending.counted
            if sending.before is not None:
                self._unknown[name] = sending.before


def _name(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """The same for the same request; the key that it was given is no part of it."""
    return digest([tool.name, {name: value for name, value in arguments.items() if name != "idempotency_key"}])
