"""The application on the `websockets` library: a server of it, or what to give to one of your own."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio

try:
    from websockets.asyncio import server
    from websockets.exceptions import ConnectionClosed
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.llm.serving.websockets needs `pip install 'retell-async[llm]'`", name=error.name
    ) from None

from ..channel import Disconnected, Opening, Refused
from .secrets import hidden_in_logs

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

    from ..app import App

__all__ = ["Handler", "serve"]


class Handler:
    """The handler of a `websockets` server, whose `check` is to be its ``process_request``."""

    def __init__(self, app: App) -> None:
        self._app = app

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse what may not open a WebSocket, and keep for the handler which call it is for."""
        path, _, query = request.path.partition("?")
        forwarded = request.headers.get_all("X-Forwarded-For")
        address: Any = connection.remote_address
        found = self._app.open(
            Opening(
                path=unquote(path),
                query=query,
                peer=address[0] if address.__class__ is tuple else None,
                forwarded_for=",".join(forwarded) if forwarded else None,
            )
        )
        if isinstance(found, Refused):
            return connection.respond(HTTPStatus(found.status), found.reason)
        connection.retell_call_id = found  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        return None

    async def __call__(self, connection: ServerConnection) -> None:
        """Lead the call of a connection."""
        call_id: str | None = getattr(connection, "retell_call_id", None)
        if call_id is None:
            raise RuntimeError("this handler needs its `check` as the server's process_request")
        try:
            await self._app.lead(call_id, _Channel(connection))
        finally:
            if connection.close_code is None:
                connection.transport.abort()  # the library would close with 1000, by which Retell hangs up


@asynccontextmanager
async def serve(
    app: App, host: str | None = "127.0.0.1", port: int = 8080, *, drain_within: float | None = None, **settings: Any
) -> AsyncGenerator[Server]:
    """Serve while the context lasts. Leaving it takes no new calls and waits for those that are going on.

    :param drain_within: seconds to wait for them; what goes on then is left for Retell to connect again, elsewhere.
    :param settings: everything else that `websockets.asyncio.server.serve` takes.
    :raises ConfigurationError: no agent is registered.
    """
    app.check()
    app.reopen()
    handler = Handler(app)
    own: dict[str, Any] = {"max_size": int(2 * app.settings.limits.message_bytes), "compression": None}
    serving = server.serve(handler, host, port, process_request=handler.check, **{**own, **settings})
    with hidden_in_logs([app], [_logger(settings.get("logger"))]):
        async with app.lifespan(), serving as served:
            try:
                yield served
            finally:
                if not await app.drain(drain_within):
                    app.abandon()
                    await app.drain(2 * app.settings.finish_within)


def _logger(given: Any) -> logging.Logger:
    """What the library's server logs to, of what it takes: nothing, a logger or an adapter of one."""
    if given is None:
        return logging.getLogger("websockets.server")
    logger = given
    while not isinstance(logger, logging.Logger):
        logger = logger.logger
    return logger


class _Channel:
    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            raise Disconnected(self._connection.close_code or 1006) from None

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            raise Disconnected(self._connection.close_code or 1006) from None

    async def close(self, code: int, reason: str) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._discard)  # the other side's answer stands behind all that it has sent
            await self._connection.close(code, reason)
            tasks.cancel_scope.cancel()

    async def _discard(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._connection.recv()
