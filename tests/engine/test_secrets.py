"""No way to fail shows the API key, nor in this package's own frames a phone number: not in texts, not in the local variables of frames.

`WAYS` are the ways that a request may go and `FAILURES` what may happen to it; each is tried with each. A new one is added there.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import socket
import struct
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, cast

import anyio
import attrs
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from hypercorn.config import Config

from retell_async import _errors as errors, webhooks
from retell_async._client import AsyncRetell
from retell_async._clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
from retell_async._limits import RateLimit

from .example import CREATE, NO_OPTIONS, UPLOAD, get
from .test_transport import ok

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

KEY = "key_" + "5ecr3t0123456789"
NUMBER = "4155550123"
PHONE = f"+1{NUMBER}"
PASSWORD = "pa55word"  # of a proxy


# What a server does


async def _refuse(stream: SocketStream, status: bytes) -> None:
    body = b'{"message":"no %s for %s"}' % (PHONE.encode(), KEY.encode())
    await stream.send(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


async def _reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(stream)


async def behave(stream: SocketStream, how: str) -> None:
    """Answer one request that has been read, or leave it."""
    if how == "silence":
        await anyio.sleep_forever()
    elif how == "reset":
        await _reset(stream)
    elif how == "garbage":
        await stream.send(b"SSH-2.0-OpenSSH_9\r\n\r\n")
    elif how == "cut off":
        await stream.send(ok()[:-4])
    elif how == "no JSON":
        await stream.send(ok(b'{"to_number": "%s"' % PHONE.encode()))
    elif how == "other shape":
        await stream.send(ok(b'["%s"]' % PHONE.encode()))
    elif how == "bad encoding":
        await stream.send(ok(b"no gzip", b"Content-Encoding: gzip\r\n"))
    elif how == "stalled body":
        await stream.send(ok()[:-4])
        await anyio.sleep_forever()
    elif how in {"422", "429", "500"}:
        await _refuse(stream, f"{how} Something".encode())
    elif how == "redirect":
        await stream.send(b"HTTP/1.1 307 Elsewhere\r\nLocation: http://elsewhere.test/%s\r\nContent-Length: 0\r\n\r\n" % PHONE.encode())
    elif how:
        raise AssertionError(how)


@asynccontextmanager
async def serving(how: str) -> AsyncGenerator[str]:
    async def talk(stream: SocketStream) -> None:
        if how == "reset while sending":
            await stream.receive(1000)
            await _reset(stream)
            return
        buffered = BufferedByteReceiveStream(stream)
        try:
            async with stream:
                head = await buffered.receive_until(b"\r\n\r\n", 100_000)
                if head.startswith(b"CONNECT"):
                    await stream.send(b"HTTP/1.1 407 Say who you are\r\nContent-Length: 0\r\n\r\n")
                    return
                length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
                await buffered.receive_exactly(length)
                await behave(stream, how)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


# What is asked of it

Send = Callable[[AsyncRetell], Awaitable[object]]


async def place(client: AsyncRetell) -> object:
    return await client.send(CREATE.request(body={"from_number": PHONE, "to_number": PHONE}), {"extra_body": {"more": 1}})


async def look(client: AsyncRetell) -> object:
    return await client.send(get(PHONE), {})


async def ask(client: AsyncRetell) -> object:
    return await client.request("POST", f"/get-phone-number/{PHONE}", json={"to_number": PHONE})


async def upload(client: AsyncRetell) -> object:
    content = f"{PHONE}\n".encode() * 400_000
    return await client.send(UPLOAD.request(body={"knowledge_base_name": PHONE, "knowledge_base_files": [("a", content)]}), {})


async def stream(client: AsyncRetell) -> object:
    async with client.stream(get(PHONE), NO_OPTIONS) as response:
        return await response.parse()


async def deadline(client: AsyncRetell) -> object:
    return await client.with_options(timeout=20).send(CREATE.request(body={"to_number": PHONE}), {"deadline": 0.1})


async def large(client: AsyncRetell) -> object:
    return await client.send(CREATE.request(body={"to_number": [PHONE] * 500_000}), {})


async def cancelled(client: AsyncRetell) -> object:
    failed: list[BaseException] = []

    async def run() -> None:
        try:
            await client.with_options(timeout=20).send(CREATE.request(body={"to_number": PHONE}), {})
        except BaseException as error:
            failed.append(error)
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    return failed[0]


FAILURES: dict[str, tuple[str, Send]] = {
    "read time-out": ("silence", place),
    "read time-out of what names a number": ("silence", look),
    "any request": ("silence", ask),
    "deadline": ("silence", deadline),
    "cancelled": ("silence", cancelled),
    "reset": ("reset", place),
    "reset of a read": ("reset", look),
    "reset while sending": ("reset while sending", upload),
    "reset while sending JSON": ("reset while sending", large),
    "garbage": ("garbage", look),
    "cut off": ("cut off", look),
    "no JSON": ("no JSON", look),
    "other shape": ("other shape", look),
    "bad encoding": ("bad encoding", look),
    "stalled body": ("stalled body", place),
    "stream": ("stalled body", stream),
    "stream cut off": ("cut off", stream),
    "422": ("422", place),
    "429": ("429", place),
    "500": ("500", place),
    "redirect": ("redirect", look),
    "refused": ("nobody", place),
}

# Ways to it


class Proxied:
    """A client of httpx whose way leads through a proxy with a password, which is the server itself."""

    def __init__(self, make: Callable[..., httpx.AsyncClient]) -> None:
        self.make = make

    def __call__(self, url: str) -> httpx.AsyncClient:
        return self.make(proxy=url.replace("://", f"://user:{PASSWORD}@"), trust_env=False)


def instrumented(url: str) -> httpx.AsyncClient:
    """One that is seen by a tool, so that requests go through httpx."""
    client = DefaultAsyncHttpxClient()
    send = client.send

    async def seen(request: httpx.Request, **settings: Any) -> httpx.Response:
        return await send(request, **settings)

    client.send = seen  # type: ignore[method-assign]
    return client


UVLOOP = ("asyncio", {"use_uvloop": True})
Way = tuple[Any, Callable[[str], httpx.AsyncClient | None]]

WAYS: dict[str, Way] = {
    "default": ("asyncio", lambda _: None),
    "uvloop": (UVLOOP, lambda _: None),
    "trio": ("trio", lambda _: None),
    "default client of httpx": ("asyncio", lambda _: DefaultAsyncHttpxClient()),
    "with a tool": ("asyncio", instrumented),
    "with a tool, trio": ("trio", instrumented),
    "HTTP/2 pool": ("asyncio", lambda _: DefaultAsyncHttpxClient(http2=True)),
    "proxy": ("asyncio", Proxied(DefaultAsyncHttpxClient)),
    "proxy, trio": ("trio", Proxied(DefaultAsyncHttpxClient)),
    "httpx": ("asyncio", lambda _: httpx.AsyncClient()),
    "httpx, trio": ("trio", lambda _: httpx.AsyncClient()),
    "aiohttp": ("asyncio", lambda _: DefaultAioHttpClient()),
    "aiohttp, uvloop": (UVLOOP, lambda _: DefaultAioHttpClient()),
    "aiohttp, proxy": ("asyncio", Proxied(DefaultAioHttpClient)),
}

EACH = pytest.mark.parametrize(("anyio_backend", "way"), [(way[0], way[1]) for way in WAYS.values()], ids=list(WAYS))

# What is shown of it


def every_error(error: BaseException | None, seen: dict[int, BaseException]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen[id(error)] = error
    yield error
    yield from every_error(error.__cause__, seen)
    yield from every_error(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from every_error(inner, seen)


def deep(value: object, depth: int = 6) -> str:
    """As an error tracker shows a variable: containers from inside, all else by its repr."""
    if depth and isinstance(value, Mapping):
        return " ".join(f"{deep(key, depth - 1)}: {deep(item, depth - 1)}" for key, item in cast("Mapping[object, object]", value).items())
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return " ".join(deep(item, depth - 1) for item in cast("list[object]", value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else repr(value)


def variables(traceback: TracebackType | None) -> Iterator[tuple[str, str, str, str]]:
    """Module, function, name and text of all local variables."""
    while traceback is not None:
        frame = traceback.tb_frame
        for name, value in frame.f_locals.items():
            yield str(frame.f_globals["__name__"]), frame.f_code.co_name, name, deep(value)
        traceback = traceback.tb_next


def assert_nothing_shows(error: BaseException, *, number: bool = True) -> None:
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert KEY not in shown
    assert PASSWORD not in shown
    for one in every_error(error, {}):
        for text in (str(one), repr(one), *getattr(one, "__notes__", ())):
            assert KEY not in text
            assert PASSWORD not in text
            assert NUMBER not in text, (type(one), text)
        for module, function, name, text in variables(one.__traceback__):
            if module == __name__:
                continue
            assert KEY not in text, (module, function, name)
            assert PASSWORD not in text, (module, function, name)
            if number and module.startswith("retell_async"):
                assert NUMBER not in text, (module, function, name, text[:200])


@EACH
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_shows_no_secret(anyio_backend: Any, way: Callable[[str], httpx.AsyncClient | None], failure: str) -> None:
    how, send = FAILURES[failure]
    settings: dict[str, Any] = {"max_retries": 0, "rate_limit": RateLimit(max_wait=0), "timeout": 0.2}
    if how == "silence" and send is not upload:
        settings["timeout"] = httpx.Timeout(5, read=0.1)
    async with serving(how) as url:
        if how == "nobody":
            url = "http://127.0.0.1:1"
        async with AsyncRetell(KEY, base_url=url, http_client=way(url), **settings) as client:
            try:
                ended = await send(client)
            except BaseException as error:
                ended = error
            assert isinstance(ended, BaseException), ended
            assert_nothing_shows(ended)
            assert "tests/engine/test_secrets.py" in "".join(traceback.format_exception(ended))
            del ended
