"""Side effects that happen at most once a call, whatever is cancelled, asked again or reconnected."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup

from retell_async import RetellError
from retell_async._core.masking import mask_text, masked_traceback

from .log import is_stray, log
from .store import Outcome, Store

__all__ = ["Effect", "Effects", "SideEffectFailedError", "SideEffectUnknownError"]

_STORE_WITHIN = 5.0


class SideEffectUnknownError(RetellError):
    """A side effect that was begun, by a process that did not say how it ended or by code that was cut off: it may have happened or not.

    It is not begun again in this call.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} was begun and may have happened or not")
        self.key = key


class SideEffectFailedError(RetellError):
    """A side effect that failed in another process. What it raised there is in the message."""

    def __init__(self, key: str, error: str) -> None:
        super().__init__(f"{key!r} failed: {error}")
        self.key = key


@attrs.define(eq=False)
class Effect:
    """A side effect of a call, as the turns see it that come after."""

    key: str
    turn_id: int
    """The `id` of the turn that began it."""
    done: bool = False
    """Whether it happened."""
    result: Any = attrs.field(default=None, repr=False)
    """What it gave, if it is done."""
    error: BaseException | None = attrs.field(default=None, repr=False)
    """Why it did not happen, or may not have."""
    ended: anyio.Event = attrs.field(factory=anyio.Event, repr=False)
    told: bool = attrs.field(default=False, repr=False)
    """Whether the answer of a turn that knew of it was completed."""


@attrs.define(eq=False)
class Effects:
    """The side effects of one call."""

    call_id: str
    store: Store
    _known: dict[str, Effect] = attrs.field(factory=dict[str, Effect])

    def untold(self, turn_id: int) -> tuple[Effect, ...]:
        """What earlier turns have begun that were given up before their answers were complete."""
        return tuple(effect for effect in self._known.values() if not effect.told and effect.turn_id != turn_id and effect.error is None)

    def told(self, turn_id: int, carried: tuple[Effect, ...]) -> None:
        """The answer of a turn is complete, and the user has been told of what it did and of what was carried over to it."""
        for effect in self._known.values():
            effect.told = effect.told or effect.turn_id == turn_id or effect in carried

    async def once(
        self, key: str, fn: Callable[[], object], tasks: TaskGroup, turn_id: int, retry_on: tuple[type[Exception], ...]
    ) -> object:
        """The result of `fn`, which is called unless it was before."""
        effect = self._known.get(key)
        if effect is None:
            effect = self._known[key] = Effect(key, turn_id)
            tasks.start_soon(self._carry_out, effect, fn, retry_on)
        await effect.ended.wait()
        if effect.error is not None:
            raise effect.error
        return effect.result

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
            result = fn()
            effect.result = await result if inspect.isawaitable(result) else result
            effect.done = True
        except Exception as error:  # noqa: BLE001 - it is raised where the effect is waited for
            effect.error = error
        except BaseException as error:
            effect.error = SideEffectUnknownError(effect.key)
            log.error("call %r: the side effect %r was cut off: it may have happened or not", self.call_id, effect.key)
            if not is_stray(error):
                raise
        finally:
            again = effect.error is not None and (not begun or isinstance(effect.error, retry_on))
            if again and self._known.get(effect.key) is effect:
                del self._known[effect.key]
            effect.ended.set()
            if begun and not isinstance(effect.error, SideEffectUnknownError):
                await self._finish(effect, again=again)

    async def _begin(self, key: str) -> Outcome | None:
        with anyio.fail_after(_STORE_WITHIN):
            return await self.store.begin(self.call_id, key)

    def _recall(self, effect: Effect, known: Outcome) -> None:
        match known.state:
            case "done":
                effect.done, effect.result, effect.told = True, known.result, True
            case "failed":
                effect.error = SideEffectFailedError(effect.key, known.error)
            case "begun":
                effect.error = SideEffectUnknownError(effect.key)

    async def _finish(self, effect: Effect, *, again: bool) -> None:
        if again:
            outcome = None
        elif effect.error is None:
            outcome = Outcome("done", effect.result)
        else:
            outcome = Outcome("failed", error=mask_text(f"{type(effect.error).__name__}: {effect.error}"))
        try:
            with anyio.move_on_after(_STORE_WITHIN, shield=True) as waiting:
                await self.store.finish(self.call_id, effect.key, outcome)
            if waiting.cancelled_caught:
                log.error("call %r: the store does not take how %r ended", self.call_id, effect.key)
        except Exception as error:  # noqa: BLE001 - a store may raise anything
            log.error("call %r: the store does not take how %r ended\n%s", self.call_id, effect.key, masked_traceback(error))
