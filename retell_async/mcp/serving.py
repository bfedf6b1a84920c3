"""Transports: the standard streams of this process, and streamable HTTP on a port."""

from __future__ import annotations

import errno
import hashlib
import hmac
import re
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from ipaddress import ip_address
from threading import Thread

import anyio
import attrs
import httpx
import uvicorn
from anyio import to_thread
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Route

from .._core.errors import ConfigurationError
from .._core.masking import Hidden
from .server import RetellServer

__all__ = ["Tokens", "create_app", "fetch_recording", "run_http", "run_stdio"]

PATH = "/mcp"
_SHORTEST = 32
_LARGEST = 25 * 1024 * 1024
_NO_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]+")
_HOST = re.compile(r"[^\s/?#@]+")


class _Input(anyio.AsyncFile[str]):
    """The standard input. Whoever is cancelled waits for no line, which may never come: neither here nor when the process ends."""

    async def readline(self) -> str:
        line = Future[str]()

        def read() -> None:
            with suppress(InvalidStateError):  # nobody waits for it any more
                try:
                    line.set_result(self.wrapped.readline())
                except Exception as error:  # noqa: BLE001 - raised where it is waited for
                    line.set_exception(error)

        Thread(target=read, name="standard input", daemon=True).start()  # since the process waits for anyio's own
        try:
            return await to_thread.run_sync(line.result, abandon_on_cancel=True)
        finally:
            line.cancel()


async def run_stdio(server: RetellServer) -> None:
    """Serve one client on this process's standard streams, until it closes them."""
    made = server.server()
    given = open(sys.stdin.fileno(), encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115, ASYNC230 - read to the end of the process
    async with stdio_server(_Input(given)) as (received, sent):
        await made.run(received, sent, made.create_initialization_options())


@attrs.frozen
class Tokens:
    """The bearer tokens that are let in. Each is a client of its own: what one was asked, another cannot answer.

    :raises ConfigurationError: there is none, or one that can be guessed.
    """

    _given: Hidden[tuple[str, ...]] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not self._given.value or any(len(token) < _SHORTEST or not token.isascii() or " " in token for token in self._given.value):
            raise ConfigurationError(
                f"HTTP needs a token of {_SHORTEST} characters or more in RETELL_MCP_TOKEN (several with commas between): "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
            )

    @classmethod
    def parse(cls, text: str) -> Tokens:
        """Tokens with commas between."""
        return cls(Hidden(tuple(token.strip() for token in text.split(",") if token.strip())))

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the official package's middleware asks."""
        given = hashlib.sha256(token.encode()).digest()
        known = [hmac.compare_digest(hashlib.sha256(one.encode()).digest(), given) for one in self._given.value]  # all of them, always
        if not any(known):
            return None
        return AccessToken(token="", client_id=f"client {known.index(True) + 1}", scopes=[])  # the token itself goes nowhere


def create_app(server: RetellServer, tokens: Tokens, *, hosts: Sequence[str], origins: Sequence[str] = ()) -> Starlette:
    """The ASGI application: its one path is ``/mcp``.

    :param hosts: values of the header ``Host`` that are let in, ``:*`` behind one for any port.
    :param origins: values of ``Origin``; a browser's page of another origin is refused, what sends no ``Origin`` is not.
    :raises ConfigurationError: one of these is none, and would never be that of a request.
    """
    check_names(hosts, origins)
    security = TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=list(origins))
    manager = StreamableHTTPSessionManager(server.server(), security_settings=security)
    return Starlette(
        routes=[Route(PATH, endpoint=RequireAuthMiddleware(StreamableHTTPASGIApp(manager), []))],
        middleware=[Middleware(AuthenticationMiddleware, backend=BearerAuthBackend(tokens)), Middleware(AuthContextMiddleware)],
        lifespan=lambda _: manager.run(),
    )


def check_names(hosts: Sequence[str], origins: Sequence[str]) -> None:
    """:raises ConfigurationError: one of these is no ``Host``, or no ``Origin``, so that no request would ever have it."""
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ConfigurationError(f"{host[:80]!r} is no host: give the name alone, with its port, such as mcp.example.com:8000")
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(f"{origin[:80]!r} is no origin: give the scheme and the host alone, such as https://app.example.com")


def known_hosts(host: str, port: int, public: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values of ``Host`` and of ``Origin`` by which a server on an address is reached.

    :raises ConfigurationError: it is reached from elsewhere, and nobody said by which names.
    """
    shown = f"[{host}]" if ":" in host else host
    local = host == "localhost" or _is_loopback(host)
    if not local and not public:
        raise ConfigurationError(f"--host {host} lets other machines in: say with --public-host by which name they reach it")
    names = ["127.0.0.1", "localhost", "[::1]"] if local else [shown] if not _is_any(host) else []
    hosts = [*(f"{name}:{port}" for name in names), *public]
    return hosts, [f"{scheme}://{name}" for name in hosts for scheme in ("http", "https")]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


async def run_http(server: RetellServer, tokens: Tokens, *, host: str, port: int, public: Sequence[str], origins: Sequence[str]) -> None:
    """Serve over HTTP until a signal ends it.

    :param public: names and ports by which other machines reach it, as in ``Host``.
    :param origins: origins of pages that may call it, beside its own.
    :raises ConfigurationError: it cannot listen there, nobody said by which names other machines reach it, or one of them or of the origins
        is none.
    """
    await run_on(listen(host, port), server, tokens, host=host, port=port, public=public, origins=origins)


async def run_on(
    sockets: list[socket.socket],
    server: RetellServer,
    tokens: Tokens,
    *,
    host: str,
    port: int,
    public: Sequence[str],
    origins: Sequence[str],
) -> None:
    """What `run_http` does once it listens."""
    hosts, own = known_hosts(host, port, public)
    app = create_app(server, tokens, hosts=hosts, origins=[*own, *origins])
    await uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", access_log=False)).serve(sockets)


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on all addresses that a host has on this machine.

    :raises ConfigurationError: the port is in use, or the host has no such address.
    """
    listening: list[socket.socket] = []
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            try:
                listening.append(socket.create_server(address[:2], family=family))
            except OSError as error:
                if error.errno not in _NO_ADDRESS:  # as localhost may have one of version 6 where there is none
                    raise
        if not listening:
            raise OSError(errno.EADDRNOTAVAIL, "this machine has no such address")
    except OSError as error:
        for one in listening:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"port {port} of {host} is in use: --port names another one") from None
        raise ConfigurationError(f"port {port} of {host} cannot be listened on: {error.strerror or error}") from None
    return listening


async def fetch_recording(url: str, http: httpx.AsyncClient | None = None) -> tuple[bytes, str]:
    """The bytes of a recording and their type. No API key goes to where recordings are.

    :raises ValueError: it is larger than 25 MB.
    :raises httpx.HTTPError: it is not there, or cannot be reached.
    """
    async with (
        http or httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", url) as response,
    ):
        response.raise_for_status()
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > _LARGEST:
                raise ValueError(f"it is larger than {_LARGEST // 1024 // 1024} MB: open its recording_url instead")
        return bytes(content), response.headers.get("content-type", "audio/wav").partition(";")[0]
