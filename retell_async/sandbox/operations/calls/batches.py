"""Batch calls: placed as time windows and concurrency allow."""

from __future__ import annotations

from functools import partial

from ...common.guard import contain_errors
from ...common.messages import Incoming, Json, Refused
from ...state.records import Batch
from ...state.store import Store
from ..account.numbers import is_e164
from ..agents.agents import existing_agent
from ..helpers import existing
from .call_windows import check_time_zone, next_open
from .calls import check_sip_headers, place

__all__ = ["create"]

_PACE_MS = 200
_LATEST = 253_402_300_799_000  # the end of the year 9999


def create(store: Store, incoming: Incoming) -> Json:
    body, now = incoming.body, store.now()
    number = existing(store.numbers, body["from_number"], "body.from_number").latest
    tasks: list[Json] = body["tasks"]
    if not tasks:
        raise Refused(400, "body.tasks is empty")
    for task in tasks:
        if not (is_e164(task["to_number"]) or task.get("ignore_e164_validation")):
            raise Refused(400, "body.tasks: to_number must be in E.164 format")
        check_sip_headers(task, "body.tasks")
        if "override_agent_id" in task:
            existing_agent(store, task["override_agent_id"], "voice", "an agent of body.tasks")
        elif not number.get("outbound_agents"):
            raise Refused(400, "body.from_number has no outbound agent: give it outbound_agents, or each task override_agent_id")
    if body.get("reserved_concurrency", 0) >= store.settings.concurrency_limit:
        raise Refused(400, "body.reserved_concurrency leaves no room for the batch")
    window: Json | None = body.get("call_time_window")
    if window is not None:
        check_time_zone(window)
    trigger = body.get("trigger_timestamp", now)
    if not 0 <= trigger <= _LATEST:
        raise Refused(400, "body.trigger_timestamp must be in milliseconds since the epoch")
    batch = Batch(
        id=f"batch_call_{store.new_id('batch_call')}",
        from_number=body["from_number"],
        tasks=tasks,
        reserved=body.get("reserved_concurrency", 0),
        window=window,
    )
    store.batches.put(batch.id, batch)
    _go_on(store, batch, max(now, int(trigger)))
    answer: Json = {
        "batch_call_id": batch.id,
        "name": body.get("name") or f"Batch of {len(tasks)} calls",
        "from_number": batch.from_number,
        "scheduled_timestamp": int(max(now, trigger)) // 1000,  # in seconds, while the request has milliseconds
        "total_task_count": len(tasks),
    }
    return answer if window is None else answer | {"call_time_window": window}


def _go_on(store: Store, batch: Batch, at: int) -> None:
    """Place the next call at the first time from ``at`` on that lies in a window."""
    if batch.done < len(batch.tasks):
        store.scheduler.add(next_open(batch.window, at), partial(_place, store, batch))


def _place(store: Store, batch: Batch) -> None:
    now = store.now()
    if len(store.calls.active(now)) >= max(1, store.settings.room("outbound") - batch.reserved):
        # The next end may be that of a call that was changed: then there is still no room, and this is tried again.
        next_end = store.calls.next_end(now)
        _go_on(store, batch, now + _PACE_MS if next_end is None else next_end)
        return
    task = batch.tasks[batch.done]
    batch.done += 1
    with contain_errors("a call of a batch", (Refused,)):  # when the number or the agent was deleted meanwhile, this task makes no call
        place(store, batch.from_number, task, batch_call_id=batch.id)
    _go_on(store, batch, now + _PACE_MS)
