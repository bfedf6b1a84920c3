"""Run with the name of a package, perhaps with ``[aiohttp]``, and the URL of a server that answers a `get_call`."""

import sys
from time import perf_counter
from typing import Any

_BY, _URL = sys.argv[1].split()
_NAME, _, _EXTRA = _BY.partition("[")

_START = perf_counter()

_PACKAGE: Any = __import__(_NAME)
_CLIENT: Any
_decode: Any = None
_IS_RETELL = _NAME.startswith("retell")
if _IS_RETELL:
    _CLIENT = _PACKAGE.AsyncRetell(api_key="key", base_url=_URL, http_client=_PACKAGE.DefaultAioHttpClient() if _EXTRA else None)
else:
    _decode = __import__("msgspec").json.decode
    _CLIENT = None if _NAME == "aiohttp" else _PACKAGE.AsyncClient()  # a session is made in its event loop

_MADE = perf_counter() - _START

import resource

_PEAK = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)


async def _first_answer() -> float:
    path = f"{_URL}/v2/get-call/call_1"
    async with _CLIENT or _PACKAGE.ClientSession() as client:
        if _IS_RETELL:
            await client.call.retrieve("call_1")
        else:
            answer = await client.get(path)
            _decode(await answer.read() if _NAME == "aiohttp" else answer.content)
        return perf_counter() - _START


import asyncio
import json

print(json.dumps({"made": _MADE * 1000, "peak": _PEAK, "answered": asyncio.run(_first_answer()) * 1000}))
