"""The tables of a campaign. A change here is another format: see `format`."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["attempts", "campaigns", "contacts", "do_not_call", "tables", "workers"]

tables = sa.MetaData()

campaigns = sa.Table(  # of which there is one
    "retell_campaign",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("token", sa.String, nullable=False),  # so that another campaign of this name has other keys
    sa.Column("serial", sa.Integer, nullable=False, default=0),  # of attempts, which are never counted back
    sa.Column("workers", sa.Integer, nullable=False, default=0),  # there were so far, which are never counted back either
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False, default=""),
    sa.Column("begun_at", sa.Float(53), nullable=False),
    sa.Column("day", sa.String, nullable=False, default=""),
    sa.Column("calls", sa.Integer, nullable=False, default=0),  # that were sent on that day
    sa.Column("usage", sa.Text, nullable=False, default="{}"),  # of the numbers: the day, their calls on it, and why one is set aside
)
contacts = sa.Table(
    "retell_contact",
    tables,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("number", sa.String, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),  # and among those with the same one, who goes first
    sa.Column("place", sa.Integer, nullable=False),  # among the contacts
    sa.Column("case", sa.Text, nullable=False),
    sa.Column("waits_until", sa.Float(53)),  # null while a call goes on, and at the end
    sa.Column("end", sa.String),
    sa.Index("retell_contact_waits", "waits_until"),
)
attempts = sa.Table(
    "retell_attempt",
    tables,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("contact_id", sa.String, nullable=False),
    sa.Column("from_number", sa.String, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("runs", sa.Integer, nullable=False, default=0),  # workflows that came to nothing
    sa.Column("worker", sa.Integer),  # who works on it: nobody else may send it
    sa.Column("sent_at", sa.Float(53)),  # when it was sent first: written before it is
    sa.Column("tried_at", sa.Float(53)),  # when it was sent last, likewise
    sa.Column("answered_at", sa.Float(53)),  # when that was answered; null while the server may count it at any moment
    sa.Column("call_id", sa.String),
    sa.Column("ended_at", sa.Float(53)),  # when its call was known to be over, where that is not all that is waited for
    sa.Column("result", sa.String),  # null while it goes on
    sa.Column("text", sa.String),  # what the API said when it refused it
    sa.Column("duration_ms", sa.Float(53)),
    sa.Column("cents", sa.Float(53)),
    sa.Column("settled_at", sa.Float(53)),
    sa.Index("retell_attempt_open", "result"),
    sa.Index("retell_attempt_answered", "answered_at"),
    sa.Index("retell_attempt_sent", "sent_at"),
    sa.Index("retell_attempt_settled", "settled_at"),
)
workers = sa.Table(
    "retell_worker",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("beat_at", sa.Float(53), nullable=False),
)
do_not_call = sa.Table(
    "retell_do_not_call",
    tables,
    sa.Column("number", sa.String, primary_key=True),
    sa.Column("at", sa.Float(53)),  # when a call or somebody told of it; null of those that the lists had
    sa.Column("told_at", sa.Float(53)),  # when that was written back
    sa.Index("retell_do_not_call_told", "told_at", "at"),
)
# Who is called next: the first in this order of those that are due.
sa.Index(
    "retell_contact_turn",
    contacts.c.priority.desc(),
    contacts.c.waits_until,
    contacts.c.place,
    sqlite_where=contacts.c.waits_until.is_not(None),
    postgresql_where=contacts.c.waits_until.is_not(None),
)
