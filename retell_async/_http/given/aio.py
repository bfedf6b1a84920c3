"""The client over aiohttp, which needs an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from ..._core.errors import ConfigurationError
from ..._core.masking import Hidden, mask_text
from ..proxies import proxy_of

__all__ = ["DefaultAioHttpClient"]

if TYPE_CHECKING:
    from ..aiohttp import AiohttpClient
else:
    try:
        from ..aiohttp import AiohttpClient
    except ModuleNotFoundError as error:
        _MISSING = error

        class AiohttpClient(httpx.AsyncClient):
            """Says which extra to install, when one is to be made."""

            def __init__(self, **_: Any) -> None:
                raise ConfigurationError("aiohttp or httpx-aiohttp is not installed: pip install 'retell-async[aiohttp]'") from _MISSING


class DefaultAioHttpClient(AiohttpClient):
    """An `httpx.AsyncClient` over aiohttp, which runs under asyncio alone; needs the extra ``[aiohttp]``.

    :param settings: everything else that `httpx.AsyncClient` takes, HTTP/2 excepted.
    :raises ConfigurationError: aiohttp or httpx-aiohttp is not installed, or a proxy is set as it cannot be used.
    """

    def __init__(
        self,
        *,
        verify: Any = True,
        cert: Any = None,
        limits: httpx.Limits | None = None,
        proxy: Any = None,
        trust_env: bool = True,
        **settings: Any,
    ) -> None:
        if settings.pop("http2", False):
            raise ConfigurationError("aiohttp has no HTTP/2: use DefaultAsyncHttpxClient(http2=True)")
        given, proxy = Hidden(proxy), None
        if given.value is not None:
            proxy = proxy_of(given, "proxy")
        connections: dict[str, Any] = {} if limits is None else {"limits": limits}
        wrong = None
        try:
            super().__init__(verify=verify, cert=cert, proxy=proxy, trust_env=trust_env, **connections, **settings)
        except ConfigurationError:
            raise
        except (httpx.InvalidURL, ValueError) as error:
            wrong = mask_text(str(error))
        if wrong is not None:  # not within the handler: what httpx says is shown masked alone
            raise ConfigurationError(f"an HTTP client cannot be made so: {wrong}")
