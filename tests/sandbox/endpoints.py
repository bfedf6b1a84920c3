"""A user's endpoints: they keep what they receive and answer as they are told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retell_async import webhooks

Json = dict[str, Any]
Answering = Callable[[Json | None, int], Response | Awaitable[Response]]
Received = tuple[str, str, Json | None, dict[str, str]]
"""Method, path, body, and the query with the header ``x-extra`` in it."""
KEY = "key_of_the_account"


def _accept(_: Json | None, __: int) -> Response:
    return Response(status_code=204)


@attrs.define(eq=False)
class Endpoints:
    """One ASGI application for everything. Requests whose signature is wrong are answered with 401 and not kept.

    :param answering: gives the answer to a body, and to how often that body's path was asked before.
    """

    answering: Answering = _accept
    received: list[Received] = attrs.field(factory=list[Received])
    refused: int = 0
    cookies: list[str] = attrs.field(factory=list[str])
    """What the requests had of them."""
    _news: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._take, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])])

    @property
    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(self.app)

    @property
    def bodies(self) -> list[Json]:
        return [body for _, _, body, _ in self.received if body is not None]

    def events(self, about: str | None = None) -> list[str]:
        """The names of events received, in their order."""
        return [body["event"] for body in self.bodies if "event" in body and about in {None, _id(body)}]

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until what was received meets a condition."""
        while not met():
            self._news = anyio.Event()
            await self._news.wait()

    def counts(self) -> Counter[tuple[str, str]]:
        """How often each event of each call was received."""
        return Counter((body["event"], _id(body)) for body in self.bodies if "event" in body)

    async def _take(self, request: Request) -> Response:
        content = await request.body()
        try:
            webhooks.verify(content, KEY, request.headers.get(webhooks.HEADER))
        except webhooks.WebhookVerificationError:
            self.refused += 1
            return Response(status_code=401)
        self.cookies += request.headers.getlist("cookie")
        body = json.loads(content) if content else None
        before = sum(path == request.url.path for _, path, _, _ in self.received)
        self.received.append(
            (request.method, request.url.path, body, {**request.query_params, "x-extra": request.headers.get("x-extra", "")})
        )
        self._news.set()
        answer = self.answering(body, before)
        return answer if isinstance(answer, Response) else await answer


def _id(body: Json) -> str:
    about: Json = body.get("call") or body.get("chat") or {}
    return str(about.get("call_id") or about.get("chat_id") or "")
