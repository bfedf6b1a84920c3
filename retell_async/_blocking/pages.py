"""Lists that come in pages, for those who do not await."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from .._core.operation import Request, RequestOptions
from .._core.pages import Page, Walk
from .._core.response import RawResponse

__all__ = ["PageSender", "SyncPage"]

T = TypeVar("T")


class PageSender(Protocol):
    """What fetches pages."""

    def send_raw(self, request: Request[Any], options: RequestOptions, *, parse: bool = ...) -> RawResponse[Any]: ...


class SyncPage(Page[T]):
    """One page of a list of a `Retell`. Length and indexes are those of its `items`; ``for`` goes on through all pages after it, lazily."""

    _sender: PageSender

    def next_page(self) -> SyncPage[T] | None:
        """Fetch the page after this one; ``None`` after the last page. (An empty page is false: compare with ``None``.)

        :raises APIResponseValidationError: this page promises more and does not say where.
        """
        request = self._next()
        return None if request is None else fetch(self._sender, request, self._options)

    def pages(self) -> Iterator[SyncPage[T]]:
        """This page and every page after it, lazily.

        :raises APIResponseValidationError: the list goes on without end: its keys come again, or it has nothing but empty pages.
        """
        return _Pages(self)

    def __iter__(self) -> Iterator[T]:
        return _Items(self.pages())


class _Pages(Iterator[SyncPage[T]]):
    """After an error it can be asked again for the same page."""

    def __init__(self, first: SyncPage[T]) -> None:
        self._first: SyncPage[T] | None = first
        self._page = first
        self._walked: SyncPage[T] | None = None
        self._walk = Walk()

    def __next__(self) -> SyncPage[T]:
        first, self._first = self._first, None
        if first is not None:
            return first
        if self._walked is not self._page:  # else the page after it could not be fetched
            self._page.step(self._walk)
            self._walked = self._page
        following = self._page.next_page()
        if following is None:
            raise StopIteration
        self._page = following
        return following


class _Items(Iterator[T]):
    def __init__(self, pages: Iterator[SyncPage[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __next__(self) -> T:
        while True:
            for item in self._items:
                return item
            self._items = iter(next(self._pages).items)


def fetch(sender: PageSender, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
    """The page that a request asks for."""
    return SyncPage(sender, request, options, sender.send_raw(request, options, parse=True))
