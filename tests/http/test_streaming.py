"""Large bodies: answers that are read piece by piece, and files that are sent so."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import httpx
import pytest

from retell_async import APIConnectionError, APITimeoutError, AsyncPage, AsyncRetell, NotFoundError, StreamedResponse
from retell_async._http.wire import usual

from ..engine.example import KEY, NO_OPTIONS, get
from .test_transport import EACH, ok, serving

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

LARGE = 50_000_000


@EACH
async def test_an_answer_is_read_in_any_of_the_ways(make: Callable[..., httpx.AsyncClient], tmp_path: Path) -> None:
    body = '{"thing_id":"ä",\n"n":1}'.encode()
    async with (
        serving(lambda _: ok(body, b"X-Request-Id: r1\r\n")) as server,
        AsyncRetell(KEY, base_url=server.url, http_client=make()) as client,
    ):

        def opened() -> Any:
            return client.stream(get(), NO_OPTIONS)

        async with opened() as response:
            assert (response.status_code, response.request_id, response.retries_taken) == (200, "r1", 0)
            assert b"".join([part async for part in response.iter_bytes()]) == body
        async with opened() as response:
            assert [part async for part in response.iter_bytes(10)] == [body[:10], body[10:20], body[20:]]
        async with opened() as response:
            assert "".join([part async for part in response.iter_text()]) == body.decode()
        async with opened() as response:
            assert [line async for line in response.iter_lines()] == ['{"thing_id":"ä",', '"n":1}']
        async with opened() as response:
            await response.stream_to_file(tmp_path / "body.json")
            assert (tmp_path / "body.json").read_bytes() == body
        async with opened() as response:
            assert await response.text() == body.decode()
            assert await response.json() == {"thing_id": "ä", "n": 1}
            assert (await response.parse()).thing_id == "ä"
            assert await response.read() == body
        assert server.opened == 1


async def test_an_answer_that_is_streamed_is_left_to_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(usual, "UsualAnswer")  # by which llhttp reads
    async with serving(lambda _: ok(b'{"thing_id":"a"}')) as server, AsyncRetell(KEY, base_url=server.url, max_retries=0) as client:
        async with client.stream(get(), NO_OPTIONS) as response:
            assert await response.json() == {"thing_id": "a"}
        with pytest.raises(APIConnectionError, match="UsualAnswer"):
            await client.send(get(), NO_OPTIONS)


async def test_every_method_has_a_streaming_one() -> None:
    answers = {
        "list-calls": b'{"items":[{"call_id":"1","call_type":"web_call"}],"has_more":false}',
        "create-phone": b'{"call_id":"1","call_type":"phone_call"}',
    }
    async with (
        serving(lambda path: ok(next(body for name, body in answers.items() if name in path))) as server,
        AsyncRetell(KEY, base_url=server.url) as client,
    ):
        async with client.call.with_streaming_response.list(limit=1) as response:
            page: AsyncPage[Any] = await response.parse()
            assert [call.call_id for call in page] == ["1"]
        numbers: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550101"}
        async with client.call.with_streaming_response.create_phone_call(**numbers) as created:
            call = await created.parse()
            assert call.idempotency_key == created.idempotency_key is not None
        with pytest.raises(ValueError, match="non-empty value for `call_id`"):
            async with client.call.with_streaming_response.retrieve(""):
                pass
        misspelt: Any = {"lim": 1}
        with pytest.raises(TypeError, match="lim"):
            async with client.call.with_streaming_response.list(**misspelt):
                pass
    assert len(server.requests) == 2


@EACH
async def test_an_open_answer_keeps_its_connection_and_its_end_frees_it(make: Callable[..., httpx.AsyncClient]) -> None:
    async with (
        serving(lambda _: ok(b"x" * 1_000_000)) as server,
        AsyncRetell(KEY, base_url=server.url, max_connections=1, http_client=make()) as client,
    ):
        for how in ("read", "left", "error", "cancelled"):
            with anyio.CancelScope() as scope:
                try:
                    async with client.stream(get(), NO_OPTIONS) as response:
                        with anyio.move_on_after(0.05) as waited:
                            await client.send_raw(get(), NO_OPTIONS)
                        assert waited.cancelled_caught
                        if how == "read":
                            await response.read()
                        elif how == "error":
                            raise KeyError("own")
                        elif how == "cancelled":
                            scope.cancel()
                            await anyio.sleep_forever()
                except KeyError:
                    assert how == "error"
            with anyio.fail_after(5):
                assert len((await client.send_raw(get(), NO_OPTIONS)).content) == 1_000_000


@EACH
async def test_a_body_that_breaks_off_or_stops(make: Callable[..., httpx.AsyncClient]) -> None:
    async with serving(lambda _: ok()[:-3]) as server, AsyncRetell(KEY, base_url=server.url, http_client=make()) as client:
        async with client.stream(get(), {"timeout": 0.05}) as response:
            with pytest.raises(APITimeoutError, match="whole in time"):
                await response.read()
        server.close_after = 2
        async with client.stream(get(), NO_OPTIONS) as response:
            with pytest.raises(APIConnectionError, match="not be read whole") as caught:
                assert [line async for line in response.iter_lines()]
            assert caught.value.status_code == 200
    assert len(server.requests) == 2


@EACH
async def test_an_error_is_an_error_and_a_failure_is_tried_again(make: Callable[..., httpx.AsyncClient]) -> None:
    answers = [
        b"",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        ok(),
        b'HTTP/1.1 404 No\r\nContent-Length: 16\r\n\r\n{"message":"no"}',
    ]
    async with (
        serving(lambda _: answers.pop(0)) as server,
        AsyncRetell(KEY, base_url=server.url, max_connections=1, http_client=make()) as client,
    ):
        async with client.stream(get(), NO_OPTIONS) as response:
            assert (response.retries_taken, (await response.parse()).thing_id) == (2, "1")
            assert repr(response) == "StreamedResponse(200)"
            assert isinstance(response, StreamedResponse)
        with pytest.raises(NotFoundError, match=r"404 - .*no"):
            async with client.stream(get(), NO_OPTIONS):
                pass
    assert not answers


def serve_large(listener: socket.socket) -> None:
    """Take all that comes and answer with as much, twice."""
    for _ in range(2):
        stream, _ = listener.accept()
        with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += stream.recv(65536)
            left = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]) - len(head.partition(b"\r\n\r\n")[2])
            while left > 0:
                left -= len(stream.recv(65536))
            stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % LARGE)
            for _ in range(LARGE // 50_000):
                stream.sendall(b"x" * 50_000)


@EACH
async def test_a_large_file_and_a_large_answer_take_little_memory(make: Callable[..., httpx.AsyncClient], tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    # In a thread of its own, since one in the same event loop would hold what was not read yet.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=serve_large, args=(listener,))
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with AsyncRetell(KEY, base_url=url, http_client=make()) as client:
            for measured in (False, True):  # what is loaded and kept by the first is not counted
                if measured:
                    tracemalloc.start()
                async with client.knowledge_base.with_streaming_response.create(
                    knowledge_base_name="large", knowledge_base_files=[tmp_path / "large.bin"]
                ) as response:
                    await response.stream_to_file(tmp_path / "answer.bin")
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        server.join()
    assert (tmp_path / "answer.bin").stat().st_size == LARGE
    assert peak < 5_000_000
