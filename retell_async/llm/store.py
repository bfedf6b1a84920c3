"""What is kept of a call beyond a connection and, with a store that several processes share, beyond a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import anyio
import attrs

from retell_async._core.masking import masked_traceback

from .log import log

__all__ = ["MemoryStore", "Outcome", "Records", "Store"]

_RECORD_WITHIN = 2.0


@attrs.frozen
class Outcome:
    """How far a side effect has come: begun and not heard of since, done, or failed."""

    state: Literal["begun", "done", "failed"]
    result: Any = None
    """What it gave, if it is done."""
    error: str = ""
    """Why it failed, if it did."""


class Store(Protocol):
    """Keeps the state of calls and the outcomes of their side effects.

    With one that all processes share, a side effect happens at most once a call whichever of them Retell connects to, as long as `begin` is
    atomic. One that raises or does not answer costs the state, never a second side effect: what could not be begun is not carried out.
    What is kept may lapse a day after the last change.
    """

    async def load(self, call_id: str) -> dict[str, Any] | None:
        """What `save` was given last for this call, ``None`` if nothing was. The caller may change it."""

    async def save(self, call_id: str, record: dict[str, Any]) -> None:
        """Keep this of the call. It holds the session's state, and is JSON if that is."""

    async def begin(self, call_id: str, key: str) -> Outcome | None:
        """Claim a side effect, atomically. ``None`` if it is the caller's to carry out, else how far it has come."""

    async def finish(self, call_id: str, key: str, outcome: Outcome | None) -> None:
        """Keep how a claimed side effect ended; with ``None`` nothing was done, and it can be claimed again."""


class MemoryStore:
    """Keeps everything in the memory of this process, and forgets a call some time after its last change.

    :param keep: seconds.
    """

    def __init__(self, *, keep: float = 3600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep = keep
        self._clock = clock
        self._calls: dict[str, _Kept] = {}

    async def load(self, call_id: str) -> dict[str, Any] | None:
        kept = self._calls.get(call_id)
        return None if kept is None else kept.record

    async def save(self, call_id: str, record: dict[str, Any]) -> None:
        self._touched(call_id).record = record

    async def begin(self, call_id: str, key: str) -> Outcome | None:
        outcomes = self._touched(call_id).outcomes
        if key in outcomes:
            return outcomes[key]
        outcomes[key] = Outcome("begun")
        return None

    async def finish(self, call_id: str, key: str, outcome: Outcome | None) -> None:
        outcomes = self._touched(call_id).outcomes
        if outcome is None:
            outcomes.pop(key, None)
        else:
            outcomes[key] = outcome

    def _touched(self, call_id: str) -> _Kept:
        """What is kept of a call, as the newest; the oldest are in front."""
        now = self._clock()
        kept = self._calls.pop(call_id, None) or _Kept()
        kept.changed = now
        self._calls[call_id] = kept
        while True:
            other, old = next(iter(self._calls.items()))
            if now - old.changed <= self._keep:
                break
            del self._calls[other]
        return kept


@attrs.define
class _Kept:
    record: dict[str, Any] | None = None
    outcomes: dict[str, Outcome] = attrs.field(factory=dict[str, Outcome])
    changed: float = 0.0


class Records:
    """What a store keeps of one call beside side effects. A store that raises or does not answer is logged, and costs no more than that."""

    def __init__(self, store: Store, call_id: str) -> None:
        self._store = store
        self._call_id = call_id
        self._saving = anyio.Lock()

    async def load(self) -> dict[str, Any]:
        """What was kept, empty if that is nothing."""
        record = None
        with self._bounded("does not give its state"):
            record = await self._store.load(self._call_id)
        return record or {}

    async def save(self, record: dict[str, Any]) -> None:
        """Keep this, also when cancelled."""
        with self._bounded("does not take its state"):
            async with self._saving:
                await self._store.save(self._call_id, record)

    @contextmanager
    def _bounded(self, problem: str) -> Generator[None]:
        try:
            with anyio.move_on_after(_RECORD_WITHIN, shield=True) as waiting:
                yield
            if waiting.cancelled_caught:
                log.error("call %r: the store %s", self._call_id, problem)
        except Exception as error:  # noqa: BLE001 - a store may raise anything
            log.error("call %r: the store %s\n%s", self._call_id, problem, masked_traceback(error))
