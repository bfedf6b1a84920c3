"""One exchange over HTTP: a request goes out once, and its answer comes back.

It is loaded with the first request: httpx and its TLS settings cost a fifth of a second.
"""

from __future__ import annotations

import logging
import math
import re
import sys
import zlib
from collections.abc import Callable
from functools import lru_cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import perf_counter
from typing import Any, cast

import attrs
import httpx

from .._core.encode import Encoded
from .._core.errors import APIConnectionError, APIError, APITimeoutError, ConfigurationError, RetellError, WrongKindError, cut_off, reason
from .._core.masking import Hidden, HiddenMapping, cut, mask_path
from .._core.operation import Omit
from .._core.response import Answer
from .._logs import Log
from .files import ChangedFileError, UnreadableFileError, opened
from .httpx2 import Httpx2Client, is_httpx2
from .instrumented import Methods
from .logs import masked_logs
from .loops import is_in_loop, this_process
from .mocks import MockedClient, is_mock
from .transport import Transport
from .way import (
    LEAVES,
    NOT_SENT,
    Departure,
    OfOthersError,
    OwnTransport,
    Returned,
    bounds_waits,
    drop_abandoned,
    is_plain,
    proxy_on,
    sees_to_forks,
    tells,
)
from .wire.http1 import BufferedRequest, BufferedResponse, Origin, Times, origin_of
from .wire.usual import usual_headers

__all__ = ["OF_CLIENTS", "Http", "OwnClient", "no_cookies"]

_logger = Log("retell_async")

# Waiting for a free connection of one's own is no failure, so there is no limit to it, unless an `httpx.Timeout` sets one.
_TIMEOUT = 60.0
_CONNECT_TIMEOUT = 5.0

_WAITED_FOR: dict[type[httpx.TimeoutException], str] = {
    httpx.ConnectTimeout: "no connection in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.PoolTimeout: "no free connection in time",
}

# What shows that one side speaks TLS and the other does not.
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|record layer failure")
_TLS = re.compile(r"illegal request line|x15\\+x03")

_AS_IT_IS = re.compile(r"(?:/(?!\.\.?(?:[/?]|\Z))[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
"""A path and a query that go out as they are: nothing to quote, and no `.` or `..`."""

_USUAL_HEADERS = {
    name: value
    for name, value in httpx.AsyncClient(transport=httpx.AsyncBaseTransport(), trust_env=False).headers.items()
    if name in {"accept-encoding", "connection"}
}
"""What an `httpx.AsyncClient` adds to every request and this package does not: among it the encodings that it can decode."""

_WITH_A_BODY = {"POST", "PUT", "PATCH"}


_REQUEST = Methods({httpx.AsyncClient: ("request",)})


def no_cookies() -> CookieJar:
    """A jar that stays empty: the API has no use for cookies, and one account's would go out with another's requests."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


class OwnClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` over a transport of this package. Requests take the shorter way of `exchange` where nobody can tell.

    The objects of httpx cost more than all the rest of sending a small request. Over any other transport it is an `httpx.AsyncClient`.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, **settings: Any) -> None:
        self._is_plain = settings.keys() <= {"timeout", "trust_env"}
        settings.setdefault("cookies", no_cookies())
        super().__init__(transport=transport, **settings)
        self._own = transport if isinstance(transport, Transport) else None
        self._usual = self.headers.raw

    @property
    def own(self) -> Transport | None:
        """The transport, unless somebody has replaced a method of this client, of its class or of the transport."""
        own = self._own
        way = _WAY
        if own is None or self._transport is not own or self._mounts or way.are_replaced():
            return None
        seen = way.stand_in(self) or way.stand_in(own) or way.are_overridden(type(self), OwnClient)
        return None if seen else own

    @property
    def straight(self) -> Transport | None:
        """The same, and nothing that this client has to add of its own either."""
        hooks = self.event_hooks
        plain = (
            self._is_plain
            and not (hooks["request"] or hooks["response"] or self.auth or self.params or self.follow_redirects)
            and not len(self.cookies.jar)
            and self.headers.raw == self._usual
        )
        return self.own if plain else None


OF_CLIENTS = (
    *("request", "build_request", "send", "_send_handling_auth", "_send_handling_redirects", "_send_single_request"),
    "_transport_for_url",
)
"""The methods of a client that httpx calls, one after the other, down to the transport."""

_WAY = Methods({OwnClient: OF_CLIENTS, Transport: ("handle_async_request",)})


class Http:
    """One pool of connections, made here or given by the user, and closed here."""

    def __init__(self, given: object | None, *, max_connections: int) -> None:
        if is_mock(given) and (is_httpx2(given) or isinstance(given, httpx.AsyncClient)):
            given = MockedClient(given)
        elif is_httpx2(given):
            given = Httpx2Client(cast("Any", given))
        if given is not None and not isinstance(given, httpx.AsyncClient):
            wanted = "an httpx.AsyncClient, or for Retell an httpx.Client"
            raise WrongKindError(f"Invalid `http_client` argument: it must be {wanted}, not {type(given).__name__}")
        self._closed = False
        self._is_given = given is not None
        self._client = OwnClient(Transport(limits=httpx.Limits(max_connections=max_connections))) if given is None else given
        self._used_in: object = None  # the process
        self._tells = False  # whether a request over the user's client was seen when it went out
        # A timeout that the user set on a client of their own is meant; the one that httpx sets is not.
        self._timeout = given.timeout if given is not None and given.timeout != httpx.Timeout(5.0) else None

    @property
    def usual_timeout(self) -> httpx.Timeout:
        """The timeout where none is given."""
        return self._timeout or httpx.Timeout(_TIMEOUT, connect=_CONNECT_TIMEOUT)

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        await self._client.aclose()

    @property
    def is_closed(self) -> bool:
        return self._closed or self._client.is_closed

    @property
    def _own(self) -> Transport | None:
        """The transport of a client that was made here, as long as nothing stands in the way to it.

        What an `httpx.AsyncClient` would add is of no use then and costs as much as all the rest.
        """
        return self._client.own if isinstance(self._client, OwnClient) and not self._is_given else None

    @property
    def _straight(self) -> Transport | None:
        if not isinstance(self._client, OwnClient):
            return None
        return self._client.straight if self._is_given else self._client.own

    def build(self, encoded: Encoded, timeout: float | httpx.Timeout | Omit | None) -> httpx.Request:
        """The request as an error shows it: without the form, if it has one."""
        return self._request(encoded, self._times(timeout, None), None)

    def _request(self, encoded: Encoded, times: Times, files: list[tuple[str, Any]] | None) -> httpx.Request:
        url = httpx.URL(encoded.url)
        rest: dict[str, Any] = {"content": encoded.content, "files": files, "extensions": {"timeout": times}}
        if self._own is not None or encoded.redirected == "outside":
            headers = httpx.Headers(_USUAL_HEADERS)
            headers.update(encoded.headers)
            return httpx.Request(encoded.method, url, headers=headers, **rest)
        request = self._client.build_request(encoded.method, url, params=_parameters(url), headers=encoded.headers, **rest)
        if encoded.redirected is not None:
            request.url = url  # without the parameters that the client adds, which the first request had
        elif url.query and request.url.params == url.params:
            request.url = request.url.copy_with(query=url.query)  # as it was encoded: none was added
        return request

    def _times(self, timeout: float | httpx.Timeout | Omit | None, usual: float | None, pool: float | None = None) -> Times:
        connect = None
        if isinstance(timeout, Omit):
            timeout = self._timeout
            if timeout is None:
                timeout, connect = usual or _TIMEOUT, _CONNECT_TIMEOUT
        if isinstance(timeout, httpx.Timeout):
            return timeout.as_dict() if pool is None else {**timeout.as_dict(), "pool": pool}
        return {"connect": connect or timeout, "read": timeout, "write": timeout, "pool": pool}

    @property
    def most_connections(self) -> float:
        """How many connections the user's own client opens at most, as far as that can be told.

        A request that leaves when its limit says so must not have to wait for one after that.
        """
        transport: Any = getattr(self._client, "_transport", None)
        pool = getattr(transport, "_pool", None)
        if getattr(transport, "http2", False) or getattr(pool, "_http2", False):
            return math.inf  # one connection carries many requests
        found = getattr(pool, "_max_connections", None) or getattr(getattr(transport, "limits", None), "max_connections", None)
        return found if isinstance(found, int) else math.inf

    def pool_timeout(self, timeout: float | httpx.Timeout | Omit | None) -> float | None:
        """Seconds that a request may wait before it has a connection to leave by; ``None`` for as long as it takes."""
        if isinstance(timeout, Omit):
            timeout = self._timeout
        return timeout.pool if isinstance(timeout, httpx.Timeout) else None

    async def exchange(
        self,
        encoded: Encoded,
        timeout: float | httpx.Timeout | Omit | None,
        usual: float | None = None,
        *,
        stream: bool = False,
        departure: Departure | None = None,
        pool: float | None = None,
    ) -> Answer:
        """Send a request once and read the whole answer, of whatever status. Redirects are not followed.

        :param timeout: seconds for each step, `omit` for the client's own.
        :param usual: seconds for each step where neither says.
        :param stream: leave the body of a successful answer where it is.
        :param departure: called at most once, before the first byte: when there is a connection and the request goes out, or, where nobody
            says when that is, before the request is handed over. It may raise: then nothing is sent, and its exception comes out of here
            as it is. It is not called for an answer that comes from somewhere nearer, such as a fake one.
        :param pool: seconds at most in which a pool must have a free connection.
        :raises APIConnectionError: no whole answer arrived.
        """
        if self.is_closed:
            raise RetellError("the client is closed")
        start = perf_counter()
        before = sys.exception()
        departure = Departure() if departure is None else departure
        try:
            answer = await self._exchange(encoded, timeout, usual, stream=stream, departure=departure, pool=pool)
            if departure.refusal is not None:
                await answer.response.aclose()  # somebody on the way made an answer of it
                raise departure.refusal
        except BaseException as error:
            cut(error, before, headers=encoded.headers)
            refusal = departure.refusal
            if refusal is None or refusal is error or not isinstance(error, Exception):
                raise
            raise cut(refusal, before) from None  # whatever somebody on the way made of it
        answer.seconds = perf_counter() - start
        if _logger.isEnabledFor(logging.INFO):
            path = mask_path(httpx.URL(encoded.url).raw_path.decode("ascii"))
            _logger.info("%s %s: %d in %.3f s", encoded.method, path, answer.status_code, answer.seconds)
        return answer

    async def _exchange(
        self,
        encoded: Encoded,
        timeout: float | httpx.Timeout | Omit | None,
        usual: float | None,
        *,
        stream: bool,
        departure: Departure,
        pool: float | None,
    ) -> Answer:
        times = self._times(timeout, usual, pool)
        before = sys.exception()
        try:
            by_parts = encoded.form is not None or not (encoded.content is None or isinstance(encoded.content, bytes))
            straight = None if stream or by_parts else self._straight
            if straight is not None and straight.is_straight(_base(encoded.base_url).origin):
                return await self._go_straight(straight, encoded, times, departure)
            if pool is not None and bounds_waits(self._transport_of(encoded)):
                times = self._times(timeout, usual)
            return await self._go_by_httpx(encoded, times, stream=stream, departure=departure)
        except httpx.TimeoutException as error:
            sent = self._may_be_sent(error, encoded, departure)
            what = _WAITED_FOR.get(type(error), reason(error))
            if sent and isinstance(error, NOT_SENT):
                what = reason(error)  # of somebody on the way, who waited for something else
            elif isinstance(error, httpx.PoolTimeout) and times.get("pool") is not None:
                what = f"no free connection within {times['pool']:g} s: all that the HTTP client may open are in use"
            message = f"Request timed out: {what}; {self.way(encoded)}"
            raise APITimeoutError(self.build(encoded, timeout), message=message, sent=sent) from error
        except httpx.RequestError as error:
            message = f"Connection error: {reason(error).rstrip('.')}; {self.way(encoded)}{_hint(error, encoded)}"
            sent = self._may_be_sent(error, encoded, departure)
            raise APIConnectionError(message=message, request=self.build(encoded, timeout), sent=sent) from error
        except httpx.HTTPStatusError as error:
            return _refused(error.response)  # of `raise_for_status` in a hook of the user's
        except RetellError:
            raise
        except UnreadableFileError as error:
            raise error.error from None
        except Exception as error:
            if departure.refusal is not None:
                raise
            if not is_in_loop():
                raise GeneratorExit from None  # it is collected after its loop, which what closes its connection would have needed
            # A transport or a hook of the user's own, or something in its way, failed as it should not.
            failure = error.error if isinstance(error, OfOthersError) else error
            message = f"Connection error: {reason(failure)}; {self.way(encoded)}"
            sent = self.may_have_left(encoded, departure)
            raise APIConnectionError(message=message, request=self.build(encoded, timeout), sent=sent) from cut(
                failure, before, headers=encoded.headers, note=True
            )

    async def _go_straight(self, straight: Transport, encoded: Encoded, times: Times, departure: Departure) -> Answer:
        received = await straight.exchange(_buffered(encoded, departure), times)
        answer = Answer(received.status, received.content, partial(self._response, received, encoded, times))
        broken = received.broken
        encodings = [value for name, value in received.headers if name.lower() == b"content-encoding"]
        if broken is None and encodings:
            try:
                answer.content = _unzipped(received.content) if encodings == [b"gzip"] else answer.response.content
            except (httpx.DecodingError, zlib.error) as error:
                broken = error if isinstance(error, httpx.DecodingError) else httpx.DecodingError(str(error))
        if broken is not None:
            return _without_body(self._response(attrs.evolve(received, broken=broken), encoded, times), broken)
        return answer

    def _response(self, received: BufferedResponse, encoded: Encoded, times: Times) -> httpx.Response:
        made = received.response()
        made.request = self._request(encoded, times, None)
        return made

    async def _go_by_httpx(self, encoded: Encoded, times: Times, *, stream: bool, departure: Departure) -> Answer:
        async with opened(encoded.form) as files:
            with masked_logs():
                response = await self._respond(encoded, times, files, stream=stream, departure=departure)
                if stream and (response.is_success or response.status_code == 101):
                    return Answer(response.status_code, b"", lambda: response)
                try:
                    await response.aread()
                except httpx.RequestError as error:
                    return _without_body(httpx.Response(response.status_code, headers=response.headers, request=response.request), error)
                finally:
                    await response.aclose()
        return Answer(response.status_code, response.content, lambda: response)

    async def _respond(
        self,
        encoded: Encoded,
        times: Times,
        files: list[tuple[str, Any]] | None,
        *,
        stream: bool,
        departure: Departure,
    ) -> httpx.Response:
        own = self._own
        request = self._request(encoded, times, files)
        request.extensions |= {LEAVES: departure, "trace": departure.trace(request.extensions.get("trace"))}
        departure.is_handed_over = True
        # From here on code of the user's runs: hooks, transports, what gives the body. It may ask others, with this package too.
        try:
            if own is not None:
                response = await own.handle_async_request(request)
                response.request = request
                return response
            return await self._respond_by_client(encoded, request, files, stream=stream, departure=departure)
        except httpx.HTTPStatusError as error:
            if _is_about(error, request):
                raise
            raise OfOthersError(error) from None
        except RetellError as error:
            if error is departure.refusal or isinstance(error, ChangedFileError) or not (departure.left or isinstance(error, APIError)):
                raise
            raise OfOthersError(error) from None
        finally:
            if departure.was_seen:
                self._tells = True

    async def _respond_by_client(
        self,
        encoded: Encoded,
        request: httpx.Request,
        files: list[tuple[str, Any]] | None,
        *,
        stream: bool,
        departure: Departure,
    ) -> httpx.Response:
        transport = self._transport_to(request.url)
        process = this_process()
        if self._used_in not in {None, process} and not sees_to_forks(transport):
            raise ConfigurationError(
                "http_client was used before this process was forked, and its connections belong to the parent: "
                "make one in each process, or use DefaultAsyncHttpxClient or DefaultAioHttpClient, which see to that by themselves"
            )
        self._used_in = process
        if not (self._tells or tells(transport)):
            departure.suppose()
        try:
            response = await self._send_by_client(encoded, request, files, stream=stream)
        except BaseException:
            await drop_abandoned(transport, departure)
            raise
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = Returned(response.stream, transport, departure)
        return response

    async def _send_by_client(
        self, encoded: Encoded, request: httpx.Request, files: list[tuple[str, Any]] | None, *, stream: bool
    ) -> httpx.Response:
        client = self._client
        # Redirects are followed by whoever knows which request may be. To another origin goes nothing of the client's either.
        if encoded.redirected == "outside":
            return await client.send(request, stream=True, follow_redirects=False, auth=None)
        if stream or encoded.redirected is not None or not (_REQUEST.are_replaced() or _REQUEST.stand_in(client)):
            return await client.send(request, stream=True, follow_redirects=False)
        return await client.request(
            encoded.method,
            encoded.url,
            params=_parameters(request.url),
            headers=encoded.headers,
            content=encoded.content,
            files=files,
            extensions=request.extensions,
            follow_redirects=False,
        )

    def _transport_to(self, url: httpx.URL) -> httpx.AsyncBaseTransport | httpx.BaseTransport:
        """The transport of the client that is for there, as far as it can be told."""
        return self._client._transport_for_url(url)  # pyright: ignore[reportPrivateUsage]

    def _transport_of(self, encoded: Encoded) -> httpx.AsyncBaseTransport | httpx.BaseTransport:
        return self._transport_to(httpx.URL(_base(encoded.base_url).root))

    def way(self, encoded: Encoded) -> str:
        """Where a request was to go, and by which proxy, for an error about its connection."""
        url = httpx.URL(_base(encoded.base_url).root)
        proxy = proxy_on(self._transport_to(url), url)
        return f"host {url}{'' if proxy is None else f', proxy {proxy}'}"

    def _may_be_sent(self, error: httpx.RequestError, encoded: Encoded, departure: Departure) -> bool:
        """Whether anything of a request may have left before it failed."""
        if departure.left and not departure.is_supposed:
            return True
        return not (isinstance(error, NOT_SENT) and self._is_of_the_way(error, departure)) and self.may_have_left(encoded, departure)

    def _is_of_the_way(self, error: httpx.RequestError, departure: Departure) -> bool:
        """Whether an error is that of sending a request, and not that of another one which a hook has sent."""
        request = _request_of(error)
        if request is None:  # it was raised by hand
            return not self._client.event_hooks["response"]
        return request.extensions.get(LEAVES) is departure

    def may_have_left(self, encoded: Encoded, departure: Departure) -> bool:
        """Whether anything of a request may have left, however it ended. Where all of its way is known, it would have been said."""
        if departure.left or not departure.is_handed_over:
            return departure.left
        own = self._client.own if isinstance(self._client, OwnClient) else None
        if own is not None and own.tells:
            return False
        # Of httpx's own connections all is known: that of a proxy may fail with any error before there is a way to the server.
        transport = self._transport_of(encoded)
        known = type(transport) in {httpx.AsyncHTTPTransport, httpx.HTTPTransport} or isinstance(transport, OwnTransport)
        return not (known and (departure.is_traced or is_plain(self._client, transport)))


def _unzipped(content: bytes) -> bytes:
    """As httpx does it, without all that it makes around."""
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return decoder.decompress(content) + decoder.flush()


def _parameters(url: httpx.URL) -> httpx.QueryParams | None:
    """The query of a URL, to be given beside it: parameters of a client take the place of a query, and stand beside these."""
    return url.params or None


def _hint(error: httpx.RequestError, encoded: Encoded) -> str:
    """What may be wrong where one side speaks TLS and the other does not."""
    text = str(error)
    if isinstance(error, httpx.ConnectError) and _NO_TLS.search(text):
        return "; what answers there speaks no TLS: is it http:// in place of https://?"
    if encoded.base_url.startswith("http:") and _TLS.search(text):
        return "; what answers there may speak TLS: is it https:// in place of http://?"
    return ""


def _request_of(error: httpx.HTTPError) -> httpx.Request | None:
    try:
        return error.request
    except RuntimeError:
        return None


def _is_about(error: httpx.HTTPStatusError, request: httpx.Request) -> bool:
    """Whether the status is that of the answer to a request, and not of another one that a hook has sent."""
    about = _request_of(error)
    return about is not None and (about is request or (about.method, about.url) == (request.method, request.url))


def _refused(response: httpx.Response) -> Answer:
    """The answer in an error that somebody raised, with its body if that was read."""
    try:
        content = response.content
    except httpx.ResponseNotRead:
        content = b""
        response = httpx.Response(response.status_code, headers=response.headers, request=response.request, extensions=response.extensions)
    return Answer(response.status_code, content, lambda: response)


def _without_body(bare: httpx.Response, error: httpx.RequestError) -> Answer:
    """The error for an answer whose body is cut off: the one of its status, if that says that nothing was done."""
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


@attrs.frozen
class _Head:
    """Headers as they go out over a connection of this package."""

    host: str
    headers: list[tuple[str, str]]
    lines: bytes | None
    """All of it, if it is usual."""
    has_length: bool


def _head(host: str, given: HiddenMapping) -> _Head:
    """That of a request, kept with what it is made of: most requests of a client have the same."""
    known: Hidden[_Head] | None = given.as_sent
    if known is None or known.value.host != host:
        names = {name.lower() for name in given}
        headers = [(name, value) for name, value in (("Host", host), *_USUAL_HEADERS.items()) if name.lower() not in names]
        headers.extend(given.items())
        known = given.as_sent = Hidden(_Head(host, headers, usual_headers(headers), "content-length" in names))
    return known.value


def _buffered(encoded: Encoded, leaves: Callable[[], None]) -> BufferedRequest:
    base = _base(encoded.base_url)
    target = base.path + encoded.target
    if not _AS_IT_IS.fullmatch(target):
        target = httpx.URL(encoded.url).raw_path.decode("ascii")
    content = cast("bytes", encoded.content or b"")
    head = _head(base.host, encoded.headers)
    headers = head.headers
    if (content or encoded.method in _WITH_A_BODY) and not head.has_length:
        headers = [*headers, ("Content-Length", str(len(content)))]
    return BufferedRequest(base.origin, encoded.method, base.root, target, headers, content, head.lines, leaves)
