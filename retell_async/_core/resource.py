"""What every resource of the client is made of, and its methods whose operations end.

Those that still work warn, those that do not say what to use instead.
"""

from __future__ import annotations

import asyncio.coroutines
import inspect
import os
import sys
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property, wraps
from inspect import isfunction
from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast, overload

from .hints import readable
from .interop.awaited import Nothing
from .operation import Request, RequestOptions, Sender
from .pages import AsyncListPage, AsyncListPaginator, AsyncPage, AsyncPaginator, PageSender, StreamingSender, raw_page, streamed_page
from .response import RawResponse, StreamedResponse, keep, let_go

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "RawSender",
    "Resource",
    "StreamSender",
    "deprecated",
    "gone",
    "namespace",
    "raw",
    "raw_pages",
    "renamed",
    "streamed",
    "streamed_pages",
]

P = ParamSpec("P")
T = TypeVar("T")

_HERE = __name__.partition(".")[0]
_PAGINATORS = (AsyncPaginator.__name__, AsyncListPaginator.__name__)

_making = RLock()

if hasattr(os, "register_at_fork"):
    # Not while another thread imports one: what Python imports at that moment would stay locked in the child.
    os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)

if TYPE_CHECKING:
    namespace = cached_property
else:

    class namespace(cached_property):  # noqa: N801 - as it is used
        """A resource of a client, imported and made at its first use. That of Python 3.11 takes a lock that a fork would inherit."""

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            made = vars(instance)
            with _making:
                if self.attrname not in made:
                    made[self.attrname] = self.func(instance)
                return made[self.attrname]


if TYPE_CHECKING:
    # Every type checker brings the stub along, and marks the calls; nothing needs to be installed.
    from typing_extensions import deprecated
else:

    def deprecated(message: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Let a method give a `DeprecationWarning` when it is called; Python shows one a place that calls it."""

        def mark(method: Callable[..., Any]) -> Callable[..., Any]:
            readable(method)  # before what wraps it takes its annotations over

            @wraps(method)
            def warn(*arguments: Any, **options: Any) -> Any:
                _warn(message)
                return method(*arguments, **options)

            warn.__deprecated__ = message
            return warn

        return mark


def renamed(names: Mapping[str, tuple[str, str]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a method take keywords by their old names too, with a `DeprecationWarning`. Type checkers see overloads.

    :param names: for each old name the new one, and what the warning says.
    """

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        readable(method)

        @wraps(method)
        def take(*arguments: Any, **options: Any) -> Any:
            for old in [name for name in options if name in names]:
                new, message = names[old]
                if new in options:
                    raise TypeError(f"{old} is now {new}: give {new} alone")
                _warn(message)
                options[new] = options.pop(old)
            return method(*arguments, **options)

        return take

    return mark


def _warn(message: str) -> None:
    """Warn of the line that uses this package, whatever views and decorators stand between."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in {_HERE, "contextlib"}:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, DeprecationWarning, stacklevel=level)


# What wraps coroutine functions, such as tenacity, knows a method that lists, or that warns, for one from Python 3.12 on. Before that,
# what asks asyncio does, as `unittest.mock`.
if sys.version_info >= (3, 12):
    _mark = inspect.markcoroutinefunction
else:

    def _mark(method: Any) -> None:
        method._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]


class Resource:
    """The methods of one kind of thing, carried out by a client."""

    def __init_subclass__(cls) -> None:
        for method in filter(isfunction, vars(cls).values()):
            returned = dict[str, object].get(method.__annotations__, "return")  # as it is written, which imports nothing
            if inspect.iscoroutinefunction(getattr(method, "__wrapped__", None)) or str(returned).startswith(_PAGINATORS):
                _mark(method)
        readable(cls)

    def __init__(self, client: Sender) -> None:
        self._sender = client

    def _whole(self, request: Request[list[T]], options: RequestOptions) -> AsyncListPaginator[T]:
        """What fetches a list that has no pages."""
        return cast("AsyncListPaginator[T]", self._sender.paginate(request, options))


class RawSender:
    """A view of a client that gives answers as they came.

    The methods of a resource are typed for what a client gives; `raw` and `raw_pages` type them for what this one gives:
    a `RawResponse`, and for a list what is awaited for the `RawResponse` of its first page.
    """

    def __init__(self, sender: Sender) -> None:
        self._client = cast("PageSender", sender)

    async def send(self, request: Request[T], options: RequestOptions) -> T:
        return cast("T", await self._client.send_raw(request, options))

    def paginate(self, request: Request[Any], options: RequestOptions) -> AsyncPaginator[Any]:
        return cast("AsyncPaginator[Any]", raw_page(self._client, request, options))


class StreamSender:
    """A view of a client that gives answers before their bodies have come, as `streamed` expects them."""

    def __init__(self, sender: Sender) -> None:
        self._client = cast("StreamingSender", sender)

    async def send(self, request: Request[T], options: RequestOptions) -> T:
        return cast("T", self._client.stream(request, options))

    def paginate(self, request: Request[Any], options: RequestOptions) -> AsyncPaginator[Any]:
        return cast("AsyncPaginator[Any]", self._page(request, options))

    async def _page(self, request: Request[Any], options: RequestOptions) -> AbstractAsyncContextManager[StreamedResponse[AsyncPage[Any]]]:
        return streamed_page(self._client, request, options)


@overload
def raw(method: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[RawResponse[Nothing]]]: ...
@overload
def raw(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[RawResponse[T]]]: ...
def raw(method: Callable[P, Awaitable[Any]]) -> Callable[P, Awaitable[RawResponse[Any]]]:
    """Type a method of a resource whose sender is a `RawSender` as what it then is."""
    return cast("Callable[P, Awaitable[RawResponse[Any]]]", method)


@overload
def raw_pages(  # pyright: ignore[reportOverlappingOverload]
    method: Callable[P, AsyncListPaginator[T]],
) -> Callable[P, Awaitable[RawResponse[AsyncListPage[T]]]]: ...
@overload
def raw_pages(method: Callable[P, AsyncPaginator[T]]) -> Callable[P, Awaitable[RawResponse[AsyncPage[T]]]]: ...
def raw_pages(method: Callable[P, Any]) -> Callable[P, Any]:
    """The same for a method that lists: it gives the first page."""
    return method


def streamed(method: Callable[P, Awaitable[T]]) -> Callable[P, AbstractAsyncContextManager[StreamedResponse[T]]]:
    """Type a method of a resource whose sender is a `StreamSender` as what it then is, for ``async with``."""

    @asynccontextmanager
    async def opened(*args: P.args, **options: P.kwargs) -> AsyncGenerator[StreamedResponse[T]]:
        response: Any = await method(*args, **options)
        async with response as answer:
            yield answer

    def manager(*args: P.args, **options: P.kwargs) -> AbstractAsyncContextManager[StreamedResponse[T]]:
        return _Opened(opened(*args, **options))

    return manager


class _Opened(AbstractAsyncContextManager[StreamedResponse[T]]):
    """A manager that lives as long as the answer that it opens."""

    def __init__(self, manager: AbstractAsyncContextManager[StreamedResponse[T]]) -> None:
        self._manager = manager

    async def __aenter__(self) -> StreamedResponse[T]:
        self._answer = await self._manager.__aenter__()
        keep(self._answer, self._manager)
        return self._answer

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if let_go(self._answer) is not None:
            await self._manager.__aexit__(kind, error, traceback)


@overload
def streamed_pages(  # pyright: ignore[reportOverlappingOverload]
    method: Callable[P, AsyncListPaginator[T]],
) -> Callable[P, AbstractAsyncContextManager[StreamedResponse[AsyncListPage[T]]]]: ...
@overload
def streamed_pages(
    method: Callable[P, AsyncPaginator[T]],
) -> Callable[P, AbstractAsyncContextManager[StreamedResponse[AsyncPage[T]]]]: ...
def streamed_pages(method: Callable[P, Any]) -> Callable[P, Any]:
    """The same for a method that lists: it gives the first page."""
    return streamed(method)


def gone(messages: Mapping[str, str]) -> Callable[[object, str], NoReturn]:
    """Make a `__getattr__` that says of names that are gone what became of them."""

    def missing(self: object, name: str) -> NoReturn:
        message = messages.get(name, f"{type(self).__name__!r} object has no attribute {name!r}")
        raise AttributeError(message, name=name, obj=self)

    return missing
