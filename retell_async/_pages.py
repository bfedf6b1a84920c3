"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast, overload

import attrs

from ._errors import APIResponseValidationError
from ._model import Model, plain
from ._operation import Request, RequestOptions
from ._response import RawResponse

__all__ = ["AsyncPage", "AsyncPaginator", "next_request", "raw_page"]

T = TypeVar("T")
KEY = "pagination_key"


class PageSender(Protocol):
    """What fetches pages: the client."""

    async def send_raw(self, request: Request[Any], options: RequestOptions) -> RawResponse[Any]: ...


def next_request(request: Request[Any], fields: Mapping[str, Any]) -> Request[Any] | None:
    """The request for the page after the one that answered `request` with these fields; ``None`` after the last page.

    :raises ValueError: the answer promises more and does not say where: it has no key, or the one that was sent.
    """
    paging = request.operation.paging
    key = fields.get(KEY)
    if paging is None or not fields.get("has_more", key is not None):
        return None
    sent = (request.query if paging.location == "query" else request.body) or {}
    if not isinstance(key, str) or not key:
        raise ValueError(f"the page says that there are more and has no {KEY}")
    if key == sent.get(KEY):
        raise ValueError(f"the page names itself as the next: its {KEY} is the one that was sent")
    if paging.location == "query":
        return attrs.evolve(request, query={**request.query, KEY: key})
    return attrs.evolve(request, body={**(request.body or {}), KEY: key})


class AsyncPage(Sequence[T]):
    """One page of a list, which is also the sequence of its items."""

    items: list[T]

    def __init__(self, sender: PageSender, request: Request[Any], options: RequestOptions, raw: RawResponse[Any]) -> None:
        self._sender = sender
        self._request = request
        self._options = options
        self._raw = raw
        self._fields = _fields(raw)
        self.items = self._fields["items"]

    @property
    def has_more(self) -> bool:
        """Whether there are pages after this one."""
        return bool(self._fields.get("has_more", self.pagination_key is not None))

    @property
    def pagination_key(self) -> str | None:
        """Where the next page starts: given to the same list later, it goes on from there."""
        return self._fields.get(KEY)

    @property
    def total(self) -> int | None:
        """How many items there are on all pages, if the server was asked for that and said it."""
        return self._fields.get("total")

    async def next_page(self) -> AsyncPage[T] | None:
        """Fetch the page after this one; ``None`` after the last page. (An empty page is false: compare with ``None``.)

        :raises APIResponseValidationError: this page promises more and does not say where.
        """
        try:
            request = next_request(self._request, self._fields)
        except ValueError as error:
            raise APIResponseValidationError(self._raw.http_response, self._raw.json(), message=str(error)) from error
        return None if request is None else await _fetch(self._sender, request, self._options)

    def to_dict(self) -> dict[str, Any]:
        """The page as the server sent it; a list that has no pages comes as ``{"items": [...]}``."""
        return cast("dict[str, Any]", plain(dict(self._fields)))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"AsyncPage({len(self.items)} items, has_more={self.has_more})"


class AsyncPaginator(Generic[T]):
    """A list that is fetched when it is asked for.

    ``await`` gives the first `AsyncPage`; ``async for`` gives every item of every page, and `pages` the pages, each fetched when the one
    before it is used up.
    """

    def __init__(self, sender: PageSender, request: Request[Any], options: RequestOptions) -> None:
        self._sender = sender
        self._request = request
        self._options = options

    def __await__(self) -> Generator[Any, Any, AsyncPage[T]]:
        return _fetch(self._sender, self._request, self._options).__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Every page, lazily."""
        page: AsyncPage[T] | None = await self
        while page is not None:
            yield page
            page = await page.next_page()

    def __repr__(self) -> str:
        return f"AsyncPaginator({self._request.operation.id})"


async def _fetch(sender: PageSender, request: Request[Any], options: RequestOptions) -> AsyncPage[Any]:
    return AsyncPage(sender, request, options, await sender.send_raw(request, options))


async def raw_page(sender: PageSender, request: Request[Any], options: RequestOptions) -> RawResponse[AsyncPage[Any]]:
    """The first page of a list as the answer that it came in."""
    raw = await sender.send_raw(request, options)
    return raw.map(lambda _: AsyncPage(sender, request, options, raw))


def _fields(raw: RawResponse[Any]) -> Mapping[str, Any]:
    body = raw.parse()
    if isinstance(body, list):
        return {"items": body}
    fields = vars(body) if isinstance(body, Model) else body
    if not isinstance(fields, dict) or not isinstance(cast("dict[str, Any]", fields).get("items"), list):
        raise APIResponseValidationError(raw.http_response, raw.json(), message="the answer is no page: it has no array of items")
    return cast("dict[str, Any]", fields)
