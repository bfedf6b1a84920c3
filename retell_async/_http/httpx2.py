"""A client of httpx2 as one of httpx: each request goes over to it and each answer, or error, comes back as httpx has it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx

from .._core.masking import cut
from .way import OfOthersError

if TYPE_CHECKING:
    import httpx2

__all__ = ["BlockingHttpx2Client", "Httpx2Client", "is_httpx2"]

_OWN_AUTH = "retell_async.own_auth"


def is_httpx2(client: object) -> bool:
    """Whether it is an `httpx2.AsyncClient`, without importing that for one that is not."""
    module = sys.modules.get("httpx2")
    return module is not None and isinstance(client, module.AsyncClient)


class Httpx2Client(httpx.AsyncClient):
    """Sends with the client that it is given, which is closed with it."""

    def __init__(self, given: httpx2.AsyncClient) -> None:
        super().__init__(transport=_Over(given), trust_env=False, timeout=httpx.Timeout(**given.timeout.as_dict()))
        self._given = given

    @property
    def is_closed(self) -> bool:
        return self._given.is_closed

    def build_request(self, method: str, url: httpx.URL | str, **settings: Any) -> httpx.Request:
        return _built(self._given, self.headers["accept-encoding"], method, url, **settings)

    async def send(self, request: httpx.Request, *, auth: Any = httpx.USE_CLIENT_DEFAULT, **settings: Any) -> httpx.Response:
        _note(request, auth)
        return await super().send(request, auth=auth, **settings)

    async def aclose(self) -> None:
        await self._given.aclose()
        await super().aclose()


class BlockingHttpx2Client(httpx.Client):
    """The same for one that does not await."""

    def __init__(self, given: httpx2.Client) -> None:
        super().__init__(transport=_BlockingOver(given), trust_env=False, timeout=httpx.Timeout(**given.timeout.as_dict()))
        self._given = given

    @property
    def is_closed(self) -> bool:
        return self._given.is_closed

    def build_request(self, method: str, url: httpx.URL | str, **settings: Any) -> httpx.Request:
        return _built(self._given, self.headers["accept-encoding"], method, url, **settings)

    def send(self, request: httpx.Request, *, auth: Any = httpx.USE_CLIENT_DEFAULT, **settings: Any) -> httpx.Response:
        _note(request, auth)
        return super().send(request, auth=auth, **settings)

    def close(self) -> None:
        self._given.close()
        super().close()


class _Over(httpx.AsyncBaseTransport):
    def __init__(self, given: httpx2.AsyncClient) -> None:
        self._given = given
        self._pool, *self._others = _pools(given)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        made = _made(request, _Content(request))
        with _as_of_httpx(request, made):
            response = await self._given.send(made, stream=True, follow_redirects=False, **_auth(request))
        return _answer(response, _Body(response, request))


class _BlockingOver(httpx.BaseTransport):
    def __init__(self, given: httpx2.Client) -> None:
        self._given = given
        self._pool, *self._others = _pools(given)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        made = _made(request, _BlockingContent(request))
        with _as_of_httpx(request, made):
            response = self._given.send(made, stream=True, follow_redirects=False, **_auth(request))
        return _answer(response, _BlockingBody(response, request))


def _pools(given: Any) -> list[object]:
    """What says how many connections there can be, and then those to proxies and other places."""
    return [getattr(transport, "_pool", None) for transport in (given._transport, *given._mounts.values())]


def _built(
    given: httpx2.AsyncClient | httpx2.Client,
    encodings: str,
    method: str,
    url: httpx.URL | str,
    *,
    params: httpx.QueryParams | None = None,
    headers: Any = None,
    content: Any = None,
    files: Any = None,
    extensions: Any = None,
    **_: Any,  # nothing: what httpx itself passes on when somebody has replaced `request`
) -> httpx.Request:
    """A request with what the client of httpx2 adds to each: headers, parameters and cookies.

    :param encodings: those that httpx can decode, by which answers come back.
    """
    query: list[tuple[str, Any]] | None = None if params is None else [*params.multi_items()]
    made = given.build_request(
        method,
        str(url),
        params=query,
        headers={"accept-encoding": encodings, **httpx.Headers(headers)},
        content=content,
        extensions=extensions,
    )
    added = [(name, value) for name, value in made.headers.multi_items() if files is None or name != "content-length"]
    return httpx.Request(method, str(made.url), headers=added, content=content, files=files, extensions=dict(made.extensions))


def _made(request: httpx.Request, unread: Any) -> httpx2.Request:
    import httpx2

    try:
        content: Any = request.content
    except httpx.RequestNotRead:
        content = unread
    return httpx2.Request(
        request.method,
        str(request.url),
        headers=request.headers.multi_items(),
        content=content or None,
        extensions=dict(request.extensions),
    )


def _note(request: httpx.Request, auth: object) -> None:
    """Note on a request that it has an auth of its own, or is to have none: then that of the client is not asked."""
    if auth is not httpx.USE_CLIENT_DEFAULT:
        request.extensions = {**request.extensions, _OWN_AUTH: True}


def _auth(request: httpx.Request) -> Any:
    return {"auth": None} if _OWN_AUTH in request.extensions else {}


def _answer(response: httpx2.Response, body: httpx.AsyncByteStream | httpx.SyncByteStream) -> httpx.Response:
    extensions = {name: value for name, value in response.extensions.items() if name in {"http_version", "reason_phrase"}}
    return httpx.Response(response.status_code, headers=_headers(response), stream=body, extensions=extensions)


class _Content:
    """A body that is read as it is sent, without the synchronous side that a form has too."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in cast("httpx.AsyncByteStream", self._request.stream):
            yield piece


class _BlockingContent:
    """The same with no other side than that."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        yield from cast("httpx.SyncByteStream", self._request.stream)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpx2.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_of_httpx(self._request, self._response.request):
            if self._response.is_stream_consumed:
                yield self._response.content  # a hook has read it, and it was decoded then
                return
            async for piece in cast("Any", self._response.stream):  # `aiter_raw` would close it, before anybody can look at what came
                yield piece

    async def aclose(self) -> None:
        with _as_of_httpx(self._request, self._response.request):
            await self._response.aclose()


class _BlockingBody(httpx.SyncByteStream):
    def __init__(self, response: httpx2.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _as_of_httpx(self._request, self._response.request):
            if self._response.is_stream_consumed:
                yield self._response.content  # as above
                return
            yield from cast("Any", self._response.stream)  # as above

    def close(self) -> None:
        with _as_of_httpx(self._request, self._response.request):
            self._response.close()


def _headers(response: httpx2.Response) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, without those of its encoding if that was undone when it was read."""
    undone = {b"content-encoding", b"content-length"} if response.is_stream_consumed else set[bytes]()
    return [(name, value) for name, value in response.headers.raw if name.lower() not in undone]


@contextmanager
def _as_of_httpx(request: httpx.Request, made: httpx2.Request) -> Generator[None]:
    """Raise an error of httpx2 as the one of httpx that has its name, unless it is that of another request, which a hook has sent."""
    import httpx2

    before = sys.exception()
    try:
        yield
    except httpx.RequestError as error:
        raise OfOthersError(error) from None
    except httpx2.HTTPStatusError as error:
        if error.request.url != made.url or error.request.method != made.method:
            raise
        answer = error.response
        content = answer.content if answer.is_stream_consumed else b""
        response = httpx.Response(answer.status_code, headers=_headers(answer), content=content, request=request)
        raise httpx.HTTPStatusError(str(error), request=request, response=response) from cut(error, before)
    except httpx2.RequestError as error:
        if getattr(error, "_request", None) not in (None, made):
            raise
        kind = next((found for base in type(error).__mro__ if (found := getattr(httpx, base.__name__, None))), httpx.RequestError)
        raise kind(str(error), request=request) from cut(error, before)
