"""Calls that are dispatched, for programs that do not await."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import anyio

from .._core.errors import RetellError
from .._core.masking import Hidden
from .._core.prefetch import Handover

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .._dispatch.dispatch import Dispatch
    from .._dispatch.outcome import Outcome, Progress
    from .loop import Background, Use

__all__ = ["SyncDispatch"]

_NOTHING, _WISH, _END = object(), object(), object()


class SyncDispatch:
    """Calls that are being placed and followed: what `Retell.dispatch` gives.

    ``with client.dispatch(requests) as outcomes``, and inside it ``for outcome in outcomes``, as with `Dispatch`. Requests are taken from
    the iterable in the thread that reads the outcomes, while it waits for the next one.
    """

    def __init__(self, begin: Callable[[AsyncIterator[Any]], Dispatch], requests: Iterable[Any], background: Background) -> None:
        self._requests = Hidden(iter(requests))
        self._dispatch = begin(_Wishes(self._wish))
        self._background = background
        self._use: Use | None = None
        self._cancel: Callable[[], None] | None = None
        self._lock = threading.Lock()  # one thread reads at a time
        # What came and what is to be fed, as long as nobody else has it: whoever is interrupted finds it the next time.
        self._said: object = _NOTHING
        self._wished: Hidden[object] | None = None

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._dispatch.progress

    def stop(self) -> None:
        """Take no more requests, and place none of those that wait, which end as ``not_placed``. Calls that were placed are followed."""
        if self._use is not None:
            if self._use.is_here:  # such as in `on_progress`
                self._dispatch.stop()
            else:
                self._use.run(self._stop)

    async def _stop(self) -> None:
        self._dispatch.stop()

    def __enter__(self) -> Self:
        if self._use is not None:
            raise RetellError("a dispatch is entered once")
        self._use = self._background.use()
        # Either there is an outcome, an error at the end of all, or the wish for another request, which is fed.
        self._sayings, self._fed = Handover[object](), Handover[object]()
        try:
            self._cancel = self._use.start(self._run)
        except BaseException:
            self._close()
            raise
        return self

    def _close(self) -> None:
        cast("Use", self._use).__exit__(None, None, None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._use is not None and self._cancel is not None:
            try:
                self._cancel()
            finally:
                self._close()

    def __iter__(self) -> Iterator[Outcome]:
        return self

    def __next__(self) -> Outcome:
        """Give the next outcome, with the errors of `Dispatch`."""
        if self._use is None:
            raise RetellError("enter a dispatch before its outcomes are read: with client.dispatch(...) as outcomes")
        with self._lock:
            self._use.run(self._next)
            while self._said is _WISH:
                if self._wished is None:
                    try:
                        request = next(self._requests.value, _END)
                    except Exception as error:  # noqa: BLE001 - it ends the dispatch, and is raised after the last outcome
                        request = _Failed(error)
                    self._wished = Hidden(request)
                self._use.run(self._grant)
                self._use.run(self._next)
            said, self._said = self._said, _NOTHING
        if said is _END:
            raise StopIteration
        if isinstance(said, _Failed):
            raise said.error
        return cast("Outcome", said)

    async def _run(self) -> None:
        try:
            async with self._dispatch as outcomes:
                async for outcome in outcomes:
                    await self._sayings.give(outcome)
        except Exception as error:  # noqa: BLE001 - it is raised where outcomes are read
            await self._sayings.give(_Failed(error))
        finally:
            self._sayings.close()

    async def _next(self) -> None:
        if self._said is _NOTHING:
            try:
                self._said = await self._sayings.take()
            except anyio.EndOfStream:
                self._said = _END

    async def _grant(self) -> None:
        if self._wished is not None:
            self._fed.put(self._wished.value)
            self._said, self._wished = _NOTHING, None

    async def _wish(self) -> object:
        """Get a request from the thread that reads outcomes."""
        await self._sayings.give(_WISH)
        return await self._fed.take()


class _Failed:
    def __init__(self, error: Exception) -> None:
        self.error = error


class _Wishes:
    """The requests, got from another thread one by one."""

    def __init__(self, wish: Callable[[], Awaitable[object]]) -> None:
        self._wish = wish

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        request = await self._wish()
        if request is _END:
            raise StopAsyncIteration
        if isinstance(request, _Failed):
            raise request.error
        return request
