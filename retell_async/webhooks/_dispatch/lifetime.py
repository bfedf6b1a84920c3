"""What is under way in a router: whose it is, and how it comes to an end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import anyio
import attrs
from anyio.abc import TaskGroup

from retell_async._core.errors import ConfigurationError
from retell_async._core.masking import masked_traceback
from retell_async._logs import Log

from ..http import Respond, Response

__all__ = ["CLOSED", "Lifetime"]

CLOSED = Response(HTTPStatus.SERVICE_UNAVAILABLE, b"closed: this server is shutting down", "text/plain")
_FAILED = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: an unexpected error", "text/plain")

Work = Callable[[Respond], Awaitable[object]]
"""Answers a request, by the function that it gets, and does what is left to do after that."""

_logger = Log("retell_async.webhooks")


@attrs.define(eq=False)
class _UnderWay:
    """Some work, in an event loop."""

    loop: object
    task: int | None = None
    """The task that does it, once it has begun."""
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    ended: anyio.Event = attrs.field(factory=anyio.Event)


class Lifetime:
    """Lets work go on after its request was answered, and waits for it in the end.

    While this is open, work is done in its tasks: that a server ends the call for a request ends no work. Otherwise the work is part of
    that call, which is over when all is done.

    :param timeout: seconds that what is under way gets when this is closed.
    :raises ConfigurationError: the time is below 0.
    """

    def __init__(self, timeout: float) -> None:
        if not timeout >= 0:
            raise ConfigurationError("shutdown_timeout must be 0 or more seconds")
        self._timeout = timeout
        self._tasks: TaskGroup | None = None
        self._loop: object = None  # that of the tasks
        self._under_way: dict[_UnderWay, None] = {}
        self.is_closed = False
        """Whether nothing new may begin."""

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """A block within which this is open, and which ends when it is closed.

        In a block within the block, or beside it, the tasks are those of the first one. Whichever ends first closes this.
        """
        if self._tasks is not None:
            yield
            await self.close()
            return
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            self._tasks, self._loop = tasks, anyio.lowlevel.current_token()
            self.is_closed = False
            try:
                yield
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  (raised again below: the group would wrap it)
                failure = error
            finally:
                self.is_closed = True
                self._tasks = self._loop = None
            await self.close()
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Let nothing new begin, wait for what is under way, and cancel what is not done in time. The work that calls this goes on."""
        self.is_closed = True
        callers = _callers()
        with anyio.move_on_after(self._timeout):
            await self._wait(callers)
        for work in self._here(callers):
            work.scope.cancel()
        await self._wait(callers)

    async def _wait(self, callers: set[int]) -> None:
        while here := self._here(callers):
            for work in here:
                await work.ended.wait()

    def _here(self, callers: set[int]) -> list[_UnderWay]:
        """What is under way in this event loop beside the callers: what another one has is out of reach, or over with it."""
        loop = anyio.lowlevel.current_token()
        return [work for work in self._under_way if work.loop == loop and work.task not in callers]

    async def carry_out(self, work: Work, respond: Respond) -> None:
        """Do some work, and return when it is done; while this is open, when its request is answered."""
        mine = _UnderWay(anyio.lowlevel.current_token())
        self._under_way[mine] = None
        if self._tasks is not None and mine.loop == self._loop:
            answer = _Answer()
            self._tasks.start_soon(self._go_on, work, mine, answer)
            await answer.pass_on(respond)
            return

        answered = False

        async def respond_at_once(response: Response) -> None:
            nonlocal answered
            answered = True
            await respond(response)

        mine.task = anyio.get_current_task().id
        try:
            with mine.scope:
                await work(respond_at_once)
        finally:
            self._end(mine)
        if not answered:  # it was cancelled by `close`
            await respond(CLOSED)

    async def _go_on(self, work: Work, mine: _UnderWay, answer: _Answer) -> None:
        mine.task = anyio.get_current_task().id
        try:
            with mine.scope:
                await work(answer.give)
        except Exception as error:  # noqa: BLE001  (work that fails ends no other)
            answer.response = _FAILED
            _logger.error("an unexpected error\n%s", masked_traceback(error))  # noqa: TRY400  (what it shows is masked)
        finally:
            answer.given.set()
            self._end(mine)

    def _end(self, mine: _UnderWay) -> None:
        del self._under_way[mine]
        mine.ended.set()


def _callers() -> set[int]:
    """This task, and those that wait for it to end."""
    parents = {task.id: task.parent_id for task in anyio.get_running_tasks()}
    task: int | None = anyio.get_current_task().id
    callers = set[int]()
    while task is not None:
        callers.add(task)
        task = parents.get(task)
    return callers


@attrs.define(eq=False)
class _Answer:
    """The answer of some work, on its way to the call for its request."""

    response: Response = CLOSED
    given: anyio.Event = attrs.field(factory=anyio.Event)
    taken: anyio.Event = attrs.field(factory=anyio.Event)

    async def give(self, response: Response) -> None:
        """Return when the answer was sent, or the call is over."""
        self.response = response
        self.given.set()
        await self.taken.wait()

    async def pass_on(self, respond: Respond) -> None:
        """Wait for the answer and send it."""
        try:
            await self.given.wait()
            await respond(self.response)
        finally:
            self.taken.set()
