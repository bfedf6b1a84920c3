"""The one module that speaks HTTP. It is loaded with the first request: httpx and its TLS settings cost a fifth of a second."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import attrs
import httpx

from ._encode import Encoded
from ._errors import APIConnectionError, APITimeoutError, ConfigurationError, RetellError, cut_off, reason
from ._files import opened
from ._line import Origin, Plain, Times, Whole, origin_of
from ._loops import OneLoop
from ._masking import mask_text
from ._operation import Omit
from ._process import this_process
from ._redirects import MOST, REDIRECTS, followed, leading
from ._response import Answer
from ._transport import Transport

if TYPE_CHECKING:
    from ._aiohttp import AiohttpTransport

__all__ = ["Http", "OwnClient"]

_logger = logging.getLogger("retell_async")

# Waiting for a free connection of one's own is no failure, so there is no limit to it, unless an `httpx.Timeout` sets one.
_TIMEOUT = 60.0
_CONNECT_TIMEOUT = 5.0

# What happens before anything of a request has left. A proxy's refusal is among it: it comes before there is a way to the server.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

_WAITED_FOR: dict[type[httpx.TimeoutException], str] = {
    httpx.ConnectTimeout: "no connection in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.PoolTimeout: "no free connection in time",
}

_AS_IT_IS = re.compile(r"(?:/(?!\.\.?(?:[/?]|\Z))[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
"""A path and a query to which nothing has to be done: nothing to quote, and no `.` or `..`."""

_USUAL_HEADERS = {
    name: value
    for name, value in httpx.AsyncClient(transport=httpx.AsyncBaseTransport(), trust_env=False).headers.items()
    if name in {"accept-encoding", "connection"}
}
"""What an `httpx.AsyncClient` adds to every request and this package does not: among it the encodings that it can decode."""

_WITH_A_BODY = {"POST", "PUT", "PATCH"}


class OwnClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` over a transport of this package, whose `exchange` is used as long as that makes no difference.

    The objects of httpx cost more than all the rest of sending a small request.
    """

    def __init__(self, transport: Transport | AiohttpTransport, **settings: Any) -> None:
        super().__init__(transport=transport, **settings)
        self._straight = transport
        self._usual = self.headers.raw
        self._is_plain = settings.keys() <= {"timeout", "trust_env"}

    @property
    def straight(self) -> Transport | AiohttpTransport | None:
        """The transport, unless this client has something to add of its own."""
        hooks = self.event_hooks
        plain = (
            self._is_plain
            and not (hooks["request"] or hooks["response"] or self.auth or self.params or self.follow_redirects)
            and not len(self.cookies.jar)
            and self.headers.raw == self._usual
        )
        return self._straight if plain else None


class Http:
    """One pool of connections, made here or given by the user, and closed here."""

    def __init__(self, given: object | None, *, max_connections: int) -> None:
        if given is not None and not isinstance(given, httpx.AsyncClient):
            raise ConfigurationError(f"http_client must be an httpx.AsyncClient, not {type(given).__name__}")
        self.in_use = OneLoop()
        self._closed = False
        self._client = given
        self._used_in: object = None  # the process
        self._transport = Transport(limits=httpx.Limits(max_connections=max_connections))
        # A timeout that the user set on a client of their own is meant; the one that httpx sets is not.
        self._timeout = given.timeout if given is not None and given.timeout != httpx.Timeout(5.0) else None

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        await (self._transport if self._client is None else self._client).aclose()

    @property
    def is_closed(self) -> bool:
        return self._closed or (self._client is not None and self._client.is_closed)

    @property
    def _straight(self) -> Transport | AiohttpTransport | None:
        if self._client is None:
            return self._transport
        return self._client.straight if isinstance(self._client, OwnClient) else None

    def build(self, encoded: Encoded, timeout: float | httpx.Timeout | Omit | None) -> httpx.Request:
        """The request as an error shows it: without the form, if it has one."""
        return self._request(encoded, self._times(timeout, None), None)

    def _request(self, encoded: Encoded, times: Times, files: list[tuple[str, Any]] | None) -> httpx.Request:
        client = None if encoded.redirected == "outside" else self._client
        headers = httpx.Headers({} if client is not None else _USUAL_HEADERS)
        headers.update(encoded.headers)
        build = httpx.Request if client is None else client.build_request
        request = build(encoded.method, encoded.url, headers=headers, content=encoded.content, files=files, extensions={"timeout": times})
        if encoded.redirected is not None:
            request.url = httpx.URL(encoded.url)  # without the parameters that the client adds, which the first request had
        return request

    def _times(self, timeout: float | httpx.Timeout | Omit | None, usual: float | None) -> Times:
        connect = None
        if isinstance(timeout, Omit):
            timeout = self._timeout
            if timeout is None:
                timeout, connect = usual or _TIMEOUT, _CONNECT_TIMEOUT
        if isinstance(timeout, httpx.Timeout):
            return timeout.as_dict()
        return {"connect": connect or timeout, "read": timeout, "write": timeout, "pool": None}

    async def exchange(
        self,
        encoded: Encoded,
        timeout: float | httpx.Timeout | Omit | None,
        usual: float | None = None,
        *,
        stream: bool = False,
        follow: bool = False,
    ) -> Answer:
        """Send a request once and read the whole answer, of whatever status.

        :param timeout: seconds for each step, `omit` for the client's own.
        :param usual: seconds for each step where neither says.
        :param stream: leave the body of an answer of success where it is.
        :param follow: go where a redirect leads, as far as that is safe for a request that may be repeated.
        :raises APIConnectionError: no whole answer arrived.
        :raises APIResponseValidationError: an answer of success began to arrive and ended before its end.
        """
        if self.is_closed:
            raise RetellError("the client is closed")
        start = perf_counter()
        answer = await self._exchange(encoded, timeout, usual, stream=stream)
        if answer.status_code in REDIRECTS:
            answer = await self._redirected(answer, encoded, timeout, usual, stream=stream, follow=follow)
        answer.seconds = perf_counter() - start
        return answer

    async def _redirected(
        self,
        answer: Answer,
        encoded: Encoded,
        timeout: float | httpx.Timeout | Omit | None,
        usual: float | None,
        *,
        stream: bool,
        follow: bool,
    ) -> Answer:
        """The answer at the end of the redirects, or the redirect that is not followed."""
        seen = {encoded.url}
        while answer.status_code in REDIRECTS:
            location = answer.response.headers.get("location")
            to = leading(encoded, location)
            there = followed(encoded, answer.status_code, location) if follow else f"{to}, where this {encoded.method} is not sent too"
            if not isinstance(there, str):
                if there.url in seen:
                    there = f"{to}, in a circle"
                elif len(seen) > MOST:
                    there = f"{to}, after {MOST} others"
            if isinstance(there, str):
                answer.response.extensions["redirect"] = there
                break
            seen.add(there.url)
            encoded = there
            last = await self._exchange(encoded, timeout, usual, stream=stream)
            if encoded.redirected == "outside" and last.status_code in {401, 403}:
                answer.response.extensions["redirect"] = f"{to}, another origin, which got no API key and answered {last.status_code}"
                break
            answer = last
        return answer

    async def _exchange(
        self, encoded: Encoded, timeout: float | httpx.Timeout | Omit | None, usual: float | None, *, stream: bool
    ) -> Answer:
        times = self._times(timeout, usual)
        start = perf_counter()
        try:
            straight = self._straight
            if straight is not None and not stream and encoded.form is None and straight.is_straight(_base(encoded.base_url).origin):
                answer = await self._go_straight(straight, encoded, times)
            else:
                answer = await self._go_by_httpx(encoded, times, stream=stream)
        except httpx.TimeoutException as error:
            message = _WAITED_FOR.get(type(error), "the request timed out")
            request = self.build(encoded, timeout)
            raise APITimeoutError(request, message=message, sent=not isinstance(error, _NOT_SENT)) from error
        except httpx.RequestError as error:
            request = self.build(encoded, timeout)
            raise APIConnectionError(message=reason(error), request=request, sent=not isinstance(error, _NOT_SENT)) from error
        if _logger.isEnabledFor(logging.DEBUG):
            path = mask_text(httpx.URL(encoded.url).path)
            _logger.debug("%s %s: %d in %.3f s", encoded.method, path, answer.status_code, perf_counter() - start)
        return answer

    async def _go_straight(self, straight: Transport | AiohttpTransport, encoded: Encoded, times: Times) -> Answer:
        whole = await straight.exchange(_plain(encoded), times)

        def response(whole: Whole) -> httpx.Response:
            made = whole.response()
            made.request = self._request(encoded, times, None)
            return made

        answer = Answer(whole.status, whole.content, lambda: response(whole))
        broken = whole.broken
        if broken is None and any(name.lower() == b"content-encoding" for name, _ in whole.headers):
            try:
                answer.content = answer.response.content
            except httpx.DecodingError as error:
                broken = error
        if broken is not None:
            return _without_body(response(attrs.evolve(whole, broken=broken)), broken)
        return answer

    async def _go_by_httpx(self, encoded: Encoded, times: Times, *, stream: bool) -> Answer:
        async with opened(encoded.form) as files:
            request = self._request(encoded, times, files)
            if self._client is not None:
                response = await self._send(self._client, request, encoded)
            else:
                # What an `httpx.AsyncClient` would add is of no use here and costs as much as all the rest: cookies, redirects, log lines
                # in which phone numbers are not masked.
                response = await self._transport.handle_async_request(request)
                response.request = request
            if stream and response.is_success:
                return Answer(response.status_code, b"", lambda: response)
            try:
                await response.aread()
            except httpx.RequestError as error:
                return _without_body(httpx.Response(response.status_code, headers=response.headers, request=response.request), error)
            finally:
                await response.aclose()
        return Answer(response.status_code, response.content, lambda: response)

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request, encoded: Encoded) -> httpx.Response:
        process = this_process()
        if self._used_in not in {None, process} and not isinstance(client, OwnClient):
            raise ConfigurationError(
                "http_client was used before this process was forked, and its connections belong to the parent: "
                "make one in each process, or use DefaultAsyncHttpxClient, which sees to that by itself"
            )
        self._used_in = process
        # Redirects are followed here, where it is known which request may be. To another origin goes nothing of the client's either.
        if encoded.redirected == "outside":
            return await client.send(request, stream=True, follow_redirects=False, auth=None)
        return await client.send(request, stream=True, follow_redirects=False)


def _without_body(bare: httpx.Response, error: httpx.RequestError) -> Answer:
    """What an answer is worth whose body did not come whole: its status, if that says that nothing was done."""
    if bare.is_success or isinstance(error, httpx.TimeoutException):
        raise cut_off(bare, error) from error
    return Answer(bare.status_code, b"", lambda: bare)


@attrs.frozen
class _Base:
    """A base URL as it is needed for sending."""

    origin: Origin
    host: str
    root: str
    """The URL up to the path."""
    path: str


@lru_cache(maxsize=64)
def _base(url: str) -> _Base:
    parsed = httpx.URL(url)
    host = parsed.netloc.decode("ascii")
    return _Base(origin_of(parsed), host, f"{parsed.scheme}://{host}", parsed.raw_path.decode("ascii").rstrip("/"))


def _plain(encoded: Encoded) -> Plain:
    base = _base(encoded.base_url)
    target = base.path + encoded.target
    if not _AS_IT_IS.fullmatch(target):
        target = httpx.URL(encoded.url).raw_path.decode("ascii")
    content = encoded.content or b""
    own = {"Host": base.host, **_USUAL_HEADERS}
    if content or encoded.method in _WITH_A_BODY:
        own["Content-Length"] = str(len(content))
    given = {name.lower() for name in encoded.headers}
    headers = [(name, value) for name, value in own.items() if name.lower() not in given]
    headers.extend(encoded.headers.items())
    return Plain(base.origin, encoded.method, base.root, target, headers, content)
