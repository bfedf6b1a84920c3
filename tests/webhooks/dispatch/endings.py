"""Ways in which a handler or a method of a store can end."""

from __future__ import annotations

import asyncio

import anyio
import pytest
import trio


async def fail() -> None:
    raise LookupError("no such customer")


async def be_cancelled_by_something() -> None:
    raise asyncio.CancelledError


async def wait_for_a_task_that_is_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def cancel_oneself() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(60)


async def cancel_oneself_and_fail() -> None:
    """The cancellation comes to whatever this task awaits next."""
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    raise LookupError


async def cancel_the_own_scope() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep(60)
    raise LookupError


async def raise_an_old_cancellation_of_trio() -> None:
    kept: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:
            kept.append(error)
            raise
    raise kept[0]


async def fail_in_a_group() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail)


OWN_CANCELLATIONS = [
    pytest.param(backend, ending, id=f"{backend}-{ending.__name__}")
    for backend, ending in (
        ("asyncio", be_cancelled_by_something),
        ("asyncio", wait_for_a_task_that_is_cancelled),
        ("asyncio", cancel_oneself),
        ("asyncio", cancel_oneself_and_fail),
        ("trio", raise_an_old_cancellation_of_trio),
    )
]
"""An event loop, and a cancellation there that is not its caller's."""
