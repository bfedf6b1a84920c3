"""Side effects that happen at most once a call, whatever is cancelled, asked again or reconnected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import attrs
from anyio.abc import TaskGroup

from retell_async import RetellError
from retell_async._core.attempt import Done, attempt
from retell_async._core.masking import mask_text, masked_traceback

from .functions import result_of
from .log import log, named, stated_of
from .protocol import Action
from .store import Outcome, Store, finish

if TYPE_CHECKING:
    from types import TracebackType

    from .turn import Turn

__all__ = [
    "Effect",
    "Effects",
    "Errors",
    "SideEffectFailedError",
    "SideEffectNotBegunError",
    "SideEffectUnknownError",
    "carried_out",
    "errors_of",
]

Errors: TypeAlias = type[Exception] | tuple[type[Exception], ...]
"""A class of errors or several, as ``except`` takes them."""

_STORE_WITHIN = 5.0
_ELSEWHERE_WITHIN = 5.0
"""Seconds that another process is waited for which has begun something: it may be dead."""
_LOOK_EVERY = 0.25


class SideEffectUnknownError(RetellError):
    """A side effect that was begun, by a process that has not said for five seconds how it ended, or by code that was cut off.

    It may have happened or not. It is not begun again in this call. A later turn that asks is told how it ended if that is known by then.
    `key` is what `once` was called with; the message has it as the log has.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{named(key)!r} was begun and may have happened or not")
        self.key = key


class SideEffectNotBegunError(RetellError):
    """A side effect of which nothing was done: the store failed, or did not say within five seconds whether it may begin. The log has more.

    A later turn that asks tries again. If the store has noted all the same that it was begun, that one gets a `SideEffectUnknownError`:
    it may have been begun elsewhere. `key` is what `once` was called with; the message has it as the log has.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{named(key)!r} was not begun, and nothing was done: {problem}")
        self.key = key


class SideEffectFailedError(RetellError):
    """A side effect that failed in another process. What it raised there is in the message.

    `key` is what `once` was called with; the message has it as the log has. `error` is what was raised there, as text.
    """

    def __init__(self, key: str, error: str) -> None:
        super().__init__(f"{named(key)!r} failed: {error}")
        self.key = key
        self.error = error


@attrs.define(eq=False)
class Effect:
    """A side effect of a call, as the turns see it that come after."""

    key: str
    """What `once` was called with."""
    turn_id: int
    """The `id` of the turn that began it."""
    done: bool = False
    """Whether it happened, but for an `action` or goodbye of it: those happen with the turn that asks for it and is spoken."""
    result: Any = attrs.field(default=None, repr=False)
    """What it gave, if it is done."""
    error: BaseException | None = attrs.field(default=None, repr=False)
    """Why it did not happen, or may not have."""
    traceback: TracebackType | None = attrs.field(default=None, repr=False)
    context: BaseException | None = attrs.field(default=None, repr=False)
    """What that error had of them when it was raised first."""
    action: Action | None = attrs.field(default=None, repr=False)
    """What was to be done when the turn is spoken, so it belongs to each turn that asks for the effect: most are thrown away."""
    says_goodbye: bool = attrs.field(default=False, repr=False)
    """Likewise, whether it takes leave."""
    turn: Turn | None = attrs.field(default=None, repr=False)
    """That turn, unless it was another process that began it."""
    ended: anyio.Event = attrs.field(factory=anyio.Event, repr=False)
    again: bool = attrs.field(default=False, repr=False)
    """Whether it may be begun again: nothing was done, or not here."""
    awaits: list[Effect] = attrs.field(factory=list["Effect"], repr=False)
    """What the code that carries it out is waiting for."""
    told: bool = attrs.field(default=False, repr=False)
    """Whether the user has heard all of an answer that was given when it was known how it ended, or there is nothing to tell."""

    @property
    def has_ended(self) -> bool:
        """Whether it is known how it ended."""
        return self.done or self.error is not None

    def needs(self, other: Effect) -> bool:
        """Whether it cannot end before another one does."""
        return self is other or any(each.needs(other) for each in self.awaits)


_carried_out: ContextVar[Effect | None] = ContextVar("_carried_out", default=None)
"""What the running code is a part of."""


def carried_out() -> Effect | None:
    """The side effect that the running code carries out."""
    effect = _carried_out.get()
    return None if effect is None or effect.ended.is_set() else effect


def errors_of(retry_on: Errors) -> tuple[type[Exception], ...]:
    """The classes that `Turn.once` is given.

    :raises TypeError: there is something else among them.
    """
    kinds: tuple[Any, ...] = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        raise TypeError(f"retry_on takes a class of errors or a tuple of them, and not {retry_on!r}")
    return kinds


@attrs.define(eq=False)
class Effects:
    """The side effects of one call.

    :param changed: called when `record` gives something else.
    """

    call_id: str
    store: Store
    changed: Callable[[], None]
    _known: dict[str, Effect] = attrs.field(factory=dict[str, Effect])
    _elsewhere: dict[str, Effect] = attrs.field(factory=dict[str, Effect])
    """What other processes have begun and the user was not told, until it is asked for here."""

    def restore(self, record: Iterable[Mapping[str, Any]]) -> None:
        """Take over what another process had in its `record`."""
        self._elsewhere = {
            each["key"]: Effect(
                each["key"],
                each["turn_id"],
                each["done"],
                each["result"],
                _error(each["key"], each.get("error")),
                action=_action(each.get("action")),
                says_goodbye=each.get("says_goodbye", False),
            )
            for each in record
        }

    def adopt(self, before: Effects) -> None:
        """Take over what is being carried out for the same call, given up before it was connected again."""
        self._known.update({key: effect for key, effect in before._known.items() if not effect.ended.is_set()})

    def record(self) -> list[dict[str, Any]]:
        """What the user was not told."""
        return [
            {
                "key": effect.key,
                "turn_id": effect.turn_id,
                "done": effect.done,
                "result": effect.result,
                "error": _kept(effect.error),
                "action": effect.action and effect.action.fields,
                "says_goodbye": effect.says_goodbye,
            }
            for effect in self.untold()
        ]

    def untold(self) -> tuple[Effect, ...]:
        """What turns have begun, and the user may not have been told of."""
        known = {**self._elsewhere, **self._known}.values()
        return tuple(effect for effect in known if not effect.told)

    def told(self, turn: Turn) -> None:
        """The user has heard all of the answer of a turn."""
        for effect in turn.tells:
            effect.told = True
        if turn.tells:
            self.changed()

    async def once(self, key: str, fn: Callable[[], object], tasks: TaskGroup, turn: Turn, retry_on: tuple[type[Exception], ...]) -> object:
        """The result of `fn`, which is called unless it was before."""
        effect = self._known.get(key)
        if effect is None or effect.again:
            await turn.check_wanted()
            effect = Effect(key, turn.id, turn=turn)
            try:
                tasks.start_soon(self._carry_out, effect, fn, retry_on)
            except RuntimeError:  # by which a task group says that it is closed
                raise RuntimeError("the call is over: nothing is begun in it any more") from None
            self._known[key] = effect
        await self._wait(effect)
        if not turn.complete:
            turn.tells.append(effect)
        if (error := effect.error) is not None:
            object.__setattr__(error, "__context__", effect.context)  # else it would grow by each turn that asks; it may be a frozen class
            raise error.with_traceback(effect.traceback)
        turn.take_on(effect)
        return effect.result

    async def _wait(self, effect: Effect) -> None:
        outer = _carried_out.get()
        if outer is None or effect.ended.is_set():
            await effect.ended.wait()
            return
        if effect.needs(outer):
            raise RuntimeError(f"once({named(effect.key)!r}, ...) is called in what it carries out itself, and would wait for itself")
        outer.awaits.append(effect)
        try:
            await effect.ended.wait()
        finally:
            outer.awaits.remove(effect)

    async def settled(self) -> None:
        """Wait for all that is being carried out."""
        for effect in tuple(self._known.values()):
            await effect.ended.wait()

    async def _carry_out(self, effect: Effect, fn: Callable[[], Any], retry_on: tuple[type[Exception], ...]) -> None:
        begun = False
        try:
            known = await self._begin(effect.key)
            if known is not None:
                self._recall(effect, known)
                return
            begun = True
            self.changed()
            _carried_out.set(effect)
            ended = await attempt(lambda: result_of(fn))
            if isinstance(ended, Done):
                effect.done, effect.result = True, ended.value
            elif isinstance(ended.error, Exception):
                effect.error = ended.error
                effect.again = effect.told = isinstance(ended.error, retry_on)
            else:
                self._cut_off(effect)
        except Exception as error:  # noqa: BLE001 - it is raised where the effect is waited for
            effect.error, effect.again, effect.told = error, True, True  # it was not begun
        except BaseException:
            self._cut_off(effect)
            raise
        finally:
            if (failed := effect.error) is not None:
                effect.traceback, effect.context = failed.__traceback__, failed.__context__
            effect.ended.set()
            self.changed()
            if begun and not isinstance(effect.error, SideEffectUnknownError):
                await self._finish(effect)

    def _cut_off(self, effect: Effect) -> None:
        effect.error = SideEffectUnknownError(effect.key)
        log.error("call %r: the side effect %r was cut off: it may have happened or not", self.call_id, named(effect.key))

    async def _begin(self, key: str) -> Outcome | None:
        until, known = anyio.current_time() + _ELSEWHERE_WITHIN, None
        while True:
            asked = None
            with anyio.move_on_after(_STORE_WITHIN):
                asked = await attempt(lambda: self.store.begin(self.call_id, key))
            if isinstance(asked, Done):
                known = asked.value
            elif known is None:
                error = None if asked is None else asked.error
                why = self._log(f"does not say whether {named(key)!r} may begin, so nothing was done", key, error)
                raise SideEffectNotBegunError(key, why)
            if known is None or known.state != "begun" or anyio.current_time() >= until:
                return known
            await anyio.sleep(_LOOK_EVERY)

    def _recall(self, effect: Effect, known: Outcome) -> None:
        before = self._elsewhere.get(effect.key)
        effect.told = known.state in {"done", "failed"} if before is None else before.told
        match known.state:
            case "done":
                effect.done, effect.result = True, known.result
                effect.action, effect.says_goodbye = _action(known.action), known.says_goodbye
            case "failed":
                effect.error, effect.again = SideEffectFailedError(effect.key, known.error), True
            case _:
                effect.error, effect.again = SideEffectUnknownError(effect.key), True

    async def _finish(self, effect: Effect) -> None:
        if effect.again:
            outcome = None
        elif effect.error is None:
            action = None if effect.action is None else effect.action.fields
            outcome = Outcome("done", effect.result, action=action, says_goodbye=effect.says_goodbye)
        else:
            outcome = Outcome("failed", error=mask_text(stated_of(effect.error)))
        ended = None
        with anyio.move_on_after(_STORE_WITHIN, shield=True):
            ended = await attempt(lambda: finish(self.store, self.call_id, effect.key, outcome))
        if not isinstance(ended, Done):
            self._log(f"does not take how {named(effect.key)!r} ended", effect.key, None if ended is None else ended.error)

    def _log(self, problem: str, key: str, error: BaseException | None) -> str:
        """Log that the store has failed, or without an error that it did not answer in time, and give that without what it has raised."""
        if error is None:
            why = shown = f"the store did not answer within {_STORE_WITHIN:g} seconds"
        else:
            why, shown = f"the store raised {type(error).__name__}", masked_traceback(error)
            for text in (key, repr(key)[1:-1]):  # which errors of databases quote
                shown = shown.replace(mask_text(text), named(key))
        log.error("call %r: the store %s\n%s", self.call_id, problem, shown)
        return why


def _action(fields: Mapping[str, Any] | None) -> Action | None:
    return Action(**fields) if fields else None


def _kept(error: BaseException | None) -> str | None:
    """An error as other processes get it: ``None`` for none, and an empty text where nobody knows whether it happened."""
    if error is None or isinstance(error, SideEffectUnknownError):
        return None if error is None else ""
    return error.error if isinstance(error, SideEffectFailedError) else mask_text(stated_of(error))


def _error(key: str, kept: str | None) -> RetellError | None:
    if kept is None:
        return None
    return SideEffectFailedError(key, kept) if kept else SideEffectUnknownError(key)
