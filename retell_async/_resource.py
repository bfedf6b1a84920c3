"""What every resource of the client is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from ._operation import Request, RequestOptions, Sender
from ._pages import AsyncPage, AsyncPaginator, PageSender, raw_page
from ._response import RawResponse

__all__ = ["RawSender", "Resource", "raw", "raw_pages"]

P = ParamSpec("P")
T = TypeVar("T")


class Resource:
    """The methods of one kind of thing, carried out by a client."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender


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


def raw(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[RawResponse[T]]]:
    """Type a method of a resource whose sender is a `RawSender` as what it then is."""
    return cast("Callable[P, Awaitable[RawResponse[T]]]", method)


def raw_pages(method: Callable[P, AsyncPaginator[T]]) -> Callable[P, Awaitable[RawResponse[AsyncPage[T]]]]:
    """The same for a method that lists: it gives the first page."""
    return cast("Callable[P, Awaitable[RawResponse[AsyncPage[T]]]]", method)
