"""The WebSocket to a custom LLM, loaded when one is opened: most sandboxes open none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import attrs
import httpcore
import httpx

try:
    import httpx_ws
    from wsproto.events import BytesMessage, Event, TextMessage
    from wsproto.utilities import ProtocolError
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: the sandbox needs `pip install 'retell-async[sandbox]'`", name=error.name
    ) from None

from retell_async.llm.simulator.player import CONNECT_SECONDS, socket_url

from .llm_session import Session
from .local_socket import Application, LocalSocket, NotOpenedError, open_local

__all__ = ["FAILURES", "Connection"]

FAILURES = (httpx_ws.HTTPXWSException, ProtocolError)
"""What is raised when the other side opens no WebSocket, or not as it should."""
_LONGEST = 1 << 20
"""The most bytes of a message."""
_SENT_WITHIN = 10.0
"""Seconds within which the other side must take a message."""
_CLOSED_WITHIN = 2.0
_CHUNK = 1 << 16


@attrs.define(eq=False)
class Connection:
    """One connection of a conversation, from its opening to its end.

    :param tell: passes an event on, as `Sandbox.session_event` takes it.
    """

    _session: Session
    _call_id: str
    _tell: Callable[..., Awaitable[None]]
    _app: Application | None = None
    opened: bool = attrs.field(default=False, init=False)
    code: int = attrs.field(default=1006, init=False)
    """The server's close code, or 1006 when the connection was lost."""
    _woken: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def wake(self) -> None:
        """Send what the session has to send by now."""
        if self._session.frames or self._session.closing is not None:
            self._woken.set()

    async def run(self, http: httpx.AsyncClient) -> None:
        """Open it, and send and receive until one side closes.

        :raises NotOpenedError: the other side does not open it.
        """
        try:
            await self._run(http)
        except httpx_ws.WebSocketUpgradeError as error:
            raise NotOpenedError.answered(error.response.status_code) from None

    async def _run(self, http: httpx.AsyncClient) -> None:
        with anyio.CancelScope(deadline=anyio.current_time() + CONNECT_SECONDS) as scope:
            async with self._open(http) as socket:
                self.opened = True
                scope.deadline = float("inf")
                await self._tell("opened")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._send, socket, tasks.cancel_scope)
                    while not isinstance(message := await socket.next_message(), int):
                        await (self._tell("received", text=message) if isinstance(message, str) else self._tell("binary"))
                    self.code = message
                    tasks.cancel_scope.cancel()

    def _open(self, http: httpx.AsyncClient) -> AbstractAsyncContextManager[_Socket | LocalSocket]:
        url = socket_url(self._session.url, self._call_id)
        if self._app is not None:
            return open_local(self._app, url)
        return httpx_ws.aconnect_ws(url, http, keepalive_ping_interval_seconds=None, max_message_size_bytes=_CHUNK, session_class=_Socket)

    async def _send(self, socket: _Socket | LocalSocket, scope: anyio.CancelScope) -> None:
        session = self._session
        while True:
            self._woken = anyio.Event()
            while session.frames:
                with anyio.fail_after(_SENT_WITHIN):
                    await socket.send_text(session.frames.popleft())
            if session.closing is not None:
                await socket.close(session.closing)
                scope.cancel()
            await self._woken.wait()


class _Socket(httpx_ws.AsyncWebSocketSession):
    """A WebSocket with limits: its other side may send without end, or take nothing."""

    _unseen = 0

    async def next_message(self) -> str | bytes | bytearray | int:
        """The next message, or the close code if there is none: 1006 when the connection was lost."""
        while True:
            try:
                event = await self.receive()
            except httpx_ws.WebSocketDisconnect as closed:
                return int(closed.code)
            except httpx_ws.WebSocketNetworkError:
                return 1006
            if isinstance(event, (TextMessage, BytesMessage)):
                return event.data

    async def receive(self, timeout: float | None = None) -> Event:
        event = await super().receive(timeout)
        self._unseen = 0
        return event

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        with anyio.move_on_after(_CLOSED_WITHIN) as patience:
            await super().close(code, reason)
        if patience.cancelled_caught:
            with anyio.move_on_after(_CLOSED_WITHIN, shield=True):
                await self.stream.aclose()

    async def _read_stream(self, max_bytes: int) -> bytes:
        data = await super()._read_stream(max_bytes)
        self._unseen += len(data)
        if self._unseen > _LONGEST:
            raise httpcore.ReadError("a message without an end")
        return data
