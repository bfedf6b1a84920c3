"""The router in an aiohttp application."""

from __future__ import annotations

from aiohttp import web

from .exchange import Answer, Incoming
from .router import Router
from .runner import log

__all__ = ["mount"]


def mount(app: web.Application, prefix: str, router: Router) -> None:
    """Serve a router's paths under a prefix, such as ``/retell``, or ``""`` for none."""

    async def serve(request: web.Request) -> web.StreamResponse:
        sent: list[web.Response] = []

        async def respond(answer: Answer) -> None:
            response = web.Response(status=answer.status, body=answer.content, headers=answer.headers)
            # Handlers may go on after the answer, and aiohttp reads no other request from this connection until they are done.
            response.force_close()
            sent.append(response)
            try:
                await response.prepare(request)
                await response.write_eof()
            except OSError as error:  # handlers must not end because of it
                log.info("nobody waited for an answer: %s", error)

        await router.handle(_incoming(request, prefix), respond)
        return sent[0]

    app.router.add_route("*", f"{prefix}/{{path:.*}}", serve)


def _incoming(request: web.Request, prefix: str) -> Incoming:
    return Incoming(
        method=request.method,
        path=request.path.removeprefix(prefix),
        query=request.query_string,
        headers=list(request.headers.items()),
        peer=request.remote,
        read=request.content.readany,
    )
