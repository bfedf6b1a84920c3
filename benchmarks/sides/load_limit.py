"""Bare clients of HTTP, aiohttp's unless the order says ``"by"`` which: the same request, its answer parsed to plain JSON."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import aiohttp
import msgspec

from .load import measuring, requested


def prepare(argument: str) -> Callable[[], Any]:
    return measuring(argument, _main)


async def _main(order: dict[str, Any]) -> Any:
    url = f"{order['url']}/v3/create-web-call"
    headers = {"Authorization": "Bearer key"}
    if "by" in order:
        library = import_module(order["by"])
        limits = library.Limits(max_connections=order.get("connections", 100))
        async with library.AsyncClient(headers=headers, limits=limits, timeout=None) as client:

            async def by_httpx(_: int) -> None:
                msgspec.json.decode((await client.post(url, json={"agent_id": "agent_1"})).content)

            return await requested(by_httpx, order)
    connector = aiohttp.TCPConnector(limit=order.get("connections", 100))
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def small(_: int) -> None:
            async with session.post(url, json={"agent_id": "agent_1"}) as answer:
                msgspec.json.decode(await answer.read())

        return await requested(small, order)
