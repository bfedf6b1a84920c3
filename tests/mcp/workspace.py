"""A workspace on the sandbox in this process, its MCP server, and clients of the official package with a human behind them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import mcp_types as types
from mcp import Client

from retell_async import AsyncRetell
from retell_async.mcp import Policy, RetellServer
from retell_async.mcp.catalog import tools
from retell_async.mcp.serving import fetch_recording
from retell_async.sandbox import Fixtures, Settings
from retell_async.testing import LocalRetell, SandboxTransport

__all__ = ["MODES", "PEOPLE", "YES", "Human", "Workspace", "data", "text", "workspace"]

MODES = ["auto", "legacy"]
"""The package's present default, and the handshake of older connections."""
PEOPLE = "+14155550123"
"""Somebody who may be called."""
YES: Json = {"confirm": True}
Json = dict[str, Any]


@attrs.define
class Human:
    """Answers questions, and remembers them."""

    action: str = "accept"
    content: Any = attrs.field(factory=lambda: {"confirm": True})
    questions: list[str] = attrs.field(factory=list[str])
    schemas: list[Any] = attrs.field(factory=list[Any])

    async def __call__(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert isinstance(params, types.ElicitRequestFormParams)
        self.questions.append(params.message)
        self.schemas.append(params.requested_schema)
        return types.ElicitResult(action=self.action, content=self.content if self.action == "accept" else None)  # type: ignore[arg-type]


@attrs.define
class Workspace:
    local: LocalRetell
    client: AsyncRetell
    server: RetellServer
    fixtures: Fixtures

    @asynccontextmanager
    async def connect(self, mode: str = "auto", human: Human | None = None, **options: Any) -> AsyncGenerator[Client]:
        """A client of the official package, in this process."""
        async with Client(self.server.server(), mode=mode, elicitation_callback=human, **options) as session:
            yield session

    @property
    def changes(self) -> list[str]:
        """The operations that were requested and do more than read, in order."""
        methods = {tool.method for tool in tools().values() if tool.method and tool.effect != "read"}
        ids = {self.local.sandbox.operation_named(method) for method in methods if method}
        return [str(received.operation) for received in self.local.sandbox.log if received.operation in ids]


@asynccontextmanager
async def workspace(
    policy: Policy | None = None, *, clock: Callable[[], float] | None = None, settings: Settings | None = None, **options: Any
) -> AsyncGenerator[Workspace]:
    local = LocalRetell(settings)
    fixtures = local.create_fixtures()

    async def fetch(url: str) -> tuple[bytes, str]:
        return await fetch_recording(url, httpx.AsyncClient(transport=SandboxTransport(local.sandbox)))

    async with local.client() as made:
        server = RetellServer(made, policy or Policy(), "practice", fetch, **options)
        if clock is not None:
            server.clock = clock
        yield Workspace(local, made, server, fixtures)


def text(result: types.CallToolResult) -> str:
    """What a tool said, all of it."""
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


def data(result: types.CallToolResult) -> Any:
    """The data that a tool gave."""
    assert not result.is_error, text(result)
    return json.loads([block.text for block in result.content if isinstance(block, types.TextContent)][-1])
