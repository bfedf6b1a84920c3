"""One attempt as a workflow of DBOS: each of its steps is done once, also by whoever goes on after a kill."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs
from anyio import to_thread

from ..._core.errors import APIError, APIStatusError, AuthenticationError, OutcomeUnknownError, PaymentRequiredError, WaitTimeoutError
from ..._core.masking import mask_text
from ..._dispatch.outcome import Outcome
from ..calls import result_of
from ..case import Result
from .placing import place

try:
    from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, error as dbos_errors
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`", name=error.name
    ) from None

if TYPE_CHECKING:
    from ..._call_slots import CallSlots, Slot
    from ..._client import AsyncRetell
    from ..._helpers.call import Ends
    from ..settings import Settings
    from .store import Store

__all__ = ["DBOS", "QUEUE", "Worker", "attempt", "enqueue", "is_in_use", "serve"]

QUEUE = "retell-async-campaign"


class Worker:
    """What the steps of this process work with."""

    def __init__(self, store: Store, client: AsyncRetell, settings: Settings, ends: Ends, slots: CallSlots) -> None:
        self.store = store
        self.client = client
        self.settings = settings
        self.ends = ends
        self.slots = slots
        self.held: dict[str, Slot] = {}
        """The room that calls take which this process placed, by the keys of their attempts."""


_workers: list[Worker] = []


def serve(worker: Worker | None) -> None:
    """Let the steps of this process work with this, or with nothing any more."""
    _workers[:] = [] if worker is None else [worker]


_AGAIN: dict[str, Any] = {"retries_allowed": True, "interval_seconds": 2.0, "backoff_rate": 1.0, "max_attempts": 10**6}
"""What went wrong in a step on this machine (a disk that is full, a client that was closed) is tried again: each may be, and none gives up
a call that may go on."""


@DBOS.workflow(name="retell_async.attempt")
async def attempt(key: str) -> str:
    """Place a call, follow it to its end, and write what that says of the contact."""
    said = await _place(key)
    if said["call_id"] is not None:
        said = await _follow(key, said["call_id"])
    if said["reason"] is not None:
        await _settle(key, said)
    return str(said["reason"])


@DBOS.step(name="retell_async.place", **_AGAIN)
async def _place(key: str) -> dict[str, Any]:
    """Place the call, or take note of why there is none; neither, if it may not be placed now, and waits for another attempt."""
    worker = _workers[0]
    call = refused = None
    try:
        async with worker.slots.hold() as slot:
            now = time.time()
            found = await to_thread.run_sync(worker.store.send, key, now)
            if found is not None:
                try:
                    call = await place(worker.client, found[0], found[1], now)
                except (ValueError, TypeError) as error:  # it cannot be sent, now or ever
                    refused = error
    except OutcomeUnknownError:
        return _said(Result("unknown"))
    except APIError as error:
        if isinstance(error, (AuthenticationError, PaymentRequiredError)):
            await to_thread.run_sync(worker.store.pause, mask_text(str(error)))
        return await _refused(worker, key, error)
    if call is None:
        slot.ended()
        return {"call_id": None, "reason": None} if refused is None else await _refused(worker, key, refused)
    worker.held[key] = slot
    await to_thread.run_sync(worker.store.placed, key, call.call_id)
    return {"call_id": call.call_id, "reason": None}


async def _refused(worker: Worker, key: str, error: Exception) -> dict[str, Any]:
    outcome = Outcome(index=0, request=None, status="not_placed", error=error)
    contact = await to_thread.run_sync(worker.store.contact_of, key)
    return _said(result_of(outcome, worker.settings.rules, contact) or Result("not_placed"))


@DBOS.step(name="retell_async.follow", **_AGAIN)
async def _follow(key: str, call_id: str) -> dict[str, Any]:
    """Wait for the end of the call, and give what it says."""
    worker = _workers[0]
    rules = worker.settings.rules
    try:
        call = await worker.ends.wait(call_id, "ended" if rules.callback is None else "analyzed")
    except (WaitTimeoutError, APIStatusError):
        return _said(Result("unknown"))  # it was placed, and nobody knows what became of it
    slot = worker.held.pop(key, None)
    if slot is not None:
        slot.ended()
    contact = await to_thread.run_sync(worker.store.contact_of, key)
    result = result_of(Outcome(index=0, request=None, status="ended", call=call), rules, contact) or Result("unknown")
    if result.meaning == "account":
        await to_thread.run_sync(worker.store.pause, f"a call ended with {result.reason}")
    cents = None if call.call_cost is None else call.call_cost.combined_cost
    return {**_said(result), "duration_ms": call.duration_ms, "cents": cents}


@DBOS.step(name="retell_async.settle", **_AGAIN)
async def _settle(key: str, said: dict[str, Any]) -> None:
    result = Result(**{field.name: said[field.name] for field in attrs.fields(Result)})
    store = _workers[0].store
    await to_thread.run_sync(lambda: store.settle(key, result, time.time(), duration_ms=said["duration_ms"], cents=said["cents"]))


def _said(result: Result) -> dict[str, Any]:
    """A result as the step of a workflow keeps it."""
    return {"call_id": None, **attrs.asdict(result), "duration_ms": None, "cents": None}


async def enqueue(key: str, delay: float) -> None:
    """Give an attempt to the queue, once: its key is the name of the workflow."""
    with SetWorkflowID(key), SetEnqueueOptions(delay_seconds=delay or None):
        await DBOS.enqueue_workflow_async(QUEUE, attempt, key)


async def is_in_use() -> bool:
    """Whether something uses DBOS in this process: a second configuration of it would be passed over in silence."""
    try:
        await DBOS.list_workflows_async(limit=1)
    except dbos_errors.DBOSException:
        return False
    return True
