"""What every resource of a `Retell` is made of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from .._core.hints import readable
from .._core.operation import Request, RequestOptions
from .._core.response import RawResponse
from .pages import SyncListPage, SyncPage, page
from .response import Opened, SyncRawResponse, SyncStreamedResponse

__all__ = ["RawSender", "Resource", "Sender", "StreamSender", "raw", "streamed"]

P = ParamSpec("P")
T = TypeVar("T")


class Sender(Protocol):
    """What carries a request out."""

    def send(self, request: Request[T], options: RequestOptions) -> T:
        """Send it and give back what was answered."""
        ...

    def paginate(self, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
        """Fetch the first page of a list."""
        ...


class Client(Protocol):
    """A `Retell`."""

    _sender: Any


class WholeSender(Sender, Protocol):
    """What also gives answers as they came, and before their bodies have come."""

    def send_raw(self, request: Request[T], options: RequestOptions, *, parse: bool = ...) -> RawResponse[T]: ...

    def stream(
        self, request: Request[Any], options: RequestOptions, meaning: Callable[[RawResponse[Any]], Any]
    ) -> AbstractContextManager[SyncStreamedResponse[Any]]: ...


class Resource:
    """The methods of one kind of thing, carried out by a client."""

    def __init_subclass__(cls) -> None:
        readable(cls)

    def __init__(self, client: Sender | Client) -> None:
        """For what a `Retell` sends with, or for a `Retell`, as the official SDK has it."""
        given: Any = client
        self._sender: Sender = given if hasattr(given, "send") else given._sender

    def _whole(self, request: Request[list[T]], options: RequestOptions) -> SyncListPage[T]:
        """Fetch a list that has no pages."""
        return cast("SyncListPage[T]", self._sender.paginate(request, options))


class RawSender:
    """A view of a client that gives answers as they came: a method of a resource then gives a `SyncRawResponse`, as `raw` types it."""

    def __init__(self, sender: Sender) -> None:
        self._client = cast("WholeSender", sender)

    def send(self, request: Request[T], options: RequestOptions) -> T:
        return cast("T", SyncRawResponse(self._client.send_raw(request, options)))

    def paginate(self, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
        response = self._client.send_raw(request, options)

        def first(_: object) -> SyncPage[Any]:
            return page(self._client, request, options, response)

        return cast("SyncPage[Any]", SyncRawResponse(response.map(first)))


class StreamSender:
    """A view of a client that gives answers before their bodies have come, for ``with``, as `streamed` types it."""

    def __init__(self, sender: Sender) -> None:
        self._client = cast("WholeSender", sender)

    def send(self, request: Request[T], options: RequestOptions) -> T:
        def whole(response: RawResponse[Any]) -> Any:
            return response.meaning

        return cast("T", Opened(self._client.stream(request, options, whole)))

    def paginate(self, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
        def first(response: RawResponse[Any]) -> SyncPage[Any]:
            return page(self._client, request, options, response)

        return cast("SyncPage[Any]", Opened(self._client.stream(request, options, first)))


def raw(method: Callable[P, T]) -> Callable[P, SyncRawResponse[T]]:
    """Type a method of a resource whose sender is a `RawSender` as what it then is."""
    return cast("Callable[P, SyncRawResponse[T]]", method)


def streamed(method: Callable[P, T]) -> Callable[P, AbstractContextManager[SyncStreamedResponse[T]]]:
    """Type a method of a resource whose sender is a `StreamSender` as what it then is, for ``with``."""
    return cast("Callable[P, AbstractContextManager[SyncStreamedResponse[T]]]", method)
