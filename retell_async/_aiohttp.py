"""Connections over aiohttp, for asyncio only: faster than those of httpx. Needs the extra ``[aiohttp]``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import httpx
from yarl import URL

from ._errors import ConfigurationError
from ._line import Origin, Plain, Times, Whole, origin_of
from ._proxies import Proxies

if TYPE_CHECKING:
    import ssl

_LARGE = 2**20

__all__ = ["AiohttpTransport"]


class AiohttpTransport(httpx.AsyncBaseTransport):
    """An httpx transport whose connections are those of an `aiohttp.ClientSession`, opened with the first request.

    :param verify: as of `httpx.AsyncHTTPTransport`, as are `cert` and `limits`.
    :param trust_env: take certificates and proxies from the environment.
    :param proxy: one for all requests, in place of those of the environment.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        limits: httpx.Limits | None = None,
        trust_env: bool = True,
        proxy: str | None = None,
    ) -> None:
        self._verify = verify
        self._cert = cert
        self._limits = limits or httpx.Limits(max_connections=100)
        self._trust_env = trust_env
        self._proxy = proxy
        # Told to look for itself, aiohttp looks anew for each request, in a thread.
        self._proxies = Proxies() if trust_env and proxy is None else None
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _as_httpx():
            response = await self._send(
                origin_of(request.url),
                request.method,
                URL(str(request.url), encoded=True),
                [(name, value) for name, value in request.headers.multi_items() if name != "transfer-encoding"],
                request.content if isinstance(request.stream, httpx.ByteStream) else request.stream,
                request.extensions.get("timeout", {}),
            )
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Stream(response),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": _reason(response)},
        )

    def is_straight(self, origin: Origin) -> Literal[True]:  # noqa: ARG002
        """Whether `exchange` can send there."""
        return True

    async def exchange(self, request: Plain, times: Times) -> Whole:
        """Send a request and read the answer to its end.

        :raises httpx.RequestError: no answer began to arrive.
        """
        with _as_httpx():
            url = URL(request.root + request.target, encoded=True)
            response = await self._send(request.origin, request.method, url, request.headers, request.content or None, times)
        content = b""
        broken: httpx.RequestError | None = None
        try:
            with _as_httpx():
                content = await response.read()
        except httpx.RequestError as error:
            broken = error
        finally:
            response.close()
        return Whole(response.status, list(response.raw_headers), _reason(response), content, broken)

    async def _send(
        self, origin: Origin, method: str, url: URL, headers: Sequence[tuple[str, str]], data: Any, times: Times
    ) -> aiohttp.ClientResponse:
        if isinstance(data, bytes) and len(data) > _LARGE:
            data = BytesIO(data)  # aiohttp sends this piece by piece
        https = origin[0] == "https"
        if https and self._context is None:
            self._context = httpx.create_ssl_context(verify=self._verify, cert=self._cert, trust_env=self._trust_env)
        return await self._current().request(
            method,
            url,
            headers=headers,
            data=data,
            allow_redirects=False,
            proxy=self._proxy if self._proxies is None else _url(self._proxies.of(*origin)),
            ssl=self._context if https and self._context is not None else True,
            timeout=_timeout(times.get("connect"), times.get("read"), times.get("pool")),
        )

    def _current(self) -> aiohttp.ClientSession:
        """The session, a new one for each event loop, as one cannot be used in another."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("aiohttp runs under asyncio alone: use DefaultAsyncHttpxClient under trio") from None
        if self._session is None or self._loop is not loop:
            self._session, self._loop = self._open(), loop
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        limits = self._limits
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.max_connections or 0, keepalive_timeout=limits.keepalive_expiry or 15.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        # When a connection breaks, aiohttp sends what it takes for idempotent once more by itself, PUT among it. Here it is known which
        # operations may be repeated; there is no public way to say so.
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        return session

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None and self._loop is asyncio.get_running_loop():
            await self._session.close()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # The connection goes back to the pool if the body was read to its end, and is closed if not.
        self._response.release() if self._response.content.at_eof() else self._response.close()


def _url(proxy: httpx.Proxy | None) -> str | None:
    if proxy is None or proxy.auth is None:
        return None if proxy is None else str(proxy.url)
    return str(proxy.url.copy_with(username=proxy.auth[0], password=proxy.auth[1]))


@lru_cache(maxsize=64)
def _timeout(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=pool, sock_connect=connect, sock_read=read)


def _reason(response: aiohttp.ClientResponse) -> bytes:
    return (response.reason or "").encode("ascii", "ignore")


@contextmanager
def _as_httpx() -> Generator[None]:
    """Raise aiohttp's errors as the errors of httpx that say the same."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError) as error:
        raise httpx.ConnectError(str(error)) from error
    except aiohttp.ClientHttpProxyError as error:
        raise httpx.ProxyError(str(error)) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx.UnsupportedProtocol(str(error)) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.ReadError(str(error)) from error
