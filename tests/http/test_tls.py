"""TLS and HTTP/2, on a real socket: what is trusted, what is refused before anything is sent, and which protocol is spoken."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener
from hypercorn.config import Config

from retell_async import APIConnectionError, AsyncRetell, ConfigurationError, DefaultAsyncHttpxClient

from ..engine.example import CREATE, KEY, NO_OPTIONS, get
from .test_transport import EACH, Server, ok

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.parallel]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def serving(authority: trustme.CA, name: str = "localhost") -> AsyncGenerator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(name).configure_cert(context)
    server = Server(lambda _: ok())
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(plain, context, standard_compatible=False)

    async def refused(_: BaseException, stream: Any) -> None:
        await anyio.aclose_forcefully(stream)

    listener.handle_handshake_error = refused  # type: ignore[method-assign, assignment]
    serve: Any = listener.serve
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve, server.serve)
        server.url = f"https://localhost:{plain.extra(SocketAttribute.local_port)}"
        yield server
        tasks.cancel_scope.cancel()


@EACH
async def test_a_trusted_server_is_spoken_to_and_its_connection_used_again(
    make: Callable[..., httpx.AsyncClient], authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with (
        serving(authority) as server,
        AsyncRetell(KEY, base_url=server.url, max_connections=3, http_client=make(verify=trusting)) as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(12):
            tasks.start_soon(client.send, get(), NO_OPTIONS)
    assert len(server.requests) == 12
    assert server.opened <= 3
    assert all(request.startswith(b"GET /get-thing/thing_1 HTTP/1.1\r\n") for request in server.requests)


@EACH
@pytest.mark.parametrize("reason", ["nobody vouches for it", "it is another"])
async def test_a_server_that_is_not_trusted_gets_nothing(
    make: Callable[..., httpx.AsyncClient], reason: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    verify: Any = trusting if reason == "it is another" else True
    async with (
        serving(authority, "localhost" if verify is True else "elsewhere.test") as server,
        AsyncRetell(KEY, base_url=server.url, max_retries=0, http_client=make(verify=verify)) as client,
    ):
        with pytest.raises(APIConnectionError, match=r"(?i)certificate") as caught:
            await client.send(CREATE.request(body={}), {})
    assert type(caught.value) is APIConnectionError
    assert caught.value.sent is False
    assert not server.requests


@EACH
async def test_the_environment_may_name_whom_to_trust(
    make: Callable[..., httpx.AsyncClient], authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with serving(authority) as server:
        async with AsyncRetell(KEY, base_url=server.url) as client:
            await client.send(get(), {})
        async with AsyncRetell(KEY, base_url=server.url, http_client=make()) as client:
            await client.send(get(), {})
        async with AsyncRetell(KEY, base_url=server.url, max_retries=0, http_client=make(trust_env=False)) as client:
            with pytest.raises(APIConnectionError):
                await client.send(get(), {})


@EACH
async def test_verification_can_be_turned_off(make: Callable[..., httpx.AsyncClient], authority: trustme.CA) -> None:
    async with (
        serving(authority, "elsewhere.test") as server,
        AsyncRetell(KEY, base_url=server.url, http_client=make(verify=False)) as client,
    ):
        assert (await client.send(get(), {})).thing_id == "1"


@EACH
async def test_a_server_without_tls_is_no_answer(make: Callable[..., httpx.AsyncClient]) -> None:
    received: list[bytes] = []

    async def talk(stream: SocketStream) -> None:
        async with stream:
            received.append(await stream.receive())
            await stream.send(ok())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        url = f"https://localhost:{listener.extra(SocketAttribute.local_port)}"
        async with AsyncRetell(KEY, base_url=url, max_retries=0, http_client=make()) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.send(CREATE.request(body={}), {})
            assert (type(caught.value), caught.value.sent) == (APIConnectionError, False)
        tasks.cancel_scope.cancel()
    assert b"create-thing" not in b"".join(received)


@asynccontextmanager
async def serving_http2(authority: trustme.CA, folder: Path, backend: str, spoken: list[str]) -> AsyncGenerator[str]:
    """A server for HTTP/2 and HTTP/1.1, and its URL.

    :param spoken: is told the version of each request.
    """
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    config = Config()
    config.certfile = config.keyfile = str(folder / "server.pem")
    config.errorlog = config.accesslog = None
    ended = anyio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config.bind = [f"fd://{listener.detach()}"]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        spoken.append(scope["http_version"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"thing_id":"1"}'})

    async def run() -> None:
        server: Any = import_module(f"hypercorn.{backend}")
        await server.serve(application, config, shutdown_trigger=ended.wait)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        yield f"https://localhost:{port}"
        ended.set()


@pytest.mark.parametrize("size", [0, 400_000], ids=["small", "large and read late"])
@pytest.mark.parametrize("more", [ok(b'{"thing_id":"of nobody"}'), b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b""])
@EACH
async def test_what_comes_with_an_answer_under_tls_is_no_other_answer(
    make: Callable[..., httpx.AsyncClient], more: bytes, size: int, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    answered: list[str] = []

    async def serve(stream: SocketStream) -> None:
        """Answers, and sends one thing more, or the farewell of TLS: in a record that comes with the answer's, or while that is read."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        async with stream:
            while True:
                try:
                    request = tls.read(65536)
                except ssl.SSLWantReadError:
                    if outgoing.pending:
                        await stream.send(outgoing.read())
                    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                        incoming.write(await stream.receive())
                        continue
                    return
                except ssl.SSLError:
                    return
                if not request:
                    return
                path = request.split(b" ")[1].decode()
                answered.append(path)
                tls.write(ok(b'{"thing_id":"%s"%s}' % (path.rpartition("/")[2].encode(), b" " * size)))
                if size:
                    await stream.send(outgoing.read())
                    await anyio.sleep(0.1)
                if more:
                    tls.write(more)
                else:
                    with suppress(ssl.SSLWantReadError):
                        tls.unwrap()
                await stream.send(outgoing.read())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"https://localhost:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with AsyncRetell(KEY, base_url=url, max_retries=0, http_client=make(verify=trusting)) as client:
            for number in range(4):
                async with client.stream(get(f"thing_{number}"), NO_OPTIONS) as response:
                    if size:
                        await anyio.sleep(0.3)
                    assert (await response.parse())["thing_id"] == f"thing_{number}"
        tasks.cancel_scope.cancel()
    assert answered == [f"/get-thing/thing_{number}" for number in range(4)]


async def test_http_2_where_it_is_asked_for(
    authority: trustme.CA, trusting: ssl.SSLContext, tmp_path: Path, anyio_backend_name: str
) -> None:
    spoken: list[str] = []
    async with serving_http2(authority, tmp_path, anyio_backend_name, spoken) as url:
        for http2 in (True, False):
            own = DefaultAsyncHttpxClient(http2=http2, verify=trusting)
            async with AsyncRetell(KEY, base_url=url, http_client=own) as client:
                raws: list[Any] = []

                async def one(client: AsyncRetell, raws: list[Any]) -> None:
                    raws.append(await client.send_raw(get(), NO_OPTIONS))

                await one(client, raws)
                async with anyio.create_task_group() as many:
                    for _ in range(10):
                        many.start_soon(one, client, raws)
                assert {raw.http_response.http_version for raw in raws} == {"HTTP/2" if http2 else "HTTP/1.1"}
    assert spoken == ["2"] * 11 + ["1.1"] * 11


def test_without_h2_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2", None)
    with pytest.raises(ConfigurationError, match=r"retell-async\[http2\]"):
        DefaultAsyncHttpxClient(http2=True)
