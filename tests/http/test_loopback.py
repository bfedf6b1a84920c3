"""The client on a real socket: a server that answers as it is told, byte for byte."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from retell_async._client import AsyncRetell
from retell_async._core import errors

from ..engine.example import KEY, NO_OPTIONS, get

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]

FINE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n" + b'{"thing_id": "1"}'


class Server:
    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.connections = 0
        self.requests: list[bytes] = []
        self.received = anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            while True:
                try:
                    request = await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                self.requests.append(request)
                self.received.set()
                answer = self.answers.pop(0)
                if answer is None:
                    await anyio.sleep_forever()
                else:
                    await stream.send(answer)
                    if answer != FINE:
                        return


@asynccontextmanager
async def serving(*answers: bytes | None) -> AsyncGenerator[tuple[Server, str]]:
    server = Server(list(answers))
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield server, f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def test_a_connection_is_used_again() -> None:
    async with serving(FINE, FINE, FINE) as (server, url), AsyncRetell(KEY, base_url=url) as client:
        for _ in range(3):
            assert (await client.with_options(timeout=5).send(get(), {})).thing_id == "1"
        assert not server.answers
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /get-thing/thing_1 HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}\r\n".encode() in server.requests[0]


async def test_a_cut_off_answer_carries_its_status_and_the_client_goes_on() -> None:
    async with serving(FINE[:-3], FINE) as (_, url), AsyncRetell(KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(errors.APIConnectionError, match="not be read whole") as caught:
            await client.send(get(), {})
        assert caught.value.status_code == 200
        assert (await client.send(get(), {})).thing_id == "1"


async def test_a_server_that_hangs_up_or_is_silent_or_is_not_there() -> None:
    async with serving(b"", None) as (_, url), AsyncRetell(KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(errors.APIConnectionError) as caught:
            await client.send(get(), {})
        assert type(caught.value) is errors.APIConnectionError
        with pytest.raises(errors.APITimeoutError, match="no answer in time"):
            await client.send(get(), {"timeout": 0.05})
    async with AsyncRetell(KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(errors.APIConnectionError):
            await client.send(get(), {})


async def test_a_cancelled_request_gives_its_connection_back() -> None:
    async with serving(None, FINE) as (server, url), AsyncRetell(KEY, base_url=url, max_connections=1) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, get(), NO_OPTIONS)
            await server.received.wait()
            tasks.cancel_scope.cancel()
        assert (await client.send(get(), {})).thing_id == "1"
    assert server.connections == 2
