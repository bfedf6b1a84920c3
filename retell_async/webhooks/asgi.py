"""ASGI: scopes and messages in, requests and responses out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio

from .._logs import Log
from .http import IncomingRequest, Respond, Response

__all__ = ["Receive", "Send", "serve"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_logger = Log("retell_async.webhooks")


class Handler(AbstractAsyncContextManager[object, bool | None], Protocol):
    """What answers requests: a router."""

    async def handle(self, request: IncomingRequest, respond: Respond, /) -> None: ...


class Disconnected(Exception):
    """The sender went away before its request was complete."""


async def serve(handler: Handler, scope: Message, receive: Receive, send: Send) -> None:
    """Serve one ASGI scope: a request, or the server's start and end."""
    match scope["type"]:
        case "http":
            await _serve_http(handler, scope, receive, send)
        case "lifespan":
            await _serve_lifespan(handler, receive, send)
        case "websocket":
            await send({"type": "websocket.close"})
        case other:
            raise ValueError(f"{other!r} is no scope that this application serves")


async def _serve_http(handler: Handler, scope: Message, receive: Receive, send: Send) -> None:
    more = True

    async def read() -> bytes:
        nonlocal more
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            more = message.get("more_body", False)
            part: bytes = message.get("body", b"")
            if part:
                return part
        return b""

    async def respond(response: Response) -> None:
        headers = [(name.encode(), value.encode()) for name, value in response.headers]
        try:
            await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
            await send({"type": "http.response.body", "body": response.content})
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:  # handlers must not end because of it
            _logger.info("nobody waited for an answer: %s", error)

    client = scope.get("client")
    request = IncomingRequest(
        method=scope["method"],
        path=_path(scope),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        peer=client[0] if client else None,
        read=read,
        routed=scope.get("endpoint") is handler,
    )
    try:
        await handler.handle(request, respond)
    except Disconnected:
        _logger.info("a sender went away before its request was complete")


def _path(scope: Message) -> str:
    """The path below the mount point."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # A proxy may have taken its part of the root away from the path; the rest of the root is what a framework mounted this under.
    for mount in (root.rstrip("/"), root.removeprefix(scope.get("app_root_path", root)).rstrip("/")):
        if mount and f"{path}/".startswith(f"{mount}/"):
            return path.removeprefix(mount)
    return path


async def _serve_lifespan(handler: Handler, receive: Receive, send: Send) -> None:
    await receive()  # lifespan.startup
    async with handler:
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
    await send({"type": "lifespan.shutdown.complete"})
