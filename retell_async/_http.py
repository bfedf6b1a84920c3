"""The one module that speaks HTTP. It is loaded with the first request: httpx and its TLS settings cost a fifth of a second."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from ._encode import Encoded, Part
from ._errors import APIConnectionError, APIResponseValidationError, APITimeoutError, ConfigurationError, RetellError
from ._gate import Slots
from ._masking import mask_text
from ._operation import Omit
from ._transport import Transport

__all__ = ["DEFAULT_TIMEOUT", "Http"]

_logger = logging.getLogger("retell_async")

# Waiting for a free connection of one's own is no failure, so there is no limit to it.
_CONNECT_TIMEOUT = 5.0
DEFAULT_TIMEOUT = httpx.Timeout(60.0, connect=_CONNECT_TIMEOUT, pool=None)

# What happens before anything of a request has left. A proxy's refusal is among it: it comes before there is a way to the server.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

_WAITED_FOR: dict[type[httpx.TimeoutException], str] = {
    httpx.ConnectTimeout: "no connection in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.PoolTimeout: "no free connection in time",
}


class Http:
    """One pool of connections, made here or given by the user, and closed here."""

    def __init__(self, given: object | None, *, max_connections: int) -> None:
        if given is not None and not isinstance(given, httpx.AsyncClient):
            raise ConfigurationError(f"http_client must be an httpx.AsyncClient, not {type(given).__name__}")
        self.headers: Mapping[str, str] = {}
        """Headers that every request should have; a client that was given adds its own."""
        self._timeout: httpx.Timeout | None = None
        self._closed = False
        self._client = given
        self._transport = Transport(limits=httpx.Limits(max_connections=max_connections))
        if given is None:
            usual = httpx.AsyncClient(transport=self._transport).headers
            self.headers = {name: usual[name] for name in ("Accept-Encoding", "Connection")}
        elif given.timeout != httpx.Timeout(5.0):
            # A timeout that the user set on a client of their own is meant; the one that httpx sets is not.
            self._timeout = given.timeout
        self.slots = Slots(max_connections)
        """One for each connection: a request takes its turn, and is sent, while it holds one."""

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        await (self._transport if self._client is None else self._client).aclose()

    @property
    def is_closed(self) -> bool:
        return self._closed or (self._client is not None and self._client.is_closed)

    def build(self, encoded: Encoded, timeout: float | httpx.Timeout | Omit | None) -> httpx.Request:
        """The request as an error shows it: without the form, if it has one."""
        return self._request(encoded, timeout, None, None)

    def _request(
        self, encoded: Encoded, timeout: float | httpx.Timeout | Omit | None, usual: float | None, files: list[tuple[str, Any]] | None
    ) -> httpx.Request:
        if isinstance(timeout, Omit):
            timeout = self._timeout or (DEFAULT_TIMEOUT if usual is None else httpx.Timeout(usual, connect=_CONNECT_TIMEOUT, pool=None))
        build = httpx.Request if self._client is None else self._client.build_request
        return build(
            encoded.method,
            encoded.url,
            headers=encoded.headers,
            content=encoded.content,
            files=files,
            extensions={"timeout": httpx.Timeout(timeout).as_dict()},
        )

    async def exchange(self, encoded: Encoded, timeout: float | httpx.Timeout | Omit | None, usual: float | None = None) -> httpx.Response:
        """Send a request once and read the whole answer, of whatever status.

        :param timeout: seconds for each step, `omit` for the client's own.
        :param usual: seconds for each step where neither says.
        :raises APIConnectionError: no whole answer arrived.
        :raises APIResponseValidationError: an answer of success began to arrive and ended before its end.
        """
        if self.is_closed:
            raise RetellError("the client is closed")
        start = perf_counter()
        with _opened(encoded.form) as files:
            request = self._request(encoded, timeout, usual, files)
            try:
                response = await self._send(request)
            except httpx.TimeoutException as error:
                message = _WAITED_FOR.get(type(error), "the request timed out")
                raise APITimeoutError(request, message=message, sent=not isinstance(error, _NOT_SENT)) from error
            except httpx.RequestError as error:
                raise APIConnectionError(message=_reason(error), request=request, sent=not isinstance(error, _NOT_SENT)) from error
            response = await _read(response)
        response.elapsed = timedelta(seconds=perf_counter() - start)
        if _logger.isEnabledFor(logging.DEBUG):
            path = mask_text(request.url.path)
            _logger.debug("%s %s: %d in %.3f s", request.method, path, response.status_code, response.elapsed.total_seconds())
        return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if self._client is not None:
            return await self._client.send(request, stream=True)
        # What an `httpx.AsyncClient` would add is of no use here and costs as much as all the rest: cookies, redirects, log lines in
        # which phone numbers are not masked.
        response = await self._transport.handle_async_request(request)
        response.request = request
        return response


async def _read(response: httpx.Response) -> httpx.Response:
    try:
        await response.aread()
    except httpx.TimeoutException as error:
        raise APITimeoutError(response.request, message="the answer did not arrive whole in time") from error
    except httpx.RequestError as error:
        bare = httpx.Response(response.status_code, headers=response.headers, request=response.request)
        if not bare.is_success:
            return bare
        raise APIResponseValidationError(bare, None, message=f"the answer could not be read whole: {_reason(error)}") from error
    finally:
        await response.aclose()
    return response


def _reason(error: httpx.RequestError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def _opened(form: Sequence[Part] | None) -> Generator[list[tuple[str, Any]] | None]:
    """A form as httpx takes it, with the files that are given by path open meanwhile."""
    with ExitStack() as files:
        parts: list[tuple[str, Any]] = []
        for name, value in form or ():
            if isinstance(value, str):
                parts.append((name, (None, value)))
                continue
            file_name, content, kind = value
            if isinstance(content, os.PathLike):
                content = files.enter_context(Path(content).open("rb"))
            parts.append((name, (file_name, content, kind) if kind else (file_name, content)))
        yield None if form is None else parts
