"""The application as an ASGI application: straight on the interface, so that any server and framework can have it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from ..channel import Disconnected, Opening, Refused

if TYPE_CHECKING:
    from ..app import App

__all__ = ["Message", "Receive", "Send", "serve"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def serve(app: App, scope: Message, receive: Receive, send: Send) -> None:
    """Serve one ASGI scope: a WebSocket, a request that is none, or the server's start and end."""
    match scope["type"]:
        case "websocket":
            await _serve_websocket(app, scope, receive, send)
        case "http":
            headers = [(b"content-type", b"text/plain"), (b"upgrade", b"websocket")]
            await send({"type": "http.response.start", "status": 426, "headers": headers})
            await send({"type": "http.response.body", "body": b"this is a WebSocket"})
        case "lifespan":
            await receive()
            async with app.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
        case other:
            raise ValueError(f"{other!r} is no scope that this application serves")


async def _serve_websocket(app: App, scope: Message, receive: Receive, send: Send) -> None:
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    client = scope.get("client")
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    opening = Opening(
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        peer=client[0] if client else None,
        forwarded_for=",".join(forwarded) if forwarded else None,
    )
    found = app.open(opening)
    if isinstance(found, Refused):
        await _refuse(found, scope, send)
        return
    await send({"type": "websocket.accept"})
    await app.lead(found, _Channel(receive, send))


async def _refuse(refused: Refused, scope: Message, send: Send) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})  # before it is accepted, that is an answer of 403
        return
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refused.reason.encode()})


class _Channel:
    """An accepted WebSocket."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = False

    async def receive(self) -> str | bytes:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._gone = True
            raise Disconnected(message.get("code") or 1005)
        text: str | bytes | None = message.get("text")
        return message["bytes"] if text is None else text

    async def send(self, text: str) -> None:
        try:
            await self._send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError) as error:  # servers say in their own ways that nobody is there any more
            raise Disconnected(1006) from error

    async def close(self, code: int, reason: str) -> None:
        if self._gone:
            return
        self._gone = True
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            return
