"""Files to upload, of every kind: what arrives is what they read, and of the length that was announced."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import socket
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import anyio
import httpx
import pytest

from retell_async import RetellError
from retell_async._client import AsyncRetell
from retell_async._core.encode import encode
from retell_async._http import files as _files

from ..engine.example import BASE_URL, KEY, UPLOAD

pytestmark = pytest.mark.anyio

SMALL = b"text " * 1000
MADE_WHEN_READ = Path("/proc/self/limits")
LARGE = os.urandom(5000) * 500


@pytest.fixture(params=[SMALL, LARGE], ids=["small", "large"])
def content(request: pytest.FixtureRequest) -> bytes:
    given: bytes = request.param
    return given


async def uploaded(file: Any, then: Callable[[], None] = lambda: None) -> bytes:
    """What arrives of a file, in a request of the length that was announced."""
    sent: list[bytes] = []

    class Server(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            then()
            body = await request.aread()
            assert int(request.headers["content-length"]) == len(body)
            boundary = re.search(rb"boundary=(\w+)", request.headers["content-type"].encode())
            assert boundary is not None
            head, _, rest = body.partition(b"\r\n\r\n")
            assert b'filename="f.bin"' in head
            sent.append(rest.removesuffix(b"\r\n--" + boundary[1] + b"--\r\n"))
            return httpx.Response(201, json={})

    http_client = httpx.AsyncClient(transport=Server())
    async with AsyncRetell(KEY, base_url=BASE_URL, max_retries=0, http_client=http_client) as client:
        await client.send(UPLOAD.request(body={"knowledge_base_files": [("f.bin", file)]}), {})
    return sent[0]


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
async def test_packed_files(opener: Callable[..., IO[bytes]], content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "packed"
    with opener(path, "wb") as file:
        file.write(content)
    with opener(path, "rb") as file:
        assert await uploaded(file) == content


async def test_a_file_in_an_archive(content: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", content)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("inside") as file:
        assert await uploaded(file) == content


async def test_plain_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(content)
    assert await uploaded(path) == content
    for buffering in (-1, 0):
        with path.open("rb", buffering=buffering) as file:
            assert await uploaded(file) == content
    with path.open("r+b") as file:
        assert await uploaded(file) == content
    assert await uploaded(io.BytesIO(content)) == content


async def test_temporary_files(content: bytes) -> None:
    makes: list[Callable[[], Any]] = [tempfile.TemporaryFile, tempfile.NamedTemporaryFile, partial(tempfile.SpooledTemporaryFile, 100_000)]
    for make in makes:
        with make() as file:
            file.write(content)
            assert await uploaded(file) == content


async def test_a_file_that_was_read_is_sent_from_its_beginning(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(content)
    packed = io.BytesIO(gzip.compress(content))
    with path.open("rb") as plain, gzip.open(packed) as unpacked:
        for file in (plain, unpacked, io.BytesIO(content)):
            file.read(100)
            assert await uploaded(file) == content


async def test_a_pipe_that_is_written_meanwhile(content: bytes) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(content)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, write)
        with os.fdopen(reading, "rb") as file:
            assert await uploaded(file) == content


async def test_what_comes_over_a_socket(content: bytes) -> None:
    one, other = socket.socketpair()

    def send() -> None:
        with other:
            other.sendall(content)

    with one, one.makefile("rb") as file:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, send)
            assert await uploaded(file) == content


async def test_a_pipe_that_stays_silent_does_not_outlive_a_deadline() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        with os.fdopen(writing, "wb"), anyio.move_on_after(0.05) as scope:
            await uploaded(file)
        assert scope.cancelled_caught


@pytest.mark.needs("proc")
async def test_a_file_that_the_system_makes_while_it_is_read() -> None:
    assert b"Max open files" in await uploaded(MADE_WHEN_READ)


async def test_an_object_that_only_reads(content: bytes) -> None:
    class Reader:
        def __init__(self) -> None:
            self.file = io.BytesIO(content)

        def read(self, number: int = -1) -> bytes:
            return self.file.read(min(number, 1000))

    assert await uploaded(Reader()) == content
    made = encode(UPLOAD.request(body={"knowledge_base_files": [Reader()]}), base_url=BASE_URL)
    assert not made.repeatable


async def test_an_object_that_takes_no_bytes_for_all_there_are(content: bytes) -> None:
    class Reader:
        def __init__(self) -> None:
            self.file = io.BytesIO(content)
            self.name = "/tmp/g.bin"

        def read(self, number: int = 0) -> bytes:
            return self.file.read(number or None)

    assert await uploaded(Reader()) == content
    made = encode(UPLOAD.request(body={"knowledge_base_files": [Reader()]}), base_url=BASE_URL)
    assert not made.repeatable
    assert made.form is not None
    assert [part[0] for _, part in made.form] == ["g.bin"]


async def test_a_file_that_grows_is_sent_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LARGE)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(LARGE)

    assert await uploaded(path, grow) == LARGE


async def test_a_file_that_shrinks_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LARGE)
    with pytest.raises(ValueError, match="became shorter"):
        await uploaded(path, lambda: os.truncate(path, 1_500_000))


async def test_a_file_that_does_not_wait_is_one_error() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(writing, "wb"), os.fdopen(reading, "rb", buffering=0) as file, pytest.raises(BlockingIOError, match="does not wait"):
        await uploaded(file)


async def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(LARGE)
    async with _files.opened([("f", ("f.bin", path, None, None))]) as parts:
        assert parts is not None
        assert not isinstance(parts[0][1][1], bytes)


async def test_files_that_are_read_with_await_or_closed_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(SMALL)
    async with await anyio.open_file(path, "rb") as file:
        with pytest.raises(TypeError, match=r"knowledge_base_files\[0\]: .* with await"):
            await uploaded(file)
    with path.open("rb") as closed:
        pass
    with pytest.raises(ValueError, match=r"knowledge_base_files\[0\]: the file is closed"):
        await uploaded(closed)
    with path.open() as text, pytest.raises(TypeError, match=r"knowledge_base_files\[0\]: TextIOWrapper is not a file"):
        await uploaded(text)


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError("no"), EOFError("no"), httpx.ConnectError("no"), RetellError("no"), OSError("no")]
)
async def test_what_a_file_raises_comes_out_as_it_is(error: Exception) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise error

    with pytest.raises(type(error)) as caught:
        await uploaded(Failing())
    assert caught.value is error
