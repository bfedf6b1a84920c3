"""A server of its own, on uvicorn, which lets calls end before it does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio

from retell_async import ConfigurationError

from ..log import log
from .secrets import hidden_in_logs

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from ..app import App

__all__ = ["serve"]

_LOOK_EVERY = 0.2
_LOGGERS = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")]


def serve(
    app: App,
    *more: App,
    host: str = "127.0.0.1",
    port: int = 8080,
    asgi: Callable[..., Awaitable[None]] | None = None,
    drain_within: float | None = None,
    **settings: Any,
) -> None:
    """Serve until a signal ends it, in an event loop of its own.

    On SIGTERM or SIGINT no new calls are taken; those that are going on go on, and may be connected again. When all are over, or after
    `drain_within` seconds, or on a second signal, the server stops and this returns. What goes on then is left without a close, after which
    Retell connects again, to another process if there is one.

    :param more: further ones that are mounted in the same `asgi`, whose calls and secrets are treated alike.
    :param asgi: the application that they are mounted in, such as FastAPI's, to be served in their place.
    :param settings: everything else that `uvicorn.Config` takes.
    :raises ModuleNotFoundError: uvicorn or websockets is not installed.
    :raises ConfigurationError: no agent is registered, several processes are asked for, or several applications without `asgi`.
    """
    if settings.keys() & {"workers", "reload"}:
        raise ConfigurationError("llm.serve is one process: start several of them, with a store that they share, for workers or reload")
    apps = (app, *more)
    for each in apps:
        given: Any = each
        if not hasattr(given, "reopen"):
            raise ConfigurationError(f"llm.serve serves one llm.App or more, and {type(given).__name__} is none: that goes into `asgi`")
        each.check()
    if more and asgi is None:
        raise ConfigurationError("several llm.Apps are served by what they are mounted in: give it as `asgi`")
    try:
        import uvicorn

        import_module("websockets")  # without which uvicorn opens none
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error.name} is missing: llm.serve needs `pip install 'retell-async[llm]'`", name=error.name) from None
    for each in apps:
        each.reopen()
    finish_within = max(each.settings.finish_within for each in apps)

    class Server(uvicorn.Server):
        left = False
        """Whether calls are left, or are to be."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await self._drain()
            await super().shutdown(sockets)

        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            async with AsyncExitStack() as stack:
                for each in apps:
                    await stack.enter_async_context(each.lifespan())
                await super().serve(sockets)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
            if self.should_exit and not self.left:
                self.left = True  # uvicorn would skip the end of the application's lifespan
                return
            # By itself uvicorn would raise the signal again at its end, which ends the process and whatever is to come after `serve`.
            self.should_exit, self.force_exit = True, self.left

        async def _drain(self) -> None:
            until = None if drain_within is None else anyio.current_time() + drain_within
            if calls := self._calls():
                log.info("shutting down when %d calls are over; another signal leaves them", calls)
            over = False
            while not (over or self.left or (until is not None and anyio.current_time() >= until)):
                over = await _drained(apps, _LOOK_EVERY)
            self.left = True
            if over:
                return
            if calls := self._calls():
                log.warning("leaving %d calls that are going on", calls)
            for each in apps:
                each.abandon()
            for connection in list(self.server_state.connections):
                if isinstance(connection, config.ws_protocol_class or ()):
                    connection.transport.abort()  # uvicorn would close with 1012, after which Retell does not connect again
            await _drained(apps, 2 * finish_within)

        def _calls(self) -> int:
            return sum(len(each.sessions) for each in apps)

    own: dict[str, Any] = {
        "ws_max_size": 2 * max(int(each.settings.limits.message_bytes) for each in apps),
        "ws_per_message_deflate": False,
        "timeout_graceful_shutdown": int(2 * finish_within) + 5,
    }
    config = uvicorn.Config(asgi or app, host=host, port=port, **{**own, **settings})
    with hidden_in_logs(apps, _LOGGERS), suppress(KeyboardInterrupt):  # as the loop has it before and after uvicorn
        Server(config).run()


async def _drained(apps: Sequence[App], within: float) -> bool:
    """Drain all of them; whether all their calls are over."""
    for each in apps:
        each.draining = True
    with anyio.move_on_after(within):
        for each in apps:
            await each.drain()
        return True
    return False
