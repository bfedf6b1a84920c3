"""The client."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import anyio
import attrs

from ._encode import encode
from ._errors import ConfigurationError, OutcomeUnknownError, RetellError
from ._events import Hook, log
from ._limits import RateLimit
from ._operation import Omit, Operation, Request, RequestOptions, omit
from ._pages import AsyncPaginator
from ._process import this_process
from ._response import RawResponse, StreamedResponse, decode
from ._retry import RetryPolicy
from ._settings import (
    DEFAULT_BASE_URL,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_RETRIES,
    TOKEN,
    Settings,
    check_base_url,
    check_deadline,
    check_headers,
    check_key,
    check_retries,
    check_timeout,
)
from ._tokens import is_listed, marked, new_key, with_key
from ._version import __version__
from .resources import Resources

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, Unpack

    import httpx

    from ._calls import Call
    from ._gate import Control
    from ._http import Http

__all__ = ["AsyncRetell"]

T = TypeVar("T")

_OPTIONS = frozenset(RequestOptions.__annotations__)

_USER_AGENT = f"retell-async/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"


class _Shared:
    """What all views of a client share: its connections, opened with the first request, and for each account what limits it."""

    def __init__(
        self, given: httpx.AsyncClient | None, max_connections: int, limit: RateLimit, budget: int | None, hooks: Sequence[Hook]
    ) -> None:
        self._given = given
        self._max_connections = max_connections
        self._limit = limit
        self._budget = budget
        self._controls: dict[tuple[str, str], Control] = {}
        self._http: Http | None = None if given is None else self._open()
        self._opened: list[Http] = []
        self._closed = False
        self._process = this_process()
        self.hooks = hooks

    def _open(self) -> Http:
        from ._http import Http

        return Http(self._given, max_connections=self._max_connections)

    def open(self) -> Http:
        if self._closed:
            raise RetellError("the client is closed")
        if self._process is not this_process():
            # A process that was forked off starts afresh: what tasks of its parent hold, none of them gives back here.
            self._process = this_process()
            self._controls = {}
        if self._http is None:
            self._opened.append(self._open())
            self._http = self._opened[0]  # of several threads that come here at once, all take the first one's
        return self._http

    def control(self, settings: Settings) -> Control:
        account = (settings.base_url, settings.api_key)
        found = self._controls.get(account)
        if found is None:
            from ._gate import Control

            found = self._controls[account] = Control(self._limit, self._budget, self._max_connections)
        return found

    @property
    def closed(self) -> bool:
        return self._closed or (self._http is not None and self._http.is_closed)

    async def aclose(self) -> None:
        self._closed = True
        if self._process is this_process():
            for control in self._controls.values():
                control.close()
        if self._http is not None:
            await self._http.aclose()


class AsyncRetell(Resources):
    """A client of the Retell API, for asyncio and trio, safe to share among any number of tasks of one event loop.

    :param api_key: the key, by default that of the environment variable ``RETELL_API_KEY``.
    :param base_url: by default that of ``RETELL_BASE_URL``, then ``https://api.retellai.com``.
    :param timeout: seconds to wait for each step of an attempt (connecting, sending, each piece of the answer), or an `httpx.Timeout`;
        ``None`` waits for ever. By default 60 seconds, and 5 for connecting.
    :param max_retries: how often a request that may be repeated is tried again after a failure. Waiting for a rate limit is apart from it.
    :param retry: how it is tried again, and what happens when it is not known whether a request was carried out.
    :param rate_limit: a limit that is known beforehand, and how long requests wait for limits.
    :param max_connections: how many connections are open at most; further requests wait for a free one.
    :param http_client: a client of your own to send with: proxies, certificates, event hooks. It is closed with this one.
    :param default_headers: headers added to every request.
    :param default_query: query parameters added to every request.
    :param hooks: called with each retry, limit and wait; by default they are logged under ``retell_async``.
    :param strict: compare every answer with the API's document and refuse any difference; for tests.
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
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        http_client: httpx.AsyncClient | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        hooks: Sequence[Hook] = (log,),
        strict: bool = False,
    ) -> None:
        if api_key is None:
            api_key = os.environ.get("RETELL_API_KEY")
            if api_key is None:
                raise ConfigurationError("there is no API key: give api_key, or set the environment variable RETELL_API_KEY")
        if base_url is None:
            base_url = os.environ.get("RETELL_BASE_URL") or DEFAULT_BASE_URL
        if max_connections < 1:
            raise ConfigurationError(f"max_connections must be 1 or more, not {max_connections}")
        self._settings = Settings(
            api_key=check_key(api_key),
            base_url=check_base_url(base_url),
            timeout=timeout if isinstance(timeout, Omit) else check_timeout(timeout),
            max_retries=check_retries(max_retries),
            retry=retry or RetryPolicy(),
            default_headers=check_headers(default_headers),
            default_query=dict(default_query or {}),
            strict=strict,
        )
        self._shared = _Shared(http_client, max_connections, rate_limit or RateLimit(), self._settings.retry.budget, tuple(hooks))

    @property
    def api_key(self) -> str:
        return self._settings.api_key

    @property
    def base_url(self) -> str:
        return self._settings.base_url

    @property
    def max_retries(self) -> int:
        return self._settings.max_retries

    def with_options(
        self,
        *,
        api_key: str | Omit = omit,
        base_url: str | httpx.URL | Omit = omit,
        timeout: float | httpx.Timeout | Omit | None = omit,
        max_retries: int | Omit = omit,
        retry: RetryPolicy | Omit = omit,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        strict: bool | Omit = omit,
    ) -> Self:
        """Give a view of this client with other settings; headers and query parameters are added to those that it has.

        Both share one pool of connections: closing one closes the other. Views with the same key and base URL share one rate limit and one
        retry budget, that of the client.
        """
        old = self._settings
        view = object.__new__(type(self))
        view._settings = Settings(
            api_key=old.api_key if isinstance(api_key, Omit) else check_key(api_key),
            base_url=old.base_url if isinstance(base_url, Omit) else check_base_url(base_url),
            timeout=old.timeout if isinstance(timeout, Omit) else check_timeout(timeout),
            max_retries=old.max_retries if isinstance(max_retries, Omit) else check_retries(max_retries),
            retry=old.retry if isinstance(retry, Omit) else retry,
            default_headers={**old.default_headers, **check_headers(default_headers)},
            default_query={**old.default_query, **(default_query or {})},
            strict=old.strict if isinstance(strict, Omit) else strict,
        )
        view._shared = self._shared
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

        :param path: the path under the base URL, starting with a slash.
        :param json: the body, if there is one.
        :return: the parsed JSON of the answer; ``None`` when it has no body.
        """
        if not path.startswith("/"):
            raise ValueError(f"path must start with a slash, it goes under {self.base_url}")
        if not TOKEN.fullmatch(method):
            raise ValueError(f"{method!r} is no method of HTTP")
        if "#" in path:
            raise ValueError("path must have no fragment: '#' in a path or a query is written as %23")
        verb = method.upper()
        repeat: Literal["safe", "unsafe"] = "safe" if verb in {"GET", "HEAD"} else "unsafe"
        operation: Operation[Any] = Operation(id=f"{verb} {path}", method=verb, path=path, repeat=repeat)
        return await self.send(Request(operation, path, params or {}, cast("Mapping[str, Any] | None", json)), options)

    async def send(self, request: Request[T], options: RequestOptions) -> T:
        """Carry out a request to an operation and give back what its answer means."""
        return (await self._send(request, options, parse=True)).parse()

    async def send_raw(self, request: Request[T], options: RequestOptions) -> RawResponse[T]:
        """Carry out a request to an operation and give back the answer as it came.

        :raises APIError: there was no answer, or none of success.
        """
        return await self._send(request, options)

    @asynccontextmanager
    async def stream(self, request: Request[T], options: RequestOptions) -> AsyncGenerator[StreamedResponse[T]]:
        """Carry out a request to an operation and give back the answer before its body has come.

        :raises APIError: there was no answer, or none of success.
        """
        with self._shared.open().in_use:
            response = StreamedResponse(await self._send(request, options, stream=True))
            try:
                yield response
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()

    async def _send(
        self, request: Request[T], options: RequestOptions, *, first: bool = False, parse: bool = False, stream: bool = False
    ) -> RawResponse[T]:
        settings = self._settings
        http = self._shared.open()
        control = self._shared.control(settings)
        call = self._call(request, options)
        call.first = first
        call.parse = parse
        call.stream = stream
        try:
            with http.in_use:
                answer = await call.carry_out(http, control)
        except OutcomeUnknownError:
            found = await self._found(request.operation, call, control)
            if found is None:
                raise
            return found
        return RawResponse(
            answer,
            partial(decode, operation=request.operation, strict=settings.strict),
            idempotency_key=call.idempotency_key,
            retries_taken=call.attempts - 1,
        )

    def _call(self, request: Request[Any], options: RequestOptions) -> Call:
        """The request as it will be sent, every time that it is."""
        from ._calls import Call

        _refuse_unknown(request, options)
        settings = self._settings
        key = token = None
        extra_body = options.get("extra_body")
        if request.operation.repeat != "safe" and extra_body:
            request = attrs.evolve(request, body={**(request.body or {}), **extra_body})
            extra_body = None
        if request.operation.repeat == "idempotency_key":
            request, key = with_key(request)
        if settings.retry.on_unknown_outcome == "reconcile" and is_listed(request.operation):
            token = key or new_key()
            request = marked(request, token)
        timeout = options.get("timeout", omit)
        max_retries = options.get("max_retries", omit)
        deadline = options.get("deadline", omit)
        return Call(
            operation=request.operation,
            encoded=encode(
                request,
                base_url=settings.base_url,
                headers=(
                    {"User-Agent": _USER_AGENT, "Authorization": f"Bearer {settings.api_key}"},
                    settings.default_headers,
                    check_headers(options.get("extra_headers")),
                ),
                query=(settings.default_query, options.get("extra_query") or {}),
                extra_body=extra_body,
            ),
            timeout=settings.timeout if isinstance(timeout, Omit) else check_timeout(timeout),
            policy=settings.retry,
            max_retries=settings.max_retries if isinstance(max_retries, Omit) else check_retries(max_retries),
            deadline=settings.retry.deadline if isinstance(deadline, Omit) else check_deadline(deadline),
            hooks=self._shared.hooks,
            idempotency_key=key,
            token=token,
        )

    async def _found(self, operation: Operation[T], call: Call, control: Control) -> RawResponse[T] | None:
        """What a call created whose outcome is not known, if it appears in the list of calls in time."""
        from ._reconcile import find

        within = call.policy.reconcile_within
        if call.give_up_at is not None:
            within = min(within, call.give_up_at - control.clock())
        if call.token is None or within <= 0:
            return None
        look = partial(self._send, options={"timeout": call.timeout}, first=True)
        found = await find(look, operation, call.token, within=within)
        if found is not None:
            found.idempotency_key = call.idempotency_key
        return found

    def paginate(self, request: Request[Any], options: RequestOptions) -> AsyncPaginator[Any]:
        """Give what fetches the pages of a list when asked for them."""
        _refuse_unknown(request, options)
        return AsyncPaginator(self, request, options)

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
        return f"{type(self).__name__}(base_url={self.base_url!r})"


def _refuse_unknown(request: Request[Any], options: RequestOptions) -> None:
    """A misspelt keyword lands among the options, and must not be dropped unseen."""
    for name in options.keys() - _OPTIONS:
        operation = request.operation
        raise TypeError(f"{operation.method} {operation.path} has no parameter {name!r}")
