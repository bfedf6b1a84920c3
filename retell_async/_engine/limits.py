"""How fast requests may leave: the arithmetic of rate limits, known and found out, without clocks and sockets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection

import attrs

from .._core.errors import ConfigurationError
from .._core.operation import Omit, omit
from .checks import is_number

__all__ = ["History", "Pacer", "RateLimit", "Turn", "is_about_the_account"]

DEFAULT_MAX_WAIT = 300.0

# How late a request may leave its turn unused without losing it, in seconds: timers are not exact.
_SLACK = 0.05
_SLACK_OF_A_SPAN = 0.02

# The server counts a request at some moment between its leaving and its answer. An answer that takes longer than this, in seconds, took
# its time at the server and not on the way there.
_LONGEST_WAY = 1.0
_CLOCKS_DIFFER = 0.002  # part of a window, and seconds

# What a first 429 is answered with: the pace of what succeeded just before it, less a little, since windows and clocks differ.
_MARGIN = 0.95
# Fewer answers than this tell little about a limit.
_TELLING = 3
# What a pace that went well for so many seconds and then was too fast is cut by.
_EASE = 0.92
_WELL = 3.0
# A pace that was too fast at once is cut to what passed, the pause included, but not by more than this at a time.
_DEEPEST_CUT = 0.3
# Refusals that come on however slow the pace are not for its sake. When over so many pauses the part of the requests that was refused
# stays between these, the pace rises again by this factor. A smaller part tells the same only if none of the paces went well for long: one
# that is cut to below a limit does.
_HISTORY = 5
_FEWEST = 0.03
_FEW = 0.25
_RECOVERY = 1.4
_LONG = 8.0  # seconds

# The pace grows by this part of itself a second, and twice as fast after each further while without a 429. Up to just below what was too
# fast last it returns sooner.
_RETURN = 0.3
_GROWTH = 0.005
_GROWTH_DOUBLES = 15.0  # seconds
_SLOWEST = 0.5  # requests a second, or in the time of a pause if that is longer
_NO_LIMIT = 10_000.0  # requests a second: a pace that grew to this holds nobody back

# After an outage the pace begins at this part of what it was, or with this many requests a second, and doubles each second until it is
# what it was.
_BEGINNING = 1 / 8
_FIRST_PACE = 1.0

_ROUNDING = 1e-9  # of a part of a limit: a hundredth of 2,900 is 28.999999999999996 if it is reckoned so

_SHORTEST_PAUSE = 0.02
_FIRST_PAUSE = 1.0
_LONGEST_OWN_PAUSE = 15.0
_LONGEST_PAUSE = 60.0

# So many requests may be under way at once before a full account is taken to have room again, and so many seconds after it last said no.
_ROOMY = 64
_ROOM_AGAIN = 60.0

_BUCKETS_A_SECOND = 10

# Refusals of so many seconds are of one time.
_ONE_TIME = 10.0


@attrs.frozen
class RateLimit:
    """What is known beforehand of a limit on requests, and how long to wait for limits.

    A client learns limits from the server's 429 answers; this keeps to a known one so that there are none. A request counts from the
    moment it leaves until it is answered (a second at most), since the server counts it at some moment between.

    :param requests: so many requests are sent at most, evenly spread, in any `per` seconds. No part of a request is sent: 2.5 a second are
        two in any second, 7.5 in 10 seconds are seven, and with less than one, 0.5 a second, it is one in any `per / requests` seconds.
        ``None`` when the limit is not known.
    :param per: seconds.
    :param max_wait: seconds that one request waits in all, for limits (it then ends in a `RateLimitError`) and for a free connection (in an
        `APITimeoutError`); ``None`` for as long as it takes, 0 to be told of each 429 at once, which bounds no wait for a connection. By
        default 300; in `rate_limits` by default that of the client's `rate_limit`.
    :raises ConfigurationError: a value cannot work.
    """

    requests: float | None = None
    per: float = attrs.field(default=1.0, kw_only=True)
    max_wait: float | Omit | None = attrs.field(default=omit, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.requests is not None and not is_number(self.requests, above=0):
            raise ConfigurationError(f"requests of a RateLimit must be above 0, not {self.requests!r}")
        if not is_number(self.per, above=0):
            raise ConfigurationError(f"per of a RateLimit must be a number of seconds above 0, not {self.per!r}")
        if not (self.max_wait is None or isinstance(self.max_wait, Omit) or self.max_wait == 0 or is_number(self.max_wait, above=0)):
            raise ConfigurationError(f"max_wait of a RateLimit must be a number of seconds, 0 or more, not {self.max_wait!r}")

    @property
    def rate(self) -> float:
        """Requests a second that are sent at most; infinite when the limit is not known."""
        if self.requests is None:
            return math.inf
        return (self.requests if self.requests < 1 else self.whole) / self.per

    @property
    def whole(self) -> int:
        """So many requests are sent at most in any `whole / rate` seconds."""
        return max(int((self.requests or 0) + _ROUNDING), 1)

    def __str__(self) -> str:
        return "no known limit" if self.requests is None else f"{self.requests:g} a {'second' if self.per == 1 else f'{self.per:g} s'}"


@attrs.define(eq=False)
class Turn:
    """A request that was let go, and when it was answered; ``None`` until then, and for one that was given up."""

    left_at: float
    done_at: float | None = None
    waits: bool = False
    """Whether it is not on its way yet: its connection is being made."""

    def leaves(self, now: float) -> None:
        """Take note that it is on its way."""
        self.waits = False
        self.left_at = now

    def arrived(self, answered: float) -> float:
        """The latest moment at which the server may have got it.

        :param answered: when its answer comes, at the earliest.
        """
        if self.done_at is not None:
            answered = self.done_at
        return answered if self.waits else min(answered, self.left_at + _LONGEST_WAY)


@attrs.define(eq=False)
class _Window:
    """So many seconds of which any holds so many requests at most, and the last of those requests."""

    number: int
    span: float
    turns: deque[Turn] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.turns = deque(maxlen=self.number)

    def until(self, answered: float) -> float:
        """When it has room, if what is under way is answered at this moment at the earliest."""
        if len(self.turns) < self.number:
            return 0.0
        return self.turns[0].arrived(answered) + self.span * (1 + _CLOCKS_DIFFER) + _CLOCKS_DIFFER

    def is_empty(self, now: float) -> bool:
        return all(turn.arrived(math.inf) + 2 * self.span < now for turn in self.turns)


class History:
    """How many requests of one kind passed lately, and when one was refused last."""

    def __init__(self) -> None:
        self.refused_at = -math.inf
        self._buckets: deque[list[int]] = deque()

    def was_refused_lately(self, now: float) -> bool:
        """Whether a 429 is of one time with one that comes now."""
        return self.refused_at > now - _ONE_TIME

    def refused(self, now: float) -> None:
        """Take note of a 429."""
        self.refused_at = now

    def passed(self, now: float) -> None:
        """Take note of an answer that was not 429."""
        bucket = int(now * _BUCKETS_A_SECOND)
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1][1] += 1
            return
        self._buckets.append([bucket, 1])
        while self._buckets[0][0] < bucket - _LONGEST_PAUSE * _BUCKETS_A_SECOND:
            self._buckets.popleft()

    def number_since(self, moment: float) -> int:
        """How many passed from then on, in the last minute."""
        first = int(moment * _BUCKETS_A_SECOND)
        number = 0
        for bucket, passed in reversed(self._buckets):
            if bucket < first:
                break
            number += passed
        return number


def is_about_the_account(histories: Collection[History], now: float) -> bool:
    """Whether a 429 that came now is for all that the account sends, and not for what one kind of request does.

    It is when different kinds are refused at one time, unless yet another kind passes meanwhile: a carrier that limits phone calls, and
    something that limits web calls, say nothing about reads. If reads are limited too, they will be refused in their turn.
    """
    refused = [history for history in histories if history.was_refused_lately(now)]
    return len(refused) > 1 and not any(history.number_since(now - _ONE_TIME) for history in histories if history not in refused)


class Pacer:
    """When the next request under one limit may leave. All times are in seconds of one clock.

    Nothing is held back until the first 429, unless a limit is known. A 429 pauses everything until the time that the server gave. After
    it requests leave one by one at the pace at which they succeeded before; while that goes well the pace grows slowly (additive
    increase), and the next 429 cuts it (multiplicative decrease). Answers to requests that left before a pause tell nothing new. Refusals
    that have nothing to do with the pace do not hold it down for long. While nothing passes at all, one request at a time asks whether
    it is over, and then the pace is soon what it was.

    An account that is full (`full`) has no pace: it is asked again, by one request and, while that goes well, by twice as many each time.

    :param histories: what passed before, of all kinds that are under this limit.
    """

    def __init__(self, limit: RateLimit, histories: Collection[History] = ()) -> None:
        self.limit = limit
        self._histories = histories
        self.rate: float | None = None
        """Requests a second; ``None`` for no bound."""
        self.paused_until = 0.0
        self._next = 0.0
        self._resumed_at = -math.inf  # when the present pace began
        self._refused_at: float | None = None  # when the pause began whose pace is not set yet
        self._found = False  # whether the pace was found out
        self._unclear_since: float | None = None  # when refusals began that did not tell a pace, and how many there were
        self._unclear = 0
        self._pauses = 0  # in a row, without a success between
        self._aim = 0.0  # just below the pace that was too fast last
        self._former: float | None = None  # the pace to return to soon, after nothing passed
        self._grown_at = 0.0
        self._outcomes: deque[tuple[int, int, float]] = deque(maxlen=_HISTORY)  # for each pause: passed, refused, how long it went well
        self._passed = 0  # answers at the present pace and in the pause after it
        self._refused = 0
        self._under_way = 0
        self._window: int | None = None  # so many may be under way at once
        self._full_at: float | None = None  # when the account said last that it is full
        self._times_full = 0  # in a row
        self._windows: list[_Window] = []  # of the limits that are known
        self._slack = _SLACK
        self._most: float | None = None
        self.know(limit)

    def know(self, limit: RateLimit) -> None:
        """Keep to this limit too from now on."""
        if limit.requests is None:
            return
        window = _Window(limit.whole, limit.whole / limit.rate)
        if not any((other.number, other.span) == (window.number, window.span) for other in self._windows):
            if self._windows:
                window.turns.extend(max(self._windows, key=lambda other: other.number).turns)
            self._windows.append(window)
        if self.limit.requests is not None and limit.rate > self.limit.rate:
            return
        self.limit = limit
        # Within a window requests are evenly spread; a turn that is taken late is not lost, which makes up for timers.
        self._slack = min(_SLACK, limit.per * _SLACK_OF_A_SPAN)
        self._most = limit.rate
        self.rate = self._most if self.rate is None else min(self.rate, self._most)

    def forget(self) -> None:
        """Drop the pace that was found out: it was for another limit's sake. A pause goes on to its end."""
        self.rate = self._most
        self._resumed_at = -math.inf
        self._found = False
        self._refused_at = self._unclear_since = self._former = self._window = self._full_at = None
        self._pauses = self._times_full = self._passed = self._refused = 0
        self._outcomes.clear()

    def abandon(self, now: float) -> None:
        """Take note that whatever is under way will never be answered: its event loop or its process is gone."""
        self._under_way = 0
        for window in self._windows:
            for turn in window.turns:
                if turn.waits:
                    turn.leaves(now)

    def is_open(self) -> bool:
        """Whether nobody has to wait, so that no turn need be taken."""
        return self.rate is None and self._window is None and self._refused_at is None and self.paused_until == 0.0

    def least(self, now: float, ahead: int = 0) -> float:
        """Seconds that the next request waits at the least, whatever comes: for the end of a pause, or for a limit that is known.

        :param ahead: how many go before it.
        """
        queue = 0.0 if self._most is None else ahead / self._most
        return max(self.paused_until - now, self._until(answered=now) - now, 0.0) + queue

    def is_blank(self, now: float) -> bool:
        """Whether a new one would do the same."""
        learned = self.rate != self._most or self._window is not None or self._refused_at is not None
        return not (learned or self._under_way or self.counts(now) or self.paused_until > now)

    def counts(self, now: float) -> bool:
        """Whether requests that were sent count in a limit that is known."""
        return not all(window.is_empty(now) for window in self._windows)

    def delay(self, now: float, *, found: bool = True) -> float:
        """Seconds until the next request may leave, if no answer comes meanwhile; 0 when it may leave now.

        :param found: keep to the pace that was found out too, and not only to pauses and to a limit that is known.
        """
        if now < self.paused_until:
            return self.paused_until - now
        if self._refused_at is not None:
            self._resume(self._refused_at, now)
        elif self._window is not None and self._full_at is not None and self._under_way == 0 and now > self._full_at + _ROOM_AGAIN:
            self._room_again()
        elif self.rate is None and self._window is None:
            self.paused_until = 0.0
        wait = max(self._until(answered=math.inf) - now, 0.0)
        if not found:
            return wait
        if self._window is not None and self._under_way >= self._window:
            return math.inf
        return wait if self.rate is None else max(wait, self._next - now)

    def _until(self, *, answered: float) -> float:
        """When the server has room under the limits that are known, if what is under way is answered at this moment at the earliest."""
        return max((window.until(answered) for window in self._windows), default=0.0)

    def take(self, now: float) -> Turn:
        """Take note that a request leaves, which `delay` allowed. `done` must follow."""
        turn = Turn(now)
        self._under_way += 1
        for window in self._windows:
            window.turns.append(turn)
        if self.rate is not None:
            self._next = max(self._next, now - self._slack) + 1 / self.rate
            self._grow(now, self.rate)
        return turn

    def _grow(self, now: float, rate: float) -> None:
        if self._former is not None:
            rate = min(rate * 2 ** min(now - self._grown_at, 2 / rate, 10.0), self._former)  # while it is made use of
            if rate == self._former:
                self._former = None
        elif rate < self._aim:
            rate = min(rate + _RETURN, self._aim)
        else:
            rate += _GROWTH * 2 ** min((now - self._resumed_at) / _GROWTH_DOUBLES, 30.0)
        self._grown_at = now
        if self._most is not None:
            self.rate = min(rate, self._most)
        elif rate < _NO_LIMIT:
            self.rate = rate
        else:
            self.rate = self._former = None
            self._found = False
            self.paused_until = 0.0

    def done(self, turn: Turn, now: float | None) -> None:
        """Take note that a request was answered or did not leave, or was given up: then there is no time of its arrival."""
        turn.done_at = now
        turn.waits = False
        self._under_way -= 1

    def passed(self, left_at: float, now: float) -> None:
        """Take note of an answer that was not 429 to a request that left at `left_at`."""
        self._passed += 1
        if left_at < self._resumed_at or self._refused_at is not None:
            return
        self._pauses = 0
        if self._window is None or (self._full_at is not None and left_at < self._full_at):
            return
        if self._full_at is None and self._former is not None:
            self._return(self._former, now)
        else:
            self._times_full = 0
            self._window *= 2
            if self._window > _ROOMY:
                self._room_again()

    def _room_again(self) -> None:
        self._window = self._full_at = self._unclear_since = None
        if self.rate is None and self._refused_at is None:
            self.paused_until = 0.0

    def _return(self, former: float, now: float) -> None:
        """Nothing had passed, and now something did: go back to the former pace, soon and not at once."""
        self._window = None
        start = min(max(former * _BEGINNING, _FIRST_PACE), former)
        self.rate = start if self._most is None else min(start, self._most)
        self._grown_at = self._next = self._resumed_at = now

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
        return self._pause(retry_after, self._pauses, now)

    def full(self, left_at: float, retry_after: float | None, now: float) -> float:
        """Take note that a request that left at `left_at` was refused since the account has too much going on, and give the pause."""
        if self._full_at is not None and left_at < self._full_at:
            return max(self.paused_until - now, 0.0)
        self._full_at = now
        self._times_full += 1
        self._window = 1
        return self._pause(retry_after, self._times_full, now)

    def _pause(self, retry_after: float | None, number: int, now: float) -> float:
        # Without a word from the server, and with a word that did not help, each further pause is twice as long.
        own = min(_FIRST_PAUSE * 2.0 ** min(number - 1, 10), _LONGEST_OWN_PAUSE)
        if retry_after is None:
            pause = own
        else:
            pause = min(max(retry_after, own / 8 if number > 1 else _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self.paused_until = max(self.paused_until, now + pause)
        return self.paused_until - now

    def _resume(self, refused_at: float, now: float) -> None:
        pace = self.rate
        ended = min(self.paused_until, now)  # what comes after it, nobody may have wanted anything
        if not self._found:
            pace = self._guess(refused_at, ended)
            self._found = pace is not None
            self._window = None if self._found else 1
        elif not self._passed and self._refused:
            # The former pace is that before the first pause in which nothing passed.
            if self._former is None and pace is not None:
                self._former = pace
            self._window = 1
        elif pace is not None:
            self._former = None
            self._aim = pace * _EASE
            pace = max(self._adapted(pace, refused_at - self._resumed_at, ended), _SLOWEST / max(ended - refused_at, 1.0))
        if self._most is not None:
            pace = self._most if pace is None else min(pace, self._most)
        self.rate = pace
        self._refused_at = None
        self._resumed_at = self._grown_at = self._next = now
        self._passed = self._refused = 0

    def _adapted(self, rate: float, lasted: float, now: float) -> float:
        """The pace that follows one that went so many seconds without a 429."""
        self._outcomes.append((self._passed, self._refused, lasted))
        share = sum(refused for _, refused, _ in self._outcomes) / sum(passed + refused for passed, refused, _ in self._outcomes)
        fewest = _FEWEST if any(lasted > _LONG for *_, lasted in self._outcomes) else 0.0
        if len(self._outcomes) == _HISTORY and fewest < share < _FEW:
            made_use_of = 2 * self._passed / lasted if lasted else math.inf  # a refusal may come at once
            return min(rate * _RECOVERY, max(rate, made_use_of))
        if lasted >= max(_WELL, 3 / rate):
            return rate * _EASE
        return max(self._passed / (now - self._resumed_at) * _MARGIN, rate * _DEEPEST_CUT)

    def _guess(self, refused_at: float, now: float) -> float | None:
        """The pace at which requests succeeded before the first pause, over as long a time as that; ``None`` if too few did to tell."""
        span = max(now - refused_at, 1.0)
        passed = sum(history.number_since(refused_at - span) for history in self._histories)
        if passed >= _TELLING or (passed and self._refused >= _TELLING):
            return passed / span * _MARGIN
        # One refusal may be chance. When more follow, what passed since the first of them tells.
        if self._unclear_since is None:
            self._unclear_since, self._unclear = refused_at, 0
        self._unclear += 1
        passed = sum(history.number_since(self._unclear_since) for history in self._histories)
        return passed / (now - self._unclear_since) * _MARGIN if self._unclear >= _TELLING <= passed else None
