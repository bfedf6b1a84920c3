"""The sandbox as an ASGI application."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..common.guard import contain_errors
from ..common.messages import Refused
from ..faults.replies import Reply, whole
from ..service import Sandbox
from . import access, connections, control
from .monitor import Watchers
from .pipeline import receive as received

__all__ = ["create_app"]

_LARGEST = 1 << 28
"""The most bytes of a request: more than the API's largest upload."""


def create_app(sandbox: Sandbox, hosts: Collection[str] = ()) -> Starlette:
    """An ASGI application for a sandbox: serve it, mount it, or give it to an `httpx.ASGITransport`.

    Faults that break connections need the sandbox's own server, `serve`.

    :param hosts: names by which browsers may reach it, beside ``localhost`` and the address that it listens on.
    """
    watchers = Watchers(sandbox)

    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await watchers.serve(_path(scope), scope, receive, send)
            return
        request = Request(scope, receive)
        content = bytearray()
        try:
            async for chunk in request.stream():
                content += chunk
                if len(content) > _LARGEST:
                    await _send(whole(Refused(413, f"a request has at most {_LARGEST} bytes").answer()), scope, receive, send)
                    return
        except ClientDisconnect:
            return
        reply = whole(Refused(500, "the sandbox failed on this request").answer())
        with contain_errors("a request"):
            reply = await answered(request, scope, bytes(content))
        await _send(reply, scope, receive, send)

    async def answered(request: Request, scope: Scope, content: bytes) -> Reply:
        path, query = _path(scope), scope["query_string"].decode("latin-1")
        server = (scope.get("server") or ("",))[0]
        check = access.check_control if control.answers(path) else access.check_api
        try:
            check(request.method, request.headers, server, hosts)
        except Refused as refused:
            return whole(refused.answer())
        reply = control.answer(sandbox, request.method, path, query, content)
        if reply is not None:
            return reply
        pending = received(
            sandbox,
            request.method,
            path,
            query=query,
            authorization=request.headers.get("authorization", ""),
            content_type=request.headers.get("content-type", ""),
            content=content,
        )
        if pending.delay:
            await anyio.sleep(pending.delay)
        return pending.finish()

    app = Starlette()
    app.router.default = api  # without routes: their patterns do not match paths with a line break
    return app


async def _send(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    if reply.status is not None and reply.ending == "whole":
        await Response(reply.content or None, reply.status, reply.headers)(scope, receive, send)
        return
    if reply.status is not None:
        length = str(len(reply.content)).encode()
        headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": [*headers, (b"content-length", length)]})
        await send({"type": "http.response.body", "body": reply.sent, "more_body": True})
        connections.close(scope)
    else:
        with anyio.move_on_after(reply.seconds):
            await _gone(receive)
        connections.reset(scope)
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the connection is closed by either side."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _path(scope: Scope) -> str:
    """The path as it was sent, without the prefix that the application is mounted under."""
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    return path.removeprefix(quote(scope.get("root_path", "")))
