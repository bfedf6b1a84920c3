"""Placing calls as fast as there is room for them, and following each to its end."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs

from .._call_slots import CallSlots, Slot
from .._core.attempt import Failed, attempt
from .._core.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    CircuitOpenError,
    OutcomeUnknownError,
    PaymentRequiredError,
    RetellError,
)
from .._core.masking import Hidden, cut, mask_text
from .._core.prefetch import Handover
from .._engine.idempotency import is_to_another
from .._helpers.watch import is_transient
from .._logs import Log
from .numbers import Numbers
from .outcome import Outcome, Progress, Until

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from .._engine.calls import Call
    from .._helpers.call import Ends
    from ..raw.models import PhoneCallResponse

__all__ = ["Dispatch", "Hook", "Way"]

Hook = Callable[[Progress], None]

_TAKEN = 4  # for each call that may be live, so many requests may have no outcome yet: some calls wait to be analysed, some to be read
_ASK_AGAIN = 2.0  # seconds after which an account that did not answer is asked again
_CLOSING = 10.0  # seconds that the clean-up of what gives the requests may take
_SURE = 1.0  # seconds within which an event that came before the answer to a request is still known

_logger = Log("retell_async")


@attrs.frozen
class Way:
    """How calls are placed and followed."""

    prepare: Callable[[Mapping[str, Any]], Awaitable[Call]]
    """Makes of a request what `place` carries out; it raises for one that cannot be sent."""
    place: Callable[[Call], Awaitable[PhoneCallResponse]]
    ends: Ends
    until: Until
    slots: CallSlots | None
    numbers: Numbers
    live: int | None
    on_progress: Hook | None


class Dispatch:
    """Calls that are being placed and followed: what `client.dispatch` gives.

    ``async with client.dispatch(requests) as outcomes``, and inside it ``async for outcome in outcomes``: each request that was taken has
    one outcome, which comes as soon as it is known. Leaving the block ends everything: what waits is not placed, and calls that go on are
    followed no more. A call that was being placed in that moment may ring nevertheless: where that matters, `stop` and read on to the end.
    """

    def __init__(self, requests: Iterable[Any] | AsyncIterable[Any], way: Way) -> None:
        self._requests = Hidden(requests)
        self._way = way
        self._progress = Progress()
        self._tasks: TaskGroup | None = None
        self._waiting: dict[anyio.CancelScope, Call | None] = {}  # and what is given up with it, unless that is at the server
        self._stopped: RetellError | None = None
        self._error: Exception | None = None
        self._live: anyio.Semaphore
        self._taken: anyio.Semaphore

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    def stop(self) -> None:
        """Take no more requests, and place none of those that wait, which end as ``not_placed``. Calls that were placed are followed."""
        self._stop("the dispatch was stopped before this call was placed")

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RetellError("a dispatch is entered once")
        self._outcomes = Handover[Outcome]()
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._produce)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._tasks is None:
            return
        self._tasks.cancel_scope.cancel()
        try:
            # Without the error of the block, which is none of these tasks' and is to stay what it is.
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._outcomes.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        """Give the next outcome.

        :raises AuthenticationError: the key is none, which ended the dispatch. This and all that follows come after the last outcome.
        :raises PaymentRequiredError: the account cannot pay.
        :raises RetellError: the client was closed.
        :raises Exception: what the iterable of requests raised.
        """
        if self._tasks is None:
            raise RetellError("enter a dispatch before its outcomes are read: async with client.dispatch(...) as outcomes")
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
            return await self._outcomes.take()
        error, self._error = self._error, None
        raise error or StopAsyncIteration

    async def _produce(self) -> None:
        try:
            with self._way.ends.placing():
                async with anyio.create_task_group() as tasks:
                    ended = await attempt(partial(self._take_all, tasks))
                    if isinstance(ended, Failed) and self._stopped is None:
                        self._error = self._error or ended.exception
        finally:
            self._outcomes.close()

    async def _take_all(self, tasks: TaskGroup) -> None:
        """Take requests as there is room for their calls, and give each to a task of its own."""
        try:
            with self._until_stopped():
                live = await self._most_live()
            self._live = anyio.Semaphore(live)
            self._taken = anyio.Semaphore(live * _TAKEN)
            async with _each(self._requests.value) as requests:
                while True:
                    with self._until_stopped():
                        await self._taken.acquire()
                        await self._live.acquire()
                        request = Hidden(await anext(requests))
                    outcome = Outcome(index=self._progress.taken, request=request.value, status="not_placed")
                    self._count(taken=1)
                    tasks.start_soon(self._carry_out, outcome)
        except (StopAsyncIteration, _Stopped):
            pass
        except Exception as error:  # noqa: BLE001 - it is raised where outcomes are read, after the last of them
            self._error = self._error or error

    async def _most_live(self) -> int:
        way = self._way
        if way.live is not None or way.slots is None:
            return cast("int", way.live)
        return max(cast("int", await self._asked(way.slots.limit)), 1)  # where there can be none now, there may be some later

    async def _carry_out(self, outcome: Outcome) -> None:
        outcome = await self._outcome(outcome)
        await self._outcomes.give(outcome)
        self._count(**{outcome.status if outcome.status in {"not_placed", "unknown"} else "done": 1})
        self._taken.release()

    async def _outcome(self, outcome: Outcome) -> Outcome:
        from .._core.interop.values import fields

        with ExitStack() as live:
            live.callback(self._live.release)
            try:
                given = fields(outcome.request)
                if given is None:
                    raise TypeError(f"a request must be a mapping or a model, not {type(outcome.request).__name__}")
                number = given.get("from_number")
                prepared = await self._way.prepare(given)
                again = Hidden(given)
                del given
            except Exception as error:  # noqa: BLE001 - whatever it is that cannot be sent, the others can
                return attrs.evolve(outcome, error=_bare(error))
            began = anyio.current_time()
            slot: Slot | None = None
            placed: PhoneCallResponse | None = None
            may_have_left = False
            try:
                while placed is None:
                    try:
                        async with self._turn(number, prepared) as slot:
                            began = anyio.current_time()
                            may_have_left = True
                            placed = await self._placed(prepared)
                        if placed is None:
                            if slot is not None:
                                slot.ended()
                            raise _Stopped
                    except CircuitOpenError as error:  # it was not sent, and nor would the next one be: the server is left alone
                        may_have_left = False
                        with self._until_stopped():
                            await anyio.sleep(error.retry_after)
                        prepared = await self._way.prepare(again.value)
                is_anothers = not prepared.key_is_made and is_to_another(_number_of(prepared), placed.to_number)
            except _Stopped:
                return attrs.evolve(outcome, error=self._stopped)
            except Exception as error:  # noqa: BLE001 - as above
                if _ends_all(error):
                    self._end(error)
                outcome = attrs.evolve(outcome, error=_bare(error), idempotency_key=prepared.idempotency_key)
                refused = isinstance(error, APIStatusError) or (isinstance(error, APIConnectionError) and not error.sent)
                if isinstance(error, OutcomeUnknownError) or (may_have_left and not refused):
                    return attrs.evolve(outcome, status="unknown")
                return outcome
            finally:
                key = prepared.idempotency_key  # of the last attempt: one that is too old makes way for another
                del prepared
            if is_anothers:
                if slot is not None:
                    slot.ended()
                return attrs.evolve(outcome, error=_of_another(placed), idempotency_key=key)
            call = placed
            is_followed = self._way.until != "placed"
            self._count(placed=1, live=int(is_followed))
            outcome = attrs.evolve(outcome, status="placed", call=call, idempotency_key=key)
            if not is_followed:
                return outcome
            try:
                known = call if anyio.current_time() - began < _SURE else None
                whole = self._way.until == "ended"
                call = await self._way.ends.wait(call.call_id, "ended", known=known, whole=whole)
                if slot is not None:
                    slot.ended()
            except Exception as error:  # noqa: BLE001 - the call is there, and others go on
                return attrs.evolve(outcome, error=_bare(error))
            finally:
                self._count(live=-1)
        outcome = attrs.evolve(outcome, status="ended", call=call)
        if self._way.until == "ended":
            return outcome
        try:
            call = await self._way.ends.wait(call.call_id, "analyzed", known=call)
        except Exception as error:  # noqa: BLE001 - as above
            return attrs.evolve(outcome, error=_bare(error))
        return attrs.evolve(outcome, status="analyzed", call=call)

    @asynccontextmanager
    async def _turn(self, number: object, call: Call) -> AsyncGenerator[Slot | None]:
        """A block that places one call from a number, when the number may call and the account has room.

        :raises _Stopped: the dispatch was stopped before.
        """
        slot: Slot | None = None
        async with AsyncExitStack() as room:
            with self._until_stopped():
                async with self._way.numbers.first(number) as begin:
                    if (slots := self._way.slots) is not None:
                        slot = await self._asked(lambda: room.enter_async_context(slots.hold()))
                    if self._stopped is not None:
                        raise _Stopped
                    placed = begin()
                    room.callback(placed.answered)
                    call.on_leave = placed.left
            yield slot

    async def _placed(self, prepared: Call) -> PhoneCallResponse | None:
        """Place a call; ``None`` if the dispatch was stopped before it left: it may wait for limits, and to be tried again."""
        with suppress(_Stopped), self._until_stopped(prepared):
            return await self._way.place(prepared)
        return None

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What the account is asked, again and again while it does not answer. An answer that will not change ends the dispatch."""
        while True:
            try:
                return await ask()
            except RetellError as error:
                if not is_transient(error):
                    self._end(error)
                    raise _Stopped from None
                _logger.info("dispatch: the account did not say how much room it has (%s); it is asked again", mask_text(str(error)))
            await anyio.sleep(_ASK_AGAIN)

    @contextmanager
    def _until_stopped(self, call: Call | None = None) -> Generator[None]:
        """A block in which something is waited for.

        :param call: what the block places. It goes on to its end if the server may have it.
        :raises _Stopped: the dispatch was stopped before that came.
        """
        if self._stopped is not None:
            raise _Stopped
        with anyio.CancelScope() as scope:
            self._waiting[scope] = call
            try:
                yield
            finally:
                del self._waiting[scope]
        if scope.cancelled_caught:
            raise _Stopped

    def _stop(self, reason: str) -> None:
        if self._stopped is None:
            self._stopped = RetellError(reason)
        for scope, call in self._waiting.items():
            if call is None or call.withdraw(_Stopped()):
                scope.cancel()

    def _end(self, error: Exception) -> None:
        """Stop for the sake of an error, which is raised after the last outcome."""
        if self._error is None:
            self._error = _bare(error)
        self._stop(f"the dispatch ended before this call was placed: {error}")

    def _count(self, **changes: int) -> None:
        before = self._progress
        self._progress = attrs.evolve(before, **{name: getattr(before, name) + change for name, change in changes.items()})
        if self._way.on_progress is not None:
            try:
                self._way.on_progress(self._progress)
            except Exception:
                _logger.exception("on_progress failed")  # no call is lost because somebody could not count it


class _Stopped(Exception):
    """What was waited for will not come: the dispatch was stopped."""


def _ends_all(error: Exception) -> bool:
    """Whether every other request would end so too: the key or the account is at fault, or the client was closed."""
    return isinstance(error, (AuthenticationError, PaymentRequiredError)) or type(error) is RetellError


def _number_of(call: Call) -> object:
    """Whom a request calls, as it is sent: its extra_body may say otherwise than it does."""
    return json.loads(cast("bytes", call.encoded.content))["to_number"]


def _of_another(call: PhoneCallResponse) -> RetellError:
    return RetellError(
        f"nobody was called: the API knows the idempotency_key as that of {call.call_id}, a call to another number: give each request a "
        "key of its own"
    )


def _bare(error: Exception) -> Exception:
    """The error without the frames in which it was raised: they are of no use to whoever reads it later, and keep the request."""
    return cut(error).with_traceback(None)


@asynccontextmanager
async def _each(requests: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[AsyncIterator[Any]]:
    given = aiter(requests) if isinstance(requests, AsyncIterable) else _one_by_one(requests)
    try:
        yield given
    finally:
        if (close := getattr(given, "aclose", None)) is not None:
            with anyio.move_on_after(_CLOSING, shield=True):
                await close()


async def _one_by_one(requests: Iterable[Any]) -> AsyncGenerator[Any]:
    for request in requests:
        yield request
