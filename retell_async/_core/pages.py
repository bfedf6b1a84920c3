"""Lists that come in pages."""

from __future__ import annotations

import copy
import warnings
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, cast, overload

import attrs

from .errors import APIResponseValidationError, unusable
from .interop.methods import PydanticMethods, method
from .model import Many, Model, UnknownObject, adopter, lookup
from .operation import Request, RequestOptions
from .response import NO_PAGE, RawResponse, StreamedResponse

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "AsyncListPage",
    "AsyncListPaginator",
    "AsyncPage",
    "AsyncPaginator",
    "ListPage",
    "Page",
    "StreamingSender",
    "Walk",
    "kept",
    "next_request",
    "paginated",
    "raw_page",
    "streamed_page",
]

T = TypeVar("T")
U = TypeVar("U")
PageT = TypeVar("PageT")
KEY = "pagination_key"
MOST_EMPTY_PAGES = 20


class PageSender(Protocol):
    """What fetches pages: the client."""

    async def send_raw(self, request: Request[Any], options: RequestOptions, *, parse: bool = ...) -> RawResponse[Any]: ...


class StreamingSender(PageSender, Protocol):
    """What also gives answers before their bodies have come."""

    def stream(self, request: Request[T], options: RequestOptions) -> AbstractAsyncContextManager[StreamedResponse[T]]: ...


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
    # The key says where to go on; the document takes no `skip` beside it, and it was done with the first page.
    if paging.location == "query":
        return attrs.evolve(request, query={**_without_skip(request.query), KEY: key})
    return request.with_body({**_without_skip(request.body or {}), KEY: key})


def _without_skip(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "skip"}


class Walk:
    """Notices a list without end. It needs little memory, however many pages there are."""

    def __init__(self) -> None:
        self._marked: str | None = None
        self._steps = 0
        self._until_mark: int = 1
        self._empty = 0

    def step(self, key: str | None, items: int) -> None:
        """Take note of one page: the key of the page after it, if any, and how many items it has.

        :raises ValueError: the keys go round in a circle, or page after page is empty.
        """
        self._empty = 0 if items else self._empty + 1
        if key is None:
            return
        if self._empty >= MOST_EMPTY_PAGES:
            raise ValueError(f"{self._empty} pages in a row are empty and say that there are more")
        if key == self._marked:
            raise ValueError(f"the pages go round in a circle: a {KEY} came again")
        # One key is kept and compared with all that follow, and another one after twice as many: every circle is noticed before its
        # third round.
        self._steps += 1
        if self._steps == self._until_mark:
            self._marked = key
            self._steps = 0
            self._until_mark *= 2


_Origin: TypeAlias = tuple[Any, Request[Any], RequestOptions, RawResponse[Any]]
"""Where a page came from, for the next one: what sends, the request, and its answer."""


class Page(PydanticMethods, Sequence[T]):
    """One page of a list, which is also the sequence of its items.

    It is written as JSON without a trace of the client (`to_dict`, `model_dump`, FastAPI), and ``dict(page)`` gives its fields. A copy or a
    pickle of it has all but the client, and so no next page.
    """

    __test__ = False  # some names of pages begin as those of tests do
    __body__: ClassVar[str] = "UnknownObject"
    """What is around the items of a page that is not of a client."""
    _origin: _Origin | None = None

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
            from .interop.own import refuse_fields

            refuse_fields(cls)

    def __init__(self, **fields: Any) -> None:
        from .interop.validate import check_required

        check_required(type(self), fields)
        self._hold(self.__declaring__().from_dict(fields))

    @classmethod
    def answered(cls, sender: Any, request: Request[Any], options: RequestOptions, raw: RawResponse[Any]) -> Self:
        """The page that an answer is."""
        made = cls.__new__(cls)
        made._origin = (sender, request, options, raw)
        made._hold(_body(raw))
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make a page of a JSON object, with no client and so no next page. Of a `CallListResponse` and its like the items are models."""
        made = cls.__new__(cls)
        made._hold(cls.__declaring__().from_dict(data))
        return made

    def _hold(self, body: Model) -> None:
        self._body = body
        self._fields = vars(body)

    @property
    def items(self) -> list[T]:
        """What is on this page."""
        if "items" not in self._fields:
            raise AttributeError("items", name="items", obj=self)
        found: list[T] = self._fields["items"]
        return found

    @items.setter
    def items(self, value: list[T]) -> None:
        self._fields["items"] = value

    @property
    def __content__(self) -> Model:
        return self._body

    @classmethod
    def __declaring__(cls) -> type[Model]:
        return cast("type[Model]", lookup(cls.__body__))

    @property
    def has_more(self) -> bool:
        """Whether there are pages after this one."""
        return bool(self._fields.get("has_more", self.pagination_key is not None))

    @has_more.setter
    def has_more(self, value: bool) -> None:
        self._fields["has_more"] = value

    @property
    def pagination_key(self) -> str | None:
        """Where the next page starts: given to the same list later, it goes on from there."""
        return self._fields.get(KEY)

    @pagination_key.setter
    def pagination_key(self, value: str | None) -> None:
        self._fields[KEY] = value

    @property
    def total(self) -> int | None:
        """How many items there are on all pages, if the server was asked for that and said it."""
        return self._fields.get("total")

    @total.setter
    def total(self, value: int | None) -> None:
        self._fields["total"] = value

    @method
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with some fields changed; `deep` copies what is inside too. It has no client, and so no next page."""
        made = copy.copy(self)
        made._hold(self._body.model_copy(update=update, deep=deep))
        return made

    def _next(self) -> tuple[Any, Request[Any], RequestOptions] | None:
        """What sends the request for the page after this one, and that request."""
        if self._origin is None:
            raise RuntimeError("a page that was copied or made has no client: give its pagination_key to the list that it is a page of")
        sender, request, options, _ = self._origin
        try:
            following = next_request(request, self._fields)
        except ValueError as error:
            raise self.invalid(str(error)) from error
        return None if following is None else (sender, following, options)

    def step(self, walk: Walk) -> None:
        """Let a walk through the list take note of this page.

        :raises APIResponseValidationError: the list goes on without end.
        """
        try:
            walk.step(self.pagination_key if self.has_more else None, len(self))
        except ValueError as error:
            raise self.invalid(str(error)) from error

    def invalid(self, message: str) -> APIResponseValidationError:
        """The error that says what is wrong with this page, fetched by a client."""
        *_, raw = cast("_Origin", self._origin)
        return unusable(raw.http_response, raw.json(), message=message)

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """Its fields, as those of a model: what ``vars(page)`` and who makes JSON of it ask for."""
            return vars(self.__content__)

        def __getattr__(self, name: str) -> Any:
            """A field that this version does not know."""
            if name.startswith("_") or name not in self._fields:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            return self._fields[name]

        def __setattr__(self, name: str, value: Any) -> None:
            if name.startswith("_") or hasattr(type(self), name):
                super().__setattr__(name, value)
            else:
                self._fields[name] = value

        def __delattr__(self, name: str) -> None:
            if name in self._fields and not callable(getattr(type(self), name, None)):  # a method, where a field has its name
                del self._fields[name]
            else:
                super().__delattr__(name)

        def keys(self) -> KeysView[str]:
            """Names of its fields: what ``dict(page)`` and FastAPI ask for."""
            return dict(self._body).keys()

    def __getstate__(self) -> dict[str, Any]:
        return {"_body": copy.copy(self._body)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._hold(state["_body"])

    def __eq__(self, other: object) -> bool:
        return self._body == other._body if isinstance(other, Page) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of any model

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """What pydantic asks for, when a page is the type of a field or of an answer of FastAPI."""
        from .interop.schema import of_page

        return of_page(cls, source, handler)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: Any) -> Any:
        items: list[Any] = self.items
        return dict(self._body)[index] if isinstance(index, str) else items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        """An answer is true, whatever is in it: `len` says whether there are items."""
        return True

    def __repr__(self) -> str:
        if not hasattr(self, "_fields"):  # as in a traceback of why it cannot be made
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}({len(getattr(self, 'items', ()))} items, has_more={self.has_more})"


class ListPage(list[T], Page[T]):
    """The whole of a list that has no pages: a list, with what a page has."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        super().__init__(items)
        self._hold(UnknownObject())

    @classmethod
    def answered(cls, sender: Any, request: Request[Any], options: RequestOptions, raw: RawResponse[Any]) -> Self:
        """The list that an answer is."""
        made = super().answered(sender, request, options, raw)
        made.extend(made._fields.pop("items"))
        return made

    @property
    def items(self) -> list[T]:
        """The list itself."""
        return self

    @items.setter
    def items(self, value: list[T]) -> None:
        self[:] = value

    @property
    def __content__(self) -> Model:
        return UnknownObject(items=list(self), **self._fields)

    def __bool__(self) -> bool:
        return len(self) > 0

    def copy(self) -> list[T]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """A plain list of the items."""
        return list(self)


class AsyncPage(Page[T]):
    """One page of a list, which is also the sequence of its items.

    It is written as JSON without a trace of the client (`to_dict`, `model_dump`, FastAPI), and ``dict(page)`` gives its fields. A copy or a
    pickle of it has all but the client, and so no next page.
    """

    async def next_page(self) -> AsyncPage[T] | None:
        """Fetch the page after this one; ``None`` after the last page.

        :raises APIResponseValidationError: this page promises more and does not say where.
        :raises RuntimeError: it is a copy, which has no client: give its `pagination_key` to the list.
        """
        following = self._next()
        return None if following is None else await _fetch(*following)


class AsyncListPage(ListPage[T], AsyncPage[T]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The whole of a list that has no pages: a list, with what a page has."""


class _Paginator(Coroutine[Any, Any, PageT], Generic[T, PageT]):
    """What fetches a list when it is asked for: ``await`` gives its first page."""

    _first: Coroutine[Any, Any, PageT] | None = None  # made when it is run as a coroutine, so that there is none to warn of else

    def __init__(self, sender: PageSender, request: Request[Any], options: RequestOptions) -> None:
        self._sender = sender
        # Every page is asked for with these: what gives its items once has to give them more than once.
        self._request = attrs.evolve(request, query=kept(request.query), body=kept(request.body))
        self._options: RequestOptions = kept(options)

    if not TYPE_CHECKING:  # to type checkers the name of a coroutine is no property

        @property
        def __name__(self) -> str:
            """Which list it is, to whoever shows the coroutine of a task."""
            return self._request.operation.id

    def __await__(self) -> Generator[Any, Any, PageT]:
        return self._fetch().__await__()

    def send(self, value: Any, /) -> Any:
        """Run it as a coroutine, as an event loop does with a task."""
        return self._coroutine().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in it, as an event loop does with a task that is cancelled."""
        return self._coroutine().throw(*error)

    def close(self) -> None:
        """End it, if it has begun to run as a coroutine."""
        if self._first is not None:
            self._first.close()

    def _coroutine(self) -> Coroutine[Any, Any, PageT]:
        if self._first is None:
            self._first = self._fetch()
        return self._first

    def _fetch(self) -> Coroutine[Any, Any, PageT]:
        return cast("Coroutine[Any, Any, PageT]", _fetch(self._sender, self._request, self._options))

    def __aiter__(self) -> _Items[T]:
        return _Items(self.pages())

    def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Every page, lazily.

        :raises APIResponseValidationError: the list goes on without end: its keys come again, or it has nothing but empty pages.
        """
        return _Pages(cast("Awaitable[AsyncPage[T]]", self))

    @asynccontextmanager
    async def prefetch(self, pages: int = 1) -> AsyncGenerator[AsyncPages[T]]:
        """Fetch up to so many pages while the present one is used: ``async with client.call.list().prefetch() as calls: async for ...``.

        What is fetched and not used is dropped when the block ends.
        """
        from .prefetch import prefetched

        if pages < 1:
            raise ValueError(f"pages must be 1 or more, not {pages}")
        async with prefetched(self.pages(), pages) as fetched:
            yield AsyncPages(fetched)

    @asynccontextmanager
    async def map(self, fetch: Callable[[T], Awaitable[U]], *, concurrency: int = 8) -> AsyncGenerator[AsyncIterator[U]]:
        """Put each item through `fetch`, several at a time, and give the results in the order of the list.

        A list of calls has no transcripts and a list of agents has summaries; this gives the whole of each:
        ``async with client.call.list().map(lambda item: client.call.retrieve(item.call_id)) as calls: async for call in calls: ...``.
        When `fetch` fails for an item, its error is raised in place of the result, and no results follow.

        :param concurrency: so many are fetched, or wait to be used, at a time.
        """
        from .prefetch import mapped

        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency}")
        async with mapped(aiter(self), fetch, concurrency) as results:
            yield results

    def ahead(self, pages: int = 1) -> AbstractAsyncContextManager[AsyncPages[T]]:
        """`prefetch` under its former name."""
        warnings.warn("ahead() is now prefetch(), and will go with the next release", DeprecationWarning, stacklevel=2)
        return self.prefetch(pages)

    def filled(self, fetch: Callable[[T], Awaitable[U]], *, at_once: int = 8) -> AbstractAsyncContextManager[AsyncIterator[U]]:
        """`map` under its former name."""
        warnings.warn(
            "filled(at_once=...) is now map(concurrency=...), and will go with the next release", DeprecationWarning, stacklevel=2
        )
        return self.map(fetch, concurrency=at_once)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._request.operation.id})"


class AsyncPaginator(_Paginator[T, AsyncPage[T]]):
    """A list that is fetched when it is asked for.

    ``await`` gives the first `AsyncPage`; ``async for`` gives every item of every page, and `pages` the pages, each fetched when the one
    before it is used up. `prefetch` fetches earlier, and `map` fetches more about each item.

    What takes a coroutine takes it too, for the first page: `asyncio.create_task`, `asyncio.run`, `TaskGroup.create_task`.
    """


if TYPE_CHECKING:
    # What a coroutine gives is, to type checkers, what its base says: so it is no kind of the other one to them.
    class AsyncListPaginator(_Paginator[T, AsyncListPage[T]]):
        """A list that has no pages: ``await`` gives all of it, which is a list."""

else:

    class AsyncListPaginator(AsyncPaginator[T]):
        """A list that has no pages: ``await`` gives all of it, which is a list."""


def kept(value: Any) -> Any:
    """The same with a list for each iterator."""
    if isinstance(value, Iterator):
        return [kept(item) for item in cast("Iterator[Any]", value)]  # type: ignore[redundant-cast]
    if isinstance(value, dict):
        return {name: kept(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [kept(item) for item in cast("list[Any]", value)]  # type: ignore[redundant-cast]
    return value


class _Pages(AsyncIterator[AsyncPage[T]]):
    def __init__(self, paginator: Awaitable[AsyncPage[T]]) -> None:
        self._paginator = paginator
        self._page: AsyncPage[T] | None = None
        self._walked: AsyncPage[T] | None = None
        self._walk = Walk()

    async def __anext__(self) -> AsyncPage[T]:
        page = self._page
        if page is None:
            page = self._page = await self._paginator
            return page
        if self._walked is not page:  # else the page after it could not be fetched
            page.step(self._walk)
            self._walked = page
        following = await page.next_page()
        if following is None:
            raise StopAsyncIteration
        self._page = following
        return following


class _Items(AsyncIterator[T]):
    def __init__(self, pages: AsyncIterator[AsyncPage[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())
        self._is_closed = False

    async def __anext__(self) -> T:
        while not self._is_closed:
            for item in self._items:
                return item
            self._items = iter((await anext(self._pages)).items)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give no more, as a generator that is closed: for `contextlib.aclosing`."""
        self._is_closed = True


class AsyncPages(_Items[T]):
    """Pages that are fetched ahead, to be used once: ``async for`` gives every item of every page, and `pages` the pages."""

    def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Every page."""
        return self._pages


def _page(sender: PageSender, request: Request[Any], options: RequestOptions, raw: RawResponse[Any]) -> AsyncPage[Any]:
    if isinstance(raw.meaning, list):
        return AsyncListPage[Any].answered(sender, request, options, raw)
    return AsyncPage[Any].answered(sender, request, options, raw)


def paginated(sender: PageSender, request: Request[Any], options: RequestOptions) -> AsyncPaginator[Any]:
    """What fetches a list when it is asked for."""
    if isinstance(request.operation.response, Many):
        return cast("AsyncPaginator[Any]", AsyncListPaginator[Any](sender, request, options))
    return AsyncPaginator[Any](sender, request, options)


async def _fetch(sender: PageSender, request: Request[Any], options: RequestOptions) -> AsyncPage[Any]:
    return _page(sender, request, options, await sender.send_raw(request, options, parse=True))


async def raw_page(sender: PageSender, request: Request[Any], options: RequestOptions) -> RawResponse[AsyncPage[Any]]:
    """The first page of a list as the answer that it came in."""
    raw = await sender.send_raw(request, options)
    return raw.map(lambda _: _page(sender, request, options, raw))


@asynccontextmanager
async def streamed_page(
    sender: StreamingSender, request: Request[Any], options: RequestOptions
) -> AsyncGenerator[StreamedResponse[AsyncPage[Any]]]:
    """The same, before its body has come."""
    async with sender.stream(request, options) as response:
        yield response.map(lambda raw: _page(sender, request, options, raw))


def _body(raw: RawResponse[Any]) -> Model:
    body = raw.meaning
    if isinstance(body, list):
        return adopter(UnknownObject)({"items": body})
    model = body if isinstance(body, Model) or not isinstance(body, dict) else adopter(UnknownObject)(cast("dict[str, Any]", body))
    if not isinstance(model, Model) or not isinstance(vars(model).get("items"), list):
        raise unusable(raw.http_response, raw.json(), message=NO_PAGE)
    return model
