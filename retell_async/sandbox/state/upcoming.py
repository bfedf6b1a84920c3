"""When something happens next, whether or not it is scheduled."""

from __future__ import annotations

from collections.abc import Iterator

from ..simulation.lifecycle import transfer_end
from .calls import Call
from .store import Store

__all__ = ["next_event_at"]


def next_event_at(store: Store, now: int) -> int | None:
    """The next time at which a call, a chat or a job reaches its next state, or something scheduled is due."""
    return min((moment for moment in _moments(store) if moment > now), default=None)


def _moments(store: Store) -> Iterator[int]:
    if store.scheduler.next_due is not None:
        yield store.scheduler.next_due
    for call in store.calls.newest_first():
        yield from _of_call(call)
    for chat in store.chats:
        yield chat.end()
        yield chat.analyzed()
    for base in store.knowledge_bases:
        yield base.ready
    for batch in store.test_batches:
        for run in batch.runs:
            yield run.begins
            yield run.ends
    for job in store.jobs.values():
        yield job.begins
        if job.next_due is not None:
            yield job.next_due


def _of_call(call: Call) -> Iterator[int]:
    plan = call.plan
    if plan.start is not None:
        yield plan.start
    if call.progress is not None and any(pause.length is None for pause in call.progress.pauses):
        return  # the end is unknown until a custom function answers
    yield plan.end
    yield plan.analyzed
    if plan.reason == "call_transfer":
        yield transfer_end(plan)
