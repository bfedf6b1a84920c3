"""Bare aiohttp: the same request, its answer parsed to plain JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp

from .load import measuring, throughput


def prepare(argument: str) -> Callable[[], Any]:
    return measuring(argument, _main)


async def _main(order: dict[str, Any]) -> Any:
    url = f"{order['url']}/v3/create-web-call"
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def small(_: int) -> None:
            async with session.post(url, json={"agent_id": "agent_1"}) as answer:
                await answer.json()

        return await throughput(small, order["throughput"], order["number"])
