"""A circuit breaker: a server that fails again and again is left alone for a while. Decisions without clocks and sockets."""

from __future__ import annotations

from itertools import count
from typing import Any, Literal, TypeAlias, cast

import attrs

from .._core.errors import ConfigurationError
from .checks import is_number

__all__ = ["Circuit", "CircuitBreaker", "CircuitState"]

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]

_SOON = 1.0  # seconds after which is asked again while one request tries the server

_numbers = count(1)


@attrs.frozen(kw_only=True)
class CircuitBreaker:
    """When a server that fails is left alone. For all requests of a client under one API key and base URL.

    After `failures` answers of 5xx in a row the circuit is open: a new request is not sent, and raises `CircuitOpenError`. After `open_for`
    seconds one request is let through. An answer below 500 closes the circuit; another 5xx opens it again. An attempt without an answer
    says nothing, and 501 and 505 are no failures.

    A request of which something was sent goes on: its own retries, which find out whether it was carried out, are not refused.

    :param failures: how many answers in a row.
    :param open_for: seconds.
    :raises ConfigurationError: a value cannot work.
    """

    failures: int = 10
    open_for: float = 30.0

    def __attrs_post_init__(self) -> None:
        failures, seconds = cast("tuple[Any, Any]", (self.failures, self.open_for))
        if not isinstance(failures, int) or isinstance(failures, bool) or failures < 1:
            raise ConfigurationError(f"failures of a CircuitBreaker must be a whole number, 1 or more, not {failures!r}")
        if not is_number(seconds, above=0):
            raise ConfigurationError(f"open_for of a CircuitBreaker must be a number of seconds above 0, not {seconds!r}")


class Circuit:
    """The circuit of one account: closed, open, or half open while one request tries the server."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.number = next(_numbers)
        """Which it is among all of the process."""
        self.state: CircuitState = "closed"
        self.failures = 0
        """Answers of 5xx in a row."""
        self._opens_at = 0.0
        self._is_tried = False

    def refuses(self, now: float) -> float | None:
        """Seconds until a request may ask again that may not be sent now; ``None`` if it may."""
        if self.state == "closed":
            return None
        if self._is_tried:
            return _SOON
        return self._opens_at - now if now < self._opens_at else None

    def enters(self) -> bool:
        """A request that was not refused is sent; whether it is the one that tries the server. `leaves` follows then."""
        if self.state == "closed":
            return False
        self.state, self._is_tried = "half_open", True
        return True

    def leaves(self) -> None:
        """The one that tried the server is over, answered or not."""
        self._is_tried = False

    def answered(self, now: float, *, failed: bool) -> None:
        """Take note of an answer."""
        if not failed:
            self.state, self.failures = "closed", 0
            return
        self.failures += 1
        if self.state == "half_open" or (self.state == "closed" and self.failures >= self.breaker.failures):
            self.state, self._opens_at = "open", now + self.breaker.open_for

    def restart(self) -> None:
        """Go on in another event loop or process: what was under way is gone."""
        self._is_tried = False

    @property
    def is_blank(self) -> bool:
        """Whether a new one would do the same."""
        return self.state == "closed" and self.failures == 0
