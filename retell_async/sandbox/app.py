"""The sandbox as an ASGI application."""

from __future__ import annotations

import json
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .exchange import Answer
from .service import Sandbox

__all__ = ["create_app"]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def create_app(sandbox: Sandbox) -> Starlette:
    """An application that answers for a sandbox: serve it, mount it, or give it to an `httpx.ASGITransport`."""

    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            content = await request.body()
        except ClientDisconnect:
            return
        answer = sandbox.answer(
            request.method,
            _path(scope),
            query=scope["query_string"].decode("latin-1"),
            authorization=request.headers.get("authorization", ""),
            content_type=request.headers.get("content-type", ""),
            content=content,
        )
        await _response(answer)(scope, receive, send)

    async def failed(_: Request, __: Exception) -> Response:
        return _response(Answer(500, {"status": "error", "message": "the sandbox failed on this request"}))

    app = Starlette(exception_handlers={Exception: failed})
    app.router.default = api  # no route: patterns of routes leave out paths with a line break
    return app


def _path(scope: Scope) -> str:
    """The path as it was sent, below where the application is mounted."""
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    return path.removeprefix(quote(scope.get("root_path", "")))


def _response(answer: Answer) -> Response:
    if answer.body is None:
        return Response(status_code=answer.status)
    return Response(_encode(answer.body), answer.status, media_type="application/json")
