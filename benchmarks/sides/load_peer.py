"""The official SDK. The argument is an order for `load.run` with the server's URL and the settings of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retell import AsyncRetell

from .load import measuring, run


def prepare(argument: str) -> Callable[[], Any]:
    return measuring(argument, _main)


async def _main(order: dict[str, Any]) -> Any:
    return await run(AsyncRetell(api_key="key", base_url=order["url"], **order.get("settings", {})), order)
