"""The guide for users of the official SDK, row by row, and a client of each package to compare."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import retell

import retell_async

from ...engine.example import MADE
from ..blocks import ROOT

__all__ = ["CALL", "GUIDE", "Sent", "omit_of", "row", "rows"]

GUIDE = (ROOT / "docs" / "guides" / "moving.md").read_text()
CALL: dict[str, Any] = {
    "call_id": "call_1",
    "call_type": "phone_call",
    "agent_id": "agent_1",
    "agent_version": 1,
    "call_status": "ended",
    "from_number": "+14155550100",
    "to_number": "+14155550101",
    "direction": "outbound",
    "call_analysis": {"call_summary": "short"},
    "new_field": {"a": 1},
}


def rows() -> list[str]:
    """All rows of the guide's tables, without their heads."""
    tables = re.findall(r"^\| --- .*\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    return [line for table in tables for line in table.splitlines()]


def row(start: str) -> str:
    """A row of the guide's tables, by its first cell. Whoever calls this tests it."""
    (found,) = (line for line in rows() if line.startswith(f"| {start}"))
    return found


def omit_of(client: Any) -> Any:
    """What stands for "not given" with a client."""
    return retell.omit if isinstance(client, retell.AsyncRetell) else retell_async.omit


class Sent:
    """A client of each package, and what they send."""

    def __init__(self, answer: Any = None, **settings: Any) -> None:
        self.requests: list[httpx.Request] = []
        self.answer = MADE if answer is None else answer
        settings = {"api_key": "key_1", "max_retries": 0, **settings}
        self.clients: list[Any] = [
            kind(http_client=httpx.AsyncClient(transport=httpx.MockTransport(self.serve)), **settings)
            for kind in (retell.AsyncRetell, retell_async.AsyncRetell)
        ]

    def serve(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=self.answer)

    async def both(self, call: Callable[[Any], Awaitable[Any]]) -> tuple[list[Any], list[httpx.Request]]:
        """What both clients answer, and what they send."""
        self.requests.clear()
        answers = [await call(client) for client in self.clients]
        return answers, self.requests[:]
