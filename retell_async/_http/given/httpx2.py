"""An `httpx2.AsyncClient` as one of httpx: each request goes over to it and each answer, or error, comes back as httpx has it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx

from ..._core.masking import cut

if TYPE_CHECKING:
    import httpx2

__all__ = ["Httpx2Client", "is_httpx2"]


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

    async def aclose(self) -> None:
        await self._given.aclose()
        await super().aclose()


class _Over(httpx.AsyncBaseTransport):
    def __init__(self, given: httpx2.AsyncClient) -> None:
        self._given = given
        way = getattr(given, "_transport", None)
        self._pool = getattr(way, "_pool", None)  # which says how many connections there can be

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            content: Any = request.content
        except httpx.RequestNotRead:
            content = _Content(request)
        with _as_of_httpx(request):
            made = self._given.build_request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                content=content or None,
                extensions=dict(request.extensions),
            )
            auth: Any = {} if "authorization" in request.headers else {"auth": None}  # to another origin goes nothing of the client's
            response = await self._given.send(made, stream=True, follow_redirects=False, **auth)
        extensions = {name: value for name, value in response.extensions.items() if name in {"http_version", "reason_phrase"}}
        return httpx.Response(response.status_code, headers=_headers(response), stream=_Body(response, request), extensions=extensions)


class _Content:
    """A body that is read as it is sent, without the synchronous side that a form has too."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in cast("httpx.AsyncByteStream", self._request.stream):
            yield piece


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpx2.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_of_httpx(self._request):
            if self._response.is_stream_consumed:
                yield self._response.content  # a hook has read it, and it was decoded then
                return
            async for piece in self._response.aiter_raw():
                yield piece

    async def aclose(self) -> None:
        with _as_of_httpx(self._request):
            await self._response.aclose()


def _headers(response: httpx2.Response) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, without those of its encoding if that was undone when it was read."""
    undone = {b"content-encoding", b"content-length"} if response.is_stream_consumed else set[bytes]()
    return [(name, value) for name, value in response.headers.raw if name.lower() not in undone]


@contextmanager
def _as_of_httpx(request: httpx.Request) -> Generator[None]:
    """Raise an error of httpx2 as the one of httpx that has its name."""
    import httpx2

    before = sys.exception()
    try:
        yield
    except httpx2.HTTPStatusError as error:
        answer = error.response
        content = answer.content if answer.is_stream_consumed else b""
        response = httpx.Response(answer.status_code, headers=_headers(answer), content=content, request=request)
        raise httpx.HTTPStatusError(str(error), request=request, response=response) from cut(error, before)
    except httpx2.RequestError as error:
        kind = next((found for base in type(error).__mro__ if (found := getattr(httpx, base.__name__, None))), httpx.RequestError)
        raise kind(str(error), request=request) from cut(error, before)
