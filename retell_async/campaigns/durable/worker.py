"""What one process does for a campaign: it carries out attempts, each in a task of its own."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio
import attrs
from anyio import CapacityLimiter, to_thread
from sqlalchemy import exc

from ... import _instrumentation
from ..._core.errors import (
    APIError,
    AuthenticationError,
    CircuitOpenError,
    NotFoundError,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from ..._core.masking import mask_text
from ..._dispatch.outcome import Outcome
from ..._helpers.watch import is_transient
from ..._instrumentation import CampaignAttemptActivity, trace_of
from ..._logs import Log
from ..calls import result_of
from ..case import Result
from .database import is_lasting, is_passing, why
from .placing import Placing
from .store import Begun, LeaseLost, Superseded, Turn, Wait

if TYPE_CHECKING:
    from ..._call_slots import CallSlots, Slot
    from ..._helpers.call import Ends
    from ..settings import Settings
    from .store import Store

__all__ = ["FOLLOWED", "REFUSALS", "Worker", "is_waiting", "patiently", "tell_of_silence"]

T = TypeVar("T")

FOLLOWED = 7200.0
"""Seconds for which a call is followed: longer than calls last."""
REFUSALS = (AuthenticationError, PermissionDeniedError, PaymentRequiredError)
"""What the API answers when it refuses the key or the account, whatever it is asked."""
_REFUSED = 30.0  # seconds for which it does, to all questions about calls, until the run ends: its key will not be another one
_AGAIN = 1.0  # seconds after which the database is asked again that did not answer
_UNHEARD = 10.0  # seconds without an answer of the database after which that is said
_LATER = 5.0  # seconds after which is tried again what went wrong in a way that nobody thought of
_LATEST = 300.0
_FULL = 2.0  # seconds after which a request is sent again that the server refused for being too much
_OUTAGE = 1.0  # seconds after which a request is sent again that failed; twice as many after each further one
_LONGEST_OUTAGE = 30.0
_SILENT = 3.0  # seconds from one request without an answer to another, without one that has one in between, after which it is said
_LOOK = 1.0  # seconds from one look to the next at whether something is still to be sent
_COUNTED = 1.0  # seconds after a request has left, after which the server has counted it, answered or not
_ANALYSIS = 300.0  # seconds after the end of a call for which what its agent left is waited for

_logger = Log("retell_async")


_asked: dict[object, float] = {}
"""Those who asked the database something, with when they did."""
_waiting: set[object] = set()
"""Those who wait for the database to do what it did not do."""
_told: list[str] = []
"""What was said of that, if it was: once for all of them, and once that it is over, when it does something and none waits any more."""


def is_waiting() -> bool:
    """Whether somebody waits for the database, which has failed or did not answer for a while."""
    return bool(_waiting)


async def tell_of_silence() -> None:
    """Say it when the database does not answer for a while."""
    while True:
        for own, asked_at in tuple(_asked.items()):
            if time.monotonic() - asked_at > _UNHEARD:
                _wait(own, f"no answer within {_UNHEARD:g} s")
        await anyio.sleep(_AGAIN)


def _wait(own: object, why: str) -> None:
    if not _told:
        _told.append(why)
        _logger.warning("campaign: the database did not do it (%s); it is asked until it does", why)
    _waiting.add(own)


async def patiently(
    function: Callable[..., T], *args: Any, limiter: CapacityLimiter | None = None, abandons: bool = False, **kwargs: Any
) -> T:
    """Call a function of the database in a thread, again and again as long as the database cannot be reached.

    :param abandons: who is cancelled does not wait for the thread.
    """
    own = object()
    _asked[own] = time.monotonic()
    try:
        while True:
            try:
                done = await to_thread.run_sync(lambda: function(*args, **kwargs), limiter=limiter, abandon_on_cancel=abandons)
            except (exc.DBAPIError, exc.TimeoutError) as error:
                if not is_passing(error):
                    raise
                _wait(own, why(error))
                await anyio.sleep(_AGAIN)
                continue
            if _told and not _waiting - {own}:
                _told.clear()
                _logger.warning("campaign: the database does again what it is asked")
            return done
    finally:
        del _asked[own]
        _waiting.discard(own)


@attrs.define
class Worker:
    """What attempts are carried out with.

    :param id: the worker's number, by which it is fenced: the database lets it send nothing once others may have taken over its work.
    :param lease: seconds after which they may.
    :param live: so many calls of the campaign there may be at once, those of other workers too.
    :param stop: once it is set, nothing is sent that was not sent before.
    """

    id: int
    store: Store
    settings: Settings
    placing: Placing
    ends: Ends
    slots: CallSlots
    lease: float
    live: int
    stop: anyio.Event = attrs.field(factory=anyio.Event)
    refusal: Exception | None = attrs.field(default=None, init=False)
    """Why no call can be followed here any more: the API refuses the key or the account. Those that go on are the next run's."""
    _ahead: float = attrs.field(default=math.inf, init=False)
    _silent_at: float | None = attrs.field(default=None, init=False)
    _outage: str = attrs.field(default="", init=False)
    _unfollowed_at: float | None = attrs.field(default=None, init=False)
    _noting: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)
    _turns: defaultdict[str, anyio.Lock] = attrs.field(factory=lambda: defaultdict(anyio.Lock), init=False)

    async def look_at_clock(self) -> None:
        """Ask the database what time it is: by how much its clock is ahead of this machine's, at most."""
        asked = time.monotonic()
        now = await patiently(self.store.now)
        is_moved = now - time.monotonic() > self._ahead  # somebody has set it
        self._ahead = now - asked if is_moved else min(self._ahead, now - asked)

    def now(self) -> float:
        """What time it is by the clock of the database, or somewhat later."""
        return time.monotonic() + self._ahead

    async def carry_out(self, key: str) -> None:
        """Place the call of an attempt, follow it to its end, and write what that says of the contact.

        Whoever begins with it goes on where the last one was, and does nothing if it is settled.

        :raises LeaseLost: others may have taken it over.
        :raises Superseded: a later version goes on with the campaign.
        """
        delay = _LATER
        while True:
            try:
                begun = await patiently(self.store.open_attempt, key)
                if begun is not None:
                    await self._watched(begun)
            except Exception as error:
                if isinstance(error, (LeaseLost, Superseded)) or is_lasting(error):
                    raise
                # One call that cannot be carried on must not keep all others from being made.
                _logger.exception("campaign: attempt %s is tried again in %g s", key, delay)
                await anyio.sleep(delay)
                delay = min(2 * delay, _LATEST)
            else:
                return

    async def _watched(self, begun: Begun) -> None:
        if not _instrumentation.hooks:
            await self._carry_out(begun, None)
            return
        activity = CampaignAttemptActivity(key=begun.key, call_id=begun.call_id, traceparent=trace_of(begun.key))
        with _instrumentation.begin(activity):
            await self._carry_out(begun, activity)

    async def _carry_out(self, begun: Begun, activity: CampaignAttemptActivity | None) -> None:
        slot = None
        call_id = begun.call_id
        if call_id is None:
            placed = await self._place(begun, activity)
            if placed is None:
                return
            call_id, slot = placed
        if activity is not None:
            activity.call_id = call_id
        await self._follow(begun, call_id, slot, activity)

    async def _settle(self, key: str, result: Result, activity: CampaignAttemptActivity | None, **more: Any) -> None:
        await patiently(self.store.settle, key, result, **more)
        if activity is not None:
            activity.reason = result.reason

    async def _place(self, begun: Begun, activity: CampaignAttemptActivity | None) -> tuple[str, Slot | None] | None:
        """Place the call; ``None`` if there is none, and it is written why."""
        key, first, is_sent = begun.key, True, begun.sent_at is not None
        turn: Turn | None = None
        outage = _OUTAGE
        while True:
            try:
                async with AsyncExitStack() as stack:
                    # Of those that wait for room one asks at a time, and the others do not ask the database. What was sent has its room,
                    # and must not wait for one that waits until it is over.
                    async with nullcontext() if is_sent else self._turns[begun.from_number]:
                        slot = await self._room(stack, is_sent=is_sent)
                        turn = await self._turn(key, first=first, is_sent=is_sent)
                    first = False
                    call_id = None if turn is None else await self._send(key, turn)
                    if turn is not None:
                        await self._answered()
                if call_id is None:
                    if slot is not None:
                        slot.ended()
                    return None
                await patiently(self.store.placed, key, call_id, self.now())
            except OutcomeUnknownError as error:
                if turn is None or not self._may_repeat(turn, error):
                    await self._settle(key, Result("unknown"), activity, turn=turn)
                    return None
                is_sent = True
                await patiently(self.store.arrived, key, turn, self.now())
                outage = await self._wait(key, error, outage, is_sent=True)
            except (APIError, ValueError, TypeError) as error:
                if isinstance(error, CircuitOpenError) or is_transient(error):  # which says nothing of the contact
                    if turn is not None:
                        await patiently(self.store.refused, key, turn, self.now())
                    outage = await self._wait(key, error, outage, is_sent=is_sent)
                    continue
                await self._answered()
                await self._pause_for(error)
                outcome = Outcome(index=0, request=None, status="not_placed", error=error)
                contact = await patiently(self.store.contact_of, key)
                result = result_of(outcome, self.settings.rules, contact) or Result("not_placed")
                await self._settle(key, result, activity, turn=turn)
                return None
            else:
                return call_id, slot

    def _may_repeat(self, turn: Turn, error: OutcomeUnknownError) -> bool:
        """Whether the same bytes are to be sent again under their key, which places the call unless it was placed."""
        cause = error.__cause__
        return turn.may_dial and Placing.is_known(turn.age or 0.0) and isinstance(cause, Exception) and is_transient(cause)

    async def _wait(self, key: str, error: Exception, outage: float, *, is_sent: bool) -> float:
        """Wait before a request is sent again; how long the next wait is."""
        if isinstance(error, (RateLimitError, CircuitOpenError)):
            if isinstance(error, RateLimitError):
                await self._answered()
            await self._rest(min(error.retry_after or _FULL, 60.0), is_sent=is_sent)
            return outage
        _logger.info("campaign: attempt %s is sent again in %g s: %s", key, outage, mask_text(str(error)))
        await self._unanswered(error)
        await self._rest(outage, is_sent=is_sent)
        return min(2 * outage, _LONGEST_OUTAGE)

    async def _unanswered(self, error: Exception) -> None:
        """Take note of a request without an answer. An outage is said once, and stands beside the status until it is over."""
        if self._silent_at is None:
            self._silent_at = time.monotonic()
        async with self._noting:
            if self._outage or self._silence() < _SILENT:
                return
            note = f"the API does not answer, and is asked until it does: {mask_text(str(error))}"
            _logger.warning("campaign: %s", note)
            await patiently(self.store.note, note)
            self._outage = note  # once it is written, which a stop may keep it from

    def _silence(self) -> float:
        """Seconds for which no request had an answer."""
        return 0.0 if self._silent_at is None else time.monotonic() - self._silent_at

    async def _answered(self) -> None:
        self._silent_at = None
        if not self._outage and not self._noting.locked():
            return
        async with self._noting:
            if self._outage:
                await patiently(self.store.note, "", over=self._outage)
                _logger.warning("campaign: the API answers again")
                self._outage = ""

    async def _rest(self, seconds: float, *, is_sent: bool) -> None:
        """Wait for so long. What was not sent yet waits no longer once nothing is to be sent any more, so that it is taken back."""
        if is_sent:
            await anyio.sleep(seconds)
            return
        with anyio.move_on_after(seconds):
            await self._halted()

    async def _halted(self) -> None:
        """Wait until nothing is to be sent any more that was not sent before."""
        while not self.stop.is_set():
            with anyio.move_on_after(_LOOK):
                await self.stop.wait()
            if (await patiently(self.store.campaign))[2] != "running":
                return

    async def _room(self, stack: AsyncExitStack, *, is_sent: bool) -> Slot | None:
        """Wait for room in the account; ``None`` if it does not say whether there is any, or what waits is to be taken back."""
        slot: Slot | None = None
        async with anyio.create_task_group() as tasks:
            if not is_sent:
                tasks.start_soon(self._cancel_once_halted, tasks.cancel_scope)
            slot = await self._slot(stack)
            tasks.cancel_scope.cancel()
        return slot

    async def _cancel_once_halted(self, scope: anyio.CancelScope) -> None:
        await self._halted()
        scope.cancel()

    async def _slot(self, stack: AsyncExitStack) -> Slot | None:
        failed = False
        while True:
            try:
                slot = await stack.enter_async_context(self.slots.hold())
            except APIError as error:
                if not is_transient(error):
                    await self._pause_for(error)
                    _logger.warning("campaign: the account does not say how many calls there may be: %s", mask_text(str(error)))
                    return None
                failed = True
                await self._unanswered(error)
            else:
                if failed:
                    await self._answered()
                return slot
            await anyio.sleep(_LATER)

    async def _pause_for(self, error: Exception) -> None:
        """Pause where no call could be placed any more."""
        if isinstance(error, (AuthenticationError, PaymentRequiredError)):
            await patiently(self.store.pause, mask_text(str(error)))

    async def _turn(self, key: str, *, first: bool, is_sent: bool) -> Turn | None:
        """Wait for leave to send a request, which is fresh when it is given."""
        while True:
            asked = time.monotonic(), time.time()
            turn = await patiently(self.store.turn, key, self.id, lease=self.lease, live=self.live, first=first, stops=self.stop.is_set())
            if isinstance(turn, Wait):
                # And no longer: a pause, or somebody who sets the clock, may make it another one.
                with anyio.move_on_after(min(turn.seconds, _LOOK)):
                    await (anyio.sleep_forever() if is_sent else self.stop.wait())
            elif max(time.monotonic() - asked[0], time.time() - asked[1]) < self.lease / 2:  # else this process may have stood still
                return turn

    async def _send(self, key: str, turn: Turn) -> str:
        if not turn.may_dial or (turn.age is not None and turn.age < 0):  # nobody knows how old its key is
            return await self.placing.find(turn.request)
        answer: str | Exception = ""
        async with anyio.create_task_group() as tasks:
            try:
                answer = await self.placing.place(turn.request, turn.age, lambda: tasks.start_soon(self._counted, key, turn))
            except Exception as error:  # noqa: BLE001 - which the group would make another of
                answer = error
            tasks.cancel_scope.cancel()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _counted(self, key: str, turn: Turn) -> None:
        """A request that has no answer keeps its number from calling no longer than the server may take to count it."""
        await anyio.sleep(_COUNTED)
        await patiently(self.store.arrived, key, turn, self.now())

    async def _follow(self, begun: Begun, call_id: str, slot: Slot | None, activity: CampaignAttemptActivity | None) -> None:
        rules = self.settings.rules
        is_analysed = rules.callback is not None or rules.opt_out is not None
        try:
            call = await self._until("ended", call_id, whole=not is_analysed)
        except (WaitTimeoutError, NotFoundError, UnprocessableEntityError):
            await self._settle(begun.key, Result("unknown"), activity)  # it was placed, and nobody knows what became of it
            return
        finally:
            if slot is not None:
                slot.ended()
        if is_analysed:  # what its agent left for the campaign may come with the analysis; meanwhile others are called
            await patiently(self.store.ended, begun.key)
            with anyio.move_on_after(_ANALYSIS), suppress(WaitTimeoutError, NotFoundError, UnprocessableEntityError):
                call = await self._until("analyzed", call_id, known=call)
        if activity is not None:
            activity.call = call
        contact = await patiently(self.store.contact_of, begun.key)
        result = result_of(Outcome(index=0, request=None, status="ended", call=call), rules, contact) or Result("unknown")
        if result.meaning == "account":
            await patiently(self.store.pause, f"a call ended with {result.reason}")
        cents = _number(getattr(call.call_cost, "combined_cost", None))
        await self._settle(begun.key, result, activity, duration_ms=_number(call.duration_ms), cents=cents)

    async def _until(self, until: Literal["ended", "analyzed"], call_id: str, **known: Any) -> Any:
        while True:
            try:
                return await self.ends.wait(call_id, until, **known)
            except (WaitTimeoutError, NotFoundError, UnprocessableEntityError):
                raise
            except APIError as error:  # the call goes on all the same
                self._cannot_follow(error)
                await anyio.sleep(_LATER)

    def _cannot_follow(self, error: APIError) -> None:
        """Take note of a refusal to tell of calls. It is said once for all of them, as long as nothing else is answered."""
        now = anyio.current_time()
        if self._unfollowed_at is None or self._unfollowed_at < self.ends.answered_at:
            self._unfollowed_at = now
            _logger.warning("campaign: calls cannot be followed, and are asked for again: %s", mask_text(str(error)))
        elif isinstance(error, REFUSALS) and now - self._unfollowed_at >= _REFUSED:
            self.refusal = error


def _number(said: object) -> float | None:
    """What a column of numbers takes: the API may say anything."""
    return said if isinstance(said, (int, float)) and not isinstance(said, bool) and math.isfinite(said) else None
