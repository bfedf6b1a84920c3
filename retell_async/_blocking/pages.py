"""Lists that come in pages, for those who do not await."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import attrs

from .._core.operation import Request, RequestOptions
from .._core.pages import ListPage, Page, Walk, kept
from .._core.response import RawResponse

__all__ = ["PageSender", "SyncListPage", "SyncPage", "fetch", "page"]

T = TypeVar("T")


class PageSender(Protocol):
    """What fetches pages."""

    def send_raw(self, request: Request[Any], options: RequestOptions, *, parse: bool = ...) -> RawResponse[Any]: ...


class SyncPage(Page[T]):
    """One page of a list of a `Retell`. Length and indexes are those of its `items`; ``for`` goes on through all pages after it, lazily."""

    def next_page(self) -> SyncPage[T] | None:
        """Fetch the page after this one; ``None`` after the last page.

        :raises APIResponseValidationError: this page promises more and does not say where.
        :raises RuntimeError: it is a copy, which has no client: give its `pagination_key` to the list.
        """
        following = self._next()
        return None if following is None else _fetch(*following)

    def pages(self) -> Iterator[SyncPage[T]]:
        """This page and every page after it, lazily.

        :raises APIResponseValidationError: the list goes on without end: its keys come again, or it has nothing but empty pages.
        """
        return _Pages(self)

    def __iter__(self) -> Iterator[T]:
        return _Items(self.pages())


class SyncListPage(ListPage[T], SyncPage[T]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The whole of a list that has no pages: a list, with what a page has."""


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


def page(sender: PageSender, request: Request[Any], options: RequestOptions, raw: RawResponse[Any]) -> SyncPage[Any]:
    """The page that an answer is."""
    if isinstance(raw.meaning, list):
        return SyncListPage[Any].answered(sender, request, options, raw)
    return SyncPage[Any].answered(sender, request, options, raw)


def fetch(sender: PageSender, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
    """The first page of a list."""
    return _fetch(sender, attrs.evolve(request, query=kept(request.query), body=kept(request.body)), kept(options))


def _fetch(sender: PageSender, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
    return page(sender, request, options, sender.send_raw(request, options, parse=True))
