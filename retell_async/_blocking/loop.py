"""An event loop in a thread of its own, in which others have things done and wait for them.

It begins with the first that somebody waits for. A process that is forked off begins another one when it needs it.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple

import anyio

from .._core.errors import RetellError
from .._core.masking import cut
from .._http.loops import no_thread_begins, this_process
from .thread import LoopOfCallers, LoopThread, awake

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Background", "Use"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Background:
    """The event loop of a client and all its views, which keep it: without them it ends.

    :param close: closes the client; called in the loop before it ends.
    :param always: call it even where nothing was ever done.
    """

    is_over = staticmethod(sys.is_finalizing)
    """Whether the interpreter ends and has stopped all other threads: nobody would answer. Held here, as modules lose their names then."""

    def __init__(self, close: Callable[[], Awaitable[None]], *, always: bool) -> None:
        self.closed = False
        self._close = close
        self._always = always
        self._thread: LoopThread | None = None
        self._users = 0
        self._lock = threading.RLock()  # a collection of garbage may close the client while it is held
        _all.add(self)

    def forked(self) -> None:
        """Take note that this is another process, in which only the thread that forked goes on."""
        if self._thread is not None:
            _of_parents.append(self._thread)
        self._thread = None
        self._always = False  # what the parent opened is the parent's to close
        self._users = 0
        self._lock = threading.RLock()

    def use(self) -> Use:
        """The loop, which does not end before `Use` does.

        :raises RetellError: the client is closed, the caller is in this very loop, or the interpreter ends.
        """
        self.refuse_end()
        with self._lock:
            if self.closed:
                raise RetellError("the client is closed")
            return self._use()

    def refuse_end(self) -> None:
        if self.is_over():
            raise RetellError(
                "the interpreter ends, and the event loop of this Retell with it: send nothing in a `__del__` or a generator that ends then"
            )

    def _use(self) -> Use:
        thread = self._thread
        if thread is None or thread.has_ended:
            thread = self._thread = LoopThread()  # kept before it begins: whoever is interrupted while it does loses nothing
            try:
                thread.start()
            except RuntimeError as error:
                if not no_thread_begins(error):
                    raise
                thread = self._thread = LoopOfCallers()
        elif thread.is_here:
            raise RetellError(
                "a hook, an HTTP client or a file of this Retell called it: it runs in the event loop that would send the request"
            )
        else:
            with awake():
                thread.ready.result()
        self._users += 1
        return Use(self, thread)

    def leave(self) -> None:
        """End a use."""
        with self._lock:
            self._users -= 1
            thread = self._thread
            if thread is None or self._users or not self.closed:
                return
            self._thread = None
        thread.end()

    def close(self) -> None:
        """Close the client. What is under way in other threads goes on to its end, and the loop ends after it.

        While the interpreter ends, nothing is left to do: the system closes what is open.
        """
        if self.is_over():  # before the lock, which a thread may have held when it was stopped
            self.closed = True
            return
        with self._lock:
            if self.closed:
                return
            self.closed = True
            thread = self._thread
            if (thread is None or thread.has_ended) and not self._always:
                return
            if thread is not None and thread.is_here:
                if self._users:
                    thread.soon(self._close)  # the last one who uses it ends the loop
                else:
                    self._thread = None
                    thread.end_soon(self._close)
                return
            use = self._use()
        with use:
            use.run(self._close)

    def __del__(self) -> None:
        thread = self._thread
        if thread is None or self.closed or self.is_over():
            return
        thread.end_soon(self._close)
        warnings.warn(
            "a Retell was dropped while its event loop was running: use `with`, or `client.close()`",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )


class Use:
    """A loop that is in use, for ``with``."""

    __slots__ = ("_background", "_thread")

    def __init__(self, background: Background, thread: LoopThread) -> None:
        self._background = background
        self._thread = thread

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be done in the loop: the interpreter ends, or the process was forked from that of the loop."""
        return self._background.is_over() or self._thread.process is not this_process()

    @property
    def is_here(self) -> bool:
        """Whether this is the loop's own thread, as where it calls what a program gave it."""
        return self._thread.is_here

    def _refuse_gone(self) -> None:
        self._background.refuse_end()
        if self.is_gone:
            raise RetellError("this was opened before the process was forked, and belongs to the parent")

    def run(self, function: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        """Have this done in the loop, and wait for it. Whoever is interrupted meanwhile has it cancelled.

        :raises RetellError: the loop is gone.
        """
        self._refuse_gone()
        thread = self._thread
        job = _Job[T](function, arguments)
        try:
            thread.wait(thread.begin(job.run))
        except BaseException:
            with suppress(RuntimeError, RetellError):  # the loop has ended, or is not to run here
                thread.begin(job.drop)
            raise
        return job.outcome()

    def finish(self, function: Callable[[], Awaitable[None]]) -> None:
        """Have this done in the loop, and wait for it unless this is the loop's own thread, where garbage may be collected.

        It is not done where the loop is gone.
        """
        if self.is_gone:
            return
        if self._thread.is_here:
            self._thread.soon(function)
        else:
            self.run(function)

    def start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Have this done in the loop while the thread goes on, and give what cancels it and waits for its end.

        :raises RetellError: the loop is gone.
        """
        self._refuse_gone()
        thread = self._thread
        job = _Job[None](function, ())
        done = thread.begin(job.run)

        def end() -> None:
            if not self.is_gone:
                with suppress(RuntimeError):  # the loop has ended
                    thread.begin(job.drop)
                thread.wait(done)

        return end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if not self.is_gone:
            self._background.leave()


class _Job(Generic[T]):
    """Something that is done in the loop while a thread waits for it."""

    def __init__(self, function: Callable[..., Awaitable[T]], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._scope: anyio.CancelScope | None = None
        self._value: T
        self._error: BaseException | None = None

    async def run(self) -> None:
        with anyio.CancelScope() as self._scope:
            try:
                self._value = await self._function(*self._arguments)
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - it is raised again where the thread waits, and no end of the loop
                self._error = error

    async def drop(self) -> None:
        """Cancel it."""
        if self._scope is not None:
            self._scope.cancel()

    def outcome(self) -> T:
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise cut(error)  # the frames of the loop's thread; those of the caller come to it now
        finally:
            del error


_all: weakref.WeakSet[Background] = weakref.WeakSet()
_of_parents: list[LoopThread] = []
"""Loops of the process from which this one was forked: to collect them would do what only their own thread may."""


def _forked() -> None:
    for background in list(_all):
        background.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
