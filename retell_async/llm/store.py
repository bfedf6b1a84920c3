"""What is kept of a call beyond a connection and, with a store that several processes share, beyond a process."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeVar, cast

import anyio
import attrs

from retell_async._core.attempt import Done, attempt
from retell_async._core.masking import mask_text, masked_traceback

from .log import as_json, is_json, log, named

__all__ = ["MemoryStore", "Outcome", "Records", "Store", "finish"]

T = TypeVar("T")

_RECORD_WITHIN = 2.0
_LATE_WITHIN = 30.0
"""Seconds in which what a store did not answer in time may still be carried out."""


@attrs.frozen
class Outcome:
    """How far a side effect has come: begun and not heard of since, done, or failed. All of it is to be kept."""

    state: Literal["begun", "done", "failed"]
    result: Any = None
    """What it gave, if it is done."""
    error: str = ""
    """Why it failed, if it did."""
    action: dict[str, Any] | None = None
    """What a turn does that asks for it, as JSON, such as ``{"end_call": true}``."""
    says_goodbye: bool = False
    """Whether such a turn takes leave."""


class Store(Protocol):
    """Keeps the state of calls and the outcomes of their side effects.

    With one that all processes share, a side effect happens at most once a call whichever of them Retell connects to, and the state is that
    of the process that Retell connected to last, as long as the methods are atomic. One that raises or does not answer costs the state,
    never a second side effect: what could not be begun is not carried out. What is kept may lapse a day after the last change.
    """

    async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
        """Claim a call for a connection that was opened, or again where this was not answered.

        :returns: a number, one more than at the last claim and at first 1; and what `save` was given last, if anything was, to be changed
            at will.
        """
        ...

    async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
        """Keep this of the call, unless there was a newer claim.

        :param record: holds the session's state, what side effects of turns that were not heard gave, and how far the call has come. If
            this raises, and not all of that is JSON, it is called again with the text of what JSON does not have.
        :returns: whether it is kept.
        """
        ...

    async def begin(self, call_id: str, key: str) -> Outcome | None:
        """Begin a side effect. ``None`` if it is the caller's to carry out, else how far it has come."""

    async def finish(self, call_id: str, key: str, outcome: Outcome | None) -> None:
        """Keep how a side effect ended that was begun; with ``None`` nothing was done, and it can be begun again.

        If this raises, and the result is not JSON, it is called again with the text of what JSON does not have.
        """


async def finish(store: Store, call_id: str, key: str, outcome: Outcome | None) -> None:
    """Have a store keep how a side effect ended, at least that it did.

    :raises Exception: whatever the store does.
    """
    try:
        await store.finish(call_id, key, outcome)
    except Exception:
        if outcome is None or is_json(outcome.result):
            raise
        await store.finish(call_id, key, attrs.evolve(outcome, result=as_json(outcome.result)))
        _log_text(call_id, f"the result of {named(key)!r} ({type(outcome.result).__name__})")


def _log_text(call_id: str, what: str) -> None:
    log.error(
        "call %r: the store has no place for %s: other processes get it as text, since JSON does not have it", call_id, mask_text(what)
    )


class MemoryStore:
    """Keeps everything in the memory of this process, and forgets a call some time after its last change.

    :param keep: seconds.
    """

    def __init__(self, *, keep: float = 3600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep = keep
        self._clock = clock
        self._calls: dict[str, _Kept] = {}

    async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
        kept = self._touched(call_id)
        kept.claims += 1
        return kept.claims, kept.record

    async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
        kept = self._touched(call_id)
        if claim < kept.claims:
            return False
        kept.record = record
        return True

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
    claims: int = 0
    record: dict[str, Any] | None = None
    outcomes: dict[str, Outcome] = attrs.field(factory=dict[str, Outcome])
    changed: float = 0.0


class Records:
    """What a store keeps of one call beside side effects. A store that raises or does not answer is logged, and costs no more than that."""

    def __init__(self, store: Store, call_id: str) -> None:
        self._store = store
        self._call_id = call_id
        self._claim: int | None = None
        self._unanswered = 0
        """Claims that the store has not answered, and may have carried out."""
        self._late_until = -math.inf
        """Until when it may still do so."""
        self.unanswered_at = -math.inf
        """When it was last found not to answer one."""
        self._one_by_one = anyio.Lock()
        self._as_text: set[str] = set()
        """What JSON does not have, of what is kept."""

    @property
    def doubtful(self) -> bool:
        """Whether a newer claim than the one that is known may be this process's own."""
        return self._unanswered > 0

    async def claim(self) -> tuple[bool, dict[str, Any] | None]:
        """Claim the call for a connection.

        :returns: whether another process had it since the last connection to this one, and what was kept, ``None`` if that is not known.
        """
        given = await self._ask("does not give its state", self._claimed)
        if given is None:
            self._unanswered += 1
            self.unanswered_at = anyio.current_time()
        return given or (False, None)

    async def save(self, record: dict[str, Any]) -> bool:
        """Keep this, also when cancelled. ``False`` when there is a newer claim, or, if it is `doubtful`, there may be."""
        return await self._ask("does not take its state", lambda: self._saved(record)) is not False

    async def _claimed(self) -> tuple[bool, dict[str, Any]]:
        before = self._claim
        self._claim, record = _checked(await self._store.claim(self._call_id))
        carried_out, asked = 1 if before is None else self._claim - before, self._unanswered + 1
        self._settled(max(0, asked - max(1, carried_out)))
        return carried_out > asked, record or {}

    async def _saved(self, record: dict[str, Any]) -> bool:
        if self._claim is None:
            return False
        kept: Any
        try:
            kept = await self._store.save(self._call_id, record, self._claim)
        except Exception:
            found = dict[str, Any]()
            plain = _plain(record, found)
            if not found:
                raise
            kept = await self._store.save(self._call_id, plain, self._claim)
            for what in found.keys() - self._as_text:
                _log_text(self._call_id, f"{what} ({type(found[what]).__name__})")
            self._as_text |= found.keys()
        if kept:
            self._settled(self._unanswered)
        return kept is None or bool(kept)

    def _settled(self, unanswered: int) -> None:
        """The newest claim is known; so many may be carried out yet."""
        self._unanswered = unanswered if anyio.current_time() < self._late_until else 0

    async def _ask(self, problem: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        """``None`` when the store does not answer."""
        with anyio.move_on_after(_RECORD_WITHIN, shield=True):
            async with self._one_by_one:
                ended = await attempt(ask)
            if isinstance(ended, Done):
                return ended.value
            log.error("call %r: the store %s\n%s", self._call_id, problem, masked_traceback(ended.error))
            return None
        self._late_until = anyio.current_time() + _LATE_WITHIN
        log.error("call %r: the store %s", self._call_id, problem)
        return None


def _plain(record: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A record with the text of what JSON does not have, which is put into `found`."""

    def plain(name: str, value: Any) -> Any:
        if is_json(value):
            return value
        found[name] = value
        return as_json(value)

    return {
        **record,
        "state": {str(key): plain(f"session.state[{key!r}]", value) for key, value in record["state"].items()},
        "effects": [{**each, "result": plain(f"the result of {named(each['key'])!r}", each["result"])} for each in record["effects"]],
    }


def _checked(given: Any) -> tuple[int, dict[str, Any] | None]:
    parts: list[Any] = list(given) if given.__class__ in {tuple, list} else []
    if len(parts) != 2:
        raise TypeError("claim gives a number and a record, as a tuple")
    number, record = parts
    if not isinstance(number, int) or not (record is None or isinstance(record, dict)):
        raise TypeError(f"claim gives a number, and a dict or None, and gave {type(number).__name__} and {type(record).__name__}")  # pyright: ignore[reportUnknownArgumentType]
    return number, cast("dict[str, Any] | None", record)
