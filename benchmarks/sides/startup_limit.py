"""Run with the name of a library and the URL of a server that answers a `get_call`: ``httpx http://127.0.0.1:8000``."""

import sys
from time import perf_counter

_START = perf_counter()

_BY, _URL = sys.argv[1].split()
_URL += "/v2/get-call/call_1"

from importlib import import_module

import msgspec

_LIBRARY = import_module(_BY)


async def _by_aiohttp() -> None:
    async with _LIBRARY.ClientSession() as session, session.get(_URL) as answer:
        msgspec.json.decode(await answer.read())


async def _by_httpx() -> None:
    async with _LIBRARY.AsyncClient() as client:
        msgspec.json.decode((await client.get(_URL)).content)


import asyncio
import json

asyncio.run(_by_aiohttp() if _BY == "aiohttp" else _by_httpx())
print(json.dumps({"answered": (perf_counter() - _START) * 1000}))
