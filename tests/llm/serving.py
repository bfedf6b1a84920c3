"""The application on real sockets, and Retell's side on the `websockets` library."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from retell_async import llm

from .talk import CALL

SECRET = "s3cret-of-the-tests"


class _Guest(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: Any, **settings: Any) -> AsyncIterator[str]:
    """Serve by uvicorn on a free port. Leaving waits until the server has shut down."""
    server = _Guest(uvicorn.Config(app, log_config=None, ws_per_message_deflate=False, backlog=4096, **settings))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/{SECRET}"
            server.should_exit = True


class Retell:
    """One connection of a call, of which this end is Retell's."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def tell(self, message: Any) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def ask(self, id: int, *transcript: Any) -> None:
        await self.tell({"interaction_type": "response_required", "response_id": id, "transcript": list(transcript)})

    async def receive(self) -> dict[str, Any]:
        with anyio.fail_after(20):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        if frame["response_type"] == "config" and frame["config"].get("call_details"):
            await self.tell({"interaction_type": "call_details", "call": CALL})
        return frame

    async def text(self, id: int) -> str:
        """The whole answer to an id, passing over what is not of it."""
        text: str = ""
        while True:
            frame = await self.receive()
            if frame.get("response_id") == id:
                text += str(frame["content"])
                if frame["content_complete"]:
                    return text


@asynccontextmanager
async def calling(url: str, call_id: str = "call_1") -> AsyncGenerator[Retell]:
    """A connection to the application, its begin message heard."""
    async with connect(f"{url}/{call_id}", compression=None, ping_interval=None, open_timeout=60) as socket:
        yield Retell(socket)


def application(function: Any, **settings: Any) -> llm.App:
    app = llm.App(**{"secret": SECRET, "begin_message": "Hello.", **settings})
    app.agent(function)
    return app
