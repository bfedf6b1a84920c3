"""An `httpx.Client` as an async one: each request runs in a thread of its own.

Whoever waits for a thread may go away meanwhile. A request that has not left by then does not leave any more; one that has keeps its thread
and its connection until it is answered or out of time, and its answer is closed.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

import httpx
from anyio import CancelScope, CapacityLimiter, from_thread

from ..httpx2 import BlockingHttpx2Client
from ..instrumented import Methods
from ..loops import in_thread
from ..way import LEAVES, Departure, drop_abandoned_blocking, end_if_more_came, goes_out

if TYPE_CHECKING:
    import httpx2

__all__ = ["ThreadedClient", "is_blocking"]

_REQUEST = Methods({httpx.Client: ("request",)})

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def is_blocking(client: object) -> bool:
    """Whether it is an `httpx.Client`, or one of httpx2, without importing that for one that is not."""
    module = sys.modules.get("httpx2")
    return isinstance(client, httpx.Client) or (module is not None and isinstance(client, module.Client))


class ThreadedClient(httpx.AsyncClient):
    """Sends with the client that it is given, as that is set up, and closes it."""

    def __init__(self, given: httpx.Client | httpx2.Client) -> None:
        self._given = given if isinstance(given, httpx.Client) else BlockingHttpx2Client(given)
        super().__init__(transport=httpx.AsyncBaseTransport(), trust_env=False, timeout=self._given.timeout)
        self._event_hooks = cast("Any", self._given)._event_hooks
        self._transport = cast("Any", self._given)._transport  # which says how many connections there can be

    @property
    def is_closed(self) -> bool:
        return self._given.is_closed

    def build_request(self, *arguments: Any, content: Any = None, **settings: Any) -> httpx.Request:
        if isinstance(content, AsyncIterable):
            content = _pieces(cast("AsyncIterable[bytes]", content))
        return self._given.build_request(*arguments, content=content, **settings)

    async def send(self, request: httpx.Request, **settings: Any) -> httpx.Response:
        departure = request.extensions[LEAVES]
        exchange = _Exchange(self._transport_for_url(request.url), departure)
        request.extensions = {**request.extensions, "trace": exchange.trace()}
        try:
            response = await exchange.run(exchange.open, partial(self._send, request, settings))
        except BaseException:
            await exchange.aclose()
            raise
        response.stream = exchange
        return response

    def _send(self, request: httpx.Request, settings: dict[str, Any]) -> httpx.Response:
        given = self._given
        if not (_REQUEST.are_replaced() or _REQUEST.stand_in(given)):
            return given.send(request, **settings)
        del settings["stream"]
        content = cast("httpx.SyncByteStream", request.stream)
        return given.request(
            request.method,
            request.url,
            params=request.url.params or None,
            headers=request.headers,
            content=content,
            extensions=request.extensions,
            **settings,
        )

    def _transport_for_url(self, url: httpx.URL) -> Any:
        return cast("Any", self._given)._transport_for_url(url)

    async def aclose(self) -> None:
        with CancelScope(shield=True):
            await in_thread(self._given.close, limiter=CapacityLimiter(1))


class _Exchange(httpx.AsyncByteStream):
    """A request, and the body of its answer."""

    def __init__(self, transport: object, departure: Departure) -> None:
        self._transport = transport
        self._departure = departure
        self._body: httpx.SyncByteStream | None = None
        self._lock = Lock()
        self._in_thread = False
        self._gone = False  # whether nobody waits for it any more

    async def run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Have this done in a thread."""

        def work() -> T:
            with self._lock:
                self._refuse_gone()
                self._in_thread = True
            try:
                return function(*arguments)
            finally:
                with self._lock:
                    self._in_thread = False
                    gone = self._gone
                if gone:
                    self._close()

        return await in_thread(work, abandon_on_cancel=True, limiter=CapacityLimiter(1))

    def open(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            response = send()
        except BaseException:
            drop_abandoned_blocking(self._transport, self._departure)
            raise
        self._body = cast("httpx.SyncByteStream", response.stream)
        return response

    def trace(self) -> Callable[[str, Mapping[str, Any]], None]:
        """What httpcore is to tell of the request."""
        departure = self._departure

        def leave(event: str, details: Mapping[str, Any]) -> None:
            self._refuse_gone()
            departure.told(event, details)

        loop_thread = get_ident()

        def traced(event: str, details: Mapping[str, Any]) -> None:
            if goes_out(event, details):
                # In the event loop, which alone sees to limits and to who waits; no other thread may have been there to send from.
                leave(event, details) if get_ident() == loop_thread else from_thread.run_sync(leave, event, details)
            else:
                departure.told(event, details)

        return traced

    def _refuse_gone(self) -> None:
        if self._gone:
            raise RuntimeError("nobody waits for this request any more")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(cast("httpx.SyncByteStream", self._body))
        while (piece := await self.run(next, pieces, None)) is not None:
            yield piece

    async def aclose(self) -> None:
        with self._lock:
            self._gone = True
            busy = self._in_thread
        if self._body is not None and not busy:
            with CancelScope(shield=True):
                await in_thread(self._close, limiter=CapacityLimiter(1))

    def _close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            end_if_more_came(self._transport, self._departure)
            body.close()


def _pieces(content: AsyncIterable[bytes]) -> Iterator[bytes]:
    """What is to be sent, for a thread that sends it."""
    pieces = aiter(content)

    async def piece() -> bytes | None:
        return await anext(pieces, None)

    while (found := from_thread.run(piece)) is not None:
        yield found
