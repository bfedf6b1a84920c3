"""Events: each is handled once, however often it arrives, and acknowledged at once or after its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import anyio
import attrs

from retell_async._core.attempt import Failed
from retell_async._core.errors import ConfigurationError
from retell_async._logs import Log

from ..events import Event, parse_event
from ..http import Respond, Response
from .claims import Claims
from .outcome import Ended
from .queue import Queue, Slot
from .runner import Runner
from .store import Claim, DeliveryStore, LegacyStore

__all__ = ["Delivery", "EventDispatcher"]

_ACKNOWLEDGED = Response(HTTPStatus.NO_CONTENT)
_FAILED = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: a handler raised", "text/plain")
_FULL = Response(HTTPStatus.SERVICE_UNAVAILABLE, b"late: too many events are waiting to be handled", "text/plain")
_IN_PROGRESS = Response(HTTPStatus.SERVICE_UNAVAILABLE, b"in progress: this delivery is being handled, and not done yet", "text/plain")
_NO_STORE = Response(HTTPStatus.SERVICE_UNAVAILABLE, b"failed: the store of deliveries does not answer", "text/plain")

_logger = Log("retell_async.webhooks")


@attrs.define
class Delivery:
    """An event, its handlers, and how they ended."""

    name: str
    key: str
    body: bytes
    event: Event | None
    """``None`` while it waits: in memory it is some ten times as large as the body."""
    handlers: Sequence[Callable[[Any], Awaitable[object]]]
    failures: list[Failed] = attrs.field(factory=list[Failed])
    settled: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when all handlers ended and the store was told."""


class EventDispatcher:
    """Runs the handlers of events.

    :raises ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        runner: Runner,
        store: DeliveryStore | LegacyStore,
        *,
        acknowledge_after: float,
        max_in_flight: int,
        max_waiting: int,
        max_waiting_bytes: int,
    ) -> None:
        if max_in_flight < 1:
            raise ConfigurationError("max_in_flight must be at least 1")
        if max_waiting < 0 or max_waiting_bytes < 0:
            raise ConfigurationError("max_waiting and max_waiting_bytes must be 0 or more")
        self._runner = runner
        self._claims = Claims(store)
        self._acknowledge_after = acknowledge_after
        self._queue = Queue(runner.stats, max_running=max_in_flight, max_waiting=max_waiting, max_waiting_bytes=max_waiting_bytes)

    async def dispatch(self, delivery: Delivery, until: float, respond: Respond) -> Ended:
        """Answer a delivery by `until`, in seconds of the event loop's clock, and return when its handlers are done: how they ended."""
        stats = self._runner.stats
        if not delivery.handlers:
            stats.unhandled += 1
            await respond(_ACKNOWLEDGED)
            return Ended("unhandled")
        slot = self._queue.acquire(len(delivery.body))
        if slot is None:
            stats.late += 1
            await respond(_FULL)
            return Ended("late")

        async def refuse() -> None:
            stats.late += 1
            await respond(_NO_STORE)

        try:
            claim = await self._claims.claim(delivery.key, until, refuse)
            if claim is Claim.MINE:
                await self._handle(delivery, slot, until, respond)
        finally:
            self._queue.release(slot)
        match claim:
            case Claim.MINE:
                for failed in delivery.failures:
                    failed.raise_if_exit()
                return Ended("failed", delivery.failures[0]) if delivery.failures else Ended("handled")
            case None:
                return Ended("late")
            case _:
                stats.duplicates += 1
                await respond(_ACKNOWLEDGED if claim is Claim.DONE else _IN_PROGRESS)
                return Ended("duplicate" if claim is Claim.DONE else "in_progress")

    async def _handle(self, delivery: Delivery, slot: Slot, until: float, respond: Respond) -> None:
        """Answer a delivery that is claimed, and let its handlers run to their end."""
        acknowledged = lost = False
        try:
            async with anyio.create_task_group() as tasks:
                try:
                    if not self._acknowledge_after:
                        acknowledged = True  # if this is cancelled, nobody knows whether it arrived
                        await respond(_ACKNOWLEDGED)
                    tasks.start_soon(self._run_handlers, delivery, slot)
                    if self._acknowledge_after:
                        with anyio.CancelScope(deadline=min(anyio.current_time() + self._acknowledge_after, until)):
                            await delivery.settled.wait()
                        response = _FAILED if delivery.failures else _ACKNOWLEDGED
                        acknowledged = response is _ACKNOWLEDGED
                        await respond(response)
                    await delivery.settled.wait()
                except GeneratorExit:
                    raise
                except BaseException:
                    lost = acknowledged and not delivery.settled.is_set()
                    if lost:  # told before anything is awaited: a server that stops may end the process in the next moment
                        _logger.error(  # noqa: TRY400  (the traceback of a cancellation says nothing)
                            "%s is lost: it was acknowledged, and its handlers are cancelled before they are done", delivery.key
                        )
                    raise
        except GeneratorExit:  # the event loop is gone, and nothing can be awaited any more
            self._claims.forget(delivery.key)
            raise
        except BaseException:
            if not delivery.settled.is_set():
                await self._claims.settle(delivery.key, succeeded=False)
            elif lost and not delivery.failures:
                _logger.warning("%s is not lost: its handlers came to their end all the same", delivery.key)
            raise

    async def _run_handlers(self, delivery: Delivery, slot: Slot) -> None:
        async with anyio.create_task_group() as tasks:
            renewing = anyio.CancelScope()
            tasks.start_soon(self._claims.keep_renewed, delivery.key, renewing)
            if not slot.ready.is_set():
                delivery.event = None
                await slot.ready.wait()
            event = delivery.event or parse_event(delivery.body)
            for handler in delivery.handlers:
                outcome = await self._runner.run(handler, event, delivery.name)
                if isinstance(outcome, Failed):
                    delivery.failures.append(outcome)
            renewing.cancel()
            await self._claims.settle(delivery.key, succeeded=not delivery.failures)
            delivery.settled.set()
