"""One attempt as a workflow of DBOS, whose queue gives it to one of the workers, and to another one if that dies."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import anyio
from anyio import to_thread

from ..._core.errors import ConfigurationError
from . import format as formats
from .database import is_lasting, is_passing
from .worker import patiently

try:
    import psycopg  # which DBOS stands on
    from dbos import DBOS, SetWorkflowID
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`", name=error.name
    ) from None

if TYPE_CHECKING:
    import sqlalchemy as sa
    from anyio.abc import TaskGroup

    from .store import Begun

__all__ = ["check_environment", "enqueue", "executor", "mend", "remedy", "serving", "version"]

T = TypeVar("T")

_NAME = "retell-async-campaign"
_POLLING = 0.2  # seconds from one look of a worker into the queue to the next
_CHUNK = 500  # workflows that are asked for at once
_ENDING = 3.0  # seconds for which the end of DBOS is waited for, whose threads may sleep until they ask the database again
_IN_USE = "DBOS is in use in this process already, and there can be one only: run the campaign in a process of its own"


class _CarriesOut(Protocol):
    async def carry_out(self, key: str) -> None: ...


_ended = threading.Event()
"""Whether DBOS came to its end, after which it can be used anew."""
_ended.set()

_here: list[tuple[_CarriesOut, TaskGroup, asyncio.AbstractEventLoop]] = []
"""The worker of this process, the tasks in which it carries out attempts, and their loop; none while it runs no campaign."""


@DBOS.workflow(name="retell_async.attempt", max_recovery_attempts=None)
async def _attempt(key: str) -> None:
    """Carry out an attempt. How far it got stands in the tables of the campaign, with all that it takes to go on: there are no steps."""
    if (here := next(iter(_here), None)) is None:
        raise asyncio.CancelledError  # the run is over: the workflow has no end, and goes on elsewhere
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_carried_out(key), here[2]))


async def _carried_out(key: str) -> None:
    if not _here:
        raise asyncio.CancelledError
    worker, tasks, loop = _here[0]
    over: asyncio.Future[None] = loop.create_future()

    async def carry_out() -> None:
        try:
            await worker.carry_out(key)
        except BaseException:
            over.cancel()  # then the workflow has no end, and goes on elsewhere
            raise
        if not over.done():
            over.set_result(None)

    tasks.start_soon(carry_out)  # in a task that ends with the run, as those of DBOS do not
    await over


def check_environment() -> None:
    """See to it that DBOS is what a campaign makes of it, whatever its variables say: others than this one have no say.

    :raises ConfigurationError: it would follow DBOS Cloud.
    """
    if os.environ.get("DBOS__CLOUD") == "true":
        raise ConfigurationError("DBOS__CLOUD is set, and DBOS Cloud names its workers itself, which a campaign does too: unset it")


def version() -> str:
    """By what DBOS tells which workers may go on with what others began: the format of the campaign, and not the code."""
    return f"{_NAME}-{formats.FORMAT}"


def executor(token: str, worker: int) -> str:
    """How DBOS calls a worker of a campaign."""
    return f"{token}-{worker}"


@asynccontextmanager
async def serving(engine: sa.Engine, name: str, worker: _CarriesOut, most: int) -> AsyncGenerator[TaskGroup]:
    """A block in which this process takes attempts from the queue. It gives the tasks that end with it.

    DBOS has a loop of its own, in a thread: it would put its own pool of threads in the place of that of the program's loop, and close it.

    :param name: that of its `executor`.
    :param most: so many it carries out at once.
    :raises ConfigurationError: DBOS is in use in this process.
    """
    if _here:
        raise ConfigurationError(_IN_USE)
    await to_thread.run_sync(_ended.wait, abandon_on_cancel=True)
    _configure(engine, name)
    try:
        async with anyio.create_task_group() as tasks:
            _here.append((worker, tasks, asyncio.get_running_loop()))
            try:
                await patiently(_launch, engine, name, most)
                yield tasks
            finally:
                _here.clear()
                logging.getLogger("dbos").setLevel(logging.ERROR)  # it warns of each workflow that has no end, which is meant
                tasks.cancel_scope.cancel()
    finally:
        _ended.clear()
        with anyio.move_on_after(_ENDING, shield=True):
            await to_thread.run_sync(_destroy, abandon_on_cancel=True)
        logging.getLogger("dbos").removeFilter(_is_news)


def _destroy() -> None:
    try:
        DBOS.destroy()
    finally:
        _ended.set()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of DBOS says what nothing else says: a database that fails is told of by `patiently`, and what leaves is meant to."""
    error = record.exc_info[1] if record.exc_info else sys.exc_info()[1]  # in a thread that handles one, whose line may be a text
    is_told = isinstance(error, (asyncio.CancelledError, psycopg.OperationalError))  # the latter where DBOS is notified
    return not (is_told or is_passing(error) or is_lasting(error))


def _configure(engine: sa.Engine, name: str) -> None:
    logging.getLogger("dbos").setLevel(logging.WARNING)
    logging.getLogger("dbos").addFilter(_is_news)
    DBOS(
        config={
            "name": _NAME,
            "system_database_engine": engine,
            "application_version": version(),
            "executor_id": name,
            "log_level": "WARNING",
        }
    )
    if DBOS.executor_id != name:  # there was one, which passes over a second configuration in silence
        raise ConfigurationError(_IN_USE)
    DBOS.listen_queues([_NAME])


def _launch(engine: sa.Engine, name: str, most: int) -> None:
    """Launch DBOS. If the database fails meanwhile, it can be done again."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.CRITICAL)  # the error is told by whoever gets it
    try:
        DBOS.launch()
        DBOS.register_queue(_NAME, worker_concurrency=most, polling_interval_sec=_POLLING, on_conflict="always_update")
    except BaseException:
        DBOS.destroy()
        _configure(engine, name)
        raise
    logger.setLevel(logging.WARNING)


async def enqueue(key: str, runs: int) -> None:
    """Give an attempt to the queue, once: its key is part of the name of the workflow."""
    await _in_thread(_enqueue, key, runs)


def _enqueue(key: str, runs: int) -> None:
    with SetWorkflowID(_id(key, runs)):
        DBOS.enqueue_workflow(_NAME, _attempt, key)


async def _in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    # DBOS asks a database that cannot be reached again and again, and nobody who leaves waits for it. What it raises, as of a full disk, is
    # no reason to end: each of these may be done again.
    return await patiently(function, *args, abandons=True, **kwargs)


def _id(key: str, runs: int) -> str:
    return f"{key}.{runs}"


def remedy(status: Any, alive: Collection[str]) -> Literal["enqueue", "resume", "renew"] | None:
    """What is to be done about the workflow of an attempt that is not settled; ``None`` if it goes on.

    :param status: the workflow as DBOS has it; ``None`` if there is none.
    :param alive: the names of the workers that are.
    """
    if status is None:
        return "enqueue"  # whoever wrote the attempt did not come to it
    if status.app_version != version() or status.status not in {"ENQUEUED", "DELAYED", "PENDING"}:
        return "renew"  # it is of a former version, which nobody runs any more, or has come to nothing
    return "resume" if status.status == "PENDING" and status.executor_id not in alive else None


async def mend(
    attempts: Sequence[Begun], alive: Callable[[], Awaitable[Collection[str]]], renew: Callable[[str, int], Awaitable[None]]
) -> None:
    """Have the attempts go on that nobody works on: those of workers that died, and those whose workflows came to nothing.

    :param attempts: those that are begun and not settled.
    :param alive: gives the names of the workers that are.
    :param renew: writes that an attempt has another workflow.
    """
    for first in range(0, len(attempts), _CHUNK):
        some = {_id(attempt.key, attempt.runs): attempt for attempt in attempts[first : first + _CHUNK]}
        found = await _in_thread(DBOS.list_workflows, workflow_ids=list(some), load_input=False, load_output=False)
        statuses = {status.workflow_id: status for status in found}
        names = await alive()  # asked for after that, so that none is missing which had come before
        for id, attempt in some.items():
            what = remedy(statuses.get(id), names)
            if what == "enqueue":
                await enqueue(attempt.key, attempt.runs)
            elif what == "resume":
                await _in_thread(DBOS.resume_workflow, id, queue_name=_NAME)  # without the name it goes past the queue and its limit
            elif what == "renew":
                await _in_thread(DBOS.cancel_workflow, id)
                await renew(attempt.key, attempt.runs)
                await enqueue(attempt.key, attempt.runs + 1)
