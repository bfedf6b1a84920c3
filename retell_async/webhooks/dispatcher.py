"""Events: each is handled once, however often it arrives, and acknowledged at once or after its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from retell_async._core.errors import ConfigurationError

from .claims import Claims
from .deliveries import Claim
from .events import parse_event
from .exchange import Answer, Respond
from .queue import Place, Queue
from .runner import Failed, Runner, log

if TYPE_CHECKING:
    from .deliveries import DeliveryStore, LegacyStore
    from .events import Event

__all__ = ["Delivery", "Dispatcher"]

_ACKNOWLEDGED = Answer(HTTPStatus.NO_CONTENT)
_FAILED = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: a handler raised", "text/plain")
_FULL = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"late: too many events are waiting to be handled", "text/plain")
_IN_PROGRESS = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"in progress: this delivery is being handled, and not done yet", "text/plain")
_NO_STORE = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"failed: the store of deliveries does not answer", "text/plain")


@attrs.define
class Delivery:
    """An event, who is to handle it, and how that ended."""

    name: str
    key: str
    body: bytes
    event: Event | None
    """``None`` while it waits: in memory it takes some ten times what the body takes."""
    handlers: Sequence[Callable[[Any], Awaitable[object]]]
    failures: list[Failed] = attrs.field(factory=list[Failed])
    settled: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when all handlers ended and the store knows."""


class Dispatcher:
    """Gives events to their handlers.

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

    async def put(self, delivery: Delivery, until: float, respond: Respond) -> None:
        """Answer a delivery by `until`, in seconds of the event loop's clock, and return when its handlers are done."""
        stats = self._runner.stats
        if not delivery.handlers:
            stats.unhandled += 1
            await respond(_ACKNOWLEDGED)
            return
        place = self._queue.enter(len(delivery.body))
        if place is None:
            stats.late += 1
            await respond(_FULL)
            return

        async def refuse() -> None:
            stats.late += 1
            await respond(_NO_STORE)

        try:
            claim = await self._claims.take(delivery.key, until, refuse)
            if claim is Claim.MINE:
                await self._handle(delivery, place, until, respond)
        finally:
            self._queue.leave(place)
        match claim:
            case Claim.MINE:
                for failed in delivery.failures:
                    failed.leave()
            case None:
                pass
            case _:
                stats.duplicates += 1
                await respond(_ACKNOWLEDGED if claim is Claim.DONE else _IN_PROGRESS)

    async def _handle(self, delivery: Delivery, place: Place, until: float, respond: Respond) -> None:
        """Answer a delivery that is claimed, and let its handlers run to their end."""
        acknowledged = False
        try:
            if not self._acknowledge_after:
                await respond(_ACKNOWLEDGED)
                acknowledged = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._work, delivery, place)
                if acknowledged:
                    return
                with anyio.CancelScope(deadline=min(anyio.current_time() + self._acknowledge_after, until)):
                    await delivery.settled.wait()
                answer = _FAILED if delivery.failures else _ACKNOWLEDGED
                await respond(answer)
                acknowledged = answer is _ACKNOWLEDGED
        except GeneratorExit:  # the event loop is gone, and nothing can be awaited any more
            self._claims.forget(delivery.key)
            raise
        except BaseException:
            if not delivery.settled.is_set():
                if acknowledged:
                    log.error("%s is lost: it was acknowledged, and its handlers were cancelled before they were done", delivery.key)
                await self._claims.settle(delivery.key, well=False)
            raise

    async def _work(self, delivery: Delivery, place: Place) -> None:
        async with anyio.create_task_group() as tasks:
            renewing = anyio.CancelScope()
            tasks.start_soon(self._claims.keep, delivery.key, renewing)
            if not place.turn.is_set():
                delivery.event = None
                await place.turn.wait()
            event = delivery.event or parse_event(delivery.body)
            for handler in delivery.handlers:
                ended = await self._runner.run(handler, event, delivery.name)
                if isinstance(ended, Failed):
                    delivery.failures.append(ended)
            renewing.cancel()
            await self._claims.settle(delivery.key, well=not delivery.failures)
            delivery.settled.set()
