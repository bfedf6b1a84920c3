"""What `test_client.py` imports of the official client's private names, said in those of ours."""

from __future__ import annotations

import platform
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio.to_thread
import httpx
import pydantic
from httpx._utils import URLPattern
from peer_names import *  # noqa: F403

import retell_async
from retell_async import *  # noqa: F403
from retell_async._core.retry_after import retry_after_seconds
from retell_async._engine.retry import RetryPolicy, backoff
from retell_async._engine.verbs import verb

BaseModel = pydantic.BaseModel  # the tests are about classes of their own, which may be pydantic's
BaseClient = retell_async.AsyncRetell
DefaultHttpxClient = getattr(retell_async, "DefaultHttpxClient", None)
HTTPX_DEFAULT_TIMEOUT = httpx.Timeout(5.0)
DEFAULT_TIMEOUT = httpx.Timeout(60.0, connect=5.0, pool=None)  # a free connection is waited for without end
OtherPlatform = str
get_platform = platform.system


class FinalRequestOptions(SimpleNamespace):
    construct = classmethod(lambda cls, **given: cls(**given))


def make_request_options(*, query: Any = None, extra_query: Any = None, extra_headers: Any = None) -> dict[str, Any]:
    return {"params": {**(query or {}), **(extra_query or {})}, "headers": extra_headers}


asyncify = partial(partial, anyio.to_thread.run_sync)


def _build_request(client: Any, given: Any) -> httpx.Request:
    """What would be sent, as an error shows it, with the form if it has one."""
    client = client._client
    names = ("headers", "params", "timeout", "max_retries", "extra_json")
    options = {name: getattr(given, name) for name in names if getattr(given, name, None) is not None}
    request, options, _ = verb(
        given.method.upper(), given.url, options, getattr(given, "json_data", None), None, getattr(given, "files", None)
    )
    call = client._call(request, options)
    http = client._shared._http or client._shared._open()
    parts = [(name, (None, part) if isinstance(part, str) else part[:2]) for name, part in call.encoded.form or ()]
    return http._request(call.encoded, http._times(call.timeout, None), parts or None)


def _calculate_retry_timeout(client: Any, remaining: int, given: Any, headers: httpx.Headers) -> float:
    after = retry_after_seconds(headers, now=1696004797.0)
    return backoff(RetryPolicy(), max(given.max_retries - remaining + 1, 1), after, lambda: 0.875)


class _Transport(httpx.AsyncHTTPTransport):
    def __init__(self, client: Any) -> None:
        place = client._shared._place
        self._pool = SimpleNamespace(_requests=[None] * (0 if place is None else place.under_way))


def DefaultAsyncHttpxClient(**settings: Any) -> Any:  # noqa: N802
    """With the proxies of the environment where httpx has them."""
    client = retell_async.DefaultAsyncHttpxClient(**settings)
    proxies = client.own._of_environment.__wrapped__.__self__
    client._mounts = {URLPattern(f"{scheme}://"): proxy for scheme, proxy in proxies._urls.items()}
    return client


BaseClient._client = property(lambda client: client)
BaseClient._transport = property(_Transport)
for client in (BaseClient, retell_async.Retell):
    client._build_request = _build_request
    client._calculate_retry_timeout = _calculate_retry_timeout
