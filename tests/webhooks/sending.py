"""Deliveries as Retell makes them, and a server to send them to."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpx
import uvicorn

from retell_async import webhooks

KEY = "key_0123456789abcdef"
SIGNATURE = "x-retell-signature"

CALL: dict[str, Any] = {
    "call_id": "call_1",
    "call_type": "phone_call",
    "agent_id": "agent_1",
    "agent_version": 3,
    "call_status": "ended",
    "direction": "inbound",
    "from_number": "+14155550100",
    "to_number": "+14155550101",
    "start_timestamp": 1760000000000,
    "end_timestamp": 1760000060000,
    "disconnection_reason": "user_hangup",
    "transcript": "User: Grüß Gott\n",
    "transcript_object": [{"role": "user", "content": "Grüß Gott", "words": [{"word": "Grüß", "start": 0.1, "end": 0.4}]}],
}
CHAT: dict[str, Any] = {"chat_id": "chat_1", "agent_id": "agent_2", "chat_status": "ongoing", "start_timestamp": 1760000000000}
INBOUND: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550101"}


def body_of(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def event_body(event: str = "call_ended", call_id: str = "call_1", **more: Any) -> bytes:
    return body_of({"event": event, "call": {**CALL, "call_id": call_id}, **more})


def inbound_body(event: str = "call_inbound", **inner: Any) -> bytes:
    return body_of({"event": event, "event_timestamp": 1780000000000, event: {**INBOUND, **inner}})


def signed(body: bytes, *, key: str = KEY, timestamp_ms: int | None = None) -> dict[str, str]:
    return {SIGNATURE: webhooks.sign(body, key, timestamp_ms=timestamp_ms), "content-type": "application/json"}


class _Guest(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an ASGI application by uvicorn on a free port, with a client for it. Leaving waits until the server has shut down."""
    server = _Guest(uvicorn.Config(app, log_config=None, access_log=False, http="h11"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            async with httpx.AsyncClient(base_url=url, timeout=20, limits=httpx.Limits(max_connections=50)) as client:
                yield client
            server.should_exit = True


async def ended_process(arguments: Sequence[str], kind: signal.Signals, environment: Mapping[str, str] | None = None) -> str:
    """All that a server in a process of its own writes, which acknowledges an event and is then told to end.

    :param arguments: those of Python; it listens on ``{port}``.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, *(argument.replace("{port}", str(port)) for argument in arguments)]
    async with await anyio.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as process:
        assert process.stdout is not None
        body = event_body()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as sender:
            status = None
            with anyio.fail_after(30):
                while status is None:
                    try:
                        status = (await sender.post("/events", content=body, headers=signed(body))).status_code
                    except httpx.TransportError:  # it has not started yet
                        await anyio.sleep(0.1)
        assert status == 204
        process.send_signal(kind)
        with anyio.fail_after(30):
            said = b"".join([part async for part in process.stdout])
            await process.wait()
    return said.decode()
