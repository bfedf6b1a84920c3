"""Chats, batch calls, knowledge bases, tests, jobs and exports.

Their states follow from the time: a chat ends and a test passes without anything being scheduled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

import attrs

from ..common.messages import Json
from .endpoints import WebhookTarget

__all__ = ["Batch", "Chat", "Export", "Job", "KnowledgeBase", "Row", "TestBatch", "TestRun"]


@attrs.define(kw_only=True, eq=False)
class Chat:
    """A chat over the API or by SMS."""

    id: str
    kind: Literal["api_chat", "sms_chat"]
    agent_id: str
    agent_version: int
    agent_tag: str | None = None
    agent_number: str | None = None
    user_number: str | None = None
    start: int
    silence_ms: int
    """The chat ends after so long without a message."""
    messages: list[Json]
    """In the order of their times, some of which may be in the future."""
    echoed: Json
    """Fields of the request that are repeated in every answer about the chat."""
    storage: str = "everything"
    """Its ``data_storage_setting``."""
    overrides: dict[str, str] = attrs.field(factory=dict[str, str])
    """Dynamic variables that were set during the chat."""
    asked_analysis: Sequence[Json] = ()
    closed: int | None = None
    """When the agent or the API ended it."""
    webhook: WebhookTarget | None = None
    """Where its events are sent, if anywhere."""
    last_milestone: tuple[int, int] = (0, -1)
    """The last milestone that was reached: its time and rank."""
    next_milestone_at: int | None = None
    """When the next milestone is due."""
    seed: int

    @property
    def direction(self) -> Literal["inbound", "outbound"]:
        """Who wrote first."""
        return "inbound" if self.messages and self.messages[0]["role"] == "user" else "outbound"

    def said(self, now: int) -> list[Json]:
        return [message for message in self.messages if message["created_timestamp"] <= now]

    def end(self) -> int:
        """When it ends, if nothing more is written."""
        silent: int = max([self.start, *(message["created_timestamp"] for message in self.messages)]) + self.silence_ms
        return silent if self.closed is None else min(silent, self.closed)

    def reason(self) -> str:
        """The disconnection reason that it ends for."""
        return "inactivity" if self.closed is None or self.end() < self.closed else "agent_hangup"

    def analyzed(self) -> int:
        return self.end() + Random(self.seed).randint(1_500, 6_000)

    def status(self, now: int) -> Literal["ongoing", "ended"]:
        return "ended" if now >= self.end() else "ongoing"


@attrs.define(kw_only=True, eq=False)
class Batch:
    """Calls that are placed as concurrency allows."""

    id: str
    from_number: str
    tasks: list[Json]
    reserved: int
    """Concurrent calls that are left to others."""
    window: Json | None
    done: int = 0
    """How many tasks are done, whether or not they made a call."""


@attrs.define(kw_only=True, eq=False)
class KnowledgeBase:
    id: str
    settings: Json
    sources: list[Json]
    ready: int
    """When all its sources have been read."""
    refreshed: bool = False
    """Whether sources were added after its creation."""

    def status(self, now: int) -> str:
        if now >= self.ready:
            return "complete"
        return "refreshing_in_progress" if self.refreshed else "in_progress"


@attrs.frozen(kw_only=True)
class TestRun:
    __test__ = False

    id: str
    definition: Json
    """The test case as it was at the start."""
    created: int
    begins: int
    ends: int
    verdict: Literal["pass", "fail", "error"]

    def status(self, now: int) -> str:
        if now >= self.ends:
            return self.verdict
        return "in_progress" if now >= self.begins else "pending"

    def changed(self, now: int) -> int:
        return max(moment for moment in (self.created, self.begins, self.ends) if moment <= now)


@attrs.frozen(kw_only=True)
class TestBatch:
    __test__ = False

    id: str
    engine: Json
    created: int
    runs: Sequence[TestRun]


Row = Callable[[], bool]
"""Does one piece of a job, and gives whether it succeeded."""


@attrs.define(kw_only=True, eq=False)
class Job:
    """Work in the background: an import, a backfill, a sync. Its rows are done one after the other."""

    start: int
    begins: int
    rows: Sequence[Row]
    row_ms: int
    succeeded: int = 0
    failed: int = 0

    @property
    def ends(self) -> int:
        return self.begins + self.row_ms * max(1, len(self.rows))

    @property
    def next_due(self) -> int | None:
        """When the next row is done; ``None`` when all are."""
        done = self.succeeded + self.failed
        return self.begins + self.row_ms * (done + 1) if done < len(self.rows) else None

    def do_row(self) -> None:
        if self.rows[self.succeeded + self.failed]():
            self.succeeded += 1
        else:
            self.failed += 1

    def status(self, now: int) -> Json:
        """The ``JobStatus`` at a time."""
        state = "idle" if now >= self.ends else "running" if now >= self.begins else "queued"
        return {
            "status": state,
            "start_timestamp": self.start,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "triggered_by": "manual",
        }


@attrs.frozen(kw_only=True)
class Export:
    """An export of calls or chats, which is ordered in the dashboard."""

    id: str
    channel: Literal["call", "chat"]
    created: int
    timezone: str

    def view(self, now: int) -> Json:
        age = now - self.created
        view: dict[str, Any] = {
            "export_request_id": self.id,
            "channel": self.channel,
            "status": "created" if age < 2_000 else "processing" if age < 10_000 else "completed",
            "created_timestamp": self.created,
            "timezone": self.timezone,
        }
        if view["status"] == "completed":
            view["url"] = f"https://files.sandbox.example/{self.id}.csv"
        return view
