"""What people ask of an archive, as queries. Each is a view of the database too, for tools that read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ..schema import conversations, latencies, tool_calls

__all__ = ["VIEWS", "Asked", "refresh", "select"]

_HOUR = 3_600_000
_DAY = 24 * _HOUR
_MACHINES = ("voicemail_reached", "ivr_reached")
_c = conversations.c


@attrs.frozen
class Asked:
    """Of which calls and chats something is asked: from a moment on, up to another one, and of one agent; and by which clock."""

    since_ms: int | None = None
    until_ms: int | None = None
    agent_id: str | None = None
    offset_ms: int = 0
    """How far the clock is ahead of UTC."""

    def where(self) -> list[sa.ColumnElement[bool]]:
        conditions: list[sa.ColumnElement[bool]] = []
        if self.since_ms is not None:
            conditions.append(_c.at_ms >= self.since_ms)
        if self.until_ms is not None:
            conditions.append(_c.at_ms < self.until_ms)
        if self.agent_id is not None:
            conditions.append(_c.agent_id == self.agent_id)
        return conditions

    def day(self, dialect: str) -> sa.ColumnElement[str]:
        """The day, such as 2026-11-26; null where no time is known."""
        seconds = (_c.at_ms + self.offset_ms) / 1000.0
        if dialect == "sqlite":
            return sa.func.strftime("%Y-%m-%d", seconds, "unixepoch")
        return sa.func.to_char(sa.func.timezone("UTC", sa.func.to_timestamp(seconds)), "YYYY-MM-DD")


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _share(part: sa.ColumnElement[int]) -> sa.ColumnElement[float]:
    return sa.cast(sa.func.round(sa.cast(100.0 * part / sa.func.count(), sa.Numeric), 1), sa.Float(53))


def _cost(asked: Asked, dialect: str) -> Any:
    day = asked.day(dialect)
    return (
        sa.select(
            day.label("day"),
            _c.agent_id,
            sa.func.count().label("conversations"),
            (sa.func.coalesce(sa.func.sum(_c.duration_ms), 0) / 60_000.0).label("minutes"),
            (sa.func.coalesce(sa.func.sum(_c.cost_cents), 0.0) / 100.0).label("dollars"),
            _count(_c.cost_cents.is_(None)).label("cost_unknown"),
        )
        .where(*asked.where())
        .group_by(day, _c.agent_id)
        .order_by(day, _c.agent_id)
    )


def _reasons(asked: Asked, dialect: str) -> Any:
    day = asked.day(dialect)
    count = sa.func.count().label("calls")
    return (
        sa.select(day.label("day"), _c.agent_id, _c.reason, _c.error_code, count)
        .where(_c.kind == "call", _c.stage >= 2, *asked.where())
        .group_by(day, _c.agent_id, _c.reason, _c.error_code)
        .order_by(day, _c.agent_id, count.desc(), _c.reason)
    )


def _latency(asked: Asked, _: str) -> Any:
    """By nearest rank among medians in steps of one percent: exact ones of many calls would have to be sorted."""
    t = latencies.c
    steps = sa.select(
        t.agent_id, t.kind, t.bucket, sa.func.max(t.p50).label("ms"), sa.func.max(t.max).label("most"), sa.func.count().label("n")
    )
    if conditions := asked.where():
        steps = steps.join(conversations, _c.id == t.conversation_id).where(*conditions)
    step = steps.where(t.bucket.is_not(None)).group_by(t.agent_id, t.kind, t.bucket).subquery().c
    of_agent = (step.agent_id, step.kind)
    ranked = sa.select(
        *of_agent,
        step.ms,
        step.most,
        step.n,
        sa.func.sum(step.n).over(partition_by=of_agent, order_by=step.bucket).label("up_to"),
        sa.func.sum(step.n).over(partition_by=of_agent).label("calls"),
    ).subquery()
    r = ranked.c
    return (
        sa.select(
            r.agent_id,
            r.kind,
            sa.cast(sa.func.sum(r.n), sa.BigInteger).label("calls"),
            *(sa.func.min(sa.case((r.up_to * 100 >= r.calls * percent, r.ms))).label(f"p{percent}") for percent in (50, 90, 95, 99)),
            sa.func.max(r.most).label("worst_turn"),
        )
        .group_by(r.agent_id, r.kind)
        .order_by(r.agent_id, r.kind)
    )


def _answers(asked: Asked, _: str) -> Any:
    hour = (((_c.at_ms + asked.offset_ms) % _DAY) // _HOUR).label("hour")
    connected = _c.started_ms.is_not(None)
    machine = sa.or_(_c.reason.in_(_MACHINES), sa.func.coalesce(_c.in_voicemail, sa.false()))
    answered = sa.and_(connected, sa.not_(sa.and_(machine, machine.is_not(None))))
    return (
        sa.select(
            hour,
            sa.func.count().label("calls"),
            _count(connected).label("connected"),
            _count(answered).label("answered"),
            _share(_count(answered)).label("percent"),
        )
        .where(_c.kind == "call", _c.direction == "outbound", _c.stage >= 2, *asked.where())
        .group_by(hour)
        .order_by(hour)
    )


def _tools(asked: Asked, _: str) -> Any:
    t = tool_calls.c
    failed = _count(t.state == "failed")
    query = sa.select(
        t.name,
        _c.agent_id,
        sa.func.count().label("calls"),
        failed.label("failed"),
        _count(t.state == "begun").label("unknown"),
        _share(failed).label("percent_failed"),
        sa.func.avg(t.duration_ms).label("average_ms"),
        sa.func.max(t.duration_ms).label("longest_ms"),
    ).select_from(tool_calls.outerjoin(conversations, _c.id == t.conversation_id))
    return query.where(*asked.where()).group_by(t.name, _c.agent_id).order_by(sa.func.count().desc(), t.name, _c.agent_id)


VIEWS: Mapping[str, Callable[[Asked, str], Any]] = {
    "cost": _cost,
    "reasons": _reasons,
    "latency": _latency,
    "answers": _answers,
    "tools": _tools,
}
"""The views, by their names. In the database they are called ``retell_view_cost`` and so on, and speak of UTC."""


def select(view: str, asked: Asked, dialect: str) -> Any:
    """The query of a view.

    :param dialect: ``sqlite`` or ``postgresql``.
    """
    return VIEWS[view](asked, dialect)


async def refresh(connection: AsyncConnection) -> None:
    """Make the views of the database as they are here."""
    dialect = connection.dialect
    for name, view in VIEWS.items():
        query = view(Asked(), dialect.name).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        await connection.exec_driver_sql(f"DROP VIEW IF EXISTS retell_view_{name}")
        await connection.exec_driver_sql(f"CREATE VIEW retell_view_{name} AS {query}".replace("%%", "%"))
