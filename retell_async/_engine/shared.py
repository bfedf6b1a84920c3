"""What all views of a client share: its connections, its slots, and what limits each account."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from .._core.errors import ConfigurationError, RetellError
from .._http.loops import Loop, clock_of, is_asyncio, is_running, running_loop, this_process
from .._http.slots import Slots
from .events import Hook
from .gate import Account
from .limits import RateLimit
from .settings import Settings

if TYPE_CHECKING:
    import httpx

    from .._http.exchange import Http
    from .._http.given.patched import Patched
    from . import given as httpx2  # its clients, checked where it is not installed too

__all__ = ["Clock", "SharedState", "Use"]

_UNUSED = 600.0  # seconds after which what was found out about an account's limits is dropped
_LOOKED_AT = 8  # accounts, those that were not used for longest, that are looked at with each request


class Clock:
    """A clock that goes on from one event loop to the next, although each run of trio starts a new count."""

    def __init__(self) -> None:
        self._read: Callable[[], float] = time.monotonic
        self._offset = 0.0
        self._seen = (0.0, 0.0)
        self._is_own = False  # whether it counts from a moment of its own

    def __call__(self) -> float:
        return self._read() + self._offset

    def seen(self) -> None:
        """Take note of the time, for an event loop that comes later."""
        if self._is_own:
            self._seen = self(), time.monotonic()

    def move(self, loop: Loop) -> None:
        """Go on in another event loop, which is running."""
        now, real = self._seen if self._is_own else (self(), time.monotonic())
        self._is_own = not is_asyncio(loop)
        self._read = clock_of(loop)
        self._offset = now + (time.monotonic() - real) - self._read()


@attrs.define(eq=False)
class _Place:
    """An event loop in which the client is used, and its slots."""

    loop: Loop
    process: object
    slots: Slots
    thread: int = attrs.field(factory=threading.get_ident)
    under_way: int = 0


@attrs.define(eq=False)
class Use:
    """One request that is carried out."""

    place: _Place
    http: Http
    account: Account
    name: tuple[str, str] = attrs.field(repr=False)  # the API key is in it

    @property
    def slots(self) -> Slots:
        return self.place.slots


class SharedState:
    """What all views of a client share. It is used in one event loop at a time; connections are opened with the first request.

    :param given: the user's own HTTP client.
    :param settings: those of the client, whose account is kept as long as it.
    """

    def __init__(
        self,
        given: httpx.AsyncClient | httpx2.AsyncClient | None,
        max_connections: int,
        limit: RateLimit,
        settings: Settings,
        hooks: Sequence[Hook],
    ) -> None:
        self.hooks = hooks
        self.awaits = True
        """Whether its user does, and is no `Retell`."""
        self._given = given
        self._max_connections = max_connections
        self._limit = limit
        self._budget = settings.retry.budget
        self._circuit_breaker = settings.retry.circuit_breaker
        self._own = settings.account
        self._accounts: dict[tuple[str, str], Account] = {}
        self._clock = Clock()
        self._place: _Place | None = None
        self._locks: dict[object, threading.Lock] = {}
        """By process: another thread of the parent may have held that of the parent as this one was forked."""
        self._http: Http | None = None if given is None else self._open()
        self._patched: Patched | None = None
        self._closed = False

    def like(self, settings: Settings, changes: Mapping[str, Any]) -> SharedState:
        """This one, or a new one if any of its parameters are changed."""
        if not changes:
            return self
        usual: dict[str, Any] = {"given": self._given, "max_connections": self._max_connections, "limit": self._limit, "hooks": self.hooks}
        return SharedState(**{**usual, **changes}, settings=settings)

    @property
    def timeout(self) -> httpx.Timeout:
        """The timeout of a client that was given none: that of the user's own HTTP client, or the default."""
        return (self._http or self._open()).usual_timeout

    def _lock(self) -> threading.Lock:
        process = this_process()
        return self._locks.get(process) or self._locks.setdefault(process, threading.Lock())

    def _open(self) -> Http:
        from .._http.exchange import Http

        return Http(self._given, max_connections=self._max_connections)

    def _instead(self) -> Http | None:
        """What to send with while a program has replaced methods of httpx's clients that do not await, where the user does not either."""
        if self.awaits or self._given is not None:
            return None
        if self._patched is None:
            from .._http.given.patched import Patched

            self._patched = Patched(self._max_connections)
        return self._patched.http()

    def enter(self, settings: Settings) -> Use:
        """Begin a request. `leave` must follow.

        :raises RetellError: the client is closed.
        :raises ConfigurationError: it is in use in another event loop.
        """
        if self._closed:
            raise RetellError("the client is closed")
        process = this_process()
        with self._lock():
            if self._http is None:
                self._http = self._open()
            http = self._instead() or self._http
            loop = running_loop()
            place = self._place
            if place is None or place.loop is not loop or place.process is not process:
                place = self._move(loop, place, self._http)
            name = settings.account
            account = self._accounts.get(name)
            if account is None:
                account = self._accounts[name] = Account(self._limit, self._budget, self._clock, self._circuit_breaker)
            if settings.known:
                account.know(settings.known)
            self._clock.seen()
            account.users += 1
            place.under_way += 1
        return Use(place, http, account, name)

    def leave(self, use: Use) -> None:
        """End a request. Accounts that nobody needs are forgotten with their keys."""
        with self._lock():
            use.place.under_way -= 1
            if use.place is not self._place:
                return  # the rest of an event loop that is gone
            account = use.account
            account.users -= 1
            if len(self._accounts) > 1 or use.name != self._own:
                account.used_at = self._clock()
                self._accounts[use.name] = self._accounts.pop(use.name)  # behind all that were used before
                self._drop_unused()

    def _move(self, loop: Loop, last: _Place | None, http: Http) -> _Place:
        if last is not None and last.process is this_process():
            if is_asyncio(last.loop) != is_asyncio(loop):
                was, now = ("asyncio", "trio") if is_asyncio(last.loop) else ("trio", "asyncio")
                raise ConfigurationError(f"this client was used under {was} and cannot be used under {now}: make another one for it")
            # One in another thread may send at any moment: who is refused must not depend on whether it does in this one.
            if is_running(last.loop) and (last.under_way or last.thread != threading.get_ident()):
                raise ConfigurationError(
                    "this client is in use in another event loop, which still runs: "
                    "make one for each thread, or send everything from one event loop"
                )
        self._clock.move(loop)
        for account in self._accounts.values():
            account.restart()
        self._place = _Place(loop, this_process(), Slots(int(min(self._max_connections, http.most_connections))))
        return self._place

    def _drop_unused(self) -> None:
        """Forget, with their keys, accounts whose limits say nothing any more, or are old: never the client's own one."""
        before = self._clock() - _UNUSED
        last = next(reversed(self._accounts))
        dropped: list[tuple[str, str]] = []
        for name in (last, *islice(self._accounts, _LOOKED_AT)):
            account = self._accounts[name]
            if account.users or name == self._own:
                continue
            if account.is_blank() or (account.used_at < before and not account.counts()):
                dropped.append(name)
            elif name is not last:
                break  # those behind it are younger
        for name in dropped:
            self._accounts.pop(name, None)

    @property
    def closed(self) -> bool:
        return self._closed or (self._http is not None and self._http.is_closed)

    async def aclose(self) -> None:
        self._closed = True
        place = self._place
        if place is not None and place.process is this_process() and place.loop is running_loop():
            place.slots.close()
            for account in self._accounts.values():
                account.close()
        try:
            if self._http is not None:
                await self._http.aclose()
        finally:
            if self._patched is not None:
                await self._patched.aclose()
