"""Fetching before the results are asked for, in order. The tasks that fetch belong to a block of ``async with``.

A task that reads a source closes its stream when the source ends and at no other time: cancelled, it must not look like an end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["mapped", "prefetched"]

T = TypeVar("T")
U = TypeVar("U")


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

    def __init__(self, results: MemoryObjectReceiveStream[_Result[T]], taken: Callable[[], object]) -> None:
        self._results = results
        self._taken = taken
        self._next: _Result[T] | None = None

    async def __anext__(self) -> T:
        if self._next is None:
            try:
                self._next = await self._results.receive()
            except anyio.EndOfStream:
                raise StopAsyncIteration from None
        # Whoever is cancelled here, or gets an error, finds the same result the next time: none is passed over.
        value = await self._next.get()
        self._next = None
        self._taken()
        return value


@asynccontextmanager
async def _tasks() -> AsyncGenerator[TaskGroup]:
    """Tasks that are cancelled when the block ends. An error of the block is raised as it is, in no exception group."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - it is raised again when the tasks are done
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


@asynccontextmanager
async def prefetched(source: AsyncIterator[T], number: int) -> AsyncGenerator[AsyncIterator[T]]:
    """Read up to `number` entries of a source before they are asked for."""

    async def read(send: MemoryObjectSendStream[_Result[T]]) -> None:
        while True:
            result = _Result[T]()
            try:
                result.give(await anext(source))
            except StopAsyncIteration:
                send.close()
                return
            except Exception as error:  # noqa: BLE001 - it is raised again by `get`
                result.fail(error)
            await send.send(result)

    # One more is held by the task while it waits to put it here.
    send, receive = anyio.create_memory_object_stream[_Result[T]](number - 1)
    async with receive, send, _tasks() as tasks:
        tasks.start_soon(read, send)
        yield _Results(receive, lambda: None)


@asynccontextmanager
async def mapped(source: AsyncIterator[T], fetch: Callable[[T], Awaitable[U]], concurrency: int) -> AsyncGenerator[AsyncIterator[U]]:
    """Results of `fetch` for each entry of a source, in order; at most `concurrency` are fetched, or wait to be used, at a time."""
    places = anyio.Semaphore(concurrency)

    async def begin(send: MemoryObjectSendStream[_Result[U]], tasks: TaskGroup) -> None:
        while True:
            await places.acquire()
            result = _Result[U]()
            try:
                item = await anext(source)
            except StopAsyncIteration:
                send.close()
                return
            except Exception as error:  # noqa: BLE001 - it is raised again by `get`
                result.fail(error)
            else:
                tasks.start_soon(result.run, fetch, item)
            await send.send(result)

    send, receive = anyio.create_memory_object_stream[_Result[U]](concurrency)
    async with receive, send, _tasks() as tasks:
        tasks.start_soon(begin, send, tasks)
        yield _Results(receive, places.release)
