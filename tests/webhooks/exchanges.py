"""Requests to an ASGI application without a server, and handlers that note what they get."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import anyio
import attrs

from retell_async.webhooks import Event, Router

from .sending import signed


@attrs.define
class Exchange:
    """One request to an ASGI application, and what came of it."""

    status: int | None = None
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    body: bytes = b""
    answered: anyio.Event = attrs.field(factory=anyio.Event)

    async def run(
        self,
        app: Router,
        body: bytes,
        *,
        path: str = "/events",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query: bytes = b"",
        client: tuple[str, int] | None = ("127.0.0.1", 5000),
        root_path: str = "",
        parts: Iterable[bytes] | None = None,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> Exchange:
        waiting = list(parts if parts is not None else [body])

        async def receive() -> dict[str, Any]:
            if waiting:
                part = waiting.pop(0)
                return {"type": "http.request", "body": part, "more_body": bool(waiting) or then is not None}
            if then is not None:
                await then()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert self.status is None, "answered twice"
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                self.body += message["body"]
                self.answered.set()

        sent = signed(body) if headers is None else headers
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": root_path + path,
            "root_path": root_path,
            "query_string": query,
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": client,
        }
        await app(scope, receive, send)
        return self


async def deliver(app: Router, body: bytes, **options: Any) -> Exchange:
    return await Exchange().run(app, body, **options)


class Handled(list[str]):
    """A handler that notes what it got, and then does what it is told."""

    def __init__(self, then: Callable[[], Awaitable[object]] | None = None) -> None:
        super().__init__()
        self.then = then

    async def __call__(self, event: Event) -> None:
        self.append(event.event)
        if self.then is not None:
            await self.then()
