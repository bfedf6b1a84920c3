"""How fast requests may leave: the arithmetic of rate limits, known and found out, without clocks and sockets."""

from __future__ import annotations

from collections import deque

import attrs

from ._errors import ConfigurationError

__all__ = ["Pacer", "RateLimit"]

# How late a request may leave its turn unused without losing it, in seconds: timers are not exact.
_SLACK = 0.05
_SLACK_OF_A_SPAN = 0.02

# What a first 429 is answered with: the pace of what succeeded just before it, less a little, since windows and clocks differ.
_MARGIN = 0.95
# Fewer successes than this tell little about a limit. The guess is then this pace, which is soon cut if it is too high.
_TELLING = 3
_GUESS = 5.0  # requests a second
# What a pace that went well for so many seconds and then was too fast is cut by.
_EASE = 0.92
_WELL = 3.0
# A pace that was too fast at once is cut to what passed, the pause included, but not by more than this at a time.
_DEEPEST_CUT = 0.3
# Refusals that come on however slow the pace are not for its sake. When over so many pauses the part of the requests that was refused
# stays between these, the pace rises again by this factor.
_HISTORY = 5
_FEWEST = 0.03
_FEW = 0.25
_RECOVERY = 1.4

# The pace grows by this part of itself a second, and twice as fast after each further while without a 429. Up to just below what was too
# fast last it returns sooner.
_RETURN = 0.3
_GROWTH = 0.005
_GROWTH_DOUBLES = 15.0  # seconds
_SLOWEST = 0.5  # requests a second, or in the time of a pause if that is longer

_SHORTEST_PAUSE = 0.02
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

_BUCKETS_A_SECOND = 10


@attrs.frozen
class RateLimit:
    """What is known beforehand of the limit on requests, and how long to wait for it.

    A client learns the limit from the server's 429 answers; this keeps to a known one so that there are none.

    :param requests: so many requests are sent at most, evenly spread, in each `per` seconds. ``None`` when the limit is not known.
    :param per: seconds.
    :param max_wait: seconds that one request waits for limits in all, before it ends in a `RateLimitError`; ``None`` for as long as it
        takes.
    :raises ConfigurationError: a value cannot work.
    """

    requests: float | None = None
    per: float = attrs.field(default=1.0, kw_only=True)
    max_wait: float | None = attrs.field(default=300.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.requests is not None and not self.requests > 0:
            raise ConfigurationError(f"requests of a RateLimit must be above 0, not {self.requests!r}")
        if not self.per > 0:
            raise ConfigurationError(f"per of a RateLimit must be above 0 seconds, not {self.per!r}")
        if self.max_wait is not None and not self.max_wait >= 0:
            raise ConfigurationError(f"max_wait of a RateLimit must be 0 seconds or more, not {self.max_wait!r}")


class Pacer:
    """When the next request may leave. All times are in seconds of one clock.

    Nothing is held back until the first 429, unless a limit is known. A 429 pauses everything until the time that the server gave. After
    it requests leave one by one at the pace at which they succeeded before; while that goes well the pace grows slowly (additive
    increase), and the next 429 cuts it (multiplicative decrease). Answers to requests that left before a pause tell nothing new. Refusals
    that have nothing to do with the pace do not hold it down for long.
    """

    def __init__(self, limit: RateLimit) -> None:
        # A turn may be taken late but not lost, so a span may hold the turns of a little before it: the spacing makes up for that.
        self._slack = min(_SLACK, limit.per * _SLACK_OF_A_SPAN)
        self._most = None if limit.requests is None else limit.requests / (limit.per + self._slack)
        self.rate = self._most
        """Requests a second; ``None`` for no bound."""
        self.paused_until = 0.0
        self._next = 0.0
        self._resumed_at = 0.0  # when the present pace began
        self._refused_at: float | None = None  # when the pause began whose pace is not set yet
        self._pauses = 0  # in a row, without a success between
        self._aim = 0.0  # just below the pace that was too fast last
        self._history: deque[tuple[int, int]] = deque(maxlen=_HISTORY)  # answers that passed and that did not, for each pause
        self._passed = 0  # answers at the present pace and in the pause after it
        self._refused = 0
        self._buckets: deque[list[int]] = deque()

    def delay(self, now: float) -> float:
        """Seconds until the next request may leave; 0 when it may leave now."""
        if now < self.paused_until:
            return self.paused_until - now
        if self._refused_at is not None:
            self._resume(self._refused_at, now)
        return 0.0 if self.rate is None else max(self._next - now, 0.0)

    def take(self, now: float) -> None:
        """Take note that a request leaves, which `delay` allowed."""
        rate = self.rate
        if rate is None:
            return
        self._next = max(self._next, now - self._slack) + 1 / rate
        if self._most is None or rate < self._most:
            if rate < self._aim:
                grown = min(rate + _RETURN, self._aim)
            else:
                grown = rate + _GROWTH * 2 ** min((now - self._resumed_at) / _GROWTH_DOUBLES, 30.0)
            self.rate = grown if self._most is None else min(grown, self._most)

    def passed(self, now: float) -> None:
        """Take note of an answer that was not 429."""
        self._pauses = 0
        self._passed += 1
        bucket = int(now * _BUCKETS_A_SECOND)
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1][1] += 1
            return
        self._buckets.append([bucket, 1])
        while self._buckets[0][0] < bucket - _LONGEST_PAUSE * _BUCKETS_A_SECOND:
            self._buckets.popleft()

    def refused(self, left_at: float, retry_after: float | None, now: float) -> float:
        """Take note of a 429 to a request that left at `left_at`, and give the seconds of the pause that follows.

        :param retry_after: seconds that the server asks to wait, ``None`` when it does not say.
        """
        if left_at < self._resumed_at:
            return max(self.paused_until - now, 0.0)
        self._refused += 1
        if self._refused_at is None:
            self._refused_at = now
            self._pauses += 1
        # Without a word from the server, and with a word that did not help, each further pause is twice as long.
        own = min(_FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 10), _LONGEST_PAUSE)
        if retry_after is None:
            pause = own
        else:
            pause = min(max(retry_after, own / 8 if self._pauses > 1 else _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self.paused_until = max(self.paused_until, now + pause)
        return self.paused_until - now

    def _resume(self, refused_at: float, now: float) -> None:
        if self.rate is None:
            self.rate = self._guess(refused_at, now)
        else:
            self._aim = self.rate * _EASE
            self.rate = max(self._adapted(self.rate, refused_at - self._resumed_at, now), _SLOWEST / max(now - refused_at, 1.0))
        self._refused_at = None
        self._resumed_at = now
        self._next = now
        self._passed = self._refused = 0

    def _adapted(self, rate: float, lasted: float, now: float) -> float:
        """The pace that follows one that went so many seconds without a 429."""
        self._history.append((self._passed, self._refused))
        share = sum(refused for _, refused in self._history) / sum(passed + refused for passed, refused in self._history)
        if len(self._history) == _HISTORY and _FEWEST < share < _FEW:
            return min(rate * _RECOVERY, max(rate, 2 * self._passed / lasted))  # no more than can be made use of
        if lasted >= max(_WELL, 3 / rate):
            return rate * _EASE
        return max(self._passed / (now - self._resumed_at) * _MARGIN, rate * _DEEPEST_CUT)

    def _guess(self, refused_at: float, now: float) -> float:
        """The pace at which requests succeeded before the first pause, over as long a time as the pause itself."""
        span = max(now - refused_at, 1.0)
        since = int((refused_at - span) * _BUCKETS_A_SECOND)
        passed = sum(number for bucket, number in self._buckets if bucket >= since)
        return passed / span * _MARGIN if passed >= _TELLING else _GUESS
