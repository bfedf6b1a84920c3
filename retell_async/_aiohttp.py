"""Connections over aiohttp, for asyncio only: faster than those of httpx. Needs the extra ``[aiohttp]``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from yarl import URL

from ._proxies import Proxies

if TYPE_CHECKING:
    import ssl

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
        self._context: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        session = self._session or self._open()
        https = request.url.scheme == "https"
        if https and self._context is None:
            self._context = httpx.create_ssl_context(verify=self._verify, cert=self._cert, trust_env=self._trust_env)
        proxy = self._proxy if self._proxies is None else self._proxies.of(request.url.scheme, request.url.host)
        times = request.extensions.get("timeout", {})
        with _as_httpx(request):
            response = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[(name, value) for name, value in request.headers.multi_items() if name != "transfer-encoding"],
                data=request.content if isinstance(request.stream, httpx.ByteStream) else request.stream,
                allow_redirects=False,
                proxy=proxy,
                ssl=self._context if https and self._context is not None else True,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=times.get("pool"), sock_connect=times.get("connect"), sock_read=times.get("read")
                ),
            )
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Stream(response, request),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode("ascii", "ignore")},
        )

    def _open(self) -> aiohttp.ClientSession:
        limits = self._limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.max_connections or 0, keepalive_timeout=limits.keepalive_expiry or 15.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self._session

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # The connection goes back to the pool if the body was read to its end, and is closed if not.
        self._response.release() if self._response.content.at_eof() else self._response.close()


@contextmanager
def _as_httpx(request: httpx.Request) -> Generator[None]:
    """Raise aiohttp's errors as the errors of httpx that say the same."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error), request=request) from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError) as error:
        raise httpx.ConnectError(str(error), request=request) from error
    except aiohttp.ClientHttpProxyError as error:
        raise httpx.ProxyError(str(error), request=request) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx.UnsupportedProtocol(str(error), request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error), request=request) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
        raise httpx.RemoteProtocolError(str(error), request=request) from error
    except aiohttp.ClientError as error:
        raise httpx.ReadError(str(error), request=request) from error
