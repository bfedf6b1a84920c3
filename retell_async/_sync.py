"""The client without `await`."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from ._blocking.loop import Background
from ._blocking.pages import SyncPage, fetch
from ._blocking.response import SyncStreamedResponse
from ._client import AsyncRetell
from ._core.masking import Hidden
from ._core.operation import Omit, Request, RequestOptions, omit
from ._core.response import RawResponse
from ._engine.events import Hook, log
from ._engine.limits import RateLimit
from ._engine.retry import RetryPolicy
from ._engine.settings import DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_RETRIES
from ._helpers import WITHIN
from ._official_client import OfficialSettings, SyncVerbs
from .resources._sync import Resources

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TypeAlias, Unpack

    import httpx

    from ._blocking.dispatch import SyncDispatch
    from ._core.model import Model
    from ._dispatch.outcome import Progress, Until
    from ._engine import given as httpx2  # its clients, checked where it is not installed too
    from ._engine.settings import Settings
    from ._engine.shared import SharedState

    HttpClient: TypeAlias = httpx.Client | httpx2.Client | httpx.AsyncClient | httpx2.AsyncClient

__all__ = ["Retell"]

T = TypeVar("T")


class _Sender:
    """Has a client carry requests out in its event loop. What can be done in the caller's thread is done there.

    The resources hold this and not the `Retell`, which would otherwise be kept by what it keeps.
    """

    def __init__(self, client: AsyncRetell, background: Background) -> None:
        self.client = client
        self.background = background

    def send(self, request: Request[T], options: RequestOptions) -> T:
        return self.send_raw(request, options, parse=True).meaning

    def send_raw(self, request: Request[T], options: RequestOptions, *, parse: bool = False, follow: bool | None = None) -> RawResponse[T]:
        self.background.refuse_end()  # what prepares a request may have to be loaded, which cannot be done then
        call = self.client._prepare(request, options, parse=parse, follow=follow)  # pyright: ignore[reportPrivateUsage]
        with self.background.use() as use:
            return use.run(self.client._carry_out, call)  # pyright: ignore[reportPrivateUsage]

    def paginate(self, request: Request[Any], options: RequestOptions) -> SyncPage[Any]:
        return fetch(self, request, options)

    def call(self, method: Callable[[AsyncRetell], Awaitable[T]]) -> T:
        with self.background.use() as use:
            return use.run(method, self.client)

    def iterate(self, method: Callable[[AsyncRetell], AsyncGenerator[T]]) -> Iterator[T]:
        with self.background.use() as use:
            found = method(self.client)
            turn = anyio.Lock()  # who is interrupted while the next one is waited for closes it when that has ended

            async def next_one() -> T:
                async with turn:
                    return await anext(found)

            async def close() -> None:
                async with turn:
                    await found.aclose()

            try:
                while True:
                    try:
                        item = use.run(next_one)
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                use.finish(close)

    @contextmanager
    def stream(
        self, request: Request[Any], options: RequestOptions, meaning: Callable[[RawResponse[Any]], Any]
    ) -> Generator[SyncStreamedResponse[Any]]:
        self.background.refuse_end()
        opened = self.client._opened(  # pyright: ignore[reportPrivateUsage]
            self.client._prepare(request, options, stream=True)  # pyright: ignore[reportPrivateUsage]
        )
        with self.background.use() as use:
            response = use.run(opened.__aenter__)
            try:
                yield SyncStreamedResponse(use, response.map(meaning))
            finally:

                async def close() -> None:
                    await opened.__aexit__(None, None, None)

                use.finish(close)


class _Retell(OfficialSettings, SyncVerbs, Resources):
    """What `Retell` does. It stands below it, so that resources come first among the completions of a client."""

    _user_agent = AsyncRetell._user_agent  # pyright: ignore[reportPrivateUsage]

    def _hold(self, client: AsyncRetell, has_given: bool, background: Background | None = None) -> None:
        self._client = client
        # What its class says is asked for as long as anything of it is in use. It is then collected with what it keeps, and not at once.
        client._face = (lambda: self) if self._says_what_is_sent else weakref.ref(self)  # pyright: ignore[reportPrivateUsage]
        client._shared.awaits = False  # pyright: ignore[reportPrivateUsage]
        self._has_given = has_given
        self._background = Background(client.aclose, always=has_given) if background is None else background
        self._sender = _Sender(client, self._background)

    def with_options(
        self,
        *,
        api_key: str | Omit | None = None,
        base_url: str | httpx.URL | Omit | None = None,
        timeout: float | httpx.Timeout | Omit | None = omit,
        max_retries: int | Omit = omit,
        retry: RetryPolicy | Omit | None = None,
        default_headers: Mapping[str, str | Omit] | None = None,
        default_query: Mapping[str, object] | None = None,
        strict: bool | Omit | None = None,
        rate_limits: Mapping[str, RateLimit] | None = None,
        rate_limit: RateLimit | Omit | None = None,
        max_connections: int | Omit | None = None,
        http_client: HttpClient | Omit | None = None,
        hooks: Sequence[Hook] | Omit | None = None,
        set_default_headers: Mapping[str, str | Omit] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        _extra_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Give a view of this client with other settings, as `AsyncRetell.with_options` does.

        Both share one event loop, one pool of connections and their limits: closing one closes the other.

        :param rate_limit: with this, `max_connections`, `http_client` or `hooks` it is a client of its own, with an event loop of its own;
            one that sends with the same `http_client` of yours stays in that one's event loop, and both are closed together.
        """
        key, url, headers, set_headers = Hidden(api_key), Hidden(base_url), Hidden(default_headers), Hidden(set_default_headers)
        del api_key, base_url, default_headers, set_default_headers  # as above
        client = self._client.with_options(
            api_key=key.value,
            base_url=url.value,
            timeout=timeout,
            max_retries=max_retries,
            retry=retry,
            default_headers=headers.value,
            default_query=default_query,
            strict=strict,
            rate_limits=rate_limits,
            rate_limit=rate_limit,
            max_connections=max_connections,
            http_client=_awaited(http_client),
            hooks=hooks,
            set_default_headers=set_headers.value,
            set_default_query=set_default_query,
        )
        keeps = http_client is None or isinstance(http_client, Omit)
        shared = client._shared is self._shared or (keeps and self._has_given)  # pyright: ignore[reportPrivateUsage]
        view = self._view(client._settings, _extra_kwargs)  # pyright: ignore[reportPrivateUsage]
        view._hold(client, self._has_given or not keeps, self._background if shared else None)
        return view

    copy = with_options

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, object] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """Send a request that this version has no method for, with this client's authentication, errors and settings.

        What the API has and no method is for is named on the page of the resources. What is no JSON is sent and answered by `get`, `post`
        and the like, with ``content=`` and ``cast_to=httpx.Response``.

        :param path: the path under the base URL, starting with a slash.
        :param json: the body, if there is one.
        :return: the parsed JSON of the answer; ``None`` when it has no body.
        """
        self._background.refuse_end()
        request = self._client._request(method, path, json, params)  # pyright: ignore[reportPrivateUsage]
        del path, params, json  # they may hold phone numbers, and this frame stands in the traceback of what goes wrong
        return self._sender.send(request, options)

    def dispatch(
        self,
        requests: Iterable[Mapping[str, Any] | Model],
        *,
        until: Until = "ended",
        live: int | None = None,
        per_number: RateLimit | Mapping[str, RateLimit] | None = None,
        keep_free: int | None = 0,
        burst: bool = False,
        within: float | None = WITHIN,
        every: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> SyncDispatch:
        """Place many phone calls, each once, as fast as there is room, and follow each to its end: `AsyncRetell.dispatch` does it.

        ``with client.dispatch(requests) as outcomes``, and then ``for outcome in outcomes``: one `Outcome` for each request, in the order
        in which they become known. Requests are taken from the iterable in the thread that reads the outcomes, while it waits.

        :param requests: the keywords of `call.create_phone_call`, as mappings or models, with an `idempotency_key` of your own or without.
        :param until: how far calls are followed: ``"placed"``, ``"ended"`` or ``"analyzed"``.
        :param live: so many of these calls go on at once at most (with ``until="placed"``: are being placed at once); by default as many as
            the account may have.
        :param per_number: how many calls one number may place, of all numbers or by number: ``RateLimit(1)`` for one a second.
        :param keep_free: so many of the account's slots are left to others. ``None``: the account is not asked for its room, and `live`
            alone is the bound.
        :param burst: use the account's burst room too; its calls cost more.
        :param within: seconds in which a call must end, and then be analysed; ``None`` for as long as it takes.
        :param every: seconds from one question about all calls to the next, by default 2.
        :param on_progress: called in the background with each change of the numbers. It must return at once; an error that it raises is
            logged.
        :raises ConfigurationError: a setting cannot work.
        """
        from ._blocking.dispatch import SyncDispatch
        from ._dispatch.begin import begin, check_requests

        settings: dict[str, Any] = {"until": until, "live": live, "per_number": per_number, "keep_free": keep_free, "burst": burst}
        settings |= {"within": within, "every": every, "on_progress": on_progress, "slots": None, "router": None}
        check_requests(requests)
        return SyncDispatch(lambda given: begin(self._client, given, **settings), requests, self._background)

    def _send(self, request: Request[T], options: RequestOptions, *, follow: bool | None = None) -> RawResponse[T]:
        return cast("_Sender", self._sender).send_raw(request, options, follow=follow)

    @property
    def _settings(self) -> Settings:
        return self._client._settings  # pyright: ignore[reportPrivateUsage]

    @_settings.setter
    def _settings(self, settings: Settings) -> None:
        self._client._settings = settings  # pyright: ignore[reportPrivateUsage]

    @property
    def _shared(self) -> SharedState:
        return self._client._shared  # pyright: ignore[reportPrivateUsage]

    def is_closed(self) -> bool:
        """Whether the client is closed, and with it all views of it."""
        return self._background.closed or self._client.is_closed()

    def close(self) -> None:
        """Close all connections and end the event loop; what is sent afterwards is a `RetellError`.

        Requests that other threads have under way go on to their end; an `httpx.Client` or `httpx.AsyncClient` of yours breaks them off.
        """
        self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        made = "_client" in vars(self)  # a client that cannot be made is shown too, in tracebacks
        return f"{type(self).__name__}({f'base_url={self._settings.base_url!r}' if made else ''})"


class Retell(_Retell):
    """The same client as `AsyncRetell` for programs that do not await, safe to share among any number of threads.

    It has the same resources, methods, settings and errors. Requests are carried out by one `AsyncRetell`, in an event loop that a thread
    in the background runs from the first request until the client is closed, or nobody has it any more. Where an event loop runs already,
    this client works and stops that loop until the answer is there: use `AsyncRetell` there.

    :param http_client: an `httpx.Client`, which sends each request in a thread of the background, or an `httpx.AsyncClient`, such as
        `DefaultAsyncHttpxClient` makes, which sends in the event loop there and costs less; either may be of httpx2.
    :param hooks: called in the background, where they cannot use this client.
    :raises ConfigurationError: a setting cannot work.

    All other settings are those of `AsyncRetell`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | httpx.URL | None = None,
        timeout: float | httpx.Timeout | Omit | None = omit,
        max_retries: int = DEFAULT_MAX_RETRIES,
        retry: RetryPolicy | None = None,
        rate_limit: RateLimit | None = None,
        rate_limits: Mapping[str, RateLimit] | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        http_client: HttpClient | None = None,
        default_headers: Mapping[str, str | Omit] | None = None,
        default_query: Mapping[str, object] | None = None,
        hooks: Sequence[Hook] = (log,),
        strict: bool = False,
        _strict_response_validation: bool = False,
    ) -> None:
        key, url, headers = Hidden(api_key), Hidden(base_url), Hidden(default_headers)
        del api_key, base_url, default_headers  # what is refused below shows them in no traceback
        client = AsyncRetell(
            key.value,
            base_url=url.value,
            timeout=timeout,
            max_retries=max_retries,
            retry=retry,
            rate_limit=rate_limit,
            rate_limits=rate_limits,
            max_connections=max_connections,
            http_client=_awaited(http_client),
            default_headers=headers.value,
            default_query=default_query,
            hooks=hooks,
            strict=strict,
            _strict_response_validation=_strict_response_validation,
        )
        self._hold(client, http_client is not None)


def _awaited(http_client: Any) -> Any:
    """The client to send with, as one that is awaited."""
    if http_client is None or isinstance(http_client, Omit):
        return http_client
    from ._http.given.threads import ThreadedClient, is_blocking
    from ._http.mocks import MockedClient, is_mock

    if not is_blocking(http_client):
        return http_client
    return MockedClient(http_client) if is_mock(http_client) else ThreadedClient(http_client)
