"""What the database of a campaign says of its course, to those who watch it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ..._core.masking import mask
from ..case import NOBODY, on_day
from ..contact import Contact
from ..report import Record
from ..rules import Rules
from .day import Day
from .format import case_from
from .tables import attempts, campaigns, contacts

__all__ = ["View"]

_MINUTE = 60.0
_BRIEF = 10.0  # seconds over which a pace is taken at least
_DAYS = 3 * 86400.0  # seconds within which a day lies that has begun, wherever
_RINGING = 60.0  # seconds that a call takes at most beside those for which it is connected
_LATELY = 200  # calls that say how long the next ones take


class View:
    """What the database of a campaign says of its course. Nothing is written."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def records(self) -> Iterator[Record]:
        """The attempts that were sent, one by one, in no order."""
        same: dict[tuple[str, ...], tuple[str, ...]] = {}
        query = _records().where(attempts.c.sent_at.is_not(None))
        for row in self._connection.execution_options(yield_per=1000).execute(query):
            yield _record(row, same)

    def last(self, count: int) -> list[Record]:
        """The attempts that ended last, the newest first."""
        query = _records().where(attempts.c.settled_at.is_not(None), attempts.c.sent_at.is_not(None))
        return [_record(row, {}) for row in self._connection.execute(query.order_by(attempts.c.settled_at.desc()).limit(count))]

    def next_due(self) -> float | None:
        """When the next contact may be called; ``None`` if nobody waits."""
        return self._connection.execute(sa.select(sa.func.min(contacts.c.waits_until))).scalar()

    def caps(self, rules: Rules, now: float) -> list[str]:
        """The rules by which no more calls are placed on this day, though somebody waits, in words."""
        day = Day.at(now, self._connection.execute(sa.select(campaigns.c["day"], campaigns.c.calls, campaigns.c.usage)).one(), rules)
        told: list[str] = []
        if day.is_full():
            told.append(f"calls_per_day: the campaign has placed its {rules.calls_per_day:,} calls of the day")
        told += [
            f"per_day of a number: {mask(number.number)} has placed its {number.per_day:,} calls of the day"
            for number in day.numbers
            if number.per_day is not None and day.by_number.get(number.number, 0) >= number.per_day
        ]
        called = sa.select(attempts.c.contact_id).where(
            attempts.c.sent_at > now - _DAYS, attempts.c.result.is_(None) | attempts.c.result.not_in(NOBODY)
        )
        often = called.group_by(attempts.c.contact_id).having(sa.func.count() >= rules.per_day)
        query = sa.select(contacts.c["case"]).where(contacts.c.waits_until > now, contacts.c.id.in_(often))
        rows = self._connection.execution_options(yield_per=1000).execute(query)
        cases = (case_from(row[0]) for row in rows)
        if count := sum(any(on_day(case, name, now) >= rules.per_day for name in case.contact.zones) for case in cases):
            most = "the one call" if rules.per_day == 1 else f"the {rules.per_day:,} calls"
            told.append(f"per_day: {count:,} of those that wait have had {most} that a contact gets on one day")
        return told

    def pace(self, now: float) -> float:
        """Calls that were sent a second, over the last minute."""
        query = sa.select(sa.func.count(), sa.func.min(attempts.c.sent_at)).where(attempts.c.sent_at > now - _MINUTE)
        count, first = self._connection.execute(query).one()
        return count / max(now - first, _BRIEF) if count else 0.0

    def course(self) -> tuple[float | None, float]:
        """Seconds from the sending of a call to its end, by the last ones, and the share of calls that another one follows."""
        lasted = sa.select(attempts.c.settled_at - attempts.c.sent_at, attempts.c.duration_ms).where(
            attempts.c.settled_at.is_not(None), attempts.c.call_id.is_not(None)
        )
        rows = self._connection.execute(lasted.order_by(attempts.c.settled_at.desc()).limit(_LATELY))
        # One that ended while no process ran was settled long after that.
        seconds = [min(took, (duration_ms or 0.0) / 1000 + _RINGING) for took, duration_ms in rows]
        settled = self._connection.execute(sa.select(sa.func.count()).where(attempts.c.settled_at.is_not(None))).scalar_one()
        ended = self._connection.execute(sa.select(sa.func.count()).where(contacts.c.end.is_not(None))).scalar_one()
        return sum(seconds) / len(seconds) if seconds else None, 1 - min(ended / settled, 1.0) if ended and settled else 0.0

    def refusals(self) -> list[tuple[str, int]]:
        """What the API said of contacts that it refused, each with how many there are, the most first."""
        if not any(column["name"] == attempts.c.text.name for column in sa.inspect(self._connection).get_columns(attempts.name)):
            return []  # a former version made it
        count = sa.func.count(sa.distinct(attempts.c.contact_id))
        query = sa.select(attempts.c.text, count).join(contacts, contacts.c.id == attempts.c.contact_id)
        query = query.where(contacts.c.end == "refused", attempts.c.text.is_not(None)).group_by(attempts.c.text)
        return [(text, many) for text, many in self._connection.execute(query.order_by(count.desc(), attempts.c.text))]

    def waiting(self) -> Iterator[tuple[Contact, float]]:
        """Contacts that wait, each with the moment before which it is not called, one by one."""
        query = sa.select(contacts.c["case"], contacts.c.waits_until).where(contacts.c.waits_until.is_not(None))
        for row in self._connection.execution_options(yield_per=1000).execute(query):
            yield case_from(row.case).contact, row.waits_until


def _records() -> sa.Select[Any]:
    columns = [attempts.c[name] for name in ("key", "from_number", "sent_at", "result", "duration_ms", "cents")]
    return sa.select(*columns, contacts.c.number, contacts.c["case"]).join(contacts, contacts.c.id == attempts.c.contact_id)


def _record(row: Any, same: dict[tuple[str, ...], tuple[str, ...]]) -> Record:
    """:param same: zones that records share."""
    zones = tuple(json.loads(row.case)["contact"]["zones"])
    return Record(
        key=row.key,
        number=row.number,
        zones=same.setdefault(zones, zones),
        from_number=row.from_number,
        at=row.sent_at,
        result=row.result,
        duration_ms=row.duration_ms,
        cents=row.cents,
    )
