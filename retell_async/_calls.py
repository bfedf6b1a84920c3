"""Carrying a request out: its turn, its attempts, and what is known when it ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import httpx

from ._encode import Encoded
from ._errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    status_error,
)
from ._events import Hook, LimitEvent, RetryEvent, WaitEvent
from ._operation import Omit, Operation
from ._response import Answer, is_empty
from ._retry import Fault, RetryPolicy, Tries
from ._retry_after import retry_after_seconds

if TYPE_CHECKING:
    from ._gate import Control
    from ._http import Http

__all__ = ["Call", "fault"]

_LOCKED = ("lock", "in progress", "try again", "being processed")
_NOTICEABLE = 0.001  # seconds


@attrs.define
class Call:
    """One request with all that decides how it is sent. `carry_out` may be called once."""

    operation: Operation[Any]
    encoded: Encoded
    timeout: float | httpx.Timeout | Omit | None
    policy: RetryPolicy
    max_retries: int
    deadline: float | None
    hooks: Sequence[Hook]
    idempotency_key: str | None
    token: str | None
    first: bool = False
    """Whether it goes before others that wait for a connection."""
    parse: bool = False
    """Whether an answer that is not JSON is a failure."""
    stream: bool = False
    """Whether the body of the answer is left where it is. The answer then keeps its slot until it is closed."""
    attempts: int = 1
    give_up_at: float | None = None
    """By the clock of the client; ``None`` for never."""
    _left_at: float | None = None  # when the present attempt was sent, by the clock of the client
    _waited: float = 0.0

    async def carry_out(self, http: Http, control: Control) -> Answer:
        """Send the request as often as it takes and may be sent, and give the answer of success.

        :raises OutcomeUnknownError: it may have been carried out, and cannot be repeated.
        :raises APIError: it was not carried out, or only read something.
        """
        clock = control.clock
        if self.deadline is not None:
            self.give_up_at = clock() + self.deadline
        tries = Tries(
            self.policy,
            control.budget,
            self.operation.repeat,
            self.max_retries,
            random=random.random,
            give_up_at=self.give_up_at,
        )
        while True:
            error: APIError
            try:
                answer = await self._attempt_in_time(http, control)
                if answer.is_success:
                    if self.parse and not is_empty(answer, self.operation):
                        answer.parse()
                    tries.succeeded()
                    return answer
                error = status_error(answer.response)
            except (APIConnectionError, APIResponseValidationError, RateLimitError) as failure:
                error = failure
            error.idempotency_key = self.idempotency_key
            now = clock()
            left_at = now if self._left_at is None else self._left_at
            delay = tries.failed(fault(error), left_at=left_at, now=now, repeatable=self.encoded.repeatable)
            self.attempts = tries.attempts
            if delay is None:
                if tries.unknown_since is None:
                    raise error
                raise self._unknown(error, since=time.time() - (now - tries.unknown_since)) from error
            self._tell(RetryEvent, attempt=tries.attempts - 1, delay=delay, error=error)
            await anyio.sleep(delay)

    async def _attempt_in_time(self, http: Http, control: Control) -> Answer:
        if self.give_up_at is None:
            return await self._attempt(http, control)
        with anyio.CancelScope(deadline=self.give_up_at):
            return await self._attempt(http, control)
        raise APITimeoutError(
            http.build(self.encoded, self.timeout),
            message=f"no answer within the deadline of {self.deadline:g} s",
            sent=self._left_at is not None,
        )

    async def _attempt(self, http: Http, control: Control) -> Answer:
        """Send the request once, and once more after each 429 as long as it may wait for the limit."""
        self._left_at = None
        # A retry goes before new requests: what waits for it has waited longer, and the retry budget is short of it meanwhile.
        slots = control.slots
        if not slots.take_free():
            with control.waiting():
                await slots.take(first=self.first or self.attempts > 1)
        try:
            answer = await self._attempt_in_slot(http, control)
        except BaseException:
            slots.give()
            raise
        if self.stream and answer.is_success:
            answer.release = slots.give
        else:
            slots.give()
        return answer

    async def _attempt_in_slot(self, http: Http, control: Control) -> Answer:
        gate = control.gate
        clock = control.clock
        while True:
            if not gate.is_open():
                await self._turn(http, control)
            left_at = self._left_at = clock()
            answer = await http.exchange(
                self.encoded, self.timeout, self.operation.timeout, stream=self.stream, follow=self.operation.repeat == "safe"
            )
            now = clock()
            if answer.status_code != 429:
                gate.pacer.passed(now)
                return answer
            self._left_at = None
            pause = gate.pacer.refused(left_at, retry_after_seconds(answer.response.headers, now=time.time()), now)
            self._tell(LimitEvent, pause=pause, rate=gate.pacer.rate)
            most = gate.limit.max_wait
            if not self.encoded.repeatable or (most is not None and self._waited + pause > most):
                return answer

    async def _turn(self, http: Http, control: Control) -> None:
        gate = control.gate
        most = gate.limit.max_wait
        start = control.clock()
        with anyio.move_on_after(None if most is None else max(most - self._waited, 0)) as scope:
            with control.waiting():
                await gate.turn()
        waited = control.clock() - start
        self._waited += waited
        if scope.cancelled_caught:
            request = http.build(self.encoded, self.timeout)
            message = f"no turn within {most:g} s: the client keeps to a rate limit"
            raise RateLimitError(message, response=httpx.Response(429, request=request), body=None)
        if waited > _NOTICEABLE:
            self._tell(WaitEvent, seconds=waited)

    def _tell(self, event: Callable[..., Any], **details: Any) -> None:
        told = event(operation=self.operation.id, **details)
        for hook in self.hooks:
            try:
                hook(told)
            except Exception:
                # No call is lost because somebody could not count it.
                import logging

                logging.getLogger("retell_async").exception("a hook failed")

    def _unknown(self, last: APIError, *, since: float) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            message=f"{self.operation.id} may have been carried out or not, and must not be repeated blindly: {last.message}",
            request=last.request,
            response=last.response,
            body=last.body,
            operation=self.operation.id,
            idempotency_key=self.idempotency_key,
            token=self.token,
            attempts=self.attempts,
            since=since,
        )


def fault(error: APIError) -> Fault:
    """What an error says about the attempt that it ended."""
    if isinstance(error, APIStatusError):
        wait = retry_after_seconds(error.response.headers, now=time.time())
        locked = error.status_code == 409 and (wait is not None or any(word in error.message.lower() for word in _LOCKED))
        return Fault(status=error.status_code, locked=locked, retry_after=wait)
    if isinstance(error, APIConnectionError):
        return Fault(sent=error.sent)
    return Fault(status=error.status_code)
