"""One request to a user's own endpoint and its answer. Loaded when there is something to send: whoever only answers needs no httpx."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

import anyio
import attrs
import httpx

from retell_async._http.exchange import no_cookies
from retell_async.webhooks import sign
from retell_async.webhooks.signature import HEADER

from .outbox import Delivery

__all__ = ["USUAL", "Received", "Unusable", "exchange", "new_client"]

_SHOWN = 4096
"""Bytes that are kept of an answer whose body is not used."""
_LONGEST = 1 << 20
"""The most bytes of an answer."""
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}


class Unusable(Exception):
    """An answer that cannot be used."""


USUAL = (httpx.RequestError, httpx.InvalidURL, TimeoutError, ValueError, OSError, Unusable)
"""Failures of the network, URLs and headers that cannot be sent, answers that cannot be used."""


@attrs.define
class Received:
    """What came of a request, as far as it came."""

    signature: str = ""
    status: int | None = None
    content: bytes = b""


def new_client(transport: httpx.AsyncBaseTransport | None, kept: int) -> httpx.AsyncClient:
    """A client for requests that have nothing in common.

    :param kept: how many connections are kept open.
    """
    return httpx.AsyncClient(
        transport=transport,
        timeout=None,  # noqa: S113 - each delivery has its own
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=kept),
        trust_env=False,
        cookies=no_cookies(),
    )


async def exchange(http: httpx.AsyncClient, delivery: Delivery, key: str, answer: Received) -> None:
    """Make the request of a delivery, signed with a key, and take the answer.

    :raises TimeoutError: there was none in time.
    :raises Unusable: it cannot be used.
    """
    request = delivery.make_request()
    answer.signature = sign(request.content, key)
    headers = {"accept-encoding": ", ".join(_ENCODINGS), **request.headers, HEADER: answer.signature}
    url = _checked(request.url).copy_merge_params(request.query)
    with anyio.move_on_after(delivery.timeout_ms / 1000) as patience:
        async with http.stream(request.method, url, content=request.content, headers=headers) as response:
            answer.content = await _content(response, delivery.reads_content)
            answer.status = response.status_code
    if patience.cancelled_caught:
        raise TimeoutError(f"no answer within {delivery.timeout_ms / 1000:g} s")


async def _content(response: httpx.Response, decides: bool) -> bytes:
    """The body of an answer; only its beginning where the body is not used.

    :raises Unusable: the body is used, and is too long, or of an unknown or wrong encoding.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    unpack = bytes if encoding == "identity" else _unpacked(encoding) if decides or encoding in _ENCODINGS else _nothing
    content = bytearray()
    taken = 0
    # Not `aiter_raw`, which refuses an answer that a user's transport has in memory.
    async for chunk in cast("AsyncIterable[bytes]", response.stream):
        taken += len(chunk)
        with suppress(*(() if decides else (Unusable,))):
            content += unpack(chunk)
        if max(taken, len(content)) > _LONGEST:
            if decides:
                raise Unusable(f"an answer of more than {_LONGEST} bytes")
            break
    return bytes(content if decides else content[:_SHOWN])


def _nothing(_: bytes) -> bytes:
    return b""


def _unpacked(encoding: str) -> Callable[[bytes], bytes]:
    if encoding not in _ENCODINGS:
        raise Unusable("an answer in an encoding that was not asked for")
    unpacker = zlib.decompressobj(_ENCODINGS[encoding])

    def unpack(chunk: bytes) -> bytes:
        try:
            return unpacker.decompress(chunk, _LONGEST + 1)
        except zlib.error:
            raise Unusable("an answer that is not in the encoding that it names") from None

    return unpack


def _checked(url: str) -> httpx.URL:
    """:raises ValueError: it is not a URL, or its port is not a number."""
    _ = urlsplit(url).port
    return httpx.URL(url)
