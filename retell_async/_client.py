"""The client."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from . import _instrumentation
from ._core.encode import UsualHeaders, encode
from ._core.errors import ConfigurationError, OutcomeUnknownError, RetellError
from ._core.masking import Hidden, cut, mask_text
from ._core.operation import Omit, Request, RequestOptions, omit
from ._core.pages import AsyncPaginator, paginated
from ._core.response import RawResponse, StreamedResponse, decode
from ._engine.events import Hook, log
from ._engine.idempotency import KEY_FIELD, in_order, is_listed, joined, marked, new_key, token_of, traced, with_key
from ._engine.limits import DEFAULT_MAX_WAIT, RateLimit
from ._engine.retry import RETRY_COUNT, RetryPolicy
from ._engine.settings import (
    DEFAULT_BASE_URL,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_RETRIES,
    TOKEN,
    Settings,
    check_base_url,
    check_deadline,
    check_extra_body,
    check_headers,
    check_key,
    check_kinds,
    check_query,
    check_rate_limits,
    check_retries,
    check_since,
    check_timeout,
    headers_of_environment,
)
from ._engine.shared import SharedState
from ._helpers import WITHIN
from ._instrumentation import Observed, RequestActivity
from ._official_client import OfficialSettings, OfficialVerbs
from ._version import __version__
from .resources import Resources

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, Unpack

    import httpx

    from ._call_slots import CallSlots
    from ._core.model import Model
    from ._dispatch.dispatch import Dispatch
    from ._dispatch.outcome import Progress, Until
    from ._engine import given as httpx2  # its clients, checked where it is not installed too
    from ._engine.calls import Call
    from ._engine.gate import Account
    from ._helpers.watch import Events

__all__ = ["AsyncRetell"]

T = TypeVar("T")
U = TypeVar("U")

_OPTIONS = frozenset(RequestOptions.__annotations__)

_USER_AGENT = f"retell-async/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"


class _AsyncRetell(OfficialSettings, OfficialVerbs, Resources):
    """What `AsyncRetell` does. It stands below it, so that resources come first among the completions of a client."""

    _user_agent = _USER_AGENT
    _face: Callable[[], OfficialSettings | None] | None = None
    """The client that a user has of it, whose class may say other headers. It may be gone if its class does not."""
    _settings: Settings
    _shared: SharedState

    def _hold(self, settings: Settings, shared: SharedState) -> None:
        self._settings = settings  # pyright: ignore[reportIncompatibleMethodOverride]
        self._shared = shared  # pyright: ignore[reportIncompatibleMethodOverride]
        self._usual_headers = UsualHeaders()

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
        http_client: httpx.AsyncClient | httpx2.AsyncClient | Omit | None = None,
        hooks: Sequence[Hook] | Omit | None = None,
        set_default_headers: Mapping[str, str | Omit] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        _extra_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Give a view of this client with other settings; headers, query parameters and `rate_limits` are added to those that it has.

        What is ``None`` or left out stays as it is, but for `timeout`, which is then without end, and `max_retries`, a number.

        Both share one pool of connections: closing one closes the other. Views with the same key and base URL share their limits and one
        retry budget, that of the client; where they know different limits of one method, the stricter one holds for all.

        :param rate_limit: with this, `max_connections`, `http_client` or `hooks` it is no view but a client of its own, which shares
            nothing and is closed by itself.
        :param set_default_headers: headers in place of those that it has.
        :param set_default_query: query parameters in place of those that it has.
        :raises ValueError: what is to be added and what is to take its place are both given.
        """
        if default_headers is not None and set_default_headers is not None:
            raise ValueError("The `default_headers` and `set_default_headers` arguments are mutually exclusive")
        if default_query is not None and set_default_query is not None:
            raise ValueError("The `default_query` and `set_default_query` arguments are mutually exclusive")
        old = self._settings
        limit = _kept(rate_limit, None)
        check_kinds(_kept(max_connections, 1), _kept(retry, None), limit, _kept(hooks, ()))
        key = Hidden(_kept(api_key, old.api_key))
        url = Hidden(_kept(base_url, old.base_url))
        headers = Hidden({**(old.default_headers if set_default_headers is None else set_default_headers), **(default_headers or {})})
        query = {**(old.default_query if set_default_query is None else set_default_query), **(default_query or {})}
        del api_key, base_url, default_headers, set_default_headers  # as above
        settings = Settings(
            api_key=check_key(key.value, may_be_empty=True),
            base_url=check_base_url(url.value),
            timeout=old.timeout if isinstance(timeout, Omit) else check_timeout(timeout),
            max_retries=old.max_retries if isinstance(max_retries, Omit) else check_retries(max_retries),
            retry=_kept(retry, old.retry),
            default_headers=check_headers(headers.value),
            default_query=check_query(query, "default_query"),
            strict=old.strict if strict is None or isinstance(strict, Omit) else strict,
            rate_limits={**old.rate_limits, **(known := _known(rate_limits))},
            known=(*old.known, *known.items()),
            max_wait=old.max_wait if limit is None or isinstance(limit.max_wait, Omit) else limit.max_wait,
        )
        own = {
            "given": _kept(http_client, None),
            "max_connections": _kept(max_connections, None),
            "limit": limit,
            "hooks": _kept(hooks, None),
        }
        view = self._view(settings, _extra_kwargs)
        view._settings = settings
        view._shared = self._shared.like(settings, {name: value for name, value in own.items() if value is not None})
        return view

    copy = with_options

    async def request(
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
        request = self._request(method, path, json, params)
        del path, params, json  # they may hold phone numbers, and this frame stands in the traceback of what goes wrong
        return await self.send(request, options)

    def _request(self, method: str, path: str, json: object, params: Mapping[str, object] | None) -> Request[Any]:
        from ._engine.verbs import check_path, operation_at

        if not check_path(path).startswith("/"):
            raise ValueError(f"path must start with a slash, it goes under {self._settings.base_url}")
        if not TOKEN.fullmatch(method):
            raise ValueError(f"{method!r} is no method of HTTP")
        if "#" in path:
            raise ValueError("path must have no fragment: '#' in a path or a query is written as %23")
        return Request(operation_at(method.upper(), path), path, params or {}, cast("Mapping[str, Any] | None", json))

    def dispatch(
        self,
        requests: Iterable[Mapping[str, Any] | Model] | AsyncIterable[Mapping[str, Any] | Model],
        *,
        until: Until = "ended",
        live: int | None = None,
        per_number: RateLimit | Mapping[str, RateLimit] | None = None,
        keep_free: int | None = 0,
        burst: bool = False,
        slots: CallSlots | None = None,
        router: Events | None = None,
        within: float | None = WITHIN,
        every: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Dispatch:
        """Place many phone calls, each once, as fast as there is room for them, and follow each to its end.

        ``async with client.dispatch(requests) as outcomes``, and then ``async for outcome in outcomes``: one `Outcome` for each request, in
        the order in which they become known. A request is taken when there is room for its call, so `requests` may be without end. What is
        wrong with one request ends no other. A request waits for limits as long as it takes, unless `rate_limits` of the client say
        otherwise for ``call.create_phone_call``.

        :param requests: the keywords of `call.create_phone_call`, as mappings or models, with an `idempotency_key` of your own or without.
        :param until: how far calls are followed: ``"placed"``, ``"ended"`` or ``"analyzed"``.
        :param live: so many of these calls go on at once at most (with ``until="placed"``: are being placed at once); by default as many as
            the account may have.
        :param per_number: how many calls one number may place, of all numbers or by number: ``RateLimit(1)`` for one a second.
        :param keep_free: so many of the account's slots are left to others. ``None``: the account is not asked for its room, and `live`
            alone is the bound.
        :param burst: use the account's burst room too; its calls cost more.
        :param slots: what holds the account's room already, in place of `keep_free` and `burst`: for several dispatches at a time.
        :param router: a `webhooks.Router` that gets the account's events: these tell of ends at once.
        :param within: seconds in which a call must end, and then be analysed; ``None`` for as long as it takes.
        :param every: seconds from one question about all calls to the next: by default 2, and with a `router` 30.
        :param on_progress: called with each change of the numbers. It must return at once; an error that it raises is logged.
        :raises ConfigurationError: a setting cannot work.
        """
        from ._dispatch.begin import begin

        return begin(
            cast("AsyncRetell", self),
            requests,
            until=until,
            live=live,
            per_number=per_number,
            keep_free=keep_free,
            burst=burst,
            slots=slots,
            router=router,
            within=within,
            every=every,
            on_progress=on_progress,
        )

    async def send(self, request: Request[T], options: RequestOptions) -> T:
        """Carry out a request to an operation and give back what its answer means."""
        call = self._prepare(request, options, parse=True)
        del request, options  # they may hold secrets, and this frame stands in the traceback of what goes wrong
        return (await self._carry_out(call)).meaning  # type: ignore[no-any-return]

    async def send_raw(self, request: Request[T], options: RequestOptions, *, parse: bool = False) -> RawResponse[T]:
        """Carry out a request to an operation and give back the answer as it came.

        :param parse: take an answer that is not JSON for a failure, to be tried again if the operation may be.
        :raises APIError: no answer arrived, or it was an error.
        """
        return await self._send(request, options, parse=parse)

    @asynccontextmanager
    async def stream(self, request: Request[T], options: RequestOptions) -> AsyncGenerator[StreamedResponse[T]]:
        """Carry out a request to an operation and give back the answer before its body has come.

        :raises APIError: no answer arrived, or it was an error.
        """
        call = self._prepare(request, options, stream=True)
        del request, options  # as above
        async with self._opened(call) as response:
            yield response

    async def _send(
        self, request: Request[T], options: RequestOptions, *, first: bool = False, parse: bool = False, follow: bool | None = None
    ) -> RawResponse[T]:
        call = self._prepare(request, options, first=first, parse=parse, follow=follow)
        del request, options  # as above
        return await self._carry_out(call)

    @asynccontextmanager
    async def _opened(self, call: Call) -> AsyncGenerator[StreamedResponse[Any]]:
        use = self._shared.enter(self._settings)
        try:
            response = StreamedResponse(await self._carry_out(call))
            try:
                yield response
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
        finally:
            self._shared.leave(use)

    def _prepare(
        self,
        request: Request[Any],
        options: RequestOptions,
        *,
        first: bool = False,
        parse: bool = False,
        stream: bool = False,
        follow: bool | None = None,
    ) -> Call:
        """A request with all that decides how it is sent. This may be done in any thread, `_carry_out` in one event loop."""
        try:
            call = self._call(request, options)
        except Exception as error:
            cut(error)
            raise
        call.first = first
        call.parse = parse
        call.stream = stream
        call.follow = follow
        return call

    def _carry_out(self, call: Call) -> Awaitable[RawResponse[Any]]:
        coming = self._answered(call)
        return coming if call.observed is None else self._observe(call.observed, coming, stream=call.stream)

    @staticmethod
    async def _observe(observed: Observed, coming: Awaitable[RawResponse[Any]], *, stream: bool) -> RawResponse[Any]:
        """Tell the telemetry of a request."""
        activity = cast("RequestActivity", observed.activity)
        with observed:
            response = await coming
            activity.answer = None if stream else response
        return response

    async def _answered(self, call: Call) -> RawResponse[Any]:
        settings = self._settings
        use = self._shared.enter(settings)
        try:
            answer = await call.carry_out(use.http, use.account, use.slots)
        except OutcomeUnknownError as error:
            found = await self._found(call, error, use.account)
            if found is None:
                raise
            return found
        finally:
            self._shared.leave(use)
        return RawResponse(
            answer,
            partial(decode, operation=call.operation, strict=settings.strict),
            idempotency_key=call.idempotency_key,
            retries_taken=call.attempts - 1,
        )

    def _call(self, request: Request[Any], options: RequestOptions) -> Call:
        """The request as it will be sent, every time that it is."""
        if options:
            _refuse_unknown(request, options)
        settings = self._settings
        key = token = None
        key_is_made = False
        extra_body = options.get("extra_body")
        if extra_body is not None:
            check_extra_body(extra_body, request.body)
        if request.operation.repeat != "safe" and extra_body:
            request = request.with_body({**(request.body or {}), **extra_body})
            extra_body = None
        since = check_since(options.get("idempotency_key_since"))
        if since is not None and (request.operation.repeat != "idempotency_key" or (request.body or {}).get(KEY_FIELD) is None):
            raise ConfigurationError("idempotency_key_since says when an idempotency_key of your own was sent first: give that too")
        observed = self._observed(request) if _instrumentation.hooks else None
        trace = None if observed is None else cast("RequestActivity", observed.activity).propagated
        if request.operation.repeat == "idempotency_key":
            key_is_made = (request.body or {}).get(KEY_FIELD) is None
            request, key = with_key(request, partial(new_key, trace))
        if is_listed(request.operation):
            request = traced(request, None if key_is_made else key, trace)
        if settings.retry.on_unknown_outcome == "reconcile" and is_listed(request.operation):
            if since is None:
                token = new_key()  # never the caller's key, nor metadata that was copied from another call
                request = marked(request, token)
            else:
                token = token_of(request)  # what was sent before is sent again as it was
        if key is not None:
            request = in_order(request)
        face = (self._face and self._face()) or self
        own = {**face._own_headers(), RETRY_COUNT: "0"}
        of_stream = request.content is not None and not isinstance(request.content, bytes)
        headers = (face._added_headers(), check_headers(options.get("extra_headers"), of_stream=of_stream))
        if not settings.api_key and not any(name.lower() == "authorization" for layer in headers for name in layer):
            raise ConfigurationError("the API key is empty: give api_key, or set the environment variable RETELL_API_KEY")
        timeout = options.get("timeout", omit)
        max_retries = options.get("max_retries", omit)
        deadline = options.get("deadline", omit)
        return _call_type()(
            operation=request.operation,
            encoded=encode(
                request,
                base_url=settings.base_url,
                headers=(own, *headers),
                query=(face.default_query, check_query(options.get("extra_query"), "extra_query")),
                extra_body=extra_body,
                usual=self._usual_headers,
            ),
            timeout=settings.timeout if isinstance(timeout, Omit) else check_timeout(timeout),
            policy=settings.retry,
            max_retries=settings.max_retries if isinstance(max_retries, Omit) else check_retries(max_retries),
            max_wait=settings.max_wait_of(request.operation),
            deadline=settings.retry.deadline if isinstance(deadline, Omit) else check_deadline(deadline),
            hooks=self._shared.hooks,
            idempotency_key=key,
            key_is_made=key_is_made,
            key_since=since,
            token=token,
            observed=observed,
        )

    def _observed(self, request: Request[Any]) -> Observed:
        """The request as hooks of the telemetry see it, who may say what trace it belongs to."""
        operation, called, path = request.operation, None, request.operation.path
        if "{call_id}" in path:
            names, values = path.split("/"), request.path.split("/")
            called = values[names.index("{call_id}")]
        elif operation.id.startswith(f"{operation.method} "):  # one by verb and path, in which ids may stand
            path = operation.id.partition(" ")[2]
        return _instrumentation.begin(
            RequestActivity(
                operation=operation.id,
                method=operation.method,
                path=path,
                base_url=self._settings.base_url,
                places_call=is_listed(operation),
                traceparent=joined(request),
                call_id=called,
            )
        )

    async def _found(self, call: Call, error: OutcomeUnknownError, account: Account) -> RawResponse[Any] | None:
        """What a call created whose outcome is not known, if it appears in the list of calls in time."""
        from ._engine.reconcile import find

        within = call.policy.reconcile_within
        if call.give_up_at is not None:
            within = min(within, call.give_up_at - account.clock())
        if call.token is None or within <= 0:
            return None
        look = partial(self._send, options={"timeout": call.timeout}, first=True, parse=True)
        try:
            with account.waiting():
                found = await find(look, call.operation, call.token, since=error.since or 0.0, within=within)
        except RetellError:  # the client was closed meanwhile
            return None
        if found is not None:
            found.idempotency_key = call.idempotency_key
        return found

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Within this block the client is in use in this event loop, and no longer than until it is closed.

        :raises RetellError: it is closed.
        """
        use = self._shared.enter(self._settings)
        try:
            with use.account.waiting():
                yield
        finally:
            self._shared.leave(use)

    def paginate(self, request: Request[Any], options: RequestOptions) -> AsyncPaginator[Any]:
        """Give what fetches the pages of a list when asked for them."""
        _refuse_unknown(request, options)
        return paginated(self, request, options)

    def is_closed(self) -> bool:
        """Whether the client is closed, and with it all views of it."""
        return self._shared.closed

    async def aclose(self) -> None:
        """Close all connections; what is sent afterwards is a `RetellError`."""
        await self._shared.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        settings: Settings | None = vars(self).get("_settings")  # a client that cannot be made is shown too, in tracebacks
        return f"{type(self).__name__}({'' if settings is None else f'base_url={settings.base_url!r}'})"


class AsyncRetell(_AsyncRetell):
    """A client of the Retell API, for asyncio and trio, safe to share among any number of tasks of one event loop.

    :param api_key: the key, by default that of the environment variable ``RETELL_API_KEY``. A client with an empty one sends nothing but
        requests with an ``Authorization`` header of their own.
    :param base_url: by default that of ``RETELL_BASE_URL``, then ``https://api.retellai.com``.
    :param timeout: seconds to wait for each step of an attempt (connecting, sending, each piece of the answer), or an `httpx.Timeout`;
        ``None`` waits for ever. By default 60 seconds, and 5 for connecting.
    :param max_retries: how often a request that may be repeated is tried again after a failure. Waiting for a rate limit is apart from it.
    :param retry: how it is tried again, and what happens when it is not known whether a request was carried out.
    :param rate_limit: a limit of the account that is known beforehand, and how long requests wait for limits.
    :param rate_limits: limits of single methods that are known beforehand: ``{"call.create_phone_call": RateLimit(1)}``. They hold for the
        account, whoever sends.
    :param max_connections: how many connections are open at most; further requests wait for a free one.
    :param http_client: a client of your own to send with, of httpx or of httpx2: proxies, certificates, event hooks. It is closed with
        this one.
    :param default_headers: headers added to every request, over those in the lines of ``RETELL_CUSTOM_HEADERS``; `omit` takes one out that
        every request has.
    :param default_query: query parameters added to every request.
    :param hooks: called with each retry, limit and wait; by default they are logged under ``retell_async``.
    :param strict: compare every answer with the API's document and refuse any difference; for tests. ``_strict_response_validation`` of the
        official SDK lets fields pass that the document does not have.
    :raises ConfigurationError: a setting cannot work.
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
        http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        default_headers: Mapping[str, str | Omit] | None = None,
        default_query: Mapping[str, object] | None = None,
        hooks: Sequence[Hook] = (log,),
        strict: bool = False,
        _strict_response_validation: bool = False,
    ) -> None:
        key = Hidden(os.environ.get("RETELL_API_KEY") if api_key is None else api_key)
        url = Hidden(os.environ.get("RETELL_BASE_URL") or DEFAULT_BASE_URL if base_url is None else base_url)
        headers = Hidden(default_headers)
        del api_key, base_url, default_headers  # what is refused below shows them in no traceback
        if key.value is None:
            raise ConfigurationError("there is no API key: give api_key, or set the environment variable RETELL_API_KEY")
        check_kinds(max_connections, retry, rate_limit, hooks)
        settings = Settings(
            api_key=check_key(key.value, may_be_empty=True),
            base_url=check_base_url(url.value),
            timeout=timeout if isinstance(timeout, Omit) else check_timeout(timeout),
            max_retries=check_retries(max_retries),
            retry=retry or RetryPolicy(),
            default_headers={**headers_of_environment(), **check_headers(headers.value)},
            default_query=check_query(default_query, "default_query"),
            strict=strict or ("known" if _strict_response_validation else False),
            rate_limits=(known := _known(rate_limits)),
            known=tuple(known.items()),
            max_wait=DEFAULT_MAX_WAIT if rate_limit is None or isinstance(rate_limit.max_wait, Omit) else rate_limit.max_wait,
        )
        self._hold(settings, SharedState(http_client, max_connections, rate_limit or RateLimit(), settings, tuple(hooks)))


def _kept(given: T | Omit | None, old: U) -> T | U:
    """A setting that was given, or else as it was."""
    return old if given is None or isinstance(given, Omit) else given


def _known(limits: Mapping[str, RateLimit] | None) -> dict[str, RateLimit]:
    if limits is None:
        return {}
    from .resources._operations import LIMITS, METHODS

    return check_rate_limits(limits, METHODS, LIMITS)


@cache
def _call_type() -> type[Call]:
    """Loaded with the first request; to import it in each costs as much as to encode its body."""
    from ._engine.calls import Call

    return Call


def _refuse_unknown(request: Request[Any], options: RequestOptions) -> None:
    """A misspelt keyword lands among the options, and must not be dropped unseen."""
    for name in options.keys() - _OPTIONS:
        operation = request.operation
        raise TypeError(f"{operation.method} {operation.path} has no parameter {mask_text(repr(name))}")
