"""Handling the events of the inbox."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import anyio
import attrs
from sqlalchemy.ext.asyncio import AsyncConnection

from .._core.attempt import Done, Failed, attempt, first_of
from .._core.errors import ConfigurationError
from .._core.masking import mask_text, masked_traceback
from .._logs import Log
from .database import Database
from .inbox import Inbox, LeaseLostError, Taken, observation_in
from .retention import forget, tidy
from .writer import Writer

__all__ = ["Handlers", "Worker"]

_LOOK_EVERY = 1.0
_LONGEST_WAIT = 30.0  # while the database does not answer
_TIDY_EVERY = 600.0
_SETTLE_WITHIN = 5.0

_logger = Log("retell_async.archive")


Plain: TypeAlias = Callable[[Any], Awaitable[object]]
InTransaction: TypeAlias = Callable[[Any, AsyncConnection], Awaitable[object]]


@attrs.define
class Handlers:
    """What the user wants to be called with events."""

    _plain: list[tuple[frozenset[str], Plain]] = attrs.field(factory=list[tuple[frozenset[str], Plain]])
    _in_transaction: list[tuple[frozenset[str], InTransaction]] = attrs.field(factory=list[tuple[frozenset[str], InTransaction]])

    def add(self, events: Sequence[str], handler: Plain) -> None:
        self._plain.append((frozenset(events), handler))

    def add_in_transaction(self, events: Sequence[str], handler: InTransaction) -> None:
        self._in_transaction.append((frozenset(events), handler))

    def plain(self, event: str) -> list[Plain]:
        return [handler for names, handler in self._plain if not names or event in names]

    def in_transaction(self, event: str) -> list[InTransaction]:
        return [handler for names, handler in self._in_transaction if not names or event in names]


class Worker:
    """Handles events: writes what they tell, and calls the user's handlers.

    :param timeout: seconds that all handlers of an event may take.
    :param keep_for: how long calls and chats are kept.
    """

    def __init__(
        self, database: Database, writer: Writer, inbox: Inbox, handlers: Handlers, *, timeout: float, keep_for: timedelta | None
    ) -> None:
        self._database = database
        self._writer = writer
        self._inbox = inbox
        self._handlers = handlers
        self._timeout = timeout
        self._keep_for = keep_for

    async def run(self, at_once: int, stop: anyio.Event, *, drain: bool) -> None:
        """Handle events until `stop` is set or, if it is to `drain`, none is due."""
        if at_once < 1:
            raise ConfigurationError("at_once must be at least 1")
        running, wait, tidied = 0, _LOOK_EVERY, -math.inf
        changed = anyio.Event()

        async def handle(taken: Taken) -> None:
            nonlocal running
            try:
                await self._handle(taken)
            finally:
                running -= 1
                changed.set()

        async with anyio.create_task_group() as tasks:
            while not stop.is_set():
                changed = anyio.Event()
                try:
                    if not drain and anyio.current_time() >= tidied + _TIDY_EVERY:
                        tidied = anyio.current_time()
                        await self._tidy()
                    arrived = self._inbox.arrived
                    taken = await self._inbox.take(at_once - running) if running < at_once else []
                    wait = _LOOK_EVERY
                except Exception as error:
                    if drain:
                        raise
                    _logger.error("the inbox cannot be read: %s: %s", type(error).__name__, mask_text(str(error)))  # noqa: TRY400
                    arrived, taken, wait = self._inbox.arrived, [], min(wait * 2, _LONGEST_WAIT)
                for one in taken:
                    running += 1
                    tasks.start_soon(handle, one)
                if not taken:
                    if drain and not running:
                        break
                    await _first(wait, stop, changed, *(() if running >= at_once else (self._inbox.arrived, arrived)))

    async def _handle(self, taken: Taken) -> None:
        """Handle an event. Nothing is raised but the cancellation of the caller, after which others may take the event at once."""
        settled = False
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_renewed, taken)
                with anyio.fail_after(self._timeout):
                    await self._carry_out(taken)
                settled = True
                tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - handlers may raise anything
            settled = True
            first = first_of(error)
            if isinstance(first, LeaseLostError):
                _logger.warning("%s was taken over by another process", taken.key)
                return
            _logger.error("handling %s failed, attempt %d\n%s", taken.key, taken.attempts, masked_traceback(first))  # noqa: TRY400
            await self._settle(taken, lambda: self._inbox.failed(taken, first))
        finally:
            if not settled:
                with anyio.CancelScope(shield=True):
                    await self._settle(taken, lambda: self._inbox.give_back(taken.key))

    async def _carry_out(self, taken: Taken) -> None:
        seen = observation_in(taken.data, taken.received_at)
        name = str(taken.data.get("event"))
        plain, in_transaction = self._handlers.plain(name), self._handlers.in_transaction(name)
        event = taken.event if plain or in_transaction else None
        if plain:
            if seen is not None:
                async with self._database.write() as connection:
                    await self._writer.write(connection, seen, self._writer.now_ms())
            for handler in plain:
                _done(await attempt(partial(handler, event)))
        async with self._database.write() as connection:
            if seen is not None and not plain:
                await self._writer.write(connection, seen, self._writer.now_ms())
            for run in in_transaction:
                _done(await attempt(partial(run, event, connection)))
            await self._inbox.done(connection, taken.key)

    async def _keep_renewed(self, taken: Taken) -> None:
        while True:
            await anyio.sleep(self._inbox.lease / 3)
            try:
                if not await self._inbox.renew(taken.key):
                    raise LeaseLostError(taken.key)
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - it may be there again before the lease is over
                _logger.error("the lease of %s is not renewed: %s", taken.key, mask_text(str(error)))  # noqa: TRY400

    async def _settle(self, taken: Taken, settle: Callable[[], Awaitable[None]]) -> None:
        """Tell the inbox how it ended; if that does not work, the lease lapses."""
        try:
            with anyio.move_on_after(_SETTLE_WITHIN):
                await settle()
        except Exception as error:  # noqa: BLE001
            _logger.error("the inbox is not told how %s ended: %s", taken.key, mask_text(str(error)))  # noqa: TRY400

    async def _tidy(self) -> None:
        await tidy(self._database)
        if self._keep_for is not None:
            now_ms = self._writer.now_ms()
            await forget(self._database, now_ms - int(self._keep_for.total_seconds() * 1000), now_ms)


def _done(ended: Done[object] | Failed) -> None:
    if isinstance(ended, Failed):
        raise ended.exception


async def _first(seconds: float, *events: anyio.Event) -> None:
    """Wait until one of some events is set, so many seconds at most."""
    async with anyio.create_task_group() as tasks:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        for event in events:
            tasks.start_soon(wait, event)
        with anyio.move_on_after(seconds):
            await anyio.sleep_forever()
        tasks.cancel_scope.cancel()
