"""Handing things from one task to another, and fetching before the results are asked for, in order.

The tasks that fetch belong to a block of ``async with``. One that reads a source says so when the source ends and at no other time:
cancelled, it must not look like an end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

__all__ = ["Handover", "mapped", "prefetched"]

T = TypeVar("T")
U = TypeVar("U")


@attrs.frozen(eq=False)
class _Given(Generic[T]):
    thing: T
    taken: anyio.Event = attrs.field(factory=anyio.Event)


class Handover(Generic[T]):
    """What some tasks give and others take, in order.

    Whoever is cancelled while it waits has taken nothing, whereas a memory stream of anyio loses what is given in the very turn in which
    the one who waits is cancelled.
    """

    def __init__(self) -> None:
        self._given: deque[_Given[T]] = deque()
        self._changed = anyio.Event()
        self._end: type[Exception] | None = None

    async def give(self, thing: T) -> None:
        """Give something, and wait until it is taken."""
        given = _Given(thing)
        self._put(given)
        try:
            await given.taken.wait()
        finally:
            if not given.taken.is_set() and given in self._given:
                self._given.remove(given)

    def put(self, thing: T) -> None:
        """Give something, and wait for nobody."""
        self._put(_Given(thing))

    def _put(self, given: _Given[T]) -> None:
        self._given.append(given)
        self._change()

    def close(self) -> None:
        """Give nothing more."""
        self._end = self._end or anyio.EndOfStream
        self._change()

    def leave(self) -> None:
        """Take nothing more: what is there is dropped."""
        self._given.clear()
        self._end = anyio.ClosedResourceError
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def take(self) -> T:
        """Wait for the next thing and take it.

        :raises anyio.EndOfStream: there is none, and nothing more is given.
        :raises anyio.ClosedResourceError: nothing more is taken.
        """
        await checkpoint()
        while not self._given:
            if self._end is not None:
                raise self._end
            await self._changed.wait()
        given = self._given.popleft()  # nothing is waited for after it
        given.taken.set()
        return given.thing


class _Result(Generic[T]):
    """A result or an error that is still to come. The error is raised where the result is asked for."""

    def __init__(self) -> None:
        self._done = anyio.Event()
        self._value: T
        self._error: Exception | None = None

    def give(self, value: T) -> None:
        self._value = value
        self._done.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()

    async def get(self) -> T:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value

    async def run(self, fetch: Callable[[U], Awaitable[T]], item: U) -> None:
        try:
            self.give(await fetch(item))
        except Exception as error:  # noqa: BLE001 - it is raised again by `get`
            self.fail(error)


class _Results(AsyncIterator[T]):
    """Results in the order in which they were begun; nothing comes after one that failed."""

    def __init__(self, results: Handover[_Result[T]], taken: Callable[[], object]) -> None:
        self._results = results
        self._taken = taken
        self._next: _Result[T] | None = None

    async def __anext__(self) -> T:
        if self._next is None:
            try:
                self._next = await self._results.take()
            except anyio.EndOfStream:
                raise StopAsyncIteration from None
        # Whoever is cancelled here, or gets an error, finds the same result the next time: none is passed over.
        value = await self._next.get()
        self._next = None
        self._taken()
        return value


@asynccontextmanager
async def _tasks(results: Handover[_Result[T]]) -> AsyncGenerator[TaskGroup]:
    """Tasks that are cancelled when the block ends. An error of the block is raised as it is, in no exception group."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - it is raised again when the tasks are done
            failure = error
        tasks.cancel_scope.cancel()
    results.leave()
    if failure is not None:
        raise failure


@asynccontextmanager
async def prefetched(source: AsyncIterator[T], number: int) -> AsyncGenerator[AsyncIterator[T]]:
    """Read up to `number` entries of a source before they are asked for."""
    places, results = anyio.Semaphore(number), Handover[_Result[T]]()

    async def read() -> None:
        while True:
            await places.acquire()
            result = _Result[T]()
            try:
                result.give(await anext(source))
            except StopAsyncIteration:
                results.close()
                return
            except Exception as error:  # noqa: BLE001 - it is raised again by `get`
                result.fail(error)
            results.put(result)

    async with _tasks(results) as tasks:
        tasks.start_soon(read)
        yield _Results(results, places.release)


@asynccontextmanager
async def mapped(source: AsyncIterator[T], fetch: Callable[[T], Awaitable[U]], concurrency: int) -> AsyncGenerator[AsyncIterator[U]]:
    """Results of `fetch` for each entry of a source, in order; at most `concurrency` are fetched, or wait to be used, at a time."""
    places, results = anyio.Semaphore(concurrency), Handover[_Result[U]]()

    async def begin(tasks: TaskGroup) -> None:
        while True:
            await places.acquire()
            result = _Result[U]()
            try:
                item = await anext(source)
            except StopAsyncIteration:
                results.close()
                return
            except Exception as error:  # noqa: BLE001 - it is raised again by `get`
                result.fail(error)
            else:
                tasks.start_soon(result.run, fetch, item)
            results.put(result)

    async with _tasks(results) as tasks:
        tasks.start_soon(begin, tasks)
        yield _Results(results, places.release)
