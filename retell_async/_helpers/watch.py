"""Waiting until calls, chats and the like are done. Of all who wait, one asks the API for all."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar

import anyio
import attrs

from .._core.encode import check_text
from .._core.errors import (
    APIError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    RateLimitError,
    RetellError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from .._core.masking import mask_text
from .._http.loops import Loop, running_loop
from .._logs import Log

__all__ = ["EVERY", "EVERY_WITH_EVENTS", "MOST", "FetchMany", "Client", "Events", "Watch", "listed", "is_transient", "one_by_one"]

T = TypeVar("T")

EVERY = 2.0
"""Seconds from one question to the next."""
EVERY_WITH_EVENTS = 30.0
"""The same where events tell, and questions are only for events that were missed."""

MOST = 1000
"""Things that one page of a list holds."""

_TOGETHER = 0.1  # seconds from the first who comes to the question, so that those who come at once are asked for at once
_MISSES = 3  # questions that leave out a thing, before it is asked for by itself
_EARLY = 256  # things that events told of before somebody waited for them, of those who are about to
_DOUBTED = 20.0  # seconds for which an answer that there is no such thing is doubted: it may be new, and not known everywhere
_LOOK_AGAIN = 30  # questions from one that asks for all things, done or not, to the next

_NONE = (BadRequestError, NotFoundError, UnprocessableEntityError)
"""With each of them the API may say that there is no such thing."""

_logger = Log("retell_async")

FetchMany = Callable[[Sequence[str], bool], Awaitable[Mapping[str, T]]]
"""Takes ids, and whether things that are not done are wanted too; gives what there is, by id."""


class Client(Protocol):
    """What the sender of a resource is."""

    def waiting(self) -> AbstractContextManager[None]:
        """A block within which the client is in use, and which ends when it is closed."""
        ...


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
    doubts_until: float
    doubted: Exception | None = None
    changed: anyio.Event = attrs.field(factory=lambda: anyio.Event())  # noqa: PLW0108 - anyio loads it when it is asked for
    questions: int = 0
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

    def misses(self, error: Exception) -> None:
        """Take note of an answer that it is not there, which is not believed at first."""
        self.missed = 0
        self.doubted = error
        if anyio.current_time() >= self.doubts_until:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        self.error = error
        self.changed.set()


class Watch(Generic[T]):
    """Those who wait for things of one kind. One of them asks for all; when that one is done, another goes on.

    :param fetch_many: what asks the API for several things at once.
    :param fetch: what asks for a single one; it raises if there is none.
    :param waiting: a block within which the client is in use, and which ends when the client is closed.
    """

    def __init__(
        self, fetch_many: FetchMany[T], fetch: Callable[[str], Awaitable[T]], waiting: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._fetch_many = fetch_many
        self._fetch = fetch
        self._waiting = waiting
        self._waiters: set[_Waiter[T]] = set()
        self._loop: Loop | None = None
        self._asks: _Waiter[T] | None = None  # the one that asks for all
        self._question: anyio.CancelScope | None = None  # while it does
        self._next_at = 0.0
        self.answered_at = -math.inf
        """When a question about all was answered last, by anyio's clock."""
        self._early: deque[tuple[str | None, T]] = deque(maxlen=_EARLY)
        self._expected = 0

    @contextmanager
    def expecting(self) -> Generator[None]:
        """Keep events that nobody waits for yet, within this block: what it creates may be done before the answer is there."""
        self._enter()
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            if not self._expected:
                self._early.clear()

    async def wait(
        self,
        name: str,
        is_done: Callable[[T], bool],
        *,
        within: float | None,
        every: float,
        is_whole: Callable[[T], bool] = lambda _: True,
        known: T | None = None,
        doubted: float = _DOUBTED,
    ) -> T:
        """Return the thing of this id once it is done. If a list has only part of it, it is fetched by itself.

        :param known: how it stands, as far as that is known.
        :param doubted: seconds for which an answer that there is no such thing is not believed.
        :raises WaitTimeoutError: it was not, within so many seconds.
        :raises APIStatusError: there is no such thing, or it may not be seen.
        :raises RetellError: the client is closed.
        """
        _check_id(name)
        check_times(within, every)
        waiter: _Waiter[T] = _Waiter(name, is_done, every, anyio.current_time() + doubted)
        for thing in (known, *(thing for early, thing in self._early if early == name)):
            if thing is not None:
                waiter.look(thing)
        with anyio.move_on_after(within), self._waiting():
            self._enter()
            self._waiters.add(waiter)
            if not waiter.is_over:
                self._ask_at(anyio.current_time() + (_TOGETHER if waiter.seen is None else every))
            try:
                while not waiter.is_over:
                    if self._asks is None:
                        await self._ask_for_all(waiter)
                    else:
                        waiter.changed = anyio.Event()
                        await waiter.changed.wait()
            finally:
                self._waiters.discard(waiter)
            if waiter.done is not None:
                return waiter.done if is_whole(waiter.done) else await self._whole(waiter)
            if waiter.error is not None:
                raise waiter.error.with_traceback(None)  # which others may have raised too
        if waiter.doubted is not None and waiter.seen is None:
            raise waiter.doubted.with_traceback(None)
        raise WaitTimeoutError(name, within or 0.0, waiter.seen)

    async def _whole(self, waiter: _Waiter[T]) -> T:
        while True:
            try:
                return await self._fetch(waiter.name)
            except RetellError as error:
                is_missing = isinstance(error, _NONE) and anyio.current_time() < waiter.doubts_until
                if not is_missing and not is_transient(error):
                    raise
            await anyio.sleep(waiter.every)

    def tell(self, name: str | None, thing: T) -> None:
        """Take note of what an event says of a thing."""
        waiters = [one for one in self._waiters if one.name == name]
        for waiter in waiters:
            waiter.look(thing)
            if waiter is self._asks and waiter.is_over and self._question is not None:
                self._question.cancel()
        if self._expected and not waiters:
            self._early.append((name, thing))

    def listen(self, source: Events, events: tuple[str, ...], told: Callable[[Any], tuple[str | None, T]]) -> None:
        """Take note of what events say, from now on.

        :param told: gives the id and the state of the thing, for an event.
        :raises ConfigurationError: nothing gives events there.
        """
        check_router(source)
        listeners = _listeners.setdefault(source, {})
        watches = listeners.get(events)
        if watches is None:
            found = listeners[events] = weakref.WeakSet[Watch[Any]]()

            async def take(event: Any) -> None:
                for watch in list(found):
                    if watch._loop is running_loop():  # else nobody there can be woken from here
                        watch.tell(*told(event))

            for event in events:
                source.on(event)(take)
            watches = found
        watches.add(self)

    def _enter(self) -> None:
        loop = running_loop()
        if self._loop is not loop:  # whoever waited in the last one is gone: a client is used in one at a time
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
                    with anyio.CancelScope() as self._question:
                        await self._round()
                    self._question = None
                    new = any(waiter.questions == 0 and waiter.seen is None for waiter in self._waiters)
                    self._next_at = anyio.current_time() + (_TOGETHER if new else min(waiter.every for waiter in self._waiters))
        finally:
            self._asks = self._question = None
            if (following := next((waiter for waiter in self._waiters if waiter is not own and not waiter.is_over), None)) is not None:
                following.changed.set()  # which goes on with it

    async def _round(self) -> None:
        waiting = [waiter for waiter in self._waiters if not waiter.is_over]
        for waiter in waiting:
            waiter.questions += 1
        whole = [waiter for waiter in waiting if waiter.seen is None or waiter.questions % _LOOK_AGAIN == 0]
        rest = [waiter for waiter in waiting if waiter not in whole]
        for waiters, everything in ((whole, True), (rest, False)):
            if not waiters:
                continue
            try:
                found = await self._fetch_many(sorted({waiter.name for waiter in waiters}), everything)
            except RetellError as error:
                if is_transient(error):
                    _logger.info("waiting: %s; it is asked again", mask_text(str(error)))
                elif isinstance(error, _NONE):
                    for waiter in waiters:  # one of them is to blame
                        if len(waiters) > 1:
                            await self._alone(waiter)
                        else:
                            waiter.misses(error)
                else:
                    for waiter in self._waiters:
                        waiter.fail(error)
                    return
                continue
            self.answered_at = anyio.current_time()
            for waiter in waiters:
                if waiter.name in found:
                    waiter.look(found[waiter.name])
                elif everything:
                    waiter.missed += 1
        for waiter in waiting:
            if waiter.missed >= _MISSES:
                await self._alone(waiter)

    async def _alone(self, waiter: _Waiter[T]) -> None:
        if waiter.is_over:
            return
        try:
            waiter.look(await self._fetch(waiter.name))
        except RetellError as error:
            if isinstance(error, _NONE):
                waiter.misses(error)
            elif not is_transient(error):
                waiter.fail(error)


_listeners: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], weakref.WeakSet[Watch[Any]]]] = weakref.WeakKeyDictionary()


def _check_id(name: object) -> None:
    """Refuse what is no id: others' ids, in the same question, would be refused with it.

    :raises TypeError: it is no text.
    :raises ValueError: it is empty, or no text that can be sent.
    """
    if not isinstance(name, str):
        raise TypeError(f"the id of what is waited for must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError("the id of what is waited for must not be empty")
    check_text(name, "the id of what is waited for", ValueError)


def check_router(router: object) -> None:
    """Refuse what gives no events.

    :raises ConfigurationError: it does not.
    """
    if isinstance(router, type) or not callable(getattr(router, "on", None)):
        kind = f"the class {router.__name__}" if isinstance(router, type) else type(router).__name__
        raise ConfigurationError(f"router must be a webhooks.Router, or another object whose `on` registers handlers, not {kind}")


def check_times(within: float | None, every: float) -> None:
    """Refuse what is no time to wait for, or no pace to ask at.

    :raises ConfigurationError: one is.
    """
    if within is not None:
        _check("within", within)
    _check("every", every)


def _check(what: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ConfigurationError(f"{what} must be a number of seconds above 0, not {seconds!r}")


def is_transient(error: Exception) -> bool:
    """Whether to ask again later. After a 429 too: the engine waits for limits, but not for ever."""
    from .._engine.calls import failure_of  # which loads httpx, as the first request does

    return isinstance(error, RateLimitError) or (isinstance(error, APIError) and failure_of(error).is_transient)


def listed(pages: Callable[[dict[str, Any]], AsyncIterable[T]], of: str, over: Sequence[str]) -> FetchMany[T]:
    """What fetches things from a list, a thousand at a time.

    :param pages: gives the things that meet conditions.
    :param of: what they are, as it stands in the names of their fields: ``call``.
    :param over: the statuses of those that are done.
    """

    async def fetch_many(ids: Sequence[str], everything: bool) -> Mapping[str, T]:
        found: dict[str, T] = {}
        for first in range(0, len(ids), MOST):
            criteria = {f"{of}_id": {"type": "enum", "op": "in", "value": ids[first : first + MOST]}}
            if not everything:
                criteria[f"{of}_status"] = {"type": "enum", "op": "in", "value": over}
            async for thing in pages(criteria):
                found[getattr(thing, f"{of}_id")] = thing
        return found

    return fetch_many


async def one_by_one(fetch: Callable[[str], Awaitable[T]], ids: Iterable[str]) -> dict[str, T]:
    """Fetch things that no list has, one by one; those that do not exist are left out."""
    found: dict[str, T] = {}
    for name in ids:
        try:
            found[name] = await fetch(name)
        except _NONE:
            continue
    return found
