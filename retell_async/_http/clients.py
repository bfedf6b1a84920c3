"""HTTP clients to give to `AsyncRetell` as ``http_client``, for settings of connections. They are loaded when asked for, as httpx is."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx

from .._core.errors import ConfigurationError
from .._core.masking import Hidden
from .exchange import OwnClient
from .proxies import proxy_of
from .transport import Transport

if TYPE_CHECKING:
    from .given.aio import DefaultAioHttpClient

__all__ = ["DefaultAioHttpClient", "DefaultAsyncHttpxClient"]


class DefaultAsyncHttpxClient(OwnClient):
    """An `httpx.AsyncClient` over the connections that a client of this package has by default, with settings of your own.

    :param http2: use HTTP/2 where the server has it; needs the extra ``[http2]``.
    :param limits: give the number of connections to `AsyncRetell` as ``max_connections`` too.
    :param transport: what sends in place of those connections.
    :param settings: everything else that `httpx.AsyncClient` takes.
    :raises ConfigurationError: HTTP/2 is asked for and not installed, or the proxy cannot be one.
    """

    def __init__(
        self,
        *,
        verify: Any = True,
        cert: Any = None,
        http2: bool = False,
        limits: httpx.Limits | None = None,
        proxy: Any = None,
        trust_env: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
        **settings: Any,
    ) -> None:
        given, proxy = Hidden(proxy), None
        if http2 and find_spec("h2") is None:
            raise ConfigurationError("HTTP/2 needs h2, which is not installed: pip install 'retell-async[http2]'")
        if transport is not None:
            super().__init__(transport, proxy=given.value, trust_env=trust_env, **settings)
            return
        if given.value is not None:
            proxy = proxy_of(given, "proxy")
        own = Transport(verify=verify, cert=cert, http2=http2, limits=limits, proxy=proxy, trust_env=trust_env)
        super().__init__(own, trust_env=trust_env, **settings)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The client over aiohttp, which is loaded for whoever asks for it alone."""
        if name != "DefaultAioHttpClient":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .given.aio import DefaultAioHttpClient

        return DefaultAioHttpClient
