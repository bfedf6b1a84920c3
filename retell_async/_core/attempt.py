"""How code of users ends: a handler, a hook, a turn, or a method of a store."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio
import attrs

__all__ = ["Done", "Failed", "attempt", "attempt_here"]

ResultT = TypeVar("ResultT")


@attrs.frozen
class Done(Generic[ResultT]):
    """It returned."""

    value: ResultT


@attrs.frozen
class Failed:
    """It raised, or was cancelled although its caller was not."""

    error: BaseException = attrs.field(repr=False)

    @property
    def exception(self) -> Exception:
        """The error, or one that names it if it is no `Exception`: raised in a task, such a one would end more than that."""
        error = self.error
        if isinstance(error, Exception):
            return error
        named = RuntimeError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        named.__cause__ = error
        return named

    def raise_if_exit(self) -> None:
        """Raise the error again if it is meant to end the program, such as `SystemExit`. Call this last: nothing after it runs."""
        kinds = (SystemExit, KeyboardInterrupt)
        error = self.error
        if isinstance(error, BaseExceptionGroup):
            is_exit = cast("BaseExceptionGroup[BaseException]", error).subgroup(kinds) is not None
        else:
            is_exit = isinstance(error, kinds)
        if is_exit:
            raise self.error


async def attempt(call: Callable[[], Awaitable[ResultT]]) -> Done[ResultT] | Failed:
    """Call and await code of users, in a task of its own. Nothing is raised except the cancellation of the caller.

    A cancellation that comes from no scope around the call comes from the code itself, or from what it awaits, and is a failure like any
    other. One that the code has asked for and not taken back ends with its task: asyncio's own groups leave such behind before 3.13, and
    time-outs made of ``task.cancel`` on all versions. When the caller is cancelled and the code comes to its end all the same, the outcome
    is returned, and the caller's next await raises.
    """
    outcome: list[Done[ResultT] | Failed] = []

    async def run() -> None:
        try:
            outcome.append(await attempt_here(call))
        except GeneratorExit as error:  # of the code, or since the event loop is gone
            outcome.append(Failed(error))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
    except BaseException:
        if not (outcome and _cancelled()):
            raise
    while not outcome:
        await anyio.lowlevel.checkpoint()  # raises, since only a cancelled caller gets here
    return outcome[0]


async def attempt_here(call: Callable[[], Awaitable[ResultT]]) -> Done[ResultT] | Failed:
    """The same in the task of the caller, which should await nothing afterwards: the code may have cancelled it."""
    try:
        return Done(await call())
    except BaseException as error:
        if isinstance(error, GeneratorExit) or (not isinstance(error, Exception) and _cancelled()):
            raise
        return Failed(error)


def _cancelled() -> bool:
    """Whether a scope around this is cancelled."""
    try:
        return anyio.current_effective_deadline() == -math.inf
    except RuntimeError:  # no loop runs any more, and what was left in it is thrown away
        return False
