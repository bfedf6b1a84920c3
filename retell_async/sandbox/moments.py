"""When something happens next, whether anybody is told of it or not."""

from __future__ import annotations

from collections.abc import Iterator

from .lifecycle import transfer_end
from .store import Call, Store

__all__ = ["next_moment"]


def next_moment(store: Store, now: int) -> int | None:
    """The next time after the present at which a call, a chat or work in the background comes on, or something is sent."""
    return min((moment for moment in _moments(store) if moment > now), default=None)


def _moments(store: Store) -> Iterator[int]:
    if store.agenda.next_due is not None:
        yield store.agenda.next_due
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
    course = call.course
    if course.start is not None:
        yield course.start
    if call.live is not None and any(pause.length is None for pause in call.live.pauses):
        return  # the end waits for what a function answers
    yield course.end
    yield course.analyzed
    if course.reason == "call_transfer":
        yield transfer_end(course)
