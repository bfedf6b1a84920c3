"""HTTP clients to give to `AsyncRetell` as ``http_client``, for settings of connections. Nothing is loaded before one is made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .._core.errors import ConfigurationError
from .._core.masking import Hidden, mask_text

if TYPE_CHECKING:
    import httpx

__all__ = ["DefaultAioHttpClient", "DefaultAsyncHttpxClient"]


def DefaultAsyncHttpxClient(  # noqa: N802 - the name that users of the official SDK know
    *,
    verify: Any = True,
    cert: Any = None,
    http2: bool = False,
    limits: httpx.Limits | None = None,
    proxy: Any = None,
    trust_env: bool = True,
    transport: httpx.AsyncBaseTransport | None = None,
    **settings: Any,
) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` over the connections that a client of this package has by default, with settings of your own.

    :param http2: use HTTP/2 where the server has it; needs the extra ``[http2]``.
    :param limits: give the number of connections to `AsyncRetell` as ``max_connections`` too.
    :param transport: what sends in place of those connections.
    :param settings: everything else that `httpx.AsyncClient` takes.
    :raises ConfigurationError: HTTP/2 is asked for and not installed, or the proxy cannot be one.
    """
    from .exchange import OwnClient, no_cookies
    from .proxies import proxy_of
    from .transport import Transport

    given, proxy = Hidden(proxy), None
    if http2 and find_spec("h2") is None:
        raise ConfigurationError("HTTP/2 needs h2, which is not installed: pip install 'retell-async[http2]'")
    if transport is not None:
        import httpx

        settings.setdefault("cookies", no_cookies())
        return httpx.AsyncClient(transport=transport, proxy=given.value, trust_env=trust_env, **settings)
    if given.value is not None:
        proxy = proxy_of(given, "proxy")
    own = Transport(verify=verify, cert=cert, http2=http2, limits=limits, proxy=proxy, trust_env=trust_env)
    return OwnClient(own, trust_env=trust_env, **settings)


def DefaultAioHttpClient(  # noqa: N802 - as above
    *,
    verify: Any = True,
    cert: Any = None,
    limits: httpx.Limits | None = None,
    proxy: Any = None,
    trust_env: bool = True,
    **settings: Any,
) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` over aiohttp, which runs under asyncio alone; needs the extra ``[aiohttp]``.

    :param settings: everything else that `httpx.AsyncClient` takes, HTTP/2 excepted.
    :raises ConfigurationError: aiohttp or httpx-aiohttp is not installed, or a proxy is set as it cannot be used.
    """
    if settings.pop("http2", False):
        raise ConfigurationError("aiohttp has no HTTP/2: use DefaultAsyncHttpxClient(http2=True)")
    try:
        from .aiohttp import AiohttpClient
    except ModuleNotFoundError as error:
        raise ConfigurationError("aiohttp or httpx-aiohttp is not installed: pip install 'retell-async[aiohttp]'") from error
    import httpx

    from .proxies import proxy_of

    given, proxy = Hidden(proxy), None
    if given.value is not None:
        proxy = proxy_of(given, "proxy")
    connections = {} if limits is None else {"limits": limits}
    try:
        return AiohttpClient(verify=verify, cert=cert, proxy=proxy, trust_env=trust_env, **connections, **settings)
    except ConfigurationError:
        raise
    except (httpx.InvalidURL, ValueError) as error:
        wrong = mask_text(str(error))
    raise ConfigurationError(f"an HTTP client cannot be made so: {wrong}")
