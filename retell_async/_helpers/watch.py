"""Waiting until things are done, all who wait together: one of them asks the API for all."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import anyio
import attrs

from .._core.errors import (
    APIConnectionError,
    APIStatusError,
    ConfigurationError,
    NotFoundError,
    RateLimitError,
    RetellError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from .._core.masking import mask_text
from .._http.loops import Loop, running_loop

__all__ = ["EVERY", "EVERY_WITH_EVENTS", "WITHIN", "Ask", "Events", "Watch", "one_by_one"]

T = TypeVar("T")

EVERY = 2.0
"""Seconds from one question to the next."""
EVERY_WITH_EVENTS = 30.0
"""The same for those whom events tell, and who ask for what these missed."""
WITHIN = 7200.0
"""Seconds that are waited by default: longer than calls last."""

_TOGETHER = 0.1  # seconds from the first who comes to the question, so that those who come at once are asked for at once
_MISSES = 3  # questions that leave out a thing, before it is asked for by itself
_LOOK_AGAIN = 30  # questions from one that asks for all things, done or not, to the next

_logger = logging.getLogger("retell_async")

Ask = Callable[[Sequence[str], bool], Awaitable[Mapping[str, T]]]
"""Takes ids and whether all of them are wanted, or those that are done will do; gives the things that there are, by id."""


class Events(Protocol):
    """What gives events to handlers, as `retell_async.webhooks.Router` does."""

    def on(self, event: Any, /) -> Callable[[Callable[[Any], Awaitable[object]]], object]:
        """Register a handler for an event."""
        ...


@attrs.define(eq=False)
class _Waiter(Generic[T]):
    name: str
    is_done: Callable[[T], bool]
    every: float
    changed: anyio.Event = attrs.field(factory=anyio.Event)
    asked: int = 0
    missed: int = 0
    seen: T | None = None
    done: T | None = None
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        return self.done is not None or self.error is not None

    def look(self, thing: T) -> None:
        """Take note of how it stands."""
        self.seen = thing
        self.missed = 0
        if self.is_done(thing):
            self.done = thing
            self.changed.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.changed.set()


class Watch(Generic[T]):
    """Those who wait for things of one kind. One of them asks for all; when that one is done, another goes on.

    :param ask: what asks the API for several things at once.
    :param fetch: what asks for a single one; it raises if there is none.
    """

    def __init__(self, ask: Ask[T], fetch: Callable[[str], Awaitable[T]]) -> None:
        self._ask = ask
        self._fetch = fetch
        self._waiters: set[_Waiter[T]] = set()
        self._loop: Loop | None = None
        self._asks: _Waiter[T] | None = None  # the one that asks for all
        self._next_at = 0.0
        self._sources: weakref.WeakSet[Any] = weakref.WeakSet()

    async def wait(self, name: str, is_done: Callable[[T], bool], *, within: float | None, every: float) -> T:
        """Return the thing of this id once it is done.

        :raises WaitTimeoutError: it was not, within so many seconds.
        :raises APIStatusError: there is no such thing, or it may not be seen.
        """
        if not name:
            raise ValueError("the id of what is waited for must not be empty")
        if within is not None:
            _check("within", within)
        _check("every", every)
        self._enter()
        waiter: _Waiter[T] = _Waiter(name, is_done, every)
        self._waiters.add(waiter)
        self._ask_at(anyio.current_time() + _TOGETHER)
        try:
            with anyio.move_on_after(within):
                while not waiter.is_over:
                    if self._asks is None:
                        await self._ask_for_all(waiter)
                    else:
                        waiter.changed = anyio.Event()
                        await waiter.changed.wait()
        finally:
            self._waiters.discard(waiter)
        if waiter.done is not None:
            return waiter.done
        if waiter.error is not None:
            raise waiter.error.with_traceback(None)  # which others may have raised too
        raise WaitTimeoutError(name, within or 0.0, waiter.seen)

    def tell(self, name: str | None, thing: T) -> None:
        """Take note of what an event says of a thing."""
        for waiter in [one for one in self._waiters if one.name == name]:
            waiter.look(thing)

    def listen(self, source: Events, events: Iterable[str], told: Callable[[Any], tuple[str | None, T]]) -> None:
        """Take note of what events say, from now on.

        :param told: gives of an event the id and how the thing stands.
        """
        if source in self._sources:
            return
        self._sources.add(source)

        async def take(event: Any) -> None:
            self.tell(*told(event))

        for event in events:
            source.on(event)(take)

    def _enter(self) -> None:
        loop = running_loop()
        if self._loop is not loop:  # whoever asked in the last one is gone
            self._loop = loop
            self._waiters.clear()
            self._asks = None
            self._next_at = anyio.current_time()

    def _ask_at(self, moment: float) -> None:
        if self._asks is None or moment < self._next_at:
            self._next_at = moment
        if self._asks is not None:
            self._asks.changed.set()

    async def _ask_for_all(self, own: _Waiter[T]) -> None:
        self._asks = own
        try:
            while not own.is_over:
                own.changed = anyio.Event()
                with anyio.move_on_after(self._next_at - anyio.current_time()) as slept:
                    await own.changed.wait()
                if slept.cancelled_caught:
                    await self._round()
                    self._next_at = anyio.current_time() + min(waiter.every for waiter in self._waiters)
        finally:
            self._asks = None
            if (following := next((waiter for waiter in self._waiters if waiter is not own and not waiter.is_over), None)) is not None:
                following.changed.set()  # which goes on with it

    async def _round(self) -> None:
        waiting = [waiter for waiter in self._waiters if not waiter.is_over]
        whole = [waiter for waiter in waiting if waiter.seen is None or waiter.asked % _LOOK_AGAIN == 0]
        rest = [waiter for waiter in waiting if waiter not in whole]
        for waiters, everything in ((whole, True), (rest, False)):
            if not waiters:
                continue
            try:
                found = await self._ask(sorted({waiter.name for waiter in waiters}), everything)
            except (RetellError, ValueError) as error:
                if _may_pass(error):
                    _logger.info("waiting: %s; it is asked again", mask_text(str(error)))
                    continue
                for waiter in self._waiters:
                    waiter.fail(error)
                return
            for waiter in waiters:
                waiter.asked += 1
                if waiter.name in found:
                    waiter.look(found[waiter.name])
                elif everything:
                    waiter.missed += 1
        for waiter in waiting:
            if waiter.missed >= _MISSES:
                await self._alone(waiter)

    async def _alone(self, waiter: _Waiter[T]) -> None:
        try:
            waiter.look(await self._fetch(waiter.name))
        except (RetellError, ValueError) as error:
            if not _may_pass(error):
                waiter.fail(error)


def _check(what: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ConfigurationError(f"{what} must be above 0 seconds, not {seconds!r}")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, APIStatusError):
        return isinstance(error, RateLimitError) or error.status_code in {408, 409} or error.status_code >= 500
    return isinstance(error, APIConnectionError)


async def one_by_one(fetch: Callable[[str], Awaitable[T]], ids: Iterable[str]) -> dict[str, T]:
    """What there is of things that cannot be asked for together."""
    found: dict[str, T] = {}
    for name in ids:
        try:
            found[name] = await fetch(name)
        except (NotFoundError, UnprocessableEntityError):
            continue  # with either the API says that there is none
    return found
