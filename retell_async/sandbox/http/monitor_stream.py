"""Watching a call from within the process: the WebSocket's bytes without a network and without a task of their own."""

from __future__ import annotations

import anyio
import httpcore
import httpx
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.utilities import generate_accept_token

from .monitor import LOOK_EVERY, REFUSED, Watchers

__all__ = ["monitor_response"]


def monitor_response(watchers: Watchers, request: httpx.Request, path: str) -> httpx.Response:
    """The answer to a request for a WebSocket on which a call is watched."""
    call_id = watchers.admit(path, request.headers.get("authorization", ""))
    if isinstance(call_id, int):
        return httpx.Response(call_id, json=REFUSED, request=request)
    stream = _Stream(watchers, call_id)
    accepted = generate_accept_token(request.headers.get("sec-websocket-key", "").encode()).decode()
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-accept": accepted}
    return httpx.Response(101, headers=headers, stream=_Body(stream), extensions={"network_stream": stream}, request=request)


class _Body(httpx.ByteStream):
    """The body that such an answer does not have: closing it closes the WebSocket."""

    def __init__(self, socket: _Stream) -> None:
        super().__init__(b"")
        self._socket = socket

    async def aclose(self) -> None:
        await self._socket.aclose()


class _Stream(httpcore.AsyncNetworkStream):
    """What the client reads and writes. It looks at the call while it is read."""

    def __init__(self, watchers: Watchers, call_id: str) -> None:
        self._watchers = watchers
        self._call_id = call_id
        self._watch = watchers.enter(call_id)
        self._connection = Connection(ConnectionType.SERVER)
        self._waiting = b""
        self._over = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with anyio.move_on_after(timeout):
            while True:
                self._look()
                if self._waiting or self._over:
                    data, self._waiting = self._waiting[:max_bytes], self._waiting[max_bytes:]
                    return data
                await anyio.sleep(LOOK_EVERY)
        raise httpcore.ReadTimeout("nothing came")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - it never waits
        await anyio.lowlevel.checkpoint()
        self._connection.receive_data(buffer)
        for event in self._connection.events():
            if isinstance(event, (Ping, CloseConnection)) and not self._over:
                self._waiting += self._connection.send(event.response())
            self._over = self._over or isinstance(event, CloseConnection)

    async def aclose(self) -> None:
        self._over = True
        self._watchers.leave(self._call_id, self._watch)

    def _look(self) -> None:
        if self._over:
            return
        for text in self._watch.look():
            self._waiting += self._connection.send(TextMessage(text))
        if self._watch.closing is not None:
            self._over = True
            self._waiting += self._connection.send(CloseConnection(*self._watch.closing))
