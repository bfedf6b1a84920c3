"""A WebSocket to an ASGI application in this process: its own door, without a network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import anyio

from retell_async._core.prefetch import Handover

from ..common.guard import contain_errors

__all__ = ["Application", "LocalSocket", "NotOpenedError", "open_local"]

Json: TypeAlias = MutableMapping[str, Any]
Application: TypeAlias = Callable[[Json, Callable[[], Awaitable[Json]], Callable[[Json], Awaitable[None]]], Awaitable[None]]

_LEFT_WITHIN = 2.0


class NotOpenedError(Exception):
    """The other side does not open the WebSocket."""

    @classmethod
    def answered(cls, status: int) -> NotOpenedError:
        """It answers with a status in place of opening it."""
        why = (
            "it takes no more calls, or fails"
            if status >= 500
            else "the path or the secret in llm_websocket_url may be wrong; and in process, send_to needs the application itself"
        )
        return cls(f"it answers {status}: {why}")


class LocalSocket:
    """The other side of one."""

    def __init__(self) -> None:
        self._to_app, self._to_server = Handover[Json](), Handover[Json]()
        self.left = False
        """Whether the sandbox has closed it."""

    # For the application.

    async def give(self) -> Json:
        return await self._to_app.take()

    async def take(self, message: Json) -> None:
        if self.left:
            raise OSError("the WebSocket is closed")  # as ASGI has it
        self._to_server.put(message)

    def ended(self) -> None:
        """The application gives nothing more."""
        self._to_server.close()

    # For the sandbox.

    async def send_text(self, text: str) -> None:
        self._to_app.put({"type": "websocket.receive", "text": text})

    async def next_message(self) -> str | bytes | int:
        """The next message, or the close code if there is none: 1006 when the application has ended without one."""
        try:
            message = await self._to_server.take()
        except anyio.EndOfStream:
            return 1006
        if message["type"] == "websocket.close":
            return int(message.get("code") or 1000)
        text: str | bytes | None = message.get("text")
        return message["bytes"] if text is None else text

    async def accepted(self) -> None:
        """:raises NotOpenedError: it refuses, or ends."""
        self._to_app.put({"type": "websocket.connect"})
        try:
            message = await self._to_server.take()
        except anyio.EndOfStream:
            raise NotOpenedError("the application has ended") from None
        if message["type"] != "websocket.accept":
            raise NotOpenedError.answered(message.get("status", 403))

    async def close(self, code: int) -> None:
        """Close it, unless that was done."""
        if not self.left:
            self.left = True
            self._to_app.put({"type": "websocket.disconnect", "code": code})

    def release(self) -> None:
        """Nobody reads or writes any more."""
        self._to_app.leave()
        self._to_server.leave()


@asynccontextmanager
async def open_local(app: Application, url: str) -> AsyncGenerator[LocalSocket]:
    """Open a WebSocket to an application.

    :raises NotOpenedError: it does not.
    """
    parts = urlsplit(url)
    socket, over = LocalSocket(), anyio.Event()
    scope: Json = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": parts.scheme,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(b"host", parts.netloc.encode())],
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname or "", parts.port),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }

    async def run() -> None:
        with contain_errors("the application"):
            await app(scope, socket.give, socket.take)
        socket.ended()
        over.set()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            try:
                await socket.accepted()
                yield socket
            finally:
                if socket.left:  # there is something to be done at the end of a call
                    with anyio.move_on_after(_LEFT_WITHIN, shield=True):
                        await over.wait()
                tasks.cancel_scope.cancel()
    finally:
        socket.release()
