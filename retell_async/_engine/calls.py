"""Carrying a request out: limits, attempts, and whether its outcome is known."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import httpx

from .. import _instrumentation
from .._core.encode import Encoded
from .._core.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    CircuitOpenError,
    OutcomeUnknownError,
    RateLimitError,
    RetellError,
    by_client,
    outcome_unknown,
    said,
    status_error,
)
from .._core.operation import Omit, Operation
from .._core.response import Answer, is_empty
from .._core.retry_after import retry_after_seconds
from .._http.redirects import Redirects
from .._http.way import Departure
from .._instrumentation import AttemptActivity, Observed, RequestActivity
from .events import CircuitEvent, Event, Hook, LimitEvent, RetryEvent, WaitEvent, log
from .idempotency import renewed
from .limits import DEFAULT_MAX_WAIT, Turn
from .retry import KEY_LIFETIME, RETRY_COUNT, Failure, RetryPolicy, RetryState, is_failure

if TYPE_CHECKING:
    from .._http.exchange import Http
    from .._http.slots import Slots
    from .circuit import Circuit, CircuitState
    from .gate import Account, Gate

__all__ = ["Call", "failure_of"]

_LOCKED = ("lock", "in progress", "try again", "being processed")
_NOTICEABLE = 0.001  # seconds that a wait for a limit is told from
_LONG = 5.0  # seconds that a wait for a connection is told from
_CONNECTIONS = "max_connections"


@attrs.define
class Call:
    """One request with all that decides how it is sent. `carry_out` may be called once."""

    operation: Operation[Any]
    encoded: Encoded
    timeout: float | httpx.Timeout | Omit | None
    policy: RetryPolicy
    max_retries: int
    max_wait: float | None
    deadline: float | None
    hooks: Sequence[Hook]
    idempotency_key: str | None
    key_is_made: bool
    """Whether the key was made for the request, and is not the caller's."""
    key_since: float | None
    """Unix time at which the caller's own key was sent first, if that was before."""
    token: str | None
    first: bool = False
    """Whether it goes before others that wait for a connection."""
    parse: bool = False
    """Whether an answer that is not JSON is a failure."""
    stream: bool = False
    """Whether the body of the answer is left where it is. The answer then keeps its slot until it is closed."""
    follow: bool | None = None
    """Whether redirects are followed, whatever the operation; ``None`` where it may be repeated."""
    observed: Observed | None = None
    """Where hooks of the telemetry watch it: whoever carries it out enters it."""
    on_leave: Callable[[], object] | None = None
    """Called each time that the request goes out."""
    attempts: int = 1
    give_up_at: float | None = None
    """By the clock of the account; ``None`` for never."""
    _since: tuple[float, float] | None = None  # when the first attempt left, by the clock of the account and as Unix time
    _departure: Departure | None = None  # of the present attempt, once it was given to be sent
    _waits_at: Gate | None = None
    _waited: float = 0.0  # seconds, for limits and for connections
    _in_vain: bool = False  # whether all the time that there was for waiting is over
    _refusal: RateLimitError | None = None  # the last 429
    _acted: bool = False  # whether the server did it and said where the result is
    _before: APIError | None = None  # what became of the attempt before
    _leaves: bool = False  # whether the present attempt is on its way, or may be
    _left: bool = False  # whether the server may have acted on one before
    _withdrawn: Exception | None = None

    def withdraw(self, error: Exception) -> bool:
        """Send it no more, unless the server may have acted on it already; whether it has not.

        Then it can be cancelled, and nothing of it leaves meanwhile: it ends with this error. Else it goes on until that is known.
        """
        self._withdrawn = error
        return self._is_over and not self._leaves

    async def carry_out(self, http: Http, account: Account, slots: Slots) -> Answer:
        """Send the request, again where that is needed and allowed, and give the successful answer.

        :raises OutcomeUnknownError: it may have been carried out, and cannot be repeated.
        :raises APIError: it was not carried out, or only read something.
        """
        clock = account.clock
        if self.deadline is not None:
            self.give_up_at = clock() + self.deadline
        state = RetryState(
            self.policy,
            account.budget,
            self.operation.repeat,
            self.max_retries,
            random=random.random,
            give_up_at=self.give_up_at,
            unknown=self.key_since is not None,
        )
        self._left = state.unknown
        delay: float | None = 0.0
        while True:
            error: APIError
            try:
                if delay:
                    with account.waiting():
                        await anyio.sleep(delay)
                self._departure = None
                until = self.give_up_at
                in_time = self._attempt(http, account, slots) if until is None else self._attempt_in_time(http, account, slots, until)
                answer = await in_time
                if answer.is_success:
                    state.succeeded()
                    return answer
                error = status_error(answer.response)
            except (APIConnectionError, APIResponseValidationError, RateLimitError) as failure:
                error = failure
            except _KeyForgotten:
                if state.unknown:
                    last = self._before or self._refusal
                    raise self._unknown(last, http) from last
                if self.key_is_made:  # nothing was done under it
                    self._renew_key()
                    delay = 0.0
                    continue
                error = cast("APIError", self._refusal or self._before)  # else it would be unknown, or not have left yet
            except RetellError as failure:
                # Such as: the client was closed meanwhile.
                if state.unknown or self._acted:
                    raise self._unknown(failure, http) from failure
                raise
            error.idempotency_key = self.idempotency_key
            if self._acted:
                raise self._unknown(error, http) from error
            delay = state.failed(failure_of(error), now=clock(), age=self._age(account), repeatable=self.encoded.repeatable)
            self.attempts = state.attempts
            self._leaves, self._left = False, state.unknown
            if delay is None or self._in_vain or self._is_over:
                if self._before is not None and error.__cause__ is None and error is not self._before:
                    error.__cause__ = self._before
                if state.unknown:
                    raise self._unknown(error, http) from error
                raise error
            self._tell(RetryEvent(operation=self.operation.id, attempt=state.attempts - 1, delay=delay, error=error))
            self._before = error

    @property
    def _is_over(self) -> bool:
        """Whether it was withdrawn, and can be."""
        return self._withdrawn is not None and not (self._left or self._acted)

    def _renew_key(self) -> None:
        old = cast("str", self.idempotency_key)
        new = renewed(old)
        content = cast("bytes", self.encoded.content).replace(old.encode(), new.encode())
        self.encoded = attrs.evolve(self.encoded, content=content)
        self.idempotency_key, self._since = new, None

    def _age(self, account: Account) -> float:
        """Seconds since the request was first sent, by the clock that says more.

        The wall clock goes on while the machine sleeps; the clock of the account does not, but nobody sets it.
        """
        since = time.time() if self.key_since is None else self.key_since
        if self._since is None:
            return max(time.time() - since, 0.0)
        return max(account.clock() - self._since[0], time.time() - min(self._since[1], since), 0.0)

    async def _attempt_in_time(self, http: Http, account: Account, slots: Slots, until: float) -> Answer:
        with anyio.move_on_after(max(until - account.clock(), 0.0)):
            return await self._attempt(http, account, slots)
        if self._waits_at is not None:
            raise self._no_turn(http, self._waits_at, self.deadline)
        within = f"within the deadline of {self.deadline:g} s"
        departure = self._departure
        sent = departure is not None and http.may_have_left(self.encoded, departure)
        what = f"attempt {self.attempts} had no answer" if sent else "no free connection" if departure is None else "no connection"
        if departure is not None and not sent:
            within = f"{within}; {http.way(self.encoded)}"
        if self._before is not None:
            within = f"{within}; the attempt before it ended with {self._before}"
        elif self._refusal is not None:
            within = f"{within}; before it: {self._refusal}"
        error = APITimeoutError(http.build(self.encoded, self.timeout), message=f"Request timed out: {what} {within}", sent=sent)
        raise error from (self._before or self._refusal)

    async def _attempt(self, http: Http, account: Account, slots: Slots) -> Answer:
        """Send the request once, and once more after each 429 as long as it may wait for the limit."""
        clock = account.clock
        gate = account.gate_of(self.operation)
        circuit = account.circuit
        encoded = self.encoded
        if self.attempts > 1 and encoded.headers.get(RETRY_COUNT) == "0":
            encoded = attrs.evolve(encoded, headers={**encoded.headers, RETRY_COUNT: str(self.attempts - 1)})
        redirects: Redirects | None = None
        while True:
            if circuit is not None:
                self._heed(circuit, clock(), http)
            turns = await self._enter(http, account, gate, slots, first=self._goes_first or redirects is not None)
            kept = answered = tries = False
            try:
                if circuit is not None:
                    tries = self._try(circuit, clock(), http)
                if self.idempotency_key is not None and self._age(account) > KEY_LIFETIME:
                    raise _KeyForgotten
                left_at = clock()
                before = self._since
                if before is None:
                    self._since = left_at, time.time()
                wait = self._wait_for_connection(http)
                wait = wait if wait < math.inf else DEFAULT_MAX_WAIT
                self._departure = Departure(self._leaving(turns, account, is_first=before is None))
                try:
                    answer = await self._exchange(http, encoded, self._departure, wait)
                    answered = True
                except APIConnectionError as failure:
                    if not failure.sent:
                        answered = True  # it did not leave after all, and nothing of it is on its way
                        self._since = before
                        if isinstance(failure.__cause__, httpx.PoolTimeout):
                            waited = clock() - left_at
                            self._waited += waited
                            self._in_vain = waited > wait - _NOTICEABLE
                    raise
                except Exception:
                    if self._departure.refusal is not None:
                        answered = True
                        self._since = before
                    raise
                if circuit is not None:
                    self._note(circuit, clock(), answer.status_code)
                if self.parse and answer.is_success and self.operation.media == "json" and not is_empty(answer, self.operation):
                    answer.check(self.operation)
                if answer.status_code != 429:
                    if answer.status_code < 500:  # a server that fails says nothing about its limits
                        account.passed(gate, left_at, clock())
                    if redirects is not None or answer.is_redirect:
                        redirects = redirects or Redirects(
                            encoded, follow=self.operation.repeat == "safe" if self.follow is None else self.follow, reads=bool(self.follow)
                        )
                        there = redirects.after(encoded, answer)
                        if isinstance(there, Encoded):
                            if self.operation.repeat != "safe" and there.method != encoded.method:
                                self._acted = True
                            encoded = there
                            continue  # which takes a turn of its own
                        answer = there
                    if self.stream and answer.is_success:
                        answer.release = slots.give
                        kept = True
                    return answer
            finally:
                if tries and circuit is not None:
                    circuit.leaves()
                account.done(turns, answered=answered)
                if not kept:
                    slots.give()
            error = self._refusal = cast("RateLimitError", status_error(answer.response))
            self._departure = None
            now = clock()
            limited, pause = account.refused(gate, left_at, error, now)
            self._tell(
                LimitEvent(operation=self.operation.id, limit=limited.name, reason=said(error), pause=pause, rate=limited.pacer.rate)
            )
            self._leaves = False
            if not self.encoded.repeatable or self._is_over or max(pause, error.retry_after or 0.0) > self._most_wait(http, now):
                return answer

    def _exchange(self, http: Http, encoded: Encoded, departure: Departure, pool: float) -> Awaitable[Answer]:
        """Send the request once."""
        answer = http.exchange(encoded, self.timeout, self.operation.timeout, stream=self.stream, departure=departure, pool=pool)
        return answer if self.observed is None else self._observe(self.observed, answer)

    @staticmethod
    async def _observe(observed: Observed, coming: Awaitable[Answer]) -> Answer:
        """Tell the telemetry of an attempt."""
        request = cast("RequestActivity", observed.activity)
        request.attempts += 1
        attempt = AttemptActivity(request=request, number=request.attempts, call_id=request.call_id)
        with _instrumentation.begin(attempt):
            answer = await coming
            attempt.status = answer.status_code
        return answer

    def _heed(self, circuit: Circuit, now: float, http: Http) -> None:
        """Ask the circuit breaker whether the request may be sent. One of which something was sent before goes on: it finds out what came.

        :raises CircuitOpenError: it may not.
        """
        if self._since is not None or self.key_since is not None or self.first:
            return
        wait = circuit.refuses(now)
        if wait is not None:
            message = f"not sent: the server failed {circuit.failures} times in a row, and is left alone for {wait:.3g} s"
            raise CircuitOpenError(message=message, request=http.build(self.encoded, self.timeout), retry_after=wait)

    def _try(self, circuit: Circuit, now: float, http: Http) -> bool:
        """The same as the request is about to leave; whether it is the one that tries the server. `Circuit.leaves` follows then."""
        self._heed(circuit, now, http)
        if circuit.refuses(now) is not None:
            return False  # it goes on past an open circuit
        before = circuit.state
        tries = circuit.enters()
        self._tell_circuit(circuit, before)
        return tries

    def _note(self, circuit: Circuit, now: float, status: int) -> None:
        """Tell the circuit breaker of an answer."""
        before = circuit.state
        circuit.answered(now, failed=is_failure(status))
        self._tell_circuit(circuit, before)

    def _tell_circuit(self, circuit: Circuit, before: CircuitState) -> None:
        if circuit.state == before:
            return
        event = CircuitEvent(operation=self.operation.id, state=circuit.state, failures=circuit.failures, circuit=circuit.number)
        if log in self.hooks:  # others are written for what a client tells about its waiting
            log(event)
        _instrumentation.tell(event)

    def _leaving(self, turns: Sequence[tuple[Gate, Turn]], account: Account, *, is_first: bool) -> Callable[[], None] | None:
        """What to call when the request goes out. It may have to wait for a connection long after its limits let it go."""
        if not turns and self.idempotency_key is None and self.on_leave is None:
            return None
        for _, turn in turns:
            turn.waits = True

        def leaves() -> None:
            if self._is_over:
                raise cast("Exception", self._withdrawn)
            if is_first:
                self._since = account.clock(), time.time()
            if self.idempotency_key is not None and self._age(account) > KEY_LIFETIME:
                raise _KeyForgotten
            self._leaves = True
            for _, turn in turns:
                turn.leaves(account.clock())
            if self.on_leave is not None:
                self.on_leave()

        return leaves

    def _most_wait(self, http: Http, now: float) -> float:
        """Seconds that it may wait for a limit from now on; infinite for as long as it takes."""
        return min(
            self._rest_of(http.pool_timeout(self.timeout)),
            self._rest_of(self.max_wait),
            math.inf if self.give_up_at is None else self.give_up_at - now,
        )

    def _rest_of(self, seconds: float | None) -> float:
        """What is left of so many seconds of waiting."""
        return math.inf if seconds is None else max(seconds - self._waited, 0.0)

    @property
    def _goes_first(self) -> bool:
        return self.first or self.attempts > 1 or self._refusal is not None

    async def _enter(self, http: Http, account: Account, gate: Gate, slots: Slots, *, first: bool) -> list[tuple[Gate, Turn]]:
        """Wait for a slot, and where there are limits for turns, which are given back with `Account.done`.

        :param first: go before others that wait.
        """
        while account.is_open(gate):
            if slots.take_free():
                return []
            await self._slot(http, account, slots, first=first)
            if account.is_open(gate):
                return []
            slots.give()  # there was a 429 meanwhile
        found = self.max_wait != 0
        turns = account.try_turn(gate, slots, found=found)
        if turns is not None:
            return turns
        if not found and account.is_ready(gate):
            # There is a turn and no connection, which is no 429 to be told of.
            await self._slot(http, account, slots, first=first)
            turns = account.take(gate, found=False)
            if turns is not None:
                return turns
            slots.give()
        start = account.clock()
        least = {one: one.least(start, first=first) for one in account.over(gate)}
        closed = max((one for one in least if not one.pacer.is_open()), key=least.__getitem__, default=gate)
        within = self._most_wait(http, start)
        if least[closed] > within:
            raise self._no_turn(http, closed, within)
        self._waits_at = closed
        with account.waiting(within) as scope:
            turns = await account.turn(gate, slots, first=first, found=found)
        waited = account.clock() - start
        self._waited += waited
        if scope.cancelled_caught:
            raise self._no_turn(http, closed, within)
        self._waits_at = None
        if waited > _NOTICEABLE:
            self._tell(WaitEvent(operation=self.operation.id, limit=closed.name, seconds=waited))
        return turns

    def _wait_for_connection(self, http: Http) -> float:
        """Seconds that it may wait for a connection from now on; not to wait for limits is not to wait for one too."""
        pool = http.pool_timeout(self.timeout)
        most = self.max_wait or math.inf
        return max((most if pool is None else min(pool, most)) - self._waited, 0.0)

    async def _slot(self, http: Http, account: Account, slots: Slots, *, first: bool) -> None:
        start = account.clock()
        within = self._wait_for_connection(http)
        most = self._waited + within
        taken = await slots.take(first=first, within=within)
        waited = account.clock() - start
        self._waited += waited
        if not taken:
            self._in_vain = True
            message = (
                f"Request timed out: no free connection within {most:g} s: all that max_connections or the HTTP client allow are in use"
            )
            raise APITimeoutError(http.build(self.encoded, self.timeout), message=message, sent=False) from self._refusal
        if waited > _LONG:
            self._tell(WaitEvent(operation=self.operation.id, limit=_CONNECTIONS, seconds=waited))

    def _no_turn(self, http: Http, gate: Gate, within: float | None) -> RateLimitError:
        """The error for a request that waited too long for a limit, or would: with what the server said last, if anything."""
        if self._refusal is not None:
            return self._refusal
        message = f"no turn within {within:g} s: the client keeps to a limit of {gate.name}"
        if gate.pacer.limit.requests is not None:
            message = f"{message}, {gate.pacer.limit}"
        request = http.build(self.encoded, self.timeout)
        last = gate.refusal
        if last is None:
            error = by_client(RateLimitError(message, response=httpx.Response(429, request=request), body=None))
            error.retry_after = gate.pacer.least(gate.clock())
            return error
        response = httpx.Response(429, headers=last.response.headers, content=last.response.content, request=request)
        error = by_client(RateLimitError(f"{message}; the server said last: {said(last)}", response=response, body=last.body))
        error.retry_after = last.retry_after
        error.__cause__ = last
        return error

    def _tell(self, event: Event) -> None:
        for hook in self.hooks:
            try:
                hook(event)
            except Exception:  # noqa: BLE001
                # No call is lost because somebody could not count it.
                from .._logs import Log

                Log("retell_async").exception("a hook failed")
        if _instrumentation.hooks:
            _instrumentation.tell(event)

    def _unknown(self, last: RetellError | None, http: Http) -> OutcomeUnknownError:
        """The error for what may have been carried out. `last` is what went wrong last, ``None`` if nothing was sent for the key's age."""
        error = last if isinstance(last, APIError) else None
        what = said(error) if error is not None else "the idempotency key is too old to be sent" if last is None else str(last)
        since = self.key_since if self._since is None else self._since[1]
        return outcome_unknown(
            last,
            message=f"{self.operation.id} may have been carried out or not, and must not be repeated blindly: {what}",
            request=http.build(self.encoded, self.timeout) if error is None else error.request,
            response=None if error is None else error.response,
            body=None if error is None else error.body,
            operation=self.operation.id,
            idempotency_key=self.idempotency_key,
            token=self.token,
            attempts=self.attempts if self._since is not None else 0,
            since=since if since is None or self.key_since is None else min(since, self.key_since),
        )


class _KeyForgotten(Exception):
    """The server may not know the idempotency key any more."""


def failure_of(error: APIError) -> Failure:
    """The `Failure` for the error with which an attempt ended."""
    if isinstance(error, APIStatusError):
        wait = retry_after_seconds(error.response.headers, now=time.time())
        locked = error.status_code == 409 and (wait is not None or any(word in error.message.lower() for word in _LOCKED))
        return Failure(status=error.status_code, locked=locked, retry_after=wait)
    if isinstance(error, APIConnectionError):
        return Failure(status=error.status_code, sent=error.sent, refused=isinstance(error, CircuitOpenError))
    return Failure(status=error.status_code)
