"""What a campaign knows, in its database. Each function is one transaction."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, Literal

import attrs
import sqlalchemy as sa

from ..._core.errors import ConfigurationError
from ..calls import request_of
from ..case import Case, Result, begin, dialled, due, objection, settled
from ..contact import Contact
from ..hours import day_in, next_day
from ..numbers import Usage, choose, used
from ..settings import Settings
from .format import FORMAT, case_from, case_text, settings_from, settings_text

__all__ = ["Intent", "Status", "Store"]

Status = Literal["running", "paused", "cancelled", "done"]

_tables = sa.MetaData()
_campaign = sa.Table(
    "retell_campaign",
    _tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("token", sa.String, nullable=False),  # so that another campaign of this name has other keys
    sa.Column("serial", sa.Integer, nullable=False, default=0),  # of attempts, which are never counted back
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False, default=""),
    sa.Column("begun_at", sa.Float, nullable=False),
    sa.Column("day", sa.String, nullable=False, default=""),
    sa.Column("calls", sa.Integer, nullable=False, default=0),
    sa.Column("usage", sa.Text, nullable=False, default="{}"),
)
_contact = sa.Table(
    "retell_contact",
    _tables,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("number", sa.String, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),  # among the contacts
    sa.Column("case", sa.Text, nullable=False),
    sa.Column("waits_until", sa.Float),  # null while a call goes on, and at the end
    sa.Column("end", sa.String),
    sa.Index("retell_contact_waits", "waits_until"),
)
_attempt = sa.Table(
    "retell_attempt",
    _tables,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("contact_id", sa.String, nullable=False),
    sa.Column("from_number", sa.String, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("sent_at", sa.Float),  # when it was sent first: written before it is
    sa.Column("call_id", sa.String),
    sa.Column("result", sa.String),  # null while it goes on
    sa.Column("duration_ms", sa.Float),
    sa.Column("cents", sa.Float),
    sa.Column("settled_at", sa.Float),
    sa.Index("retell_attempt_open", "result"),
    sa.Index("retell_attempt_sent", "sent_at"),
    sa.Index("retell_attempt_settled", "settled_at"),
)
_dnc = sa.Table("retell_do_not_call", _tables, sa.Column("number", sa.String, primary_key=True))

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_SOON = 1.0  # seconds for which a call waits for its number in the queue


@attrs.frozen
class Intent:
    """A call that is to be placed, and all that decides how."""

    key: str
    at: float
    """When its number may place it, as Unix time in seconds."""


class Store:
    """The tables of one campaign."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()  # one writes at a time, and the others wait here and not in the database
        _tables.create_all(engine)

    @contextmanager
    def _writing(self) -> Generator[sa.Connection]:
        with self._lock, self._engine.connect() as connection:
            connection.execute(sa.text("BEGIN IMMEDIATE"))  # else two who read before they write may deadlock
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def reading(self) -> Generator[sa.Connection]:
        """A connection for those who only read."""
        with self._engine.connect() as connection:
            yield connection

    def make(self, name: str, settings: Settings, contacts: Iterable[Contact], do_not_call: Iterable[str], now: float) -> None:
        """Write a new campaign with its contacts.

        :raises ConfigurationError: there is one already, or it has no name that can be part of a key.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"the name of a campaign must be 1 to 60 letters, digits, '_' and '-', not {name!r}")
        with self._writing() as connection:
            if connection.execute(sa.select(_campaign.c.name)).first() is not None:
                raise ConfigurationError("there is a campaign in this database already")
            row = {
                "name": name,
                "token": token_hex(6),
                "format": FORMAT,
                "settings": settings_text(settings),
                "status": "paused",
                "begun_at": now,
            }
            connection.execute(sa.insert(_campaign).values(**row))
            for number in do_not_call:
                connection.execute(sa.insert(_dnc).values(number=number))
            batch: list[dict[str, Any]] = []
            for place, contact in enumerate(contacts):
                case = begin(contact, settings.rules, now)
                batch.append({"id": contact.id, "number": contact.number, "priority": contact.priority, "place": place, **_columns(case)})
                if len(batch) == 1000:
                    connection.execute(sa.insert(_contact), batch)
                    batch = []
            if batch:
                connection.execute(sa.insert(_contact), batch)

    def campaign(self) -> tuple[str, Settings, Status, str]:
        """Its name, settings, status, and why it has that.

        :raises ConfigurationError: there is none in this database.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_campaign)).first()
        if row is None:
            raise ConfigurationError("there is no campaign in this database")
        return row.name, settings_from(row.settings, row.format), row.status, row.note

    def set_status(self, status: Status, note: str = "", *, only_from: Status | None = None) -> bool:
        """Write how it is to go on; whether it was as it had to be."""
        with self._writing() as connection:
            change = sa.update(_campaign).values(status=status, note=note)
            if only_from is not None:
                change = change.where(_campaign.c.status == only_from)
            return connection.execute(change).rowcount > 0

    def next_intent(self, now: float) -> Intent | float | None:
        """Write down the next call that is to be placed now; else when there is one, or ``None`` if there is none any more."""
        with self._writing() as connection:
            row = connection.execute(sa.select(_campaign)).one()
            if row.status != "running":
                return None
            settings = settings_from(row.settings, row.format)
            rules = settings.rules
            today = day_in(rules.zone, now)
            usage = {number: Usage(**had) for number, had in json.loads(row.usage).items()}
            query = sa.select(_contact.c["case"]).where(_contact.c.waits_until <= now)
            query = query.order_by(_contact.c.priority.desc(), _contact.c.waits_until, _contact.c.place).limit(1)
            while True:
                text = connection.execute(query).scalar()
                if text is None:
                    return connection.execute(sa.select(sa.func.min(_contact.c.waits_until))).scalar()
                if rules.calls_per_day is not None and row.day == today and row.calls >= rules.calls_per_day:
                    return next_day(rules.zone, now)
                case = case_from(text)
                choice = choose(rules.numbers, usage, rules.zone, now, [attempt.from_number for attempt in case.attempts])
                if choice.at > now + _SOON:
                    return choice.at
                if self._objection(connection, case, settings, choice.at) is None:
                    break
                _write(connection, self._postponed(connection, case, settings, choice.at))
            number = choice.number.number
            key = f"{row.name}-{row.token}-{row.serial + 1}"
            request = request_of(case.contact, settings, number, key)
            values = {"key": key, "contact_id": case.contact.id, "from_number": number, "request": json.dumps(request), "at": choice.at}
            connection.execute(sa.insert(_attempt).values(**values))
            usage[number] = used(choice.number, usage.get(number, Usage()), rules.zone, choice.at)
            connection.execute(
                sa.update(_campaign).values(
                    usage=json.dumps({name: attrs.asdict(had) for name, had in usage.items()}),
                    serial=row.serial + 1,
                    day=today,
                    calls=(row.calls if row.day == today else 0) + 1,
                )
            )
            _write(connection, dialled(case, choice.at, number))
            return Intent(key, choice.at)

    def open_attempts(self) -> list[str]:
        """The keys of calls that are begun and not settled."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(_attempt.c.key).where(_attempt.c.result.is_(None))).scalars())

    def send(self, key: str, now: float) -> tuple[dict[str, Any], float | None] | None:
        """The request of an attempt, and when it was sent first, if that was before; ``None`` if it may not be sent now, and is taken back.

        That it is sent now is written before it is.
        """
        with self._writing() as connection:
            row, case, settings = self._attempt(connection, key)
            if row.sent_at is None:
                before = attrs.evolve(case, attempts=case.attempts[:-1], not_before=0.0)
                status = connection.execute(sa.select(_campaign.c.status)).scalar()
                if status != "running" or self._objection(connection, before, settings, now) is not None:
                    connection.execute(sa.delete(_attempt).where(_attempt.c.key == key))
                    _write(connection, self._postponed(connection, before, settings, now))
                    return None
                connection.execute(sa.update(_attempt).where(_attempt.c.key == key).values(sent_at=now))
            return json.loads(row.request), row.sent_at

    def placed(self, key: str, call_id: str) -> None:
        """Write which call an attempt is."""
        with self._writing() as connection:
            connection.execute(sa.update(_attempt).where(_attempt.c.key == key).values(call_id=call_id))

    def settle(self, key: str, result: Result, now: float, *, duration_ms: float | None = None, cents: float | None = None) -> None:
        """Write how an attempt ended, and what is next for its contact. Written again, it changes nothing."""
        with self._writing() as connection:
            row, case, settings = self._attempt(connection, key)
            if row.result is not None:
                return
            values = {"result": result.reason, "settled_at": now, "duration_ms": duration_ms, "cents": cents}
            connection.execute(sa.update(_attempt).where(_attempt.c.key == key).values(**values))
            case = settled(case, settings.rules, result, now)
            if case.end == "do_not_call" and not self._do_not_call(connection, case):
                connection.execute(sa.insert(_dnc).values(number=row.number))
            _write(connection, case)

    def contact_of(self, key: str) -> Contact:
        """Whom an attempt calls."""
        with self._engine.connect() as connection:
            return self._attempt(connection, key)[1].contact

    def pause(self, note: str) -> None:
        """Let it pause, if it runs, and write why."""
        self.set_status("paused", note, only_from="running")

    def retry(self, ends: Iterable[str], now: float) -> int:
        """Begin anew with contacts that ended so, with a new budget of attempts; how many there are."""
        with self._writing() as connection:
            row = connection.execute(sa.select(_campaign)).one()
            settings = settings_from(row.settings, row.format)
            cases = [
                case_from(text)
                for text in connection.execute(sa.select(_contact.c["case"]).where(_contact.c.end.in_(list(ends)))).scalars()
            ]
            for case in cases:
                # The calls that were stay where they are written; the new budget counts from here.
                _write(connection, begin(case.contact, settings.rules, now))
            if cases and row.status == "done":
                connection.execute(sa.update(_campaign).values(status="paused"))
            return len(cases)

    def counts(self) -> dict[str, int]:
        """How many contacts ended how, wait (``waiting``) or are being called (``live``)."""
        with self._engine.connect() as connection:
            live = _contact.c.end.is_(None) & _contact.c.waits_until.is_(None)
            state = sa.case((live, "live"), (_contact.c.end.is_(None), "waiting"), else_=_contact.c.end)
            rows = connection.execute(sa.select(state, sa.func.count()).group_by(state))
            return {row[0]: row[1] for row in rows}

    def attempts(self) -> list[dict[str, Any]]:
        """All attempts, in order of time."""
        with self._engine.connect() as connection:
            query = sa.select(_attempt, _contact.c.number, _contact.c.end).join(_contact, _contact.c.id == _attempt.c.contact_id)
            return [dict(row) for row in connection.execute(query.order_by(_attempt.c.at)).mappings()]

    def _attempt(self, connection: sa.Connection, key: str) -> tuple[Any, Case, Settings]:
        query = sa.select(_attempt, _contact.c["case"], _contact.c.number).join(_contact, _contact.c.id == _attempt.c.contact_id)
        row = connection.execute(query.where(_attempt.c.key == key)).one()
        campaign = connection.execute(sa.select(_campaign)).one()
        return row, case_from(row.case), settings_from(campaign.settings, campaign.format)

    def _objection(self, connection: sa.Connection, case: Case, settings: Settings, now: float) -> str | None:
        return objection(case, settings.rules, now, self._do_not_call(connection, case))

    def _do_not_call(self, connection: sa.Connection, case: Case) -> set[str]:
        return set(connection.execute(sa.select(_dnc.c.number).where(_dnc.c.number == case.contact.number)).scalars())

    def _postponed(self, connection: sa.Connection, case: Case, settings: Settings, now: float) -> Case:
        """The contact with the next moment at which it may be called, or ended if there is none."""
        if self._do_not_call(connection, case):
            return attrs.evolve(case, end="do_not_call")
        at = due(case, settings.rules, now)
        return attrs.evolve(case, end="expired") if at is None else attrs.evolve(case, not_before=at)


def _columns(case: Case) -> dict[str, Any]:
    waits = None if case.end is not None or case.is_live else case.not_before
    return {"case": case_text(case), "waits_until": waits, "end": case.end}


def _write(connection: sa.Connection, case: Case) -> None:
    connection.execute(sa.update(_contact).where(_contact.c.id == case.contact.id).values(**_columns(case)))
