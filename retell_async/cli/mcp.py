"""``retell-async mcp``."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import anyio
import click

from .._client import AsyncRetell
from ..mcp.catalog import Asks
from ..mcp.policy import Policy
from ..mcp.server import Fetch, RetellServer
from ..mcp.serving import Tokens, check_names, fetch_recording, known_hosts, listen, run_on, run_stdio
from .operations.command import Command
from .profiles import Profile

__all__ = ["mcp"]

_SANDBOX = "sandbox"


@click.command(cls=Command)
@click.option("--profile", envvar="RETELL_PROFILE", metavar="NAME", help="The workspace: its key is RETELL_API_KEY_NAME.")
@click.option("--sandbox", is_flag=True, help="Serve a workspace that is made up, on this machine: no account, no network, no cost.")
@click.option("--read-only", is_flag=True, help="Have only tools that read.")
@click.option("--tools", multiple=True, metavar="NAMES", help="Have only these tools: names with commas between, * for anything.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["money", "deletion"]),
    help="Do what costs money, or what deletes, and ask nobody.",
)
@click.option("--allow-to", multiple=True, metavar="NUMBER", help="Call only such numbers: +14155550100, or +1415* for all that begin so.")
@click.option("--max-calls", type=click.IntRange(min=0), metavar="N", help="Place so many calls at most, as long as the server runs.")
@click.option("--http", is_flag=True, help="Serve over HTTP at /mcp. The token that clients need is RETELL_MCP_TOKEN.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: the address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="With --http: the port.")
@click.option("--public-host", multiple=True, metavar="NAME", help="With --http: a name, with its port, by which others reach the server.")
@click.option("--origin", multiple=True, metavar="URL", help="With --http: an origin whose pages may call the server.")
def mcp(
    profile: str | None,
    sandbox: bool,
    read_only: bool,
    tools: tuple[str, ...],
    allow: tuple[str, ...],
    allow_to: tuple[str, ...],
    max_calls: int | None,
    http: bool,
    host: str,
    port: int,
    public_host: tuple[str, ...],
    origin: tuple[str, ...],
) -> None:
    """Serve a Retell workspace to models, over the Model Context Protocol.

    It speaks on the standard streams, for a client that starts it, or over HTTP. What costs money, reaches people or deletes asks a human
    in the client first; a client that cannot ask is refused, unless --allow says otherwise.
    """
    if not http and (public_host or origin):
        raise click.UsageError("--public-host and --origin are for --http")
    policy = Policy(
        read_only=read_only,
        tools=tuple(name.strip() for names in tools for name in names.split(",")) if tools else None,
        allow=frozenset(cast("tuple[Asks, ...]", allow)),
        allow_to=allow_to or None,
        max_calls=max_calls,
    )
    known = None if sandbox else Profile.named(profile)
    serve: Callable[[RetellServer], Awaitable[None]] = run_stdio
    if http:
        tokens = Tokens.parse(os.environ.get("RETELL_MCP_TOKEN", ""))
        known_hosts(host, port, public_host)  # so that what is missing is said at once
        check_names(public_host, origin)
        serve = partial(run_on, listen(host, port), tokens=tokens, host=host, port=port, public=public_host, origins=origin)
        click.echo(f"Serving {_SANDBOX if known is None else known.name} at http://{host}:{port}/mcp", err=True)
    anyio.run(_run, known, policy, serve)


async def _run(known: Profile | None, policy: Policy, serve: Callable[[RetellServer], Awaitable[None]]) -> None:
    async with _made_up() if known is None else _of_profile(known) as (client, fetch):
        await serve(RetellServer(client, policy, _SANDBOX if known is None else known.name, fetch))


@asynccontextmanager
async def _of_profile(known: Profile) -> AsyncGenerator[tuple[AsyncRetell, Fetch]]:
    async with known.client() as client:
        yield client, fetch_recording


@asynccontextmanager
async def _made_up() -> AsyncGenerator[tuple[AsyncRetell, Fetch]]:
    """A client of a sandbox in this process, with an agent and a number to call from. Nothing leaves the process, webhooks neither."""
    import httpx

    from ..sandbox import RunningClock
    from ..testing import LocalRetell, SandboxTransport

    local = LocalRetell(clock=RunningClock())
    local.create_fixtures()

    async def fetch(url: str) -> tuple[bytes, str]:
        return await fetch_recording(url, httpx.AsyncClient(transport=SandboxTransport(local.sandbox)))

    async with local.client() as client:
        yield client, fetch
