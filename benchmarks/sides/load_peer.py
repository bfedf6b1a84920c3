"""The official SDK. The argument is an order for `load.run` with the server's URL and the settings of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retell import AsyncRetell, DefaultAioHttpClient

from .load import measuring, run


def prepare(argument: str) -> Callable[[], Any]:
    return measuring(argument, _main)


async def _main(order: dict[str, Any]) -> Any:
    http_client = DefaultAioHttpClient() if order.get("aiohttp") else None
    return await run(AsyncRetell(api_key="key", base_url=order["url"], http_client=http_client, **order.get("settings", {})), order)
