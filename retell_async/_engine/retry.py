"""Whether and when a request is sent again: decisions without clocks and sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import attrs

from .._core.errors import ConfigurationError
from .checks import is_number
from .circuit import CircuitBreaker

__all__ = ["KEY_LIFETIME", "RETRY_COUNT", "Budget", "Failure", "RetryPolicy", "RetryState", "backoff", "is_failure", "may_have_acted"]

Repeat = Literal["safe", "idempotency_key", "unsafe"]

# The server knows a key for an hour from the first request that carried it. The last repeat leaves so much earlier that it arrives in time,
# however long the way.
KEY_LIFETIME = 3600.0 - 300.0

RETRY_COUNT = "X-Stainless-Retry-Count"
"""The header that says how often a request was sent before, as the official SDK sends it."""

_COST = 5
_COST_OF_A_SILENCE = 10


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How requests are sent again. All times are in seconds.

    What is sent again is decided by the operation. Reads, and what replaces or removes, are sent again after any transient failure.
    `create_phone_call` is too, under one idempotency key and within that key's hour. What creates anything else is sent again only when the
    server cannot have acted on it; where it may have, `OutcomeUnknownError` is raised.

    How often is decided by ``max_retries`` of the client or the call. 429 is not counted there: the server has
    done nothing then, and `RateLimit` says how long to wait.

    :param first_delay: the longest wait before the first retry. It doubles with each one; the wait is random between nothing and that.
    :param max_delay: the longest that this doubling makes a wait.
    :param max_retry_after: the longest that a ``Retry-After`` of the server is obeyed.
    :param deadline: how long a call may take with all of its attempts and waits; ``None`` for as long as it takes.
    :param budget: how many retries, about, may fail in a row over the whole client before it stops retrying: that many times five. A
        retry takes 5 from it (10 after a time-out or a broken connection) and gives them back when it succeeds; each request that succeeds
        at once gives 1. ``None`` for no limit.
    :param on_unknown_outcome: ``"raise"``, or ``"reconcile"``: put a token into the ``metadata`` of a call that is created and, when it is
        not known whether it was, look in the list of calls for the one that has it.
    :param reconcile_within: how long to look.
    :param circuit_breaker: when a server that fails again and again is left alone; ``None`` for never. It is that of the client, as the
        `budget` is.
    :raises ConfigurationError: a value cannot work.
    """

    first_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 60.0
    deadline: float | None = None
    budget: int | None = 500
    on_unknown_outcome: Literal["raise", "reconcile"] = "raise"
    reconcile_within: float = 30.0
    circuit_breaker: CircuitBreaker | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("first_delay", "max_delay", "max_retry_after", "reconcile_within"):
            if not (is_number(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigurationError(f"{name} of a RetryPolicy must be a number of seconds, 0 or more, not {getattr(self, name)!r}")
        if self.deadline is not None and not (is_number(self.deadline) and self.deadline > 0):
            raise ConfigurationError(f"deadline of a RetryPolicy must be a number of seconds above 0, not {self.deadline!r}")
        if self.budget is not None and not (is_number(self.budget) and self.budget == int(self.budget) and self.budget >= 0):
            raise ConfigurationError(f"budget of a RetryPolicy must be a whole number, 0 or more, or None, not {self.budget!r}")
        breaker = cast("object", self.circuit_breaker)
        if not (breaker is None or isinstance(breaker, CircuitBreaker)):
            raise ConfigurationError(f"circuit_breaker of a RetryPolicy must be a CircuitBreaker or None, not {type(breaker).__name__}")
        if self.on_unknown_outcome not in {"raise", "reconcile"}:
            raise ConfigurationError(f'on_unknown_outcome must be "raise" or "reconcile", not {self.on_unknown_outcome!r}')


@attrs.frozen(kw_only=True)
class Failure:
    """What went wrong with one attempt."""

    status: int | None = None
    """The status of the answer; ``None`` when none arrived."""
    sent: bool = True
    """Whether anything of the request may have reached the server."""
    locked: bool = False
    """The answer says that something else holds what is to be changed, and will let it go."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    refused: bool = False
    """The client itself did not send it."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later. (Not so for 429: that is waited for before a request leaves.)"""
        if self.refused:
            return False
        if self.status is None or self.status < 300:
            return True
        return self.status == 408 or self.locked or is_failure(self.status)


def is_failure(status: int) -> bool:
    """Whether the server failed, as opposed to refused; 501 and 505 say that it will never do such a thing."""
    return status >= 500 and status not in {501, 505}


def may_have_acted(failure: Failure) -> bool:
    """Whether the server may have done what was asked, although it did not say so in a whole answer."""
    if failure.status is None:
        return failure.sent
    # 303 sends away from where something was done, to where its result can be read; other redirects come before anything is done.
    # 499 is what gateways say of a request that was broken off.
    return failure.status < 300 or failure.status in {303, 408, 499} or is_failure(failure.status)


def backoff(policy: RetryPolicy, number: int, retry_after: float | None, random: Callable[[], float]) -> float:
    """Seconds before the retry of this number, from 1: random, so that clients that failed together do not come back together.

    The server's own wish is kept as far as it is sensible, with a little added for the same reason.
    """
    most = min(policy.first_delay * 2.0 ** min(number - 1, 60), policy.max_delay)
    drawn = random() * most
    if retry_after is None or retry_after <= 0:
        return drawn
    return min(retry_after, policy.max_retry_after) + drawn * 0.1


class Budget:
    """The retry budget of a client: retries must not make an outage worse."""

    def __init__(self, capacity: int | None) -> None:
        self._capacity = capacity
        self._left = capacity or 0

    def take(self, cost: int) -> bool:
        """Take so much, or nothing if there is less."""
        if self._capacity is None:
            return True
        if cost > self._left:
            return False
        self._left -= cost
        return True

    @property
    def is_full(self) -> bool:
        """Whether nothing of it is taken."""
        return self._capacity is None or self._left == self._capacity

    def give(self, amount: int) -> None:
        """Put back, up to the full budget."""
        if self._capacity is not None and self._left < self._capacity:
            self._left = min(self._left + amount, self._capacity)


class RetryState:
    """One call: what has become of its attempts, and whether there is another."""

    def __init__(
        self,
        policy: RetryPolicy,
        budget: Budget,
        repeat: Repeat,
        max_retries: int,
        *,
        random: Callable[[], float],
        give_up_at: float | None = None,
        unknown: bool = False,
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._repeat: Repeat = repeat
        self._left = max_retries
        self._random = random
        self._give_up_at = give_up_at
        self._taken = 0
        self.attempts = 1
        self.unknown = unknown
        """Whether it may have been carried out, where that makes a difference."""

    def failed(self, failure: Failure, *, now: float, age: float = 0.0, repeatable: bool = True) -> float | None:
        """Take note that an attempt failed, and give the seconds until the next one; ``None`` if there is none.

        :param age: seconds since the first attempt left.
        :param repeatable: whether the body can be sent once more.
        """
        if self._repeat != "safe" and may_have_acted(failure):
            self.unknown = True
        if not failure.is_transient or not repeatable or self._left == 0 or (self.unknown and self._repeat != "idempotency_key"):
            return None
        delay = backoff(self._policy, self.attempts, failure.retry_after, self._random)
        if self._repeat == "idempotency_key" and age + delay > KEY_LIFETIME:
            return None
        if self._give_up_at is not None and now + delay >= self._give_up_at:
            return None
        cost = _COST_OF_A_SILENCE if failure.status is None else _COST
        if not self._budget.take(cost):
            return None
        self._taken = cost
        self._left -= 1
        self.attempts += 1
        return delay

    def succeeded(self) -> None:
        """Take note that the last attempt was answered."""
        self._budget.give(self._taken or 1)
