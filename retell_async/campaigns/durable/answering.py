"""Connections to Postgres that do not wait for ever for one that stands still without a refusal, as on a frozen host."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

import attrs
import psycopg
from psycopg import errors, pq
from psycopg.waiting import Ready

__all__ = ["Connection", "Patience"]

T = TypeVar("T")

_HURRY = 2.0  # seconds for which one who leaves waits for an answer
_SILENT = 5.0  # seconds for which others who leave do not ask after that


class _SilentError(errors.ConnectionTimeout):
    """No answer came in time: it may be asked again, which DBOS does after this error."""


class _LeftError(psycopg.InterfaceError):
    """Who leaves does not ask one that is known not to answer. DBOS does not ask again after it."""


@attrs.define
class Patience:
    """How long an answer is waited for on the connections of a campaign.

    :param seconds: so long, by those who do not leave.
    """

    seconds: float
    _hurried_at: float = attrs.field(default=0.0, init=False)
    _calmed_at: float = attrs.field(default=-math.inf, init=False)
    """Who began to ask before this moment hurries."""
    _silent_until: float = attrs.field(default=0.0, init=False)

    def hurry(self) -> None:
        """From now on, wait for answers only as long as one who leaves does."""
        self._hurried_at, self._calmed_at = time.monotonic(), math.inf

    def calm(self) -> None:
        """Wait as long again as one does who stays: for what is asked from now on, as those who left may still be waiting."""
        self._calmed_at, self._silent_until = time.monotonic(), 0.0

    def within(self, asking: Generator[Any, Any, T], *, waits: Callable[[], bool] = lambda: True) -> Generator[Any, Any, T]:
        """What psycopg does on a connection, as long as answers come.

        :param waits: whether one is owed.
        """
        begun_at = heard_at = time.monotonic()
        if begun_at < min(self._calmed_at, self._silent_until):  # of many who leave, one may wait for the other
            raise _LeftError(_no_answer(_HURRY))
        try:
            wanted = next(asking)
            while True:
                ready = yield wanted
                if ready & Ready.R:
                    heard_at, self._silent_until = time.monotonic(), 0.0
                elif not ready and waits():
                    self._look(heard_at, begun_at)
                wanted = asking.send(ready)
        except StopIteration as over:
            return cast("T", over.value)

    def _look(self, heard_at: float, begun_at: float) -> None:
        """See whether an answer is still waited for that was asked for, and of which nothing came since."""
        now = time.monotonic()
        if begun_at >= self._calmed_at:
            if now - heard_at > self.seconds:
                raise _SilentError(_no_answer(self.seconds))
        elif now - max(heard_at, self._hurried_at) > _HURRY:
            if self._calmed_at == math.inf:
                self._silent_until = now + _SILENT
            raise _SilentError(_no_answer(_HURRY))


def _no_answer(seconds: float) -> str:
    return f"no answer within {seconds:g} s"


class Connection(psycopg.Connection[Any]):
    """A connection that is given up when the database does not answer in time. A subclass for each database says its patience."""

    patience: Patience

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return cls.patience.within(super()._connect_gen(*args, **kwargs))

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        try:
            return super().wait(self.patience.within(gen, waits=self._is_owed_an_answer), *args, **kwargs)
        except (_SilentError, _LeftError):
            self.close()  # what comes later would be taken for the answer to something else
            raise

    def _is_owed_an_answer(self) -> bool:
        """Whether a statement is under way: who listens to notifications waits for as long as there are none."""
        return self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE
