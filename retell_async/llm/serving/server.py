"""A server of its own, on uvicorn, which lets calls end before it does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio

from retell_async import ConfigurationError

from ..log import log

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator
    from types import FrameType

    from ..app import App

__all__ = ["hidden_in_logs", "serve"]

_LOOK_EVERY = 0.2
_REFUSAL = "ASGI callable returned without completing handshake."
"""What uvicorn takes each connection for that is refused with an answer."""


def serve(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    asgi: Callable[..., Awaitable[None]] | None = None,
    drain_within: float | None = None,
    **settings: Any,
) -> None:
    """Serve until a signal ends it, in an event loop of its own.

    On SIGTERM or SIGINT no new calls are taken; those that are going on go on, and may be connected again. When all are over, or after
    `drain_within` seconds, or on a second signal, the server exits. What goes on then is left without a close, after which Retell connects
    again, to another process if there is one.

    :param asgi: the application that this one is mounted in, such as FastAPI's, to be served in its place.
    :param settings: everything else that `uvicorn.Config` takes.
    :raises ModuleNotFoundError: uvicorn or websockets is not installed.
    :raises ConfigurationError: no agent is registered, or several processes are asked for.
    """
    if settings.keys() & {"workers", "reload"}:
        raise ConfigurationError("llm.serve is one process: start several of them, with a store that they share, for workers or reload")
    given: Any = app
    if not hasattr(given, "reopen"):
        raise ConfigurationError(f"llm.serve serves an llm.App, and {type(given).__name__} is none: that goes into `asgi`")
    app.check()
    app.reopen()
    try:
        import uvicorn

        import_module("websockets")  # without which uvicorn opens none
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error.name} is missing: llm.serve needs `pip install 'retell-async[llm]'`", name=error.name) from None

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await self._drain()
            await super().shutdown(sockets)

        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            async with app.lifespan():
                await super().serve(sockets)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.force_exit = self.should_exit  # the second time
            super().handle_exit(sig, frame)

        async def _drain(self) -> None:
            until = None if drain_within is None else anyio.current_time() + drain_within
            if app.sessions:
                log.info("shutting down when %d calls are over; another signal leaves them", len(app.sessions))
            while not await app.drain(_LOOK_EVERY):
                if self.force_exit or (until is not None and anyio.current_time() >= until):
                    break
            if not app.sessions:
                return
            log.warning("leaving %d calls that are going on", len(app.sessions))
            app.abandon()
            for connection in list(self.server_state.connections):
                if isinstance(connection, config.ws_protocol_class or ()):
                    connection.transport.abort()  # uvicorn would close with 1012, after which Retell does not connect again
            await app.drain(2 * app.settings.finish_within)

    most = 2 * int(app.settings.limits.message_bytes)
    own: dict[str, Any] = {
        "ws_max_size": most,
        "ws_per_message_deflate": False,
        "timeout_graceful_shutdown": int(2 * app.settings.finish_within) + 5,
    }
    config = uvicorn.Config(asgi or app, host=host, port=port, **{**own, **settings})
    with hidden_in_logs(app), suppress(KeyboardInterrupt):  # which uvicorn raises after it has shut down
        Server(config).run()


@contextmanager
def hidden_in_logs(app: App) -> Generator[None]:
    """Keep the secret out of uvicorn's log, which has the paths of all connections."""

    def hidden(part: object) -> object:
        text = part if isinstance(part, str) else repr(part)
        without = app.hide(text)
        return part if without == text else without

    def hide(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(hidden(part) for part in record.args)
            record.msg = hidden(record.msg)
        elif (text := record.getMessage()) != (without := app.hide(text)):
            record.msg, record.args = without, None
        return record.msg != _REFUSAL

    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")]
    for logger in loggers:
        logger.addFilter(hide)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(hide)
