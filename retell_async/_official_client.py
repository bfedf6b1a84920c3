"""What clients of the official SDK have beside the methods of the API: their settings as attributes, and requests by verb and path."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import attrs

from ._core.masking import Hidden
from ._core.operation import Omit
from ._engine.settings import Settings, check_base_url, check_headers, check_key, check_retries, check_timeout
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
    from typing import IO, Self, TypeAlias

    import httpx

    from ._core.operation import FileTypes, Request, RequestOptions
    from ._core.response import RawResponse
    from ._engine.shared import SharedState
    from .resources import ClientWithRawResponse, ClientWithStreamingResponse, Resources, _sync

    Content: TypeAlias = bytes | bytearray | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes] | None
    Files: TypeAlias = Mapping[str, FileTypes] | Sequence[tuple[str, FileTypes]] | None

__all__ = ["OfficialSettings", "OfficialVerbs", "SyncVerbs"]

T = TypeVar("T")

_OF_A_BODY = {"accept", "content-type"}
"""What each request decides for itself."""


class OfficialSettings:
    """The settings of a client as attributes, which can be set where the official SDK lets them be."""

    if TYPE_CHECKING:
        _user_agent: str

        def __init__(self, **settings: Any) -> None: ...

        @property
        def _settings(self) -> Settings: ...
        @_settings.setter
        def _settings(self, settings: Settings) -> None: ...
        @property
        def _shared(self) -> SharedState: ...
        def with_options(self) -> Self: ...

    _version = __version__

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.custom_auth is not OfficialSettings.custom_auth:
            raise TypeError(
                f"{cls.__name__}.custom_auth would not be asked: give `http_client=httpx.Client(auth=...)`,"
                " to an AsyncRetell an httpx.AsyncClient"
            )

    def __copy__(self) -> Self:
        return self.with_options()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client is not pickled and has no deep copy, since it has connections and an API key: make one where it is used, such as in"
            " each process of a pool, or take `with_options()` for a copy that shares its connections"
        )

    def _view(self, settings: Settings, arguments: Mapping[str, Any] | None) -> Self:
        """Another client of the class, with what a program gave this one.

        :param arguments: what the constructor of a class of the user's takes beside the settings. With them it makes the view.
        """
        if arguments:
            return type(self)(
                api_key=settings.api_key,
                base_url=settings.base_url,
                timeout=settings.timeout,
                max_retries=settings.max_retries,
                default_headers=settings.default_headers,
                default_query=settings.default_query,
                **arguments,
            )
        view = object.__new__(type(self))
        vars(view).update(
            {name: value for name, value in vars(self).items() if not isinstance(getattr(type(self), name, None), cached_property)}
        )
        return view

    @property
    def api_key(self) -> str:
        return self._settings.api_key

    @api_key.setter
    def api_key(self, key: str) -> None:
        hidden = Hidden(key)
        del key  # what is refused shows it in no traceback
        self._settings = attrs.evolve(self._settings, api_key=check_key(hidden.value, may_be_empty=True))

    @property
    def custom_auth(self) -> httpx.Auth | None:
        """There as in the official SDK, and never set: a class that has one of its own is refused."""
        return None

    @property
    def base_url(self) -> httpx.URL:
        """The URL under which all paths are; a path in it ends with a slash."""
        import httpx

        url = httpx.URL(self._settings.base_url)
        return url if url.raw_path == b"/" else httpx.URL(f"{self._settings.base_url}/")

    @base_url.setter
    def base_url(self, url: httpx.URL | str) -> None:
        hidden = Hidden(url)
        del url  # as above
        self._settings = attrs.evolve(self._settings, base_url=check_base_url(hidden.value))

    @property
    def max_retries(self) -> int:
        return self._settings.max_retries

    @max_retries.setter
    def max_retries(self, number: int) -> None:
        self._settings = attrs.evolve(self._settings, max_retries=check_retries(number))

    @property
    def timeout(self) -> float | httpx.Timeout | None:
        """Seconds to wait for each step of an attempt, by default 60, and 5 for connecting."""
        timeout = self._settings.timeout
        return self._shared.timeout if isinstance(timeout, Omit) else timeout

    @timeout.setter
    def timeout(self, timeout: float | httpx.Timeout | None) -> None:
        self._settings = attrs.evolve(self._settings, timeout=check_timeout(timeout))

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        """The headers of every request."""
        own = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": self.user_agent}
        return {**own, **self.platform_headers(), **self.auth_headers, **self._settings.default_headers}

    @property
    def default_query(self) -> dict[str, object]:
        """The query parameters of every request."""
        return dict(self._settings.default_query)

    @property
    def auth_headers(self) -> dict[str, str]:
        """The header that carries the API key."""
        return {"Authorization": f"Bearer {self._settings.api_key}"}

    @property
    def user_agent(self) -> str:
        return self._user_agent

    def platform_headers(self) -> dict[str, str]:
        """The headers that say what sends."""
        return {"X-Stainless-Lang": "python"}

    def _own_headers(self) -> dict[str, str | Omit]:
        """The headers of every request that are no settings, or what a class of the user's says in their place."""
        own: dict[str, str | Omit] = {"User-Agent": self.user_agent, **self.platform_headers(), **self.auth_headers}
        kind = type(self)
        return own if (kind.user_agent, kind.platform_headers, kind.auth_headers) == _OWN else check_headers(own)

    def _added_headers(self) -> dict[str, str | Omit]:
        """The headers over those: the settings, or what a class of the user's says in their place."""
        if type(self).default_headers is OfficialSettings.default_headers:
            return dict(self._settings.default_headers)
        return check_headers({name: text for name, text in self.default_headers.items() if name.lower() not in _OF_A_BODY})

    @property
    def _says_what_is_sent(self) -> bool:
        """Whether a class of the user's says who asks, and other headers and parameters, in place of the settings."""
        names = ("auth_headers", "default_headers", "default_query", "platform_headers", "user_agent")
        return any(getattr(type(self), name) is not getattr(OfficialSettings, name) for name in names)

    @staticmethod
    def verify(body: str | bytes, api_key: str, signature: str) -> bool:
        """Whether a webhook is from Retell, as `retell_async.lib.webhook_auth.verify` has it."""
        from .lib.webhook_auth import verify  # a wing above: nothing of it is loaded before it is used

        return verify(body, api_key, signature)


_OWN = OfficialSettings.user_agent, OfficialSettings.platform_headers, OfficialSettings.auth_headers


class OfficialVerbs:
    """Requests by verb and path, for what a version has no method for."""

    @property
    def with_raw_response(self) -> ClientWithRawResponse:
        """All methods of all resources, answering with status, headers and body instead of the model."""
        from .resources import ClientWithRawResponse

        return ClientWithRawResponse(cast("Resources", self))

    @property
    def with_streaming_response(self) -> ClientWithStreamingResponse:
        """All methods of all resources for `async with`, answering with status and headers before the body has come."""
        from .resources import ClientWithStreamingResponse

        return ClientWithStreamingResponse(cast("Resources", self))

    if TYPE_CHECKING:

        @property
        def _settings(self) -> Settings: ...

        async def _send(self, request: Request[T], options: RequestOptions, *, follow: bool | None = None) -> RawResponse[T]: ...

    async def get(self, path: str, *, cast_to: type[T], options: Mapping[str, Any] | None = None) -> T:
        """Send a GET and read the answer as `cast_to`.

        :param path: the path under the base URL, or a whole URL; one of another origin gets no API key.
        :param cast_to: a model, a class of pydantic, a union or a list of them, `dict`, `list`, `str`, `bytes`, ``object`` for parsed JSON,
            `NoneType`, or `httpx.Response`.
        :param options: ``headers``, ``params``, ``timeout``, ``max_retries``, ``extra_json``, ``follow_redirects``.
        :raises TypeError: there is no such option.
        """
        return await self._verb("GET", path, cast_to, options, None, None, None)

    async def post(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        files: Files = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a POST, as `get` does a GET.

        :param body: what is sent as JSON, or as the fields of a form if there are `files`.
        :param content: bytes that are sent as they are, in place of JSON.
        """
        return await self._verb("POST", path, cast_to, options, body, content, files)

    async def put(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        files: Files = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a PUT, as `post` does a POST."""
        return await self._verb("PUT", path, cast_to, options, body, content, files)

    async def patch(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        files: Files = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a PATCH, as `post` does a POST."""
        return await self._verb("PATCH", path, cast_to, options, body, content, files)

    async def delete(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a DELETE, as `post` does a POST."""
        return await self._verb("DELETE", path, cast_to, options, body, content, None)

    async def _verb(self, method: str, path: str, cast_to: type[T], options: Any, body: object, content: object, files: Any) -> T:
        from ._core.interop.cast import cast_answer, check_type
        from ._core.response import answer_of
        from ._engine.verbs import verb

        check_type(cast_to)
        request, given, follow = verb(method, path, options or {}, body, content, files)
        del path, body, content, files, options  # they may hold phone numbers, and this frame stands in the traceback of what goes wrong
        raw = await self._send(request, given, follow=follow)
        return cast_answer(answer_of(raw), cast_to, strict=bool(self._settings.strict))


class SyncVerbs:
    """The same of the client without `await`."""

    @property
    def with_raw_response(self) -> _sync.ClientWithRawResponse:
        """All methods of all resources, answering with status, headers and body instead of the model."""
        from .resources._sync import ClientWithRawResponse

        return ClientWithRawResponse(cast("_sync.Resources", self))

    @property
    def with_streaming_response(self) -> _sync.ClientWithStreamingResponse:
        """All methods of all resources for `with`, answering with status and headers before the body has come."""
        from .resources._sync import ClientWithStreamingResponse

        return ClientWithStreamingResponse(cast("_sync.Resources", self))

    if TYPE_CHECKING:

        @property
        def _settings(self) -> Settings: ...

        def _send(self, request: Request[T], options: RequestOptions, *, follow: bool | None = None) -> RawResponse[T]: ...

    def get(self, path: str, *, cast_to: type[T], options: Mapping[str, Any] | None = None) -> T:
        """Send a GET and read the answer as `cast_to`.

        :param path: the path under the base URL, or a whole URL; one of another origin gets no API key.
        :param cast_to: a model, a class of pydantic, a union or a list of them, `dict`, `list`, `str`, `bytes`, ``object`` for parsed JSON,
            `NoneType`, or `httpx.Response`.
        :param options: ``headers``, ``params``, ``timeout``, ``max_retries``, ``extra_json``, ``follow_redirects``.
        :raises TypeError: there is no such option.
        """
        return self._verb("GET", path, cast_to, options, None, None, None)

    def post(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        files: Files = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a POST, as `get` does a GET.

        :param body: what is sent as JSON, or as the fields of a form if there are `files`.
        :param content: bytes that are sent as they are, in place of JSON.
        """
        return self._verb("POST", path, cast_to, options, body, content, files)

    def put(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        files: Files = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a PUT, as `post` does a POST."""
        return self._verb("PUT", path, cast_to, options, body, content, files)

    def patch(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        files: Files = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a PATCH, as `post` does a POST."""
        return self._verb("PATCH", path, cast_to, options, body, content, files)

    def delete(
        self,
        path: str,
        *,
        cast_to: type[T],
        body: object = None,
        content: Content = None,
        options: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a DELETE, as `post` does a POST."""
        return self._verb("DELETE", path, cast_to, options, body, content, None)

    def _verb(self, method: str, path: str, cast_to: type[T], options: Any, body: object, content: object, files: Any) -> T:
        from ._core.interop.cast import cast_answer, check_type
        from ._core.response import answer_of
        from ._engine.verbs import verb

        check_type(cast_to)
        request, given, follow = verb(method, path, options or {}, body, content, files)
        del path, body, content, files, options  # they may hold phone numbers, and this frame stands in the traceback of what goes wrong
        raw = self._send(request, given, follow=follow)
        return cast_answer(answer_of(raw), cast_to, strict=bool(self._settings.strict))


for _verbs, _client in ((OfficialVerbs, "AsyncRetell"), (SyncVerbs, "Retell")):
    for _name in ("get", "post", "put", "patch", "delete"):
        getattr(_verbs, _name).__qualname__ = f"{_client}.{_name}"  # which Python names where a keyword is unknown
