"""HTTP clients to give to `AsyncRetell` as ``http_client``, for settings of connections. Nothing is loaded before one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import ConfigurationError

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
    **settings: Any,
) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` over the connections that a client of this package has by default, with settings of your own.

    :param http2: use HTTP/2 where the server has it; needs the extra ``[http2]``.
    :param limits: give the number of connections to `AsyncRetell` as ``max_connections`` too.
    :param settings: everything else that `httpx.AsyncClient` takes.
    """
    import httpx

    from ._transport import Transport

    transport = Transport(verify=verify, cert=cert, http2=http2, limits=limits, proxy=proxy, trust_env=trust_env)
    return httpx.AsyncClient(transport=transport, trust_env=trust_env, **settings)


def DefaultAioHttpClient(  # noqa: N802 - as above
    *,
    verify: Any = True,
    cert: Any = None,
    limits: httpx.Limits | None = None,
    proxy: str | None = None,
    trust_env: bool = True,
    **settings: Any,
) -> httpx.AsyncClient:
    """The same over aiohttp, which is faster and runs under asyncio alone; needs the extra ``[aiohttp]``.

    :raises ConfigurationError: aiohttp is not installed.
    """
    import httpx

    try:
        from ._aiohttp import AiohttpTransport
    except ModuleNotFoundError as error:
        raise ConfigurationError("aiohttp is not installed: pip install 'retell-async[aiohttp]'") from error
    transport = AiohttpTransport(verify=verify, cert=cert, limits=limits, proxy=proxy, trust_env=trust_env)
    return httpx.AsyncClient(transport=transport, trust_env=trust_env, **settings)
