"""What a campaign knows, in its database. Each function may be repeated if it is not known whether it was done.

Each is one short transaction, or several of them where there is much to write, so that others write in between.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, Literal, TypeAlias

import attrs
import sqlalchemy as sa

from ..._core.errors import ConfigurationError
from ..._core.masking import mask
from ..._logs import Log
from ..calls import request_of
from ..case import Case, Result, begin, dialled, due, is_given_up, objection, renewed, settled
from ..contact import Contact
from ..hours import day_in
from ..numbers import Choice, Number, Usage, choose
from ..settings import Settings
from . import format as formats
from .database import Database
from .day import Day
from .tables import attempts, campaigns, contacts, do_not_call, tables, workers

__all__ = ["WAITS", "Begun", "Intent", "LeaseLost", "Nothing", "Status", "Store", "Stored", "Superseded", "Turn", "Wait"]

Status = Literal["running", "paused", "cancelled", "done"]
Stored: TypeAlias = Status | Literal["held"]
"""A status as it is written: ``held`` is paused too, by somebody, until it is resumed."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_SOON = 2.0  # seconds for which a call that is begun waits for its number at most: until then it takes the place of another
_BREATH = 0.02  # seconds from one of many transactions to the next, in which others may write
_POLL = 0.1  # seconds from one question to the next, where it is not known when there is room
_AHEAD = 1.0  # seconds by which what is written down may be later than it is now
_STARTING = 15.0  # seconds that a worker has before its first beat
_BATCH = 1000
_MOVED = 250  # contacts that are moved to their next hours in one transaction, which takes a moment
_ALL = 3  # requests of a number that has placed no call yet, refused alike, after which it is at fault, and no contact is
_ALIKE = 10  # the same, in a row, of one that has
WAITS = 4  # for each call that may be begun, so many may be over and wait for what their agents left

_logger = Log("retell_async")


class LeaseLost(Exception):
    """Others may have taken over what this worker did: it was not heard of for too long."""


class Superseded(Exception):
    """A later version of this package has brought the campaign to its own format."""


@attrs.frozen
class Intent:
    """A call that is to be placed."""

    key: str


@attrs.frozen
class Nothing:
    """There is no call to be placed now."""

    open: int
    """Calls that are begun and not settled."""
    at: float | None
    """Seconds until there is one; ``None`` if there is none any more, 0 if it is to be asked again at once."""


@attrs.frozen
class Begun:
    """A call that is begun and not settled."""

    key: str
    runs: int
    """How many workflows that followed it came to nothing."""
    from_number: str
    call_id: str | None
    sent_at: float | None


@attrs.frozen
class Turn:
    """Leave to send a request."""

    request: dict[str, Any]
    age: float | None
    """Seconds since it was sent first, if that was before, by the clock of the database; below 0 if that was set back."""
    may_dial: bool
    """Whether it may be sent again. Else it may only be looked for, since nobody may be called now."""
    worker: int
    tried_at: float | None
    """When it was sent last. Whoever has a later turn goes on with it alone."""


@attrs.frozen
class Wait:
    """There is no turn yet."""

    seconds: float


class Store:
    """The tables of one campaign.

    :param clock: what time it is, if not what the database says.
    """

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        self.database = database
        self._clock = clock
        self._lock = threading.Lock()  # one writes at a time, and the others wait here and not in the database
        self._read: tuple[str, int, Settings] | None = None  # the settings that were read last, and of what text in what format

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with self.database.fast.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self, *, durably: bool = False, alone: bool = True) -> Generator[tuple[sa.Connection, float]]:
        """A transaction, with the time in it.

        :param durably: it outlasts a power cut, with all that was written before it.
        :param alone: nobody else has one. Not needed for what changes one row by itself.
        """
        with self._lock, (self.database.durable if durably else self.database.fast).connect() as connection:
            if self.database.path is not None:
                connection.execute(sa.text("BEGIN IMMEDIATE"))
            elif alone:
                connection.execute(sa.select(campaigns.c.name).with_for_update())
            try:
                yield connection, self._now(connection)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _now(self, connection: sa.Connection) -> float:
        return self.database.now(connection) if self._clock is None else self._clock()

    def now(self) -> float:
        """What time it is."""
        with self._reading() as connection:
            return self._now(connection)

    def make(self, name: str, settings: Settings, people: Iterable[Contact], never: Iterable[str]) -> None:
        """Write a new campaign with its contacts.

        :raises ConfigurationError: there is one already, two contacts have one id, or it has no name that can be part of a key.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"the name of a campaign must be 1 to 60 letters, digits, '_' and '-', not {name!r}")
        self.database.prepare()
        tables.create_all(self.database.durable)
        with self._writing(durably=True) as (connection, now):
            if self.database.path is None:
                connection.execute(sa.text(f"LOCK TABLE {campaigns.name} IN EXCLUSIVE MODE"))
            if connection.execute(sa.select(campaigns.c.name)).first() is not None:
                raise ConfigurationError(
                    "there is a campaign in this database already: `retell-async campaign run` without contacts goes on with it"
                )
            row = {
                "name": name,
                "token": token_hex(6),
                "format": formats.FORMAT,
                "settings": formats.settings_text(settings),
                "status": "paused",
                "begun_at": now,
            }
            connection.execute(sa.insert(campaigns).values(**row))
            for number in set(never):
                connection.execute(sa.insert(do_not_call).values(number=number))
            batch: list[dict[str, Any]] = []
            ids: set[str] = set()
            for place, contact in enumerate(people):
                if contact.id in ids:
                    raise ConfigurationError(f"two contacts have one id: that of {contact!r}")
                ids.add(contact.id)
                case = begin(contact, settings.rules, now)
                batch.append({"id": contact.id, "number": contact.number, "place": place, **_columns(case)})
                if len(batch) == _BATCH:
                    connection.execute(sa.insert(contacts), batch)
                    batch = []
            if batch:
                connection.execute(sa.insert(contacts), batch)

    def campaign(self) -> tuple[str, Settings, Stored, str]:
        """Its name, settings, status, and why it has that.

        :raises ConfigurationError: there is none in this database, or a later version wrote it.
        """
        row = self._row()
        return row.name, self._settings(row), row.status, row.note

    def _row(self) -> Any:
        row = None
        if sa.inspect(self.database.fast).has_table(campaigns.name):
            with self._reading() as connection:
                row = connection.execute(sa.select(*_ROW)).first()
        if row is None:
            raise ConfigurationError("there is no campaign in this database")
        return row

    def _settings(self, row: Any) -> Settings:
        if self._read is None or self._read[:2] != (row.settings, row.format):
            self._read = row.settings, row.format, formats.settings_from(row.settings, row.format)
        return self._read[2]

    def set_status(self, status: Status, note: str = "", *, only_from: tuple[Stored, ...] = ()) -> bool:
        """Write how it is to go on; whether it was as it had to be."""
        with self._writing(durably=True) as (connection, _):
            row = connection.execute(sa.select(campaigns.c.status, campaigns.c.usage)).one()
            if only_from and row.status not in only_from:
                return False
            _set_status(connection, row, status, note)
            return True

    def note(self, text: str, *, over: str = "") -> None:
        """Write what holds it up while it runs.

        :param over: the note in whose place this one comes; any other stays.
        """
        with self._writing(alone=False) as (connection, _):
            is_it = (campaigns.c.note == over) & (campaigns.c.status == "running")
            connection.execute(sa.update(campaigns).where(is_it).values(note=text))

    def pause(self, note: str) -> None:
        """Let it pause, if it runs, and write why."""
        self.set_status("paused", note, only_from=("running",))

    def hold(self) -> None:
        """Let it pause, or stay so, until somebody resumes it."""
        with self._writing(durably=True) as (connection, _):
            row = connection.execute(sa.select(*_STATUS)).one()
            if row.status in {"running", "paused"}:
                _set_status(connection, row, "held", row.note if row.status == "paused" else "")

    def go_on(self) -> None:
        """Let it run, unless it is cancelled or somebody has paused it."""
        with self._writing(durably=True) as (connection, _):
            row = connection.execute(sa.select(*_STATUS)).one()
            if row.status not in {"cancelled", "held"}:
                _set_status(connection, row, "running", "")

    def finish(self) -> bool:
        """Write that it is done, if it runs and nobody is being called or waits; whether that is so."""
        with self._writing(durably=True) as (connection, _):
            running = connection.execute(sa.select(campaigns.c.status)).scalar_one() == "running"
            left = connection.execute(sa.select(contacts.c.id).where(contacts.c.end.is_(None)).limit(1)).first()
            if running and left is None:
                connection.execute(sa.update(campaigns).values(status="done", note=""))
            return running and left is None

    # Workers

    def enter(self, *, alone: bool) -> tuple[int, str]:
        """Bring the campaign to the format of this version, and give a worker the number that nobody had, with the campaign's token.

        :param alone: there is no other worker: those that are written down are dead.
        :raises ConfigurationError: a later version wrote it.
        """
        with self._writing(durably=True) as (connection, now):
            self._migrate(connection)
            row = connection.execute(sa.select(campaigns)).one()
            worker = row.workers + 1
            connection.execute(sa.update(campaigns).values(workers=worker))
            if alone:
                connection.execute(sa.delete(workers))
            connection.execute(sa.insert(workers).values(id=worker, beat_at=now + _STARTING))
            return worker, row.token

    def _migrate(self, connection: sa.Connection) -> None:
        row = connection.execute(sa.select(campaigns.c.format, campaigns.c.settings)).one()
        steps = list(formats.steps_from(row.format))
        if not steps:
            return
        settings = json.loads(row.settings)
        for step in steps:
            settings = step.settings(settings)
            for statement in step.tables:
                connection.execute(sa.text(statement))
        connection.execute(sa.update(campaigns).values(format=formats.FORMAT, settings=json.dumps(settings)))
        last = ""
        while True:
            query = sa.select(contacts.c.id, contacts.c["case"]).where(contacts.c.id > last).order_by(contacts.c.id).limit(_BATCH)
            rows = connection.execute(query).all()
            if not rows:
                return
            for id, text in rows:
                case = json.loads(text)
                for step in steps:
                    case = step.case(case)
                connection.execute(sa.update(contacts).where(contacts.c.id == id).values(case=json.dumps(case)))
            last = rows[-1][0]

    def beat(self, worker: int, lease: float) -> None:
        """Write that a worker is alive.

        :param lease: seconds after which others take over what one does that is not heard of.
        :raises LeaseLost: it was not heard of for so long.
        :raises Superseded: a later version goes on with it.
        """
        with self._writing(alone=False) as (connection, now):
            _check_format(connection.execute(sa.select(campaigns.c.format)).scalar_one())
            is_alive = (workers.c.id == worker) & (workers.c.beat_at > now - lease)
            if not connection.execute(sa.update(workers).where(is_alive).values(beat_at=now)).rowcount:
                raise LeaseLost
            connection.execute(sa.delete(workers).where(workers.c.beat_at <= now - lease))
            # Where the clock was ahead and was put right, nobody waits until it is as late as that again.
            for column, most in ((workers.c.beat_at, _STARTING), (attempts.c.answered_at, 0.0)):
                ahead = column > now + most + _AHEAD
                connection.execute(sa.update(column.table).where(ahead).values({column: now}))

    def alive(self, lease: float) -> list[int]:
        """The workers that are.

        :param lease: see `beat`.
        """
        with self._reading() as connection:
            is_alive = workers.c.beat_at > self._now(connection) - lease
            return list(connection.execute(sa.select(workers.c.id).where(is_alive)).scalars())

    def heard_ago(self) -> float | None:
        """Seconds since a worker was heard of; ``None`` if all that there were have left."""
        with self._reading() as connection:
            last = connection.execute(sa.select(sa.func.max(workers.c.beat_at))).scalar()
            return None if last is None else max(self._now(connection) - last, 0.0)

    def leave(self, worker: int) -> None:
        """Write that a worker is gone: others take over at once what it left."""
        with self._writing(alone=False) as (connection, _):
            connection.execute(sa.delete(workers).where(workers.c.id == worker))

    def _check_lease(self, connection: sa.Connection, worker: int, lease: float, now: float) -> None:
        beat_at = connection.execute(sa.select(workers.c.beat_at).where(workers.c.id == worker)).scalar()
        if beat_at is None or beat_at <= now - lease:
            raise LeaseLost

    # Attempts

    def next_intent(self, most: int) -> Intent | Nothing:
        """Write down the next call that is to be placed.

        :param most: so many calls are begun and not settled at most.
        """
        with self._reading() as connection:  # most who ask find nothing, and keep nobody from writing
            found = self._next(connection, self._now(connection), most)
            if isinstance(found, Nothing):
                return found
        with self._writing() as (connection, now):
            is_moved = False
            while True:
                found = self._next(connection, now, most)
                if isinstance(found, Nothing):
                    return found
                count, row, settings, case, choice = found
                if self._objection(connection, case, settings, choice.at) is None:
                    break
                if is_moved:  # there may be as many more as the campaign has: others are to write in between
                    return Nothing(count, 0.0)
                self._postpone(connection, settings, now, choice.at)
                is_moved = True
            number = choice.number.number
            # By chance too, so that a file that was put back to what it was some time ago gives nobody the key of a call to somebody else.
            key = f"{row.name}-{row.token}-{row.serial + 1}-{token_hex(6)}"
            request = request_of(case.contact, settings, number, key)
            values = {"key": key, "contact_id": case.contact.id, "from_number": number, "request": json.dumps(request), "at": choice.at}
            connection.execute(sa.insert(attempts).values(**values))
            connection.execute(sa.update(campaigns).values(serial=row.serial + 1))
            _write(connection, dialled(case, choice.at, number))
            return Intent(key)

    def _postpone(self, connection: sa.Connection, settings: Settings, now: float, at: float) -> None:
        """Have those of the next contacts wait who may not be called at a moment, which is to come soon."""
        texts = connection.execute(_due(now, contacts.c["case"]).limit(_MOVED)).scalars().all()
        cases = [formats.case_from(text) for text in texts]
        never = self._never(connection, *cases)
        _write(
            connection,
            *(self._postponed(case, settings, at, never) for case in cases if objection(case, settings.rules, at, never) is not None),
        )

    def _next(self, connection: sa.Connection, now: float, most: int) -> tuple[int, Any, Settings, Case, Choice] | Nothing:
        """Who is called next, from which number and when, with how many calls are begun and not settled."""
        row = connection.execute(sa.select(campaigns)).one()
        _check_format(row.format)
        settings = self._settings(row)
        rules = settings.rules
        day = Day.at(now, row, rules)
        counts = sa.select(sa.func.count(), sa.func.count(attempts.c.ended_at), sa.func.count(attempts.c.sent_at))
        count, over, sent = connection.execute(counts.where(attempts.c.result.is_(None))).one()
        if count - over >= most or count >= WAITS * most or row.status != "running" or not day.numbers:
            return Nothing(count, _POLL)
        first = connection.execute(sa.select(sa.func.min(contacts.c.waits_until))).scalar()
        if first is None or first > now:
            return Nothing(count, None if first is None else first - now)
        if day.is_full(more=count - sent):
            return Nothing(count, day.left)
        # With the format, which a later version may have changed since it was looked at.
        query = _due(now, contacts.c["case"], sa.select(campaigns.c.format).scalar_subquery().label("format"))
        found = connection.execute(query.limit(1)).first()
        if found is None:
            return Nothing(count, _POLL)  # somebody else was faster
        _check_format(found.format)
        case = formats.case_from(found.case)
        choice = choose(day.numbers, self._usage(connection, day), rules.zone, now, [attempt.from_number for attempt in case.attempts])
        if choice.at > now + _SOON:
            return Nothing(count, choice.at - now)
        return count, row, settings, case, choice

    def _usage(self, connection: sa.Connection, day: Day) -> dict[str, Usage]:
        """What the numbers have done today and are to do, and when each may place one more after those that wait for it."""
        waits = attempts.c.sent_at.is_(None)
        open_ = sa.select(
            attempts.c.from_number,
            sa.func.sum(sa.case((waits, 1), else_=0)),
            sa.func.sum(sa.case((~waits & attempts.c.answered_at.is_(None), 1), else_=0)),
        )
        rows = connection.execute(open_.where(attempts.c.result.is_(None)).group_by(attempts.c.from_number))
        counts: dict[str, tuple[int, int]] = {row[0]: (row[1], row[2]) for row in rows}
        today = day_in(day.rules.zone, day.moment)
        usage: dict[str, Usage] = {}
        for number in day.numbers:
            waiting, sent = counts.get(number.number, (0, 0))
            free_at = self._free_at(connection, number, day.moment, sent=sent > 0)
            calls = day.by_number.get(number.number, 0) + waiting
            usage[number.number] = Usage(free_at + waiting / number.per_second, today, calls)
        return usage

    def _free_at(self, connection: sa.Connection, number: Number, now: float, *, sent: bool) -> float:
        """When a number may place a call, as far as it has to wait for long: it places less than one a second.

        :param sent: it has sent a request that is not answered.
        """
        period = 1 / number.per_second
        if period <= 1:
            return now
        if sent:
            return now + period
        lately = (attempts.c.from_number == number.number) & attempts.c.answered_at.between(now - period, now)
        last = connection.execute(sa.select(sa.func.max(attempts.c.answered_at)).where(lately)).scalar()
        return now if last is None else last + period

    def open_attempts(self) -> list[Begun]:
        """Calls that are begun and not settled."""
        with self._reading() as connection:
            return [_begun(row) for row in connection.execute(sa.select(attempts).where(attempts.c.result.is_(None)))]

    def open_attempt(self, key: str) -> Begun | None:
        """A call that is begun; ``None`` if it is settled, or was taken back."""
        with self._reading() as connection:
            row = connection.execute(sa.select(attempts).where(attempts.c.key == key, attempts.c.result.is_(None))).first()
            return None if row is None else _begun(row)

    def renew(self, key: str, runs: int) -> None:
        """Write that the workflow of a call came to nothing, and that there is another."""
        with self._writing(alone=False) as (connection, _):
            is_it = (attempts.c.key == key) & (attempts.c.runs == runs) & attempts.c.result.is_(None)
            connection.execute(sa.update(attempts).where(is_it).values(runs=runs + 1))

    def turn(self, key: str, worker: int, *, lease: float, live: int, first: bool, stops: bool = False) -> Turn | Wait | None:
        """Leave for a worker to send an attempt now, which is written before it is sent; when it may ask again; ``None`` if it is not to.

        :param lease: see `beat`.
        :param live: so many calls there may be at once.
        :param first: the worker begins with it, whoever had it before.
        :param stops: the worker sends nothing that was not sent before.
        :raises LeaseLost: the worker was not heard of for too long.
        :raises Superseded: a later version goes on with it.
        """
        with self._reading() as connection:  # most who ask are to wait, and keep nobody from writing
            found = self._attempt(connection, key)
            is_taken_back = found is not None and stops and found[0].sent_at is None
            if found is not None and not is_taken_back and (seconds := self._pause(connection, found, live, self._now(connection))) > 0:
                return Wait(seconds)
        with self._writing(durably=True) as (connection, now):
            self._check_lease(connection, worker, lease, now)
            found = self._attempt(connection, key, alone=True)
            if found is None:
                return None
            row, case, settings = found
            if row.result is not None or row.call_id is not None or not (first or row.worker == worker):
                return None
            before = attrs.evolve(case, attempts=case.attempts[:-1], not_before=0.0)
            may_dial = row.status == "running" and self._objection(connection, before, settings, now) is None
            day, number = Day.at(now, row, settings.rules), _number(row, settings)
            is_counted = row.sent_at is not None and day_in(settings.rules.zone, row.tried_at) == day_in(settings.rules.zone, now)
            is_taken_back = stops and row.sent_at is None
            if may_dial and not is_taken_back and not is_counted and day.is_full_for(number):
                if day.left <= _SOON:
                    return Wait(day.left)
                may_dial = False
            if is_taken_back or (row.sent_at is None and (not may_dial or number not in day.numbers)):
                connection.execute(sa.delete(attempts).where(attempts.c.key == key))
                _write(connection, self._postponed(before, settings, now, self._never(connection, before)))
                return None
            values: dict[str, Any] = {"worker": worker}
            if may_dial:
                if (seconds := self._pause(connection, found, live, now)) > 0:
                    return Wait(seconds)
                values |= {"sent_at": now if row.sent_at is None else row.sent_at, "tried_at": now, "answered_at": None}
                if not is_counted:
                    day.count(number.number, now, 1)
                    connection.execute(sa.update(campaigns).values(**day.columns()))
                    _write(connection, dialled(before, now, number.number))
            connection.execute(sa.update(attempts).where(attempts.c.key == key).values(**values))
            age = None if row.sent_at is None else now - row.sent_at
            return Turn(json.loads(row.request), age, may_dial, worker, values.get("tried_at", row.tried_at))

    def _pause(self, connection: sa.Connection, found: tuple[Any, Case, Settings], live: int, now: float) -> float:
        """Seconds until a call may be sent: so that there are never more at once, nor more of a number in any second, as the server counts.

        It counts a call at some moment between the request and the answer, so each stands for the time from the one to a second after the
        other, which is taken to have come when the worker hears nothing for a second after the request left.
        """
        row, _, settings = found
        if row.status != "running":
            return 0.0  # nothing is sent
        others = attempts.c.key != row.key
        goes_on = attempts.c.result.is_(None) & attempts.c.ended_at.is_(None) & attempts.c.sent_at.is_not(None)
        count = sa.select(sa.func.count()).where(others, goes_on)
        if connection.execute(count).scalar_one() >= live:
            return _POLL
        number = _number(row, settings)
        most = max(1, math.floor(number.per_second))
        period = most / number.per_second
        counts = attempts.c.answered_at.is_(None) | (attempts.c.answered_at > now - period)
        is_of_number = (attempts.c.from_number == number.number) & attempts.c.tried_at.is_not(None)
        moments = list(connection.execute(sa.select(attempts.c.answered_at).where(others, counts, is_of_number)).scalars())
        over = len(moments) - most  # so many, and one more, are to be over first
        if over < 0:
            return 0.0
        answered = sorted(at for at in moments if at is not None)
        # Where it takes an answer that is not there, that counts for a whole period when it comes.
        return max(answered[over] + period - now, 0.001) if over < len(answered) else min(period / 4, 1.0)

    def refused(self, key: str, turn: Turn, answered_at: float) -> None:
        """Write that a request was not carried out, and may be sent again, unless somebody has had a later turn.

        :param answered_at: when that was answered, by the clock of the database, or somewhat later.
        """
        with self._writing() as (connection, now):
            values: dict[str, Any] = {"answered_at": min(answered_at, now)}
            if turn.age is None:
                values["sent_at"] = None
            changed = connection.execute(sa.update(attempts).where(_is_last(key, turn)).values(**values)).rowcount
            if changed and turn.age is None and (found := self._attempt(connection, key)) is not None:
                self._uncount(connection, found, now)

    def arrived(self, key: str, turn: Turn, at: float) -> None:
        """Write that the server has counted a request, as far as it does, though nothing more is known of it.

        :param at: see `refused`.
        """
        with self._writing(alone=False) as (connection, now):
            is_it = _is_last(key, turn) & attempts.c.answered_at.is_(None)
            connection.execute(sa.update(attempts).where(is_it).values(answered_at=min(at, now)))

    def ended(self, key: str) -> None:
        """Write that a call is over, of which more is to be known before it is settled."""
        with self._writing(alone=False) as (connection, now):
            is_it = (attempts.c.key == key) & attempts.c.ended_at.is_(None)
            connection.execute(sa.update(attempts).where(is_it).values(ended_at=now))

    def placed(self, key: str, call_id: str, answered_at: float) -> None:
        """Write which call an attempt is.

        :param answered_at: see `refused`.
        """
        with self._writing(alone=False) as (connection, now):
            connection.execute(sa.update(attempts).where(attempts.c.key == key).values(call_id=call_id, answered_at=min(answered_at, now)))

    def settle(
        self, key: str, result: Result, *, turn: Turn | None = None, duration_ms: float | None = None, cents: float | None = None
    ) -> None:
        """Write how an attempt ended, and what is next for its contact. Written again, it changes nothing.

        :param turn: of an attempt of which there is no call, as far as the one with this turn knows: whoever has a later one knows more.
        """
        with self._writing(alone=result.reason == "not_placed") as (connection, now):
            found = self._attempt(connection, key, alone=True)
            if found is None or found[0].result is not None:
                return
            row, case, settings = found
            if turn is not None and (row.call_id is not None or (row.worker, row.tried_at) != (turn.worker, turn.tried_at)):
                return
            values: dict[str, Any] = {"result": result.reason, "settled_at": now, "duration_ms": duration_ms, "cents": cents}
            values["text"] = result.text or None
            if row.answered_at is None:
                values["answered_at"] = now
            connection.execute(sa.update(attempts).where(attempts.c.key == key).values(**values))
            case = settled(case, settings.rules, result, now)
            if case.end == "do_not_call" and not self._never(connection, case):
                connection.execute(sa.insert(do_not_call).values(number=row.number, at=now))
            _write(connection, case)
            if result.reason == "not_placed":
                if row.sent_at is not None:
                    self._uncount(connection, found, now)
                if result.text and not result.opted_out:
                    self._blame(connection, found, result.text, now)

    def _uncount(self, connection: sa.Connection, found: tuple[Any, Case, Settings], now: float) -> None:
        """A request that was refused is no call of the day."""
        row, _, settings = found
        day = Day.at(now, connection.execute(sa.select(*_DAY)).one(), settings.rules)
        day.count(row.from_number, row.tried_at, -1)
        connection.execute(sa.update(campaigns).values(**day.columns()))

    def _blame(self, connection: sa.Connection, found: tuple[Any, Case, Settings], text: str, now: float) -> None:
        """Set a number aside if it is at fault, and not those whom it was to call: they begin again, with others that call."""
        row, _, settings = found
        number = row.from_number
        day = Day.at(now, connection.execute(sa.select(*_DAY)).one(), settings.rules)
        refused = {row.contact_id}
        if number not in day.aside:
            refused = self._refused_alike(connection, number, text)
            if row.status != "running" or not refused:
                return
            day.aside[number] = text
            left = len(day.numbers)
            note = "; ".join(
                f"{mask(each)} places no more calls, since the API refuses all of them: {why}" for each, why in day.aside.items()
            )
            _logger.warning("campaign: %s", note)
            values: dict[str, Any] = {**day.columns(), "note": note, "status": "running" if left else "paused"}
            connection.execute(sa.update(campaigns).values(**values))
        elif day.aside[number] != text:
            return
        for said in connection.execute(sa.select(contacts.c["case"]).where(contacts.c.id.in_(refused), contacts.c.end == "refused")).all():
            case = attrs.evolve(formats.case_from(said[0]), end=None, not_before=now)
            if not is_given_up(case):
                _write(connection, self._postponed(case, settings, now, self._never(connection, case)))

    def _refused_alike(self, connection: sa.Connection, number: str, text: str) -> set[str]:
        """The contacts whose calls from a number were refused last, all with the same words; none if they are too few to blame it."""
        of_number = attempts.c.from_number == number
        placed = sa.select(sa.func.max(attempts.c.tried_at)).where(of_number, attempts.c.call_id.is_not(None))
        placed_at = connection.execute(placed).scalar()
        query = sa.select(attempts.c.contact_id, attempts.c.result, attempts.c.text, attempts.c.tried_at)
        query = query.where(of_number, attempts.c.settled_at.is_not(None)).order_by(attempts.c.settled_at.desc()).limit(2 * _ALIKE)
        alike: set[str] = set()
        for row in connection.execute(query):
            if (row.result, row.text) != ("not_placed", text) or (placed_at is not None and row.tried_at <= placed_at):
                break
            alike.add(row.contact_id)
        return alike if len(alike) >= (_ALL if placed_at is None else _ALIKE) else set()

    # Those that are not called

    def forbid(self, numbers: Collection[str], *, told: bool = False) -> None:
        """Write that numbers are not called any more.

        :param told: those to be told of it know it.
        """
        given = list(dict.fromkeys(numbers))
        for first in range(0, len(given), _BATCH):
            batch = given[first : first + _BATCH]
            with self._writing(durably=True) as (connection, now):
                known = set(connection.execute(sa.select(do_not_call.c.number).where(do_not_call.c.number.in_(batch))).scalars())
                new = [{"number": number, "at": None if told else now} for number in batch if number not in known]
                if new:
                    connection.execute(sa.insert(do_not_call), new)

    def untold(self) -> list[str]:
        """Numbers that want no more calls, and of which nobody was told yet."""
        with self._reading() as connection:
            query = sa.select(do_not_call.c.number).where(do_not_call.c.told_at.is_(None), do_not_call.c.at.is_not(None))
            return list(connection.execute(query.order_by(do_not_call.c.at)).scalars())

    def told(self, number: str) -> None:
        """Write that those who are to be told of a number were."""
        with self._writing(durably=True) as (connection, now):
            connection.execute(sa.update(do_not_call).where(do_not_call.c.number == number).values(told_at=now))

    def contact_of(self, key: str) -> Contact:
        """Whom an attempt calls."""
        with self._reading() as connection:
            found = self._attempt(connection, key)
        assert found is not None  # noqa: S101 - what was sent is never taken back
        return found[1].contact

    def retry(self, ends: Iterable[str]) -> int:
        """Begin anew with contacts that ended so, with a new budget of attempts; how many there are."""
        count, last = 0, ""
        while True:
            with self._writing(durably=True) as (connection, now):
                self._migrate(connection)
                row = connection.execute(sa.select(campaigns)).one()
                if row.status == "cancelled":
                    raise ConfigurationError(f"the campaign {row.name} was cancelled: its contacts stay as they ended")
                settings = self._settings(row)
                query = sa.select(contacts.c["case"]).where(contacts.c.end.in_(list(ends)), contacts.c.id > last)
                texts = connection.execute(query.order_by(contacts.c.id).limit(_MOVED)).scalars().all()
                if not texts:
                    return count
                # The calls that were stay where they are written; the new budget counts from here.
                cases = [renewed(formats.case_from(text), settings.rules, now) for text in texts]
                _write(connection, *cases)
                if row.status == "done":
                    connection.execute(sa.update(campaigns).values(status="paused"))
            count, last = count + len(cases), cases[-1].contact.id
            time.sleep(_BREATH)

    def counts(self) -> dict[str, int]:
        """How many contacts wait, are on the line (``live``), were (and what came of it is not known: ``analyzing``), or ended how."""
        with self._reading() as connection:
            has_ends = connection.execute(sa.select(campaigns.c.format)).scalar_one() > 1
            goes_on = attempts.c.result.is_(None)
            sent = sa.select(sa.func.count(attempts.c.sent_at)).where(goes_on).scalar_subquery()
            over = sa.select(sa.func.count(attempts.c.ended_at)).where(goes_on).scalar_subquery() if has_ends else sa.literal(0)
            begun = contacts.c.end.is_(None) & contacts.c.waits_until.is_(None)
            state = sa.case((begun, "begun"), (contacts.c.end.is_(None), "waiting"), else_=contacts.c.end).label("state")
            rows = connection.execute(sa.select(state, sa.func.count(), sent, over).group_by(sa.text("state"))).all()
        found = {row[0]: row[1] for row in rows}
        if (count := found.pop("begun", 0)) > 0:
            sent, over = rows[0][2:]
            found["waiting"] = found.get("waiting", 0) + count - sent  # what was not sent is no call yet
            found |= {"live": sent - over, "analyzing": over}
        return {name: count for name, count in found.items() if count}

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts, in order of time."""
        with self._reading() as connection:
            there = {column["name"] for column in sa.inspect(connection).get_columns(attempts.name)}  # a former version may have made it
            columns = [column for column in attempts.c if column.name in there]
            query = sa.select(*columns, contacts.c.number, contacts.c.end).join(contacts, contacts.c.id == attempts.c.contact_id)
            return [{"text": None, **row} for row in connection.execute(query.order_by(attempts.c.at)).mappings()]

    def _attempt(self, connection: sa.Connection, key: str, *, alone: bool = False) -> tuple[Any, Case, Settings] | None:
        """An attempt, with how the campaign stands, its case and the settings.

        :param alone: nobody else changes it until the end of the transaction.
        """
        if alone:
            connection.execute(sa.select(attempts.c.key).where(attempts.c.key == key).with_for_update())
        campaign = sa.select(campaigns.c.status, campaigns.c.settings, campaigns.c.format, *_DAY).subquery()
        query = sa.select(attempts, contacts.c["case"], contacts.c.number, campaign).where(attempts.c.key == key)
        row = connection.execute(query.join(contacts, contacts.c.id == attempts.c.contact_id).join(campaign, sa.true())).first()
        if row is None:
            return None
        _check_format(row.format)
        return row, formats.case_from(row.case), self._settings(row)

    def _objection(self, connection: sa.Connection, case: Case, settings: Settings, now: float) -> str | None:
        return objection(case, settings.rules, now, self._never(connection, case))

    def _never(self, connection: sa.Connection, *cases: Case) -> Collection[str]:
        """Their numbers that are not called."""
        numbers = {case.contact.number for case in cases}
        return set(connection.execute(sa.select(do_not_call.c.number).where(do_not_call.c.number.in_(numbers))).scalars())

    def _postponed(self, case: Case, settings: Settings, now: float, never: Collection[str]) -> Case:
        """The contact with the next moment at which it may be called, or ended if there is none."""
        if case.contact.number in never:
            return attrs.evolve(case, end="do_not_call")
        at = due(case, settings.rules, now)
        return attrs.evolve(case, end="expired") if at is None else attrs.evolve(case, not_before=at)


_ROW = [campaigns.c[name] for name in ("name", "settings", "format", "status", "note")]
_STATUS = [campaigns.c[name] for name in ("status", "note", "usage")]
_DAY = [campaigns.c[name] for name in ("day", "calls", "usage")]


def _set_status(connection: sa.Connection, row: Any, status: Stored, note: str) -> None:
    values = {"status": status, "note": note}
    if status == "running":  # numbers that were set aside have another chance
        values["usage"] = json.dumps({number: had[:2] for number, had in json.loads(row.usage).items()})
    connection.execute(sa.update(campaigns).values(**values))


def _number(row: Any, settings: Settings) -> Number:
    return next(number for number in settings.rules.numbers if number.number == row.from_number)


def _is_last(key: str, turn: Turn) -> sa.ColumnElement[bool]:
    """An attempt of which there is no call, and nobody had a later turn."""
    is_it = (attempts.c.key == key) & attempts.c.call_id.is_(None) & attempts.c.result.is_(None)
    return is_it & (attempts.c.worker == turn.worker) & (attempts.c.tried_at == turn.tried_at)


def _check_format(format: int) -> None:
    if format != formats.FORMAT:
        raise Superseded(f"another process goes on with this campaign in a later version (format {format}, here {formats.FORMAT})")


def _begun(row: Any) -> Begun:
    return Begun(row.key, row.runs, row.from_number, row.call_id, row.sent_at)


def _columns(case: Case) -> dict[str, Any]:
    waits = None if case.end is not None or case.is_live else case.not_before
    # Of those with one priority, who asked for a call goes first, and who was called before those who were not.
    rank = 2 if case.promised else 1 if case.attempts else 0
    return {
        "case": formats.case_text(case),
        "waits_until": waits,
        "end": case.end,
        "priority": formats.RANKS * case.contact.priority + rank,
    }


def _write(connection: sa.Connection, *cases: Case) -> None:
    if cases:
        rows = [{"of": case.contact.id, **_columns(case)} for case in cases]
        connection.execute(sa.update(contacts).where(contacts.c.id == sa.bindparam("of")), rows)


def _due(now: float, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Those who are called next, the first of them first."""
    # "+ 0" has the database follow the order, and not sort all that are due to find the first of them.
    query = sa.select(*columns).where(contacts.c.waits_until.is_not(None), contacts.c.waits_until + 0 <= now)
    return query.order_by(contacts.c.priority.desc(), contacts.c.waits_until, contacts.c.place)
