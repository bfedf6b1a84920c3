"""The router in an aiohttp application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from .._logs import Log

try:
    from aiohttp import web
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.webhooks.aiohttp needs `pip install 'retell-async[aiohttp]'`", name=error.name
    ) from None

from .http import IncomingRequest, Refused, Response
from .router import Router

__all__ = ["mount"]

_logger = Log("retell_async.webhooks")


def mount(app: web.Application, prefix: str, router: Router) -> None:
    """Serve a router's paths under a prefix such as ``/retell``; ``""`` is none, for an application that is itself mounted under a prefix.

    Handlers go on when the sender goes away, whatever `handler_cancellation` says. Those that still run when the application is cleaned up
    are cancelled.
    """
    prefix = prefix.rstrip("/")
    running: set[asyncio.Task[None]] = set()

    async def serve(request: web.Request) -> web.StreamResponse:
        sent: list[web.Response] = []

        async def respond(response: Response) -> None:
            answer = web.Response(status=response.status, body=response.content, headers=response.headers)
            # Handlers may go on after the answer, and aiohttp reads no other request from this connection until they are done.
            answer.force_close()
            sent.append(answer)
            try:
                await answer.prepare(request)
                await answer.write_eof()
            except OSError as error:  # handlers must not end because of it
                _logger.info("nobody waited for an answer: %s", error)

        task = asyncio.create_task(router.handle(_incoming(request), respond))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.shield(task)
        return sent[0]

    async def clean_up(_: web.Application) -> AsyncIterator[None]:
        yield
        left = list(running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    app.cleanup_ctx.append(clean_up)
    app.router.add_route("*", prefix, serve)
    app.router.add_route("*", f"{prefix}/{{retell_path:.*}}", serve)


def _incoming(request: web.Request) -> IncomingRequest:
    first = True

    async def read() -> bytes:
        nonlocal first
        try:
            if first and request.content.at_eof():  # a middleware may have read it: aiohttp keeps what it read
                return await request.read()
            return await request.content.readany()
        except (web.RequestPayloadError, OSError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "unreadable: the body did not arrive whole") from error
        finally:
            first = False

    below = request.match_info.get("retell_path")
    return IncomingRequest(
        method=request.method,
        path="" if below is None else f"/{below}",
        query=request.query_string,
        headers=list(request.headers.items()),
        peer=request.remote,
        read=read,
    )
