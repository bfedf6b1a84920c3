"""Closing and resetting connections, for faults."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import MutableMapping
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

__all__ = ["Protocol", "close", "reset"]

_STATE = "retell_async.transport"
_NO_LINGERING = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """uvicorn's HTTP, with the connection in the state of each request."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._state = {**app_state}
        super().__init__(config, server_state, self._state, _loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self._state[_STATE] = transport
        super().connection_made(transport)


def close(scope: MutableMapping[str, Any]) -> None:
    """Close a request's connection once everything written has been sent.

    :raises ConnectionAbortedError: the server is not the sandbox's own; this error is left to it.
    """
    _transport(scope).close()


def reset(scope: MutableMapping[str, Any]) -> None:
    """Reset a request's connection, as a crashed machine does. The other side may have closed it before.

    :raises ConnectionAbortedError: the server is not the sandbox's own; this error is left to it.
    """
    transport = _transport(scope)
    if transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()


def _transport(scope: MutableMapping[str, Any]) -> asyncio.Transport:
    transport = scope.get("state", {}).get(_STATE)
    if transport is None:
        raise ConnectionAbortedError("a fault is set that breaks the connection")
    return cast("asyncio.Transport", transport)
